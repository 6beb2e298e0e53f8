"""How a vector of whole numbers is noised: by one party, or by every device of a cohort in part.

Distributed noise: each device adds a draw of its own before the sum is formed, so nobody ever holds
the sum without noise. The guarantee counts only the draws that surely arrive from devices that do
not tell theirs: cohort less those allowed to go missing less those assumed corrupt. More draws than
that make the sum noisier and no less private.

A sum of discrete Gaussians is not quite one. How far from it is the closeness tau below, which is
part of the cost; with a variance of 3 a device it is about 10^-12.

Nothing outside `privacy.dp.ledger` may call `add_share`: there the release is paid for first.

Source: Kairouz, Liu and Steinke 2021, "The distributed discrete Gaussian mechanism for federated
    learning with secure aggregation", arXiv:2102.06387, theorem 1 and proposition 14.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from privacy.dp.accountant import gaussian_micro_rho
from privacy.dp.amounts import MICRO, ceil_sqrt, positive_fraction, whole
from privacy.dp.discrete_gaussian import discrete_gaussian

LEAST_SHARE_VARIANCE = 3
"""Below it the shares of a cohort do not add up to a Gaussian closely enough."""

_LARGEST_VALUE = 1 << 61
_ROOT_STEPS = 1 << 60
_VARIANCE_STEPS = 1 << 10
_EXACT_TERMS = 64
_MOST_HALVINGS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What noise a sum holds at least.

    Attributes:
        share_variance: Of the draw that one device adds to each number.
        shares: How many such draws the sum holds for sure that nobody else knows; 1 where whoever
            holds the sum adds the noise.
    """

    share_variance: Fraction
    shares: int = 1

    def __post_init__(self) -> None:
        """Refuse noise that does not protect as it is accounted."""
        positive_fraction("share_variance", self.share_variance)
        whole("shares", self.shares, least=1)
        if self.shares > 1 and self.share_variance < LEAST_SHARE_VARIANCE:
            raise InputError(
                f"each device's share of the noise needs a variance of {LEAST_SHARE_VARIANCE} or "
                f"more, got {float(self.share_variance):.3g}: use finer steps for the values"
            )

    @property
    def variance(self) -> Fraction:
        """Least variance of the noise on each number of the sum."""
        return self.share_variance * self.shares

    @property
    def stddev(self) -> float:
        """Least standard deviation of the noise on each number of the sum."""
        return math.sqrt(self.variance)

    def micro_rho(self, *, l2_squared: int, length: int) -> int:
        """Return what one release of a vector costs, rounded up.

        Args:
            l2_squared: Squared length by which one unit (a record, a device) moves the sum.
            length: How many numbers the vector has.

        >>> Noise(share_variance=Fraction(200)).micro_rho(l2_squared=10, length=1000)
        25000
        >>> Noise(share_variance=Fraction(4), shares=50).micro_rho(l2_squared=10, length=1000)
        25001
        """
        whole("l2_squared", l2_squared, least=1)
        whole("length", length, least=1)
        if self.shares == 1:
            return gaussian_micro_rho(Fraction(l2_squared), self.variance)
        tau = closeness(share_variance=self.share_variance, shares=self.shares)
        ratio = l2_squared / self.variance
        root = ceil_sqrt(ratio, denominator=_ROOT_STEPS)
        across = ceil_sqrt(Fraction(length), denominator=_ROOT_STEPS)
        bent = min(ratio + tau * length / 2, (root + tau * across) ** 2)
        return math.ceil(MICRO * bent / 2)


def sure_shares(*, cohort: int, missing: int = 0, corrupt: int = 0) -> int:
    """Return how many draws of a cohort reach the sum for sure and stay unknown.

    Args:
        cohort: Devices that are asked to add noise.
        missing: How many of them may drop out before the sum is abandoned.
        corrupt: How many may tell their draws to whoever sees the sum.

    Raises:
        InputError: None is left.

    >>> sure_shares(cohort=100, missing=33, corrupt=7)
    60
    """
    whole("cohort", cohort, least=1)
    left = cohort - whole("missing", missing) - whole("corrupt", corrupt)
    if left < 1:
        raise InputError(
            f"of {cohort} devices {missing} may be missing and {corrupt} corrupt: no noise is sure"
        )
    return left


