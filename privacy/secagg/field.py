"""The prime field of 2³¹ - 1 elements, on whole arrays.

Elements are uint64 below the prime, so that a product of two fits a word. The prime is one less
than a power of two: a remainder is a shift and an addition.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

PRIME = (1 << 31) - 1
ELEMENT_BYTES = 4

Elements: TypeAlias = NDArray[np.uint64]

_PRIME = np.uint64(PRIME)
_BITS = np.uint64(31)


def reduce(numbers: Elements) -> Elements:
    """Return numbers below 2⁶⁴ modulo the prime.

    >>> reduce(np.array([0, PRIME, PRIME + 5], dtype=np.uint64)).tolist()
    [0, 0, 5]
    """
    folded = (numbers & _PRIME) + (numbers >> _BITS)
    folded = (folded & _PRIME) + (folded >> _BITS)
    return np.where(folded >= _PRIME, folded - _PRIME, folded)


def multiply(left: Elements, right: Elements) -> Elements:
    """Return products, with the shapes of NumPy's own multiplication."""
    return reduce(left * right)


def subtract(left: Elements, right: Elements) -> Elements:
    """Return differences."""
    return reduce(left + (_PRIME - right))


def invert(elements: Elements) -> Elements:
    """Return the inverses of a vector of elements by one exponentiation for all.

    Running products from both ends leave each element's inverse as the inverse of the whole product
    times all the others (Montgomery's trick). Zero has no inverse; the caller passes none.

    >>> invert(np.array([1, 2], dtype=np.uint64)).tolist()
    [1, 1073741824]
    """
    prefixes, product = [], 1
    values = [int(value) for value in elements]
    for value in values:
        prefixes.append(product)
        product = product * value % PRIME
    inverse = pow(product, -1, PRIME)
    inverses = np.empty(len(values), dtype=np.uint64)
    for place in range(len(values) - 1, -1, -1):
        inverses[place] = inverse * prefixes[place] % PRIME
        inverse = inverse * values[place] % PRIME
    return inverses


def uniform(count: int, entropy: Callable[[int], bytes]) -> Elements:
    """Draw elements evenly: 31 bits each, the one pattern that is no element drawn again."""
    drawn = _words(count, entropy)
    while (again := np.flatnonzero(drawn == _PRIME)).size:
        drawn[again] = _words(len(again), entropy)
    return drawn


def _words(count: int, entropy: Callable[[int], bytes]) -> Elements:
    """Return so many words of 31 random bits."""
    return np.frombuffer(entropy(ELEMENT_BYTES * count), dtype="<u4").astype(np.uint64) & _PRIME
