"""The redactor: what may leave of a text, in three modes.

`strict`
    A token leaves only if the public vocabulary and its place in the sentence allow. This is an
    invariant of the output, which `privacy.pii.scan` checks with other eyes.
`high`
    Everything the detectors find, and every token strict mode masks, but for lone oddities.
`balanced`
    Everything the detectors find, and the names something in the text vouches for.

A tagger, if a bundle brings one, only ever adds spans.
"""

from collections.abc import Sequence
from typing import Protocol

from fieldvote.errors import InputError, nearest
from privacy.pii.chunks import Masks
from privacy.pii.detect import Detection, merged
from privacy.pii.folding import fold
from privacy.pii.kinds import is_glue
from privacy.pii.levels import LEVELS
from privacy.pii.runs import RunKinds
from privacy.pii.spans import KINDS, Redaction, Span, assemble
from privacy.pii.vocabulary import LOCALES, Vocabulary

MODES = ("balanced", "high", "strict")


class Tagger(Protocol):
    """A model that points at personal data; whatever it says, nothing is uncovered by it."""

    def __call__(self, text: str) -> Sequence[Span]:
        """Return spans in code points of text, in any order; they may overlap."""
        ...


class Redactor:
    """Masks personal data; remembers chunks it has seen in memory only, and not without bound.

    >>> redactor = Redactor(mode="strict", locales=("en",))
    >>> redactor.redact("Please call Ann Smith at 555-010-9999, or Ann Smith's boss.").text
    'Please call [PERSON_1] at [PHONE_1], or [PERSON_1] boss.'
    """

    def __init__(
        self,
        mode: str = "strict",
        locales: Sequence[str] = ("en",),
        vocabulary: Vocabulary | None = None,
        tagger: Tagger | None = None,
    ) -> None:
        """Choose how much may leave.

        Args:
            mode: One of MODES; "strict": only what is allowed leaves.
            locales: The language of the texts, one; it needs a vocabulary.
            vocabulary: The signed one; the shipped one if not given.
            tagger: Adds spans to what the mode masks.

        Raises:
            InputError: unknown mode or locale; nothing is redacted by guess.
        """
        if mode not in MODES:
            raise InputError(f"unknown redaction mode {mode!r}; {nearest(str(mode), MODES)}")
        known = LOCALES if vocabulary is None else (vocabulary.locale,)
        if isinstance(locales, str) or tuple(locales) not in [(locale,) for locale in known]:
            raise InputError(f"locales are a tuple of one of: {', '.join(known)}")
        self.mode = mode
        self.locales = tuple(locales)
        self.vocabulary = vocabulary or Vocabulary.load(self.locales[0])
        self._masks = Masks(self.vocabulary, LEVELS[mode])
        self._kinds = RunKinds(self.vocabulary, self._masks.codes)
        self._tagger = tagger
        self._detection = None if mode == "strict" else Detection(self.locales)

    def redact(self, text: str) -> Redaction:
        """Return text with everything masked that may not leave.

        Raises:
            InputError: text is not a string, or the tagger points outside it.
        """
        return self.redact_batch((text,))[0]

    def redact_batch(self, texts: Sequence[str]) -> tuple[Redaction, ...]:
        """Return each text redacted; the same as one by one, and faster.

        Raises:
            InputError: one of them is not a string, or the tagger points outside one; none is
                redacted.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise InputError("redaction takes texts")
        if self._detection is None and self._tagger is None:
            return tuple(
                self._kinds.masked(text, places)
                for text, places in zip(texts, self._masks.places(texts), strict=True)
            )
        folded = texts if self._detection is None else [fold(text).text for text in texts]
        return tuple(
            self._with_found(text, runs)
            for text, runs in zip(texts, self._masks.places(folded), strict=True)
        )

    def _with_found(self, text: str, runs: Sequence[tuple[int, int]]) -> Redaction:
        """Join what the mode masks with what the detectors and the tagger find."""
        spans: list[Span] = []
        if self._detection is None:
            spans += self._typed(text, runs)
        else:
            folded = fold(text)
            found = self._detection.find(folded.text)
            spans += merged([*found, *self._typed(folded.text, runs)])
            spans = [folded.back(span) for span in spans]
        if self._tagger is not None:
            spans += _whole_chunks(text, self._tagger(text))
        spans = [cut for span in merged(spans) for cut in _trimmed(text, span)]
        return Redaction(assemble(text, spans), tuple(spans))

    def _typed(self, text: str, runs: Sequence[tuple[int, int]]) -> list[Span]:
        """Return the pieces of masked runs."""
        return [
            Span(first + start, first + end, kind)
            for first, beyond in runs
            for start, end, kind, _ in self._kinds[text[first:beyond]]
        ]


def _trimmed(text: str, span: Span) -> list[Span]:
    """Return a span without blanks and punctuation around it; nothing if that is all it was."""
    start, end, kind = span
    while start < end and is_glue(text[start]):
        start += 1
    while start < end and is_glue(text[end - 1]):
        end -= 1
    return [Span(start, end, kind)] if start < end else []


def _whole_chunks(text: str, spans: Sequence[Span]) -> list[Span]:
    """Return a tagger's spans grown to whole chunks: half a word is no word of the vocabulary.

    Raises:
        InputError: a span lies outside the text or is of no known kind.
    """
    grown = []
    for start, end, kind in spans:
        if not 0 <= start <= end <= len(text) or kind not in KINDS:
            raise InputError(f"the tagger gave a span {start}..{end} for {len(text)} characters")
        while start > 0 and start < end and not text[start - 1].isspace():
            start -= 1
        while start < end < len(text) and not text[end].isspace():
            end += 1
        if start < end:
            grown.append(Span(start, end, kind))
    return grown
