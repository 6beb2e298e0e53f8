"""Whole numbers drawn from the discrete Gaussian, without a float on the way.

The law on the integers is P(x) ~ exp(-x² / (2 variance)). Noise made from floats has gaps in its
range that tell which answer it hides; whole numbers have none.

How it is drawn, for a standard deviation up to 1,024: thresholds of the cumulative law are worked
out once in integers of 320 bits. A draw is a uniform number of 64 random bits and one search among
the thresholds' first 64 bits. Where those 64 bits equal a threshold's, once in 10^15 draws, 192
bits more decide. So the law is exact up to a statistical distance below 2^-200 a draw (`_table`),
and all but speed is independent of the platform.

Wider laws are put together from two narrower ones, X = step · Y1 + Y2, with the variances
step² · v1 + v2 = variance. Each probability is then the right one times a factor within 1 +- 2
exp(-2 pi² s²), where s² = 1 / (1/v1 + step²/v2): with s² >= 60, as here, below 1 + 10^-500.

The search reads memory that depends on the secret: whoever can time single draws on the device
itself is not kept out.

Sources: Canonne, Kamath and Steinke 2020, arXiv:2004.00010, for the law; Micciancio and Walter
    2017, "Gaussian sampling over the integers", eprint 2017/259, section 3, for the sum of two.
"""

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError
from privacy.dp.amounts import positive_fraction, whole

WORD_BITS = 64
DRAW_BITS = 256
_GUARD_BITS = 64
_NARROW = 1 << 20
_OUTER = 1 << 14
_STEP_VARIANCE = 64
_WIDEST = 1 << 80
_MOST = 1 << 27
_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class _Table:
    """Thresholds of one law.

    Attributes:
        least: The smallest number that is drawn.
        words: First 64 bits of each threshold. Shape (values - 1,), uint64.
        exact: The thresholds in parts of 2^256.
    """

    least: int
    words: NDArray[np.uint64]
    exact: tuple[int, ...]


def discrete_gaussian(
    count: int, *, variance: int | float | Fraction, entropy: Callable[[int], bytes]
) -> NDArray[np.int64]:
    """Return independent draws.

    Args:
        count: How many.
        variance: Parameter of the law, which is its variance up to 10^-10 from 1 on.
        entropy: Random bytes that nobody can predict; in a deployment the system's.

    Raises:
        InputError: A number is not what it must be, or entropy gave fewer bytes than asked for.

    >>> from fieldvote.rng import keyed_entropy
    >>> discrete_gaussian(6, variance=4, entropy=keyed_entropy(1, "doctest")).tolist()
    [2, 1, -1, -2, 3, 2]
    """
    whole("count", count, most=_MOST)
    spread = positive_fraction("variance", variance)
    if not Fraction(1, 1 << 20) <= spread <= _WIDEST:
        raise InputError("variance lies in 2^-20 .. 2^80: change the step of the numbers")
    return _draw(count, spread, entropy)


def _draw(count: int, variance: Fraction, entropy: Callable[[int], bytes]) -> NDArray[np.int64]:
    """Draw from one table, or from two laws that add up."""
    if variance <= _NARROW:
        return _from_table(count, _table(variance), entropy)
    # the largest step that leaves the second law at least 8 steps wide
    step = math.isqrt(int(variance / (_OUTER + _STEP_VARIANCE)))
    outer = _draw(count, Fraction(_OUTER), entropy)
    return step * outer + _draw(count, variance - step * step * _OUTER, entropy)


def _from_table(count: int, table: _Table, entropy: Callable[[int], bytes]) -> NDArray[np.int64]:
    """Draw by inversion, block after block, so that what is searched stays in the cache."""
    out = np.empty(count, dtype=np.int64)
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        uniform = np.frombuffer(_bytes(entropy, size * WORD_BITS // 8), dtype="<u8")
        place = np.searchsorted(table.words, uniform, side="right")
        open_ = place > 0
        open_[open_] = table.words[place[open_] - 1] == uniform[open_]
        for position in np.flatnonzero(open_):
            place[position] = _settled(int(uniform[position]), table, entropy)
        out[start : start + size] = place
    return out + table.least


def _settled(word: int, table: _Table, entropy: Callable[[int], bytes]) -> int:
    """Return the place of a draw that its first 64 bits leave open."""
    rest = int.from_bytes(_bytes(entropy, (DRAW_BITS - WORD_BITS) // 8), "little")
    return bisect_right(table.exact, (word << (DRAW_BITS - WORD_BITS)) | rest)


@lru_cache(maxsize=8)
def _table(variance: Fraction) -> _Table:
    """Return the thresholds of one law.

    Each of at most 2^16 weights is truncated at 320 bits, with an error below 2^-300, and the
    tails are left out where a weight falls below 2^-256: together below 2^-200.
    """
    bits = DRAW_BITS + _GUARD_BITS
    ratio = _exp_of_minus(1 / (2 * variance), bits)
    square = ratio * ratio >> bits
    weights, fall = [1 << bits], ratio
    while weights[-1] >> _GUARD_BITS:
        # exp(-x²/2v) = exp(-(x-1)²/2v) · exp(-(2x-1)/2v), and the last factor falls by its square
        weights.append(weights[-1] * fall >> bits)
        fall = fall * square >> bits
    line = weights[:0:-1] + weights
    total = sum(line)
    exact, below = [], 0
    for weight in line[:-1]:
        below += weight
        exact.append((below << DRAW_BITS) // total)
    words = np.array([value >> (DRAW_BITS - WORD_BITS) for value in exact], dtype=np.uint64)
    return _Table(least=1 - len(weights), words=words, exact=tuple(exact))


def _exp_of_minus(exponent: Fraction, bits: int) -> int:
    """Return exp(-exponent) in parts of 2^bits, for a positive exponent, by squaring a series."""
    halvings = max(0, math.ceil(exponent).bit_length())
    working = bits + 32 + 2 * halvings
    small = (exponent.numerator << working) // (exponent.denominator << halvings)
    term = total = 1 << working
    place = 1
    while term:
        term = (term * small >> working) // place
        total += -term if place % 2 else term
        place += 1
    for _ in range(halvings):
        total = total * total >> working
    return total >> (working - bits)


def _bytes(entropy: Callable[[int], bytes], size: int) -> bytes:
    """Ask for random bytes; a source that runs dry must not become a short, guessable draw."""
    drawn = entropy(size)
    if len(drawn) != size:
        raise InputError(f"entropy gave {len(drawn)} bytes where {size} were asked for")
    return drawn
