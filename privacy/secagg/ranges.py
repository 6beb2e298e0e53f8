"""How wide a word must be so that no sum wraps around unseen.

Sums are taken modulo a power of two and read as signed numbers. With every number at most `bound`
in absolute value, a sum over n devices is at most n × bound: the word must hold that with its sign.
"""

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, RefusalError
from privacy.secagg.masks import Words

WORD_TYPES: dict[int, type[np.uint32] | type[np.uint64]] = {4: np.uint32, 8: np.uint64}


def word_bytes_for(bound: int, *, devices: int) -> int:
    """Return the narrowest word that holds any sum of so many devices.

    Raises:
        InputError: no word does, or there is nothing to sum.

    >>> word_bytes_for(1000, devices=100), word_bytes_for(1 << 30, devices=100)
    (4, 8)
    """
    for width in WORD_TYPES:
        if bound >= 1 and fits(bound, devices=devices, word_bytes=width):
            return width
    raise InputError(f"{devices} numbers of up to {bound} do not add up in 64 bits")


def fits(bound: int, *, devices: int, word_bytes: int) -> bool:
    """Tell whether a sum of so many devices fits a signed word."""
    return devices * bound < 1 << (8 * word_bytes - 1)


def to_words(values: NDArray[np.int64], *, bound: int, word_bytes: int) -> Words:
    """Return values as words of the given width, a copy.

    Raises:
        InputError: values are not whole numbers of 64 bits.
        RefusalError: a value passes the bound; it could wrap, or give its device away in the sum.
    """
    if values.dtype != np.int64:
        raise InputError(f"values of type {values.dtype}, expected int64: quantise them first")
    if len(values) and not (-bound <= int(values.min()) and int(values.max()) <= bound):
        raise RefusalError(f"a number passes the bound of {bound} this round was announced with")
    words: Words = values.view(np.uint64).astype(WORD_TYPES[word_bytes])
    return words


def from_words(words: Words, *, bound: int, devices: int) -> NDArray[np.int64]:
    """Return a sum as signed numbers.

    Raises:
        RefusalError: it is greater than so many devices can make it; an input was not as announced,
            and what else is wrong with the sum nobody knows.
    """
    total = words.view(np.dtype(f"i{words.itemsize}")).astype(np.int64)
    most = bound * devices
    if len(total) and not (-most <= int(total.min()) and int(total.max()) <= most):
        raise RefusalError(f"a sum of {devices} numbers of up to {bound} is out of range")
    return total
