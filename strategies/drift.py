"""Noticing that what devices see has changed, from histograms that add up.

A reference histogram is compared with that of a new round by twice the log-likelihood ratio of two
samples from one distribution (the G statistic, which is 2 n times a Jensen-Shannon divergence). For
independent items it is a chi-square variable with bins - 1 degrees of freedom. Items of one device
are not independent, and rounds ask different devices, so quiet rounds say how much wider it is
here; noise that was added to the counts widens it by a known amount. How much wider is known from a
few rounds only, so what a quiet round may reach is read from an F distribution.

An alarm needs two things: a statistic that quiet rounds reach once in `odds` rounds, and a
divergence that matters, beyond what so few items show by chance. It ends when the divergence has
fallen to half of that for two rounds, so that a value on the brink raises one alarm and not ten.

Sources: Lin 1991, IEEE Transactions on Information Theory 37(1), section 4 (the divergence); Sokal
and Rohlf 1981, "Biometry", section 17.4 (G); Wilson and Hilferty 1931, PNAS 17(12) (chi-square by a
normal deviate); Paulson 1942, Annals of Mathematical Statistics 13(2) (F by a
normal deviate); Siddiqi 2006, "Credit Risk Scorecards", chapter 6 (PSI and its 0.1 and 0.25).
"""

from dataclasses import dataclass, replace
from math import inf, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError

QUIET_ROUNDS = 3
"""Rounds that are only looked at, to know how rounds differ when nothing has changed."""
MEMORY = 0.9
"""What is left of an older round's say in that after each newer one."""
CALM_ROUNDS = 2
_PRIOR_DEGREES = 10.0  # how far "as independent items vary" is believed, before rounds were seen
_PSI_FLOOR = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftRule:
    """When to raise an alarm.

    Attributes:
        divergence: Least Jensen-Shannon divergence that matters, in nats, 0 to log 2.
        odds: A quiet round raises an alarm at most once in so many.
        noise_stddev: Standard deviation of noise on each count; 0 for exact sums.
    """

    divergence: float = 0.01
    odds: float = 1000.0
    noise_stddev: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a rule that always or never fires."""
        if not 0 < self.divergence < np.log(2) or not 2 <= self.odds < inf:
            raise InputError("expected a divergence in 0 to log 2, and odds of 2 or more")
        if not 0 <= self.noise_stddev < inf:
            raise InputError("expected a finite standard deviation of 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What is known of one histogram over rounds; :meth:`saw` returns the next.

    Attributes:
        reference: Counts of the rounds that were quiet. Shape (b,).
        rounds: Rounds seen.
        spread: How much wider the statistic of quiet rounds is than for independent items.
        spread_weight: Rounds that is known from, older ones counting less.
        alarmed: Whether an alarm is on.
        calm: Rounds since the divergence fell, while an alarm is on.
        divergence: That of the round seen last, less what chance alone shows.
        fired: Whether the round seen last raised the alarm.
        ratio: Its statistic, over what quiet rounds come to on average; 0 where nothing came.
    """

    reference: tuple[float, ...]
    rounds: int = 0
    spread: float = 1.0
    spread_weight: float = 0.0
    alarmed: bool = False
    calm: int = 0
    divergence: float = 0.0
    fired: bool = False
    ratio: float = 0.0

    def saw(self, counts: NDArray[np.integer] | NDArray[np.floating], rule: DriftRule) -> "Watch":
        """Return the watch after one more round.

        Args:
            counts: What the round counted; noise may have made some negative. Shape (b,).
            rule: When to raise an alarm.

        Raises:
            ShapeError: not as many bins as before.
            InputError: a count is not finite.

        >>> watch = Watch(reference=(0.0, 0.0))
        >>> for _ in range(4):
        ...     watch = watch.saw(np.array([500, 500]), DriftRule())
        >>> watch.saw(np.array([900, 100]), DriftRule()).fired
        True
        """
        now = np.asarray(counts, dtype=np.float64)
        before = np.asarray(self.reference)
        if now.shape != before.shape:
            raise ShapeError("counts", now.shape, before.shape)
        if not np.isfinite(now).all():
            raise InputError("counts must be finite")
        now = np.maximum(now, 0.0)
        if not now.sum():
            return replace(self, fired=False, ratio=0.0)
        if not before.sum():
            return replace(self, reference=tuple(now.tolist()), rounds=1, fired=False)
        widening = _widening(now, rule.noise_stddev)
        statistic = g_statistic(before, now) / widening
        degrees = max(int(((before + now) > 0).sum()) - 1, 1)
        chance = self.spread * widening * degrees * (1 / now.sum() + 1 / before.sum()) / 8
        divergence = max(jensen_shannon(before, now) - float(chance), 0.0)
        learning = self.rounds <= QUIET_ROUNDS
        known = degrees * self.spread_weight + _PRIOR_DEGREES
        most = self.spread * f_quantile(1 - 1 / rule.odds, degrees, known)
        unusual = bool(statistic / degrees > most)
        fires = not learning and not self.alarmed and unusual and divergence > rule.divergence
        calm = self.calm + 1 if divergence <= rule.divergence / 2 else 0
        alarmed = fires or (self.alarmed and calm < CALM_ROUNDS)
        after = replace(
            self,
            rounds=self.rounds + 1,
            alarmed=alarmed,
            calm=calm if alarmed else 0,
            divergence=divergence,
            fired=fires,
            ratio=float(statistic) / degrees / self.spread,
        )
        return after if alarmed else after._learned(now, statistic / degrees)

    def accepted(self, counts: NDArray[np.integer] | NDArray[np.floating]) -> "Watch":
        """Return the watch with this as the new reference: the change was looked into.

        Raises:
            ShapeError: not as many bins as before.
        """
        if np.shape(counts) != np.shape(self.reference):
            raise ShapeError("counts", np.shape(counts), np.shape(self.reference))
        reference = np.maximum(np.asarray(counts, dtype=np.float64), 0.0)
        return Watch(
            reference=tuple(reference.tolist()),
            rounds=self.rounds,
            spread=self.spread,
            spread_weight=self.spread_weight,
        )

    def _learned(self, counts: NDArray[np.float64], ratio: float) -> "Watch":
        """Let a quiet round into the reference, and into what is known of how rounds differ."""
        weight = MEMORY * self.spread_weight + 1
        known = MEMORY * self.spread_weight * self.spread + ratio
        reference = np.asarray(self.reference) + counts
        return replace(
            self,
            reference=tuple(reference.tolist()),
            spread=max(known / weight, 1.0),
            spread_weight=weight,
        )


