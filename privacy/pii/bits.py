"""Where each class of chunk occurs, as bits: the first chunk is the highest bit.

`x << 1` reads "the next chunk is x" and `x >> 1` "the chunk before is x".
"""

from privacy.pii.classes import MASKED

_CLASSES = MASKED + "abcdefghijklmnopqrstuvwxyz"
_MARKS = ".,:' "


def _table(symbol: str) -> bytes:
    """Return the translation of a code string to the binary digits of one symbol."""
    return bytes(ord("1" if code == ord(symbol) else "0") for code in range(256))


_TABLES = {symbol: _table(symbol) for symbol in _CLASSES + _MARKS}
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
        self.at = _NOWHERE.copy()
        for code in set(classes):
            letter = chr(code)
            self.at[letter] = int(classes.translate(_TABLES[letter]), 2)
        self.sentence, self.comma, self.colon, self.possessive, self.plain = [
            int(marks.translate(_TABLES[mark]), 2) for mark in _MARKS
        ]
        self.masked = self.any(MASKED)

    def any(self, classes: str) -> int:
        """Return the bits of all chunks of any of these classes."""
        at, bits = self.at, 0
        for letter in classes:
            bits |= at[letter]
        return bits


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
