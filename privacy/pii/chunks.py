"""From texts to masked runs: split at blanks, look each chunk up, let the grammar decide."""

from collections.abc import Iterator, Sequence
from itertools import accumulate

from privacy.pii.grammar import decide
from privacy.pii.levels import Level, everything
from privacy.pii.tokens import END_CHUNK, LINE_CHUNK, ChunkCodes
from privacy.pii.vocabulary import Vocabulary

BLOCK_TEXTS = 256

# Where a masked run begins and ends, in code points of its text.
Place = tuple[int, int]


class Masks:
    """Finds what is masked; one for each vocabulary and level.

    Attributes:
        codes: Chunk -> class and mark, as far as seen.
    """

    def __init__(self, vocabulary: Vocabulary, level: Level = everything) -> None:
        self._vocabulary = vocabulary
        self._level = level
        self.codes = ChunkCodes(vocabulary)
        self._places: dict[str, list[tuple[str, ...]]] = {}
        for first, *rest in vocabulary.phrases:
            self._places.setdefault(first, []).append(tuple(rest))

    def places(self, texts: Sequence[str]) -> Iterator[list[Place]]:
        """Yield the masked runs of each text, sorted and disjoint, no blanks at their ends."""
        for start in range(0, len(texts), BLOCK_TEXTS):
            yield from self._block(texts[start : start + BLOCK_TEXTS])

    def _block(self, texts: Sequence[str]) -> list[list[Place]]:
        """Find the masked runs of some texts in one go."""
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
        codes = "".join(map(self.codes.__getitem__, chunks))
        packed = codes.encode("ascii")
        masked = decide(packed, self._phrases(chunks, codes))
        if self._level is not everything:
            masked = self._level(chunks, packed, masked, self._vocabulary)
        bits = f"{masked:0{len(chunks)}b}"
        before = list(accumulate(map(len, chunks), initial=0))
        found: list[list[Place]] = []
        first = 0
        for text, end in zip(texts, ends, strict=True):
            runs = _runs(bits, first, end)
            if not runs:
                found.append([])
            elif before[end] - before[first] + end - first - 1 == len(text) and "\n" not in text:
                # One blank between chunks: a chunk begins after the chunks and blanks before it.
                skip = before[first] + first
                found.append([(before[i] + i - skip, before[j] + j - 1 - skip) for i, j in runs])
            else:
                found.append(_places(text, chunks, runs, first))
            first = end + 1
        return found

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


def _places(text: str, chunks: list[str], runs: list[tuple[int, int]], first: int) -> list[Place]:
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