def jensen_shannon(
    reference: NDArray[np.floating] | NDArray[np.integer],
    counts: NDArray[np.floating] | NDArray[np.integer],
) -> float:
    """Return the divergence of two histograms, in nats: 0 for the same shares, log 2 at most.

    Args:
        reference: Not negative, not all 0. Shape (b,).
        counts: The same.

    >>> round(jensen_shannon(np.array([1, 0]), np.array([0, 5])), 4)
    0.6931
    """
    p, q = reference / reference.sum(), counts / counts.sum()
    return _divergence(p, q, 0.5)


def g_statistic(
    reference: NDArray[np.floating] | NDArray[np.integer],
    counts: NDArray[np.floating] | NDArray[np.integer],
) -> float:
    """Return twice the log-likelihood ratio of one distribution against two.

    Args:
        reference: Not negative, not all 0. Shape (b,).
        counts: The same.

    >>> g_statistic(np.array([10, 10]), np.array([30, 30]))
    0.0
    """
    total = reference.sum() + counts.sum()
    p, q = reference / reference.sum(), counts / counts.sum()
    return float(2 * total * _divergence(p, q, float(reference.sum() / total)))


def population_stability(
    reference: NDArray[np.floating] | NDArray[np.integer],
    counts: NDArray[np.floating] | NDArray[np.integer],
) -> float:
    """Return the population stability index; above 0.25 is commonly called a large change.

    Shares below 1 in 10,000 count as that, so that an empty bin is not infinitely far.

    Args:
        reference: Not negative, not all 0. Shape (b,).
        counts: The same.

    >>> population_stability(np.array([50, 50]), np.array([50, 50]))
    0.0
    """
    p = np.maximum(reference / reference.sum(), _PSI_FLOOR)
    q = np.maximum(counts / counts.sum(), _PSI_FLOOR)
    return float(((q - p) * np.log(q / p)).sum())


def f_quantile(probability: float, degrees: float, known: float) -> float:
    """Return what an F variable stays below with this probability, within a few per cent.

    Args:
        probability: Above one half.
        degrees: Of the numerator.
        known: Of the denominator; with too few for so rare a value, infinity.

    >>> round(f_quantile(0.95, 9, 30), 1), f_quantile(0.999, 9, 1)
    (2.2, inf)
    """
    if not known:
        return inf
    deviate = NormalDist().inv_cdf(probability)
    above, below = 2 / (9 * degrees), 2 / (9 * known)
    scale = (1 - below) ** 2 - deviate**2 * below
    if scale <= 0 or below >= 1:
        return inf
    middle = (1 - above) * (1 - below)
    root = middle**2 - scale * ((1 - above) ** 2 - deviate**2 * above)
    return float(((middle + sqrt(root)) / scale) ** 3)


def _divergence(p: NDArray[np.floating], q: NDArray[np.floating], share: float) -> float:
    """Return the divergence from the mixture that holds this share of p."""
    middle = share * p + (1 - share) * q
    with np.errstate(divide="ignore", invalid="ignore"):
        first = np.where(p > 0, p * np.log(p / middle), 0.0).sum()
        second = np.where(q > 0, q * np.log(q / middle), 0.0).sum()
    return max(float(share * first + (1 - share) * second), 0.0)


def _widening(counts: NDArray[np.floating], stddev: float) -> float:
    """Return how much noise of this size on each count of a round widens the statistic."""
    if not stddev:
        return 1.0
    # a bin's count varies by itself and by the noise; the mean over bins of the two, over the first
    return float(1 + stddev**2 * len(counts) / counts.sum())