def noise_within(micro_rho: int, *, l2_squared: int, length: int, shares: int = 1) -> Noise:
    """Return the least noise with which one release costs no more than this.

    Args:
        micro_rho: What may be spent.
        l2_squared: Squared length by which one unit moves the sum.
        length: How many numbers the vector has.
        shares: How many draws are sure; see `sure_shares`.

    Raises:
        InputError: A number is not what it must be, or no noise is enough: the vector is too long
            for so small a cost.

    >>> noise_within(25_000, l2_squared=10, length=1000).variance
    Fraction(200, 1)
    """
    whole("micro_rho", micro_rho, least=1)
    whole("shares", shares, least=1)

    def noise(steps: int) -> Noise:
        return Noise(share_variance=Fraction(steps, _VARIANCE_STEPS), shares=shares)

    low = LEAST_SHARE_VARIANCE * _VARIANCE_STEPS if shares > 1 else 1
    high = low
    while noise(high).micro_rho(l2_squared=l2_squared, length=length) > micro_rho:
        low, high = high + 1, 2 * high
        if high >= 1 << 80:
            raise InputError(f"no noise makes {length} numbers cost {micro_rho} micro-rho")
    while low < high:
        middle = (low + high) // 2
        if noise(middle).micro_rho(l2_squared=l2_squared, length=length) <= micro_rho:
            high = middle
        else:
            low = middle + 1
    return noise(high)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisePlan:
    """Noise for values that are multiplied first.

    Counts of a large cohort need less noise than its devices' least shares add up to. So they are
    counted in finer steps: every device multiplies, and who reads the sum divides.

    Attributes:
        steps: What values are multiplied by.
        noise: What noise the multiplied sum holds at least.
        l2_squared: Squared length by which one unit moves the multiplied sum.
    """

    steps: int
    noise: Noise
    l2_squared: int

    @property
    def stddev(self) -> float:
        """Least standard deviation of the noise, in the values' own unit."""
        return self.noise.stddev / self.steps


def plan_noise(micro_rho: int, *, l2_squared: int, length: int, shares: int = 1) -> NoisePlan:
    """Return the coarsest steps under which a release needs no more noise than its cost demands.

    Args:
        micro_rho: What may be spent.
        l2_squared: Squared length by which one unit moves the sum, in its own unit.
        length: How many numbers the vector has.
        shares: How many draws are sure; see `sure_shares`.

    >>> plan = plan_noise(77_766, l2_squared=1, length=4, shares=80)
    >>> plan.steps, round(plan.stddev, 2), float(plan.noise.share_variance)
    (8, 2.54, 5.14453125)
    """
    for halvings in range(_MOST_HALVINGS):
        steps = 1 << halvings
        moved = whole("l2_squared", l2_squared, least=1) * steps**2
        noise = noise_within(micro_rho, l2_squared=moved, length=length, shares=shares)
        if shares == 1 or noise.share_variance > LEAST_SHARE_VARIANCE:
            break
    return NoisePlan(steps=steps, noise=noise, l2_squared=moved)


def closeness(*, share_variance: Fraction, shares: int) -> Fraction:
    """Return tau, how far a sum of discrete Gaussians may be from one, rounded up.

    tau = 10 sum over k = 1 .. shares - 1 of exp(-2 pi² variance k / (k + 1)).

    >>> f"{float(closeness(share_variance=Fraction(3), shares=1000)):.1e}"
    '1.4e-12'
    """

    def term(k: int) -> float:
        return math.exp(-2.0 * math.pi**2 * float(share_variance) * k / (k + 1))

    exact = min(shares - 1, _EXACT_TERMS)
    # terms fall with k: the rest are no larger than the last one that is added up
    rest = (shares - 1 - exact) * term(exact) if exact else 0.0
    total = math.fsum(term(k) for k in range(1, exact + 1)) + rest
    return Fraction(10.0 * total * (1.0 + 1e-9)) + Fraction(1, 10**300)


def add_share(
    values: NDArray[np.int64], noise: Noise, entropy: Callable[[int], bytes]
) -> NDArray[np.int64]:
    """Return the values, each with one draw added. Shape (length,)."""
    return values + discrete_gaussian(len(values), variance=noise.share_variance, entropy=entropy)


def check_values(values: NDArray[np.int64]) -> None:
    """Refuse what is no vector of whole numbers with room for noise."""
    if values.ndim != 1 or not len(values):
        raise ShapeError("values", values.shape, ("1..",))
    if values.dtype != np.int64:
        raise InputError(f"only whole numbers are noised: expected int64, got {values.dtype}")
    if int(values.max()) > _LARGEST_VALUE or int(values.min()) < -_LARGEST_VALUE:
        raise InputError("values must lie within 2^61, so that noise cannot wrap around")
