"""The redactor: a token leaves only if the public vocabulary and its place in the sentence allow.

One pass: split at blanks, look each chunk up (`privacy.pii.tokens`), let the grammar mask more
(`privacy.pii.grammar`), name what is masked (`privacy.pii.kinds`). What is not known stays.
"""

from collections.abc import Sequence
from itertools import accumulate

from fieldvote.errors import InputError, nearest
from privacy.pii.grammar import decide
from privacy.pii.kinds import RunKinds
from privacy.pii.spans import Redaction, Span
from privacy.pii.tokens import END_CHUNK, LINE_CHUNK, ChunkCodes
from privacy.pii.vocabulary import LOCALES, Vocabulary

MODES = ("strict",)
BLOCK_TEXTS = 256


class Redactor:
    """Masks personal data; remembers chunks it has seen in memory only, and not without bound.

    >>> redactor = Redactor(mode="strict", locales=("en",))
    >>> redactor.redact("Please call Ann Smith at 555-010-9999, or Ann Smith's boss.").text
    'Please call [NAME_1] at [PHONE_1], or [NAME_2] boss.'
    """

    def __init__(
        self,
        mode: str = "strict",
        locales: Sequence[str] = ("en",),
        vocabulary: Vocabulary | None = None,
    ) -> None:
        """Choose how much may leave.

        Args:
            mode: "strict": only what is allowed leaves.
            locales: Languages of the texts; each needs a vocabulary.
            vocabulary: The signed one; the shipped one if not given.

        Raises:
            InputError: unknown mode or locale; nothing is redacted by guess.
        """
        if mode not in MODES:
            raise InputError(f"unknown redaction mode {mode!r}; {nearest(str(mode), MODES)}")
        if isinstance(locales, str) or tuple(locales) not in [(known,) for known in LOCALES]:
            raise InputError(f"locales are a tuple of one of: {', '.join(LOCALES)}")
        self.mode = mode
        self.locales = tuple(locales)
        self.vocabulary = vocabulary or Vocabulary.load(self.locales[0])
        if self.vocabulary.locale != self.locales[0]:
            raise InputError(f"the vocabulary is for locale {self.vocabulary.locale!r}")
        self._codes = ChunkCodes(self.vocabulary)
        self._kinds = RunKinds(self.vocabulary)
        self._places: dict[str, list[tuple[str, ...]]] = {}
        for first, *rest in self.vocabulary.phrases:
            self._places.setdefault(first, []).append(tuple(rest))

    def redact(self, text: str) -> Redaction:
        """Return text with everything masked that may not leave.

        Raises:
            InputError: text is not a string.
        """
        return self.redact_batch((text,))[0]

    def redact_batch(self, texts: Sequence[str]) -> tuple[Redaction, ...]:
        """Return each text redacted; the same as one by one, and faster.

        Raises:
            InputError: one of them is not a string; none is redacted.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise InputError("redaction takes texts")
        redacted: list[Redaction] = []
        for start in range(0, len(texts), BLOCK_TEXTS):
            redacted += self._block(texts[start : start + BLOCK_TEXTS])
        return tuple(redacted)

    def _block(self, texts: Sequence[str]) -> list[Redaction]:
        """Redact some texts in one go."""
        chunks: list[str] = []
        ends: list[int] = []
        for text in texts:
            if "\n" in text:
                for line in text.split("\n"):
                    chunks += line.split()
                    chunks.append(LINE_CHUNK)
            else:
                chunks += text.split()
            ends.append(len(chunks))
            chunks.append(END_CHUNK)
        codes = "".join(map(self._codes.__getitem__, chunks))
        masked = decide(codes.encode("ascii"), self._phrases(chunks, codes))
        bits = f"{masked:0{len(chunks)}b}"
        before = list(accumulate(map(len, chunks), initial=0))
        redacted, first = [], 0
        for text, end in zip(texts, ends, strict=True):
            runs = _runs(bits, first, end)
            if not runs:
                redacted.append(Redaction(text, ()))
            elif before[end] - before[first] + end - first - 1 == len(text) and "\n" not in text:
                # One blank between chunks: a chunk begins after the chunks and blanks before it.
                skip = before[first] + first
                places = [(before[i] + i - skip, before[j] + j - 1 - skip) for i, j in runs]
                redacted.append(self._mask(text, places))
            else:
                redacted.append(self._mask(text, _places(text, chunks, runs, first)))
            first = end + 1
        return redacted

    def _mask(self, text: str, places: Sequence[tuple[int, int]]) -> Redaction:
        """Replace what is masked; each run is taken apart by kind."""
        known: dict[tuple[str, str], str] = {}
        counts: dict[str, int] = {}
        parts: list[str] = []
        spans: list[Span] = []
        last = 0
        for first, beyond in places:
            for start, end, kind in self._kinds[text[first:beyond]]:
                start, end = start + first, end + first
                key = (kind, text[start:end])
                placeholder = known.get(key)
                if placeholder is None:
                    counts[kind] = number = counts.get(kind, 0) + 1
                    placeholder = known[key] = f"[{kind}_{number}]"
                parts += (text[last:start], placeholder)
                spans.append(Span(start, end, kind))
                last = end
        parts.append(text[last:])
        return Redaction("".join(parts), tuple(spans))

    def _phrases(self, chunks: list[str], codes: str) -> int:
        """Return the bits of places made of everyday words: united states, new haven."""
        bits, size = 0, len(chunks)
        for letter in "ge":
            at = codes.find(letter)
            while at >= 0:
                i = at // 2
                for rest in self._places.get(_plain(chunks[i]), ()):
                    length = 1 + len(rest)
                    if tuple(_plain(chunk) for chunk in chunks[i + 1 : i + length]) == rest:
                        bits |= ((1 << length) - 1) << (size - i - length)
                at = codes.find(letter, at + 1)
        return bits


def _runs(bits: str, first: int, end: int) -> list[tuple[int, int]]:
    """Return the runs of ones between two positions: first chunk, one past the last."""
    runs = []
    i = bits.find("1", first, end)
    while i >= 0:
        j = bits.find("0", i, end)
        if j < 0:
            j = end
        runs.append((i, j))
        i = bits.find("1", j, end)
    return runs


def _places(
    text: str, chunks: list[str], runs: list[tuple[int, int]], first: int
) -> list[tuple[int, int]]:
    """Return where each run begins and ends in a text with any blanks between its chunks."""
    places = []
    seen, at = first, 0
    for i, j in runs:
        begin = at
        for index in range(seen, j):
            # Only blanks lie before the next chunk, so the first find is it.
            at = text.find(chunks[index], at)
            if index == i:
                begin = at
            at += len(chunks[index])
        places.append((begin, at))
        seen = j
    return places


def _plain(chunk: str) -> str:
    """Return a chunk's word as phrases are listed."""
    return chunk.strip(".,;:!?\"'()").lower()
