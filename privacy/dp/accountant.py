"""What Gaussian noise costs, in whole micro-rho, and what that is as (epsilon, delta).

Rules:

- A cost is zero-concentrated differential privacy: sensitivity² / (2 variance), in millionths,
  rounded up. Costs of releases add; sums of whole numbers cannot drift.
- An accountant is a value: `compose` returns another one, so a refused one has changed nothing.
- Sampling makes a release cheaper only where nobody who sees the result can know who was drawn.
  A coordinator that picks devices knows; its campaigns compose without `SecretSampling`.
- epsilon is never understated: every order of the Rényi divergence gives a valid bound, and what
  is computed in floats is rounded up by more than floats can err.

Sources: Bun and Steinke 2016, "Concentrated differential privacy", arXiv:1605.02065, proposition
    1.6 and lemma 1.7, for cost and composition. Canonne, Kamath and Steinke 2020, "The discrete
    Gaussian for differential privacy", arXiv:2004.00010, proposition 12 for the conversion and
    theorem 4 for why discrete noise costs no more. Mironov, Talwar and Zhang 2019, "Rényi
    differential privacy of the sampled Gaussian mechanism", arXiv:1908.10530, section 3.3.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from privacy.dp.amounts import MICRO, positive_fraction, probability, whole

# Orders of sampled releases; whole ones, for which the divergence is a finite sum.
_ORDERS = (*range(2, 65), *range(68, 129, 4), *range(144, 257, 16), 320, 384, 448, 512)

# Orders from 1 + 10^-4 to 1 + 10^8 in equal ratios, then a search between the best neighbours.
_COARSE = 240

# More than the rounding of a few hundred float operations can hide.
_UP = 1.0 + 1e-9
_UP_ABSOLUTE = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretSampling:
    """Each record, or device, takes part by its own secret coin.

    Attributes:
        rate: Probability of taking part, 0 to 1. Where the draw is anybody's choice, or seen by
            anybody who sees the result, it protects nobody: leave sampling out.
    """

    rate: float

    def __post_init__(self) -> None:
        probability("rate", self.rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accountant:
    """What was released so far; composing gives a new account.

    Attributes:
        micro_rho: Millionths of rho of the releases without sampling.
        sampled: Millionths of the Rényi divergence of those with it, by order; empty for none.

    >>> Accountant().compose(noise_multiplier=2.0, count=10).micro_rho
    1250000
    >>> round(Accountant().compose(noise_multiplier=8.0, count=50).epsilon(delta=1e-6), 3)
    4.544
    """

    micro_rho: int = 0
    sampled: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        whole("micro_rho", self.micro_rho)

    def compose(
        self, *, noise_multiplier: float, count: int = 1, sampling: SecretSampling | None = None
    ) -> "Accountant":
        """Return the account after so many Gaussian releases more.

        Args:
            noise_multiplier: Standard deviation over sensitivity. Positive and finite.
            count: How many such releases. At least 1.
            sampling: How records were drawn, where that is random and secret.

        Raises:
            InputError: A number is not what it must be; NaN, infinity and subnormals are not.
        """
        multiplier = positive_fraction("noise_multiplier", noise_multiplier)
        whole("count", count, least=1)
        if sampling is None or sampling.rate == 1.0:
            return self.spend(gaussian_micro_rho(Fraction(1), multiplier**2, count=count))
        one = (_sampled_divergence(order, multiplier, sampling.rate) for order in _ORDERS)
        more = tuple(math.ceil(count * MICRO * divergence * _UP) for divergence in one)
        before = self.sampled or (0,) * len(_ORDERS)
        added = tuple(a + b for a, b in zip(before, more, strict=True))
        return Accountant(micro_rho=self.micro_rho, sampled=added)

    def spend(self, micro_rho: int) -> "Accountant":
        """Return the account after a release whose cost is known."""
        return Accountant(
            micro_rho=self.micro_rho + whole("micro_rho", micro_rho), sampled=self.sampled
        )

    def epsilon(self, *, delta: float) -> float:
        """Return the epsilon that holds with this delta.

        Raises:
            InputError: delta is no number between 0 and 1.
        """
        probability("delta", delta)
        if not self.micro_rho and not any(self.sampled):
            return 0.0
        rho = self.micro_rho / MICRO
        if self.sampled:
            divergences = zip(_ORDERS, self.sampled, strict=True)
            found = min(_convert(a, rho * a + d / MICRO, delta) for a, d in divergences)
        else:
            found = _least(lambda order: _convert(order, rho * order, delta))
        return max(0.0, found * _UP + _UP_ABSOLUTE)


def gaussian_micro_rho(l2_squared: Fraction, variance: Fraction, *, count: int = 1) -> int:
    """Return what so many releases cost, rounded up.

    Args:
        l2_squared: Squared sensitivity.
        variance: Of the noise on each number, in the same unit.
        count: How many.

    >>> gaussian_micro_rho(Fraction(1), Fraction(4))
    125000
    """
    return math.ceil(count * MICRO * l2_squared / (2 * variance))


def micro_rho_within(*, epsilon: float, delta: float) -> int:
    """Return the largest cost whose epsilon is no more than this, rounded down.

    Args:
        epsilon: Positive and finite.
        delta: Between 0 and 1.

    >>> micro_rho_within(epsilon=4.0, delta=1e-6)
    311064
    """
    positive_fraction("epsilon", epsilon)
    probability("delta", delta)
    # rho = epsilon is always too much: even without any delta, 1/2 epsilon² bounds pure privacy.
    low, high = 0, math.ceil(MICRO * (epsilon + 1.0))
    while high - low > 1:
        middle = (low + high) // 2
        fits = Accountant(micro_rho=middle).epsilon(delta=delta) <= epsilon
        low, high = (middle, high) if fits else (low, middle)
    return low


def _convert(order: float, divergence: float, delta: float) -> float:
    """Return the epsilon that one order proves (Canonne, Kamath and Steinke, proposition 12)."""
    return divergence + math.log1p(-1.0 / order) - math.log(delta * order) / (order - 1.0)


def _least(bound: Callable[[float], float]) -> float:
    """Return a small value of a bound that holds at any order above 1."""
    exponents = [-4.0 + 12.0 * step / _COARSE for step in range(_COARSE + 1)]
    values = [bound(1.0 + 10.0**exponent) for exponent in exponents]
    best = values.index(min(values))
    low, high = exponents[max(best - 1, 0)], exponents[min(best + 1, _COARSE)]
    for _ in range(60):
        third = (high - low) / 3.0
        if bound(1.0 + 10.0 ** (low + third)) < bound(1.0 + 10.0 ** (high - third)):
            high -= third
        else:
            low += third
    return min(*values, bound(1.0 + 10.0**low))


def _sampled_divergence(order: int, multiplier: Fraction, rate: float) -> float:
    """Return the Rényi divergence of one sampled release (Mironov et al., equation 6)."""
    bend = 1.0 / (2.0 * float(multiplier) ** 2)
    terms = [
        math.log(math.comb(order, j))
        + j * math.log(rate)
        + (order - j) * math.log1p(-rate)
        + j * (j - 1) * bend
        for j in range(order + 1)
    ]
    top = max(terms)
    total = top + math.log(math.fsum(math.exp(term - top) for term in terms))
    return max(total, 0.0) / (order - 1)
