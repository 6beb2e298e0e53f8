"""Masked runs by kind: what becomes of each run, remembered, and the placeholders it leaves."""

from collections.abc import Mapping, Sequence

from privacy.pii.classes import PUNCTUATION
from privacy.pii.kinds import split_run
from privacy.pii.spans import Redaction, Span, identity
from privacy.pii.vocabulary import Vocabulary

CACHE_ENTRIES = 50_000
LONGEST_CACHED_RUN = 200

# start, end (relative to the run), kind, and what tells it from others of its kind.
NamedPiece = tuple[int, int, str, str]

# What the class of a word says about the name it is part of; see `privacy.pii.classes`. Of several
# the first names the piece.
_OWNERS = ("ORG", "PERSON", "ORG", "LOCATION")
_RANKS = {
    letter: rank for rank, letters in enumerate(("O", "Itp", "oxm", "a")) for letter in letters
}
_NOBODY = len(_OWNERS)
_NAMES = ("NAME", "MASKED")
# Classes of a capital under which the word's own class has to be asked for.
_CAPITALS = "NB"
_MARKS_AFTER = ".,:;!?)"


class RunKinds(dict[str, tuple[NamedPiece, ...]]):
    """Masked run -> its pieces; remembered in memory only, bounded, dropped whole when full."""

    def __init__(self, vocabulary: Vocabulary, codes: Mapping[str, str]) -> None:
        """Start with nothing known.

        Args:
            vocabulary: Tells street words and abbreviations.
            codes: Chunk -> class and mark; those of masked chunks are known when a run is.
        """
        super().__init__()
        self._vocabulary = vocabulary
        self._codes = codes

    def __missing__(self, run: str) -> tuple[NamedPiece, ...]:
        core = run.rstrip(_MARKS_AFTER)
        if core.replace(" ", "").isalpha():
            kind = "MASKED" if core.islower() else "NAME"
            # The run's own chunks have been looked up already, marks and all.
            kind = self._whose(run.split(), kind)
            pieces: tuple[NamedPiece, ...] = ((0, len(core), kind, identity(core)),)
        else:
            vocabulary = self._vocabulary
            found = split_run(
                run, streets=vocabulary.streets, abbreviations=vocabulary.abbreviations
            )
            named = []
            for start, end, kind in found:
                text = run[start:end]
                if kind in _NAMES:
                    kind = self._whose(text.split(), kind)
                named.append((start, end, kind, identity(text)))
            pieces = tuple(named)
        if len(run) <= LONGEST_CACHED_RUN:
            if len(self) >= CACHE_ENTRIES:
                self.clear()
            self[run] = pieces
        return pieces

    def masked(self, text: str, places: Sequence[tuple[int, int]]) -> Redaction:
        """Return text with runs replaced; each is taken apart by kind first."""
        if not places:
            return Redaction(text, ())
        known: dict[tuple[str, str], str] = {}
        counts: dict[str, int] = {}
        parts: list[str] = []
        spans: list[Span] = []
        last = 0
        for first, beyond in places:
            for start, end, kind, key in self[text[first:beyond]]:
                start, end = start + first, end + first
                placeholder = known.get((kind, key))
                if placeholder is None:
                    counts[kind] = number = counts.get(kind, 0) + 1
                    placeholder = known[kind, key] = f"[{kind}_{number}]"
                parts += (text[last:start], placeholder)
                spans.append(Span(start, end, kind))
                last = end
        parts.append(text[last:])
        return Redaction("".join(parts), tuple(spans))

    def _whose(self, chunks: list[str], kind: str) -> str:
        """Return whose name some words are, where one of them tells; else the kind they had."""
        best = _NOBODY
        for chunk in chunks:
            if (rank := _RANKS.get(self._letter(chunk), _NOBODY)) < best:
                best = rank
        if best == _NOBODY:
            return kind
        owner = _OWNERS[best]
        # A sentence said in small letters is no person for one first name in it.
        return kind if owner == "PERSON" and kind == "MASKED" and len(chunks) > 2 else owner

    def _letter(self, chunk: str) -> str:
        """Return the class of a chunk, that of its word where a capital hides it."""
        code = self._codes.get(chunk, "N")
        if code[0] not in _CAPITALS:
            return code[0]
        word = chunk.strip(PUNCTUATION).lower()
        return "O" if word in self._vocabulary.suffixes else self._small(word)

    def _small(self, word: str) -> str:
        """Return the class of a word in lower case, without its possessive."""
        word = word.removesuffix("'s")
        return self._vocabulary.words.get(word, "XX")[0]
