"""Detection: which of the patterns occur in a text, and whose characters are whose.

One `re2.Set` over all patterns says in a single pass which of them occur at all; only those are
run. Most texts hold none, so most texts cost one pass.
"""

from array import array
from collections.abc import Callable, Iterable
from itertools import groupby

import re2

from privacy.pii.patterns import DETECTORS, Detector
from privacy.pii.spans import Span

LONGEST_CHECKED = 60  # characters; an IBAN in groups of four has 42


class Detection:
    """The detectors for some locales, compiled.

    >>> Detection(("en",)).find("mail ann@example.com, card 4111 1111 1111 1111")
    [Span(start=5, end=20, kind='EMAIL'), Span(start=27, end=46, kind='CARD')]
    """

    def __init__(self, locales: Iterable[str], detectors: tuple[Detector, ...] = DETECTORS) -> None:
        """Compile the detectors that look at texts in one of these languages."""
        here = frozenset(locales)
        self.detectors = tuple(d for d in detectors if not d.locales or d.locales & here)
        self._patterns = tuple(re2.compile(detector.pattern) for detector in self.detectors)
        self._gate = re2.Set.SearchSet()
        for detector in self.detectors:
            self._gate.Add(detector.pattern)
        self._gate.Compile()

    def find(self, text: str) -> list[Span]:
        """Return what is found, sorted and disjoint; the first detector names what two want.

        Args:
            text: Folded; holds no lone surrogate.
        """
        return self._find(text, sorted(self._gate.Match(text) or ()))

    def find_ungated(self, text: str) -> list[Span]:
        """Return the same without asking the gate: its twin for tests."""
        return self._find(text, range(len(self.detectors)))

    def _find(self, text: str, places: Iterable[int]) -> list[Span]:
        """Run some detectors, best first."""
        found: list[Span] = []
        for place in places:
            detector = self.detectors[place]
            for match in self._patterns[place].finditer(text):
                start, end = match.span(1) if match.re.groups else match.span()
                if start >= end or not detector.holds(text[start:end]):
                    # An IBAN or an address may have run into the words after it.
                    end = _shorter(text, start, end, detector.holds)
                if start < end and (not detector.whole or _stands_alone(text, start, end)):
                    found.append(Span(start, end, detector.kind))
        return merged(found)


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return spans disjoint and sorted; of what several cover, the first of them is the kind.

    No character that any of them covers is left uncovered. Takes time in proportion to the
    characters covered: the spans of one detector are disjoint already.

    >>> [tuple(span) for span in merged([Span(2, 4, "PHONE"), Span(0, 6, "ID")])]
    [(0, 2, 'ID'), (2, 4, 'PHONE'), (4, 6, 'ID')]
    """
    given = list(spans)
    owners = array("I", bytes(4 * max((span.end for span in given), default=0)))
    for number, (start, end, _) in enumerate(given, 1):
        if any(owners[start:end]):
            for place in range(start, end):
                owners[place] = owners[place] or number
        else:
            owners[start:end] = array("I", (number,)) * (end - start)
    kept: list[Span] = []
    place = 0
    for owner, run in groupby(owners):
        end = place + sum(1 for _ in run)
        if owner:
            kept.append(Span(place, end, given[owner - 1].kind))
        place = end
    return kept


def _shorter(text: str, start: int, end: int, holds: Callable[[str], bool]) -> int:
    """Return where a match ends that is what it looks like, words left out; start if nowhere."""
    cut = text.rfind(" ", start, min(end, start + LONGEST_CHECKED))
    while cut > start:
        if holds(text[start:cut]):
            return cut
        cut = text.rfind(" ", start, cut)
    return start


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether a match is no part of a longer word or number."""
    before = start and text[start - 1].isalnum() and text[start].isalnum()
    after = end < len(text) and text[end].isalnum() and text[end - 1].isalnum()
    return not before and not after
