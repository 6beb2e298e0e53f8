"""When more labels are not worth their price, and what a thousand of them have brought.

Sources: Bloodgood and Vijay-Shanker 2009, CoNLL, section 3 (stabilised predictions); Zhu, Wang and
Hovy 2008, COLING, section 3.1 (overall uncertainty); Efron 1987, JASA 82 (the percentile interval).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError

RESAMPLES = 2000
_DEVIATE = 1.96


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingRule:
    """Stop when models agree with those before them, and doubt is small.

    Attributes:
        agreement: Least mean kappa of the last models' predictions on one fixed pool.
        rounds: How many agreements in a row.
        uncertainty: Most mean entropy on that pool, as a share of the largest there is; 1 asks
            nothing.
    """

    agreement: float = 0.99
    rounds: int = 3
    uncertainty: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what can never or must always hold."""
        if not 0 < self.agreement <= 1 or self.rounds < 1 or not 0 < self.uncertainty <= 1:
            raise InputError("expected shares in 0 to 1 and at least one round")

    def says_stop(self, agreements: Sequence[float], uncertainty: float) -> bool:
        """Return whether to stop.

        Args:
            agreements: Kappa of each model with the one before, oldest first.
            uncertainty: Mean entropy now, as a share of the largest there is.

        >>> StoppingRule(rounds=2).says_stop([0.5, 0.995, 1.0], 0.1)
        True
        """
        last = agreements[-self.rounds :]
        stable = len(last) == self.rounds and float(np.mean(last)) >= self.agreement
        return stable and uncertainty <= self.uncertainty


def kappa(first: NDArray[np.int64], second: NDArray[np.int64], classes: int) -> float:
    """Return how far two predictions agree beyond chance; 1 where both know one class only.

    Args:
        first: Classes. Shape (n,), n > 0.
        second: The same.
        classes: k.

    Raises:
        ShapeError: not as many of each.
        InputError: no predictions, or a class outside 0..k-1.

    Source: Cohen 1960, Educational and Psychological Measurement 20(1).

    >>> kappa(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0]), 2)
    0.5
    """
    if first.ndim != 1 or first.shape != second.shape:
        raise ShapeError("second", second.shape, first.shape)
    if not len(first) or not all(0 <= p.min() <= p.max() < classes for p in (first, second)):
        raise InputError(f"expected predictions in 0..{classes - 1}")
    agree = float((first == second).mean())
    chance = (
        float(np.bincount(first, minlength=classes) @ np.bincount(second, minlength=classes))
        / len(first) ** 2
    )
    return 1.0 if chance == 1 else (agree - chance) / (1 - chance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What choosing has brought over picking at random, per 1,000 labels.

    Attributes:
        per_thousand: Difference of accuracy for each 1,000 labels both heads were trained on.
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    per_thousand: float
    low: float
    high: float

    def surely_below(self, floor: float) -> bool:
        """Return whether it is less than this, as surely as the interval says."""
        return self.high < floor


def gain_of_counts(*, better: int, worse: int, items: int, labels: int, rng: Generator) -> Gain:
    """Compare two heads of which only counts over the same items are known, as sums tell them.

    One answer of each kind is added, so that a few items on which the two agree do not look like
    certainty (as Agresti and Min 2005, Statistics in Medicine 24(5), for paired shares).

    Args:
        better: Items only the head of chosen labels has right.
        worse: Items only the head of random labels has right.
        items: How many there are, those on which the two agree among them.
        labels: How many labels each was trained on.
        rng: Resamples items, in pairs.

    Raises:
        InputError: no items or no labels, or more right ones than items.

    >>> counts = {"better": 30, "worse": 10, "items": 100, "labels": 50}
    >>> gain = gain_of_counts(**counts, rng=np.random.default_rng(0))
    >>> round(gain.per_thousand, 3), gain.low > 0, gain.surely_below(10.0)
    (4.0, True, True)
    """
    if items < 1 or labels < 1:
        raise InputError("expected evaluation items, and labels that were trained on")
    if min(better, worse) < 0 or better + worse > items:
        raise InputError(f"{better} better and {worse} worse of {items} items")
    # the sum of a resample depends on how many of each outcome it holds and on nothing else
    outcomes = np.array([better + 1, worse + 1, items - better - worse + 1])
    draws = rng.multinomial(items, outcomes / outcomes.sum(), RESAMPLES)
    low, high = np.quantile((draws[:, 0] - draws[:, 1]) / items, [0.025, 0.975])
    scale = 1000 / labels
    return Gain(
        per_thousand=(better - worse) / items * scale,
        low=float(low) * scale,
        high=float(high) * scale,
    )


def surely_reached(right: int, items: int, target: float) -> bool:
    """Return whether a share is surely no lower than a target: by the lower end of its interval.

    Args:
        right: How many of the items.
        items: How many there are.
        target: In 0 to 1.

    Source: Wilson 1927, JASA 22(158), with 1.96 for 95 %.

    >>> surely_reached(95, 100, 0.88), surely_reached(95, 100, 0.94), surely_reached(0, 0, 0.5)
    (True, False, False)
    """
    if items < 1:
        return False
    share = right / items
    squared = _DEVIATE**2
    middle = share + squared / (2 * items)
    spread = _DEVIATE * sqrt(share * (1 - share) / items + squared / (4 * items**2))
    return (middle - spread) / (1 + squared / items) >= target
