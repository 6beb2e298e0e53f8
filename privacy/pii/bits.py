"""Where each class of chunk occurs, as bits: the first chunk is the highest bit.

`x << 1` reads "the next chunk is x" and `x >> 1` "the chunk before is x".
"""

import numpy as np

from privacy.pii.classes import MASKED

_CLASSES = MASKED + "abcdefghijklmnopqrstuvwxyz"
_MARKS = b".,:' "
# From so many on, one comparison of all symbols with all chunks pays for itself.
FEW_CHUNKS = 400
# For each symbol the translation of a code string to its binary digits.
_TABLES = {
    symbol: bytes(b"01"[code == symbol] for code in range(256))
    for symbol in _CLASSES.encode("ascii") + _MARKS
}
_NOWHERE = dict.fromkeys(_CLASSES, 0)


class Chunks:
    """Where each class and mark occurs, and what is masked so far.

    Attributes:
        at: Class letter -> bits of the chunks of that class.
        masked: Bits of the chunks that stay.
        sentence: Bits of the chunks that end in the mark of that name; comma, colon, possessive
            and plain likewise.
    """

    __slots__ = ("at", "colon", "comma", "masked", "plain", "possessive", "sentence", "size")

    def __init__(self, codes: bytes) -> None:
        """Read the codes, class and mark of each chunk in turn."""
        classes, marks = codes[::2], codes[1::2]
        self.size = len(classes)
        where = _where_translated if self.size < FEW_CHUNKS else _where_packed
        present = bytes(set(classes))
        self.at = _NOWHERE | dict(
            zip(present.decode("ascii"), where(classes, present), strict=True)
        )
        self.sentence, self.comma, self.colon, self.possessive, self.plain = where(marks, _MARKS)
        self.masked = self.any(MASKED)

    def any(self, classes: str) -> int:
        """Return the bits of all chunks of any of these classes."""
        at, bits = self.at, 0
        for letter in classes:
            bits |= at[letter]
        return bits


def _where_translated(codes: bytes, symbols: bytes) -> list[int]:
    """Return the bits of the places of each symbol, read as binary digits."""
    return [int(codes.translate(_TABLES[symbol]), 2) for symbol in symbols]


def _where_packed(codes: bytes, symbols: bytes) -> list[int]:
    """Return the same by comparing everything at once."""
    found = np.frombuffer(symbols, np.uint8)[:, None] == np.frombuffer(codes, np.uint8)
    idle = -len(codes) % 8
    return [int.from_bytes(row.tobytes()) >> idle for row in np.packbits(found, axis=1)]


def until(links: int, target: int, times: int) -> int:
    """Return runs of at most so many links that end right before a target."""
    run = links & (target << 1)
    for _ in range(times - 1):
        run |= links & (run << 1)
    return run


def after(links: int, source: int, times: int) -> int:
    """Return runs of at most so many links that begin right after a source."""
    run = links & (source >> 1)
    for _ in range(times - 1):
        run |= links & (run >> 1)
    return run


def spread(run: int, reach: int) -> int:
    """Return runs grown over all that reaches them without a gap.

    Doubles the step each time (the Kogge-Stone fill of chess programs), so that a text of one long
    chain takes no longer than its length allows.

    >>> bin(spread(0b0010000, 0b0111011))
    '0b111000'
    """
    left = right = run & reach
    to_left = to_right = reach
    step, size = 1, reach.bit_length()
    while step < size:
        left |= to_left & (left << step)
        right |= to_right & (right >> step)
        to_left &= to_left << step
        to_right &= to_right >> step
        step *= 2
    return left | right
