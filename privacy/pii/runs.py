"""Masked runs by kind: what becomes of each run, remembered, and the placeholders it leaves."""

from collections.abc import Mapping, Sequence

from privacy.pii.classes import PUNCTUATION
from privacy.pii.kinds import split_run
from privacy.pii.spans import KINDS, Redaction, Span, identity
from privacy.pii.vocabulary import Vocabulary

CACHE_ENTRIES = 50_000
LONGEST_CACHED_RUN = 200

# start, end (relative to the run), kind, and what tells it from others: its kind and identity.
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
_FIRST = {kind: f"[{kind}_1]" for kind in KINDS}
_new = tuple.__new__


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
            kind = self._whose(run, kind)
            key = kind + (identity(core) if "  " in core else core.lower())
            pieces: tuple[NamedPiece, ...] = ((0, len(core), kind, key),)
        else:
            vocabulary = self._vocabulary
            found = split_run(
                run, streets=vocabulary.streets, abbreviations=vocabulary.abbreviations
            )
            pieces = tuple(
                [self._named(run[start:end], start, end, kind) for start, end, kind in found]
            )
        if len(run) <= LONGEST_CACHED_RUN:
            if len(self) >= CACHE_ENTRIES:
                self.clear()
            self[run] = pieces
        return pieces

    def _named(self, text: str, start: int, end: int, kind: str) -> NamedPiece:
        """Return a piece with whose name it is and what tells it from others."""
        if kind in _NAMES:
            kind = self._whose(text, kind)
        # What is one word or number has neither blanks nor a possessive to be rid of.
        return start, end, kind, kind + (text.lower() if text.isalnum() else identity(text))

    def masked(self, text: str, places: Sequence[tuple[int, int]]) -> Redaction:
        """Return text with runs replaced; each is taken apart by kind first."""
        if not places:
            return Redaction(text, ())
        known: dict[str, str] = {}
        counts: dict[str, int] = {}
        parts: list[str] = []
        spans: list[Span] = []
        last = 0
        for first, beyond in places:
            for start, end, kind, key in self[text[first:beyond]]:
                start, end = start + first, end + first
                placeholder = known.get(key)
                if placeholder is None:
                    if kind in counts:
                        counts[kind] += 1
                        placeholder = f"[{kind}_{counts[kind]}]"
                    else:
                        counts[kind] = 1
                        placeholder = _FIRST[kind]
                    known[key] = placeholder
                parts.append(text[last:start])
                parts.append(placeholder)
                # What Span(...) does, at a third of the time.
                spans.append(_new(Span, (start, end, kind)))
                last = end
        parts.append(text[last:])
        return Redaction("".join(parts), tuple(spans))

    def _whose(self, text: str, kind: str) -> str:
        """Return whose name some words are, where one of them tells; else the kind they had."""
        best = _NOBODY
        chunks = text.split()
        for chunk in chunks:
            letter = self._codes.get(chunk, "N")[0]
            if letter in _CAPITALS:
                letter = self._small(chunk)
            if letter in _RANKS and _RANKS[letter] < best:
                best = _RANKS[letter]
        if best == _NOBODY:
            return kind
        owner = _OWNERS[best]
        # A sentence said in small letters is no person for one first name in it.
        return kind if owner == "PERSON" and kind == "MASKED" and len(chunks) > 2 else owner

    def _small(self, chunk: str) -> str:
        """Return the class of a chunk's word in lower case, without its possessive."""
        word = chunk.strip(PUNCTUATION).lower()
        if word in self._vocabulary.suffixes:
            return "O"
        return self._vocabulary.words.get(word.removesuffix("'s"), "XX")[0]
