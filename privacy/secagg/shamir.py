"""Shamir's secret sharing over the field, for secrets of five elements.

Dealing evaluates random polynomials at the points 1 to n; any `threshold` shares give the constant
terms back, one fewer say nothing at all. All five elements of a secret, and any number of secrets
with the same holders, go through one matrix product.

Source: Shamir 1979, How to share a secret.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError
from privacy.secagg.field import Elements, invert, multiply, reduce, subtract, uniform

SECRET_ELEMENTS = 5  # 155 bits

_LIMB_BITS = np.uint64(16)
_LIMB = np.uint64(0xFFFF)


class Dealer:
    """Shares secrets among the same number of holders, again and again.

    >>> dealer = Dealer(holders=3, threshold=2)
    >>> shares = dealer.deal(np.arange(5, dtype=np.uint64), lambda size: bytes([1]) * size)
    >>> recover(np.array([3, 1]), shares[[2, 0]][None]).tolist()
    [[0, 1, 2, 3, 4]]
    """

    __slots__ = ("_high", "_low", "threshold")

    def __init__(self, *, holders: int, threshold: int) -> None:
        """Prepare the powers of every holder's point."""
        if not 1 <= threshold <= holders:
            raise InputError(f"threshold {threshold} of {holders} holders")
        points = np.arange(1, holders + 1, dtype=np.uint64)
        powers = np.ones((holders, threshold), dtype=np.uint64)
        for column in range(1, threshold):
            powers[:, column] = multiply(powers[:, column - 1], points)
        self._high, self._low = _limbs(powers)
        self.threshold = threshold

    def deal(self, secret: Elements, entropy: Callable[[int], bytes]) -> Elements:
        """Return the shares of a secret, a row for each holder. Shape (holders, elements)."""
        width = len(secret)
        random = uniform((self.threshold - 1) * width, entropy).reshape(-1, width)
        high, low = _limbs(np.vstack([secret, random]))
        # Products of 16-bit limbs: a sum of 2^21 of them is exact in float64, so BLAS may do it.
        both = np.hstack([high, low])
        upper, lower = self._high @ both, self._low @ both
        tops = reduce(upper[:, :width].astype(np.uint64))
        middles = reduce((upper[:, width:] + lower[:, :width]).astype(np.uint64))
        bottoms = reduce(lower[:, width:].astype(np.uint64))
        # 2^32 is 2 in this field
        return reduce(tops * np.uint64(2) + (middles << _LIMB_BITS) + bottoms)


@lru_cache(maxsize=8)
def dealer_for(*, holders: int, threshold: int) -> Dealer:
    """Return the dealer for so many holders; one serves a whole epoch."""
    return Dealer(holders=holders, threshold=threshold)


def recover(points: NDArray[np.int64], shares: Elements) -> Elements:
    """Return the secrets whose shares these are.

    Args:
        points: Different points, the same for all secrets. Shape (threshold,).
        shares: Shape (secrets, threshold, elements).

    Returns:
        Shape (secrets, elements).
    """
    weights = _weights(points)
    total = np.zeros((shares.shape[0], shares.shape[2]), dtype=np.uint64)
    for place, weight in enumerate(weights):
        total += multiply(shares[:, place], weight)  # below 2^31 each: thousands fit a word
    return reduce(total)


def _weights(points: NDArray[np.int64]) -> Elements:
    """Return Lagrange's weights at zero; every denominator inverted at once."""
    if len(np.unique(points)) != len(points):
        raise InputError("two shares of one point open nothing")
    at = points.astype(np.uint64)
    tops = np.ones(len(at), dtype=np.uint64)
    bottoms = np.ones(len(at), dtype=np.uint64)
    for place, point in enumerate(at):
        others = np.arange(len(at)) != place
        tops[others] = multiply(tops[others], point)
        bottoms[others] = multiply(bottoms[others], subtract(point, at[others]))
    return multiply(tops, invert(bottoms))


def _limbs(elements: Elements) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Split elements into their upper and lower 16 bits."""
    return (elements >> _LIMB_BITS).astype(np.float64), (elements & _LIMB).astype(np.float64)
