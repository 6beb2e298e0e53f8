"""Tiers by share: where to cut confidence so that enough samples stay deep.

Fixed tiers starve the body where labels are honest and functions weak: if one sample in twenty is
sure, the layers below the head learn from one in twenty, and the model is worse than without tiers.
So the tiers may be cut where a wanted share of the fleet's samples lies above, found in a histogram
that devices sum. Half of them deep and none left out is what beat training all alike.

Where votes are good anyway the body loses more by not seeing half of them than it gains. Whether it
would is read off people's answers to items drawn by lot, which devices count beside the histogram.

Source: Lang, Vijayaraghavan and Sontag 2022, arXiv:2206.02914, for keeping a share, chosen by
validation, and not a fixed confidence.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.governance.confidence import DepthRule, checked_probabilities
from strategies.labeling.thresholds import BINS, ScoreHistogram

LEAST_ANSWERS = 10
"""Fewer on either side of a cut say nothing of how right labels are there."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConfidenceCounts:
    """How sure voted labels are, and how right where people answered; adds up over devices.

    Attributes:
        voted: Voted items by bin of confidence. Shape (BINS,), int64.
        answered: Items that a person answered, drawn by lot, likewise. Shape (BINS,), int64.
        right: Of those, the ones whose likeliest class is the answer. Shape (BINS,), int64.
    """

    voted: NDArray[np.int64]
    answered: NDArray[np.int64]
    right: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name in ("voted", "answered", "right"):
            if getattr(self, name).shape != (BINS,):
                raise ShapeError(name, getattr(self, name).shape, (BINS,))
        if not bool(np.all((self.right >= 0) & (self.right <= self.answered))):
            raise InputError("no more labels can be right than were answered")

    @classmethod
    def of(cls, voted: ArrayLike, *, answered: ArrayLike, labels: ArrayLike) -> "ConfidenceCounts":
        """Count one device's items that have votes.

        Args:
            voted: Label probabilities of what would teach by its votes. Shape (n, k).
            answered: Of what a person answered. Shape (a, k).
            labels: The answers. Shape (a,).
        """
        p = checked_probabilities(answered)
        truth = np.asarray(labels)
        if truth.shape != (len(p),):
            raise ShapeError("labels", truth.shape, (len(p),))
        every = np.ones(len(p), dtype=np.bool_)
        hit = p.argmax(axis=1) == truth
        fresh = checked_probabilities(voted)
        return cls(
            voted=confidence_histogram(fresh, voted=np.ones(len(fresh), dtype=np.bool_)).counts,
            answered=confidence_histogram(p, voted=every).counts,
            right=confidence_histogram(p, voted=hit).counts,
        )

    def __add__(self, other: "ConfidenceCounts") -> "ConfidenceCounts":
        """Return the counts over both sets of items."""
        if not isinstance(other, ConfidenceCounts):
            return NotImplemented
        return ConfidenceCounts(
            voted=self.voted + other.voted,
            answered=self.answered + other.answered,
            right=self.right + other.right,
        )

    def to_vector(self) -> NDArray[np.int64]:
        """Return the numbers to send."""
        return np.concatenate([self.voted, self.answered, self.right])

    @classmethod
    def from_vector(cls, vector: NDArray[np.int64]) -> "ConfidenceCounts":
        """Return the counts that to_vector sent.

        Raises:
            ShapeError, InputError: vector is not such numbers.
        """
        if vector.shape != (3 * BINS,):
            raise ShapeError("vector", vector.shape, (3 * BINS,))
        voted, answered, right = vector.reshape(3, BINS)
        return cls(voted=voted.copy(), answered=answered.copy(), right=right.copy())


def gate_pays(total: ConfidenceCounts, rule: DepthRule, *, classes: int) -> bool:
    """Return whether the body learns more from the sure labels alone than from all of them.

    A label that is right with probability a says s = (k·a - 1)/(k - 1) of what a sure one says, and
    is as noisy. n of them are worth n·s² sure ones, and two kinds together (Σ n·s)² / Σ n. With
    half of the items on either side that is: the doubtful say less than 0.41 of what the sure say.

    Args:
        total: Summed over the fleet.
        rule: Where the tiers were cut.
        classes: k.

    Returns:
        Also False where too few answers fall on either side.

    Source: ours; random classification noise scales the signal by s (Natarajan et al. 2013,
        "Learning with noisy labels", lemma 1, for two classes).
    """
    cut = round(rule.high * BINS)
    worth: list[tuple[float, float]] = []
    for part in (slice(cut, None), slice(0, cut)):
        answered = int(total.answered[part].sum())
        if answered < LEAST_ANSWERS:
            return False
        accuracy = int(total.right[part].sum()) / answered
        signal = max((classes * accuracy - 1) / (classes - 1), 0.0)
        worth.append((float(total.voted[part].sum()), signal))
    (sure, said), (doubtful, told) = worth
    if not sure or not doubtful:
        return False
    return sure * said**2 > (sure * said + doubtful * told) ** 2 / (sure + doubtful)


def confidence_histogram(probabilities: ArrayLike, *, voted: ArrayLike) -> ScoreHistogram:
    """Count the confidence of items with a vote; adds up over devices.

    Args:
        probabilities: Calibrated label probabilities. Shape (n, k).
        voted: Which items have a vote at all. Shape (n,), bool.
    """
    p = checked_probabilities(probabilities)
    which = np.asarray(voted, dtype=np.bool_)
    if which.shape != (len(p),):
        raise InputError(f"expected {len(p)} marks of who was voted on, got {which.shape}")
    return ScoreHistogram.of(np.minimum(p.max(axis=1), 1.0)[which])


def tiers_by_share(
    total: ScoreHistogram, rule: DepthRule, *, deep: float = 0.5, taught: float = 1.0
) -> DepthRule:
    """Return the rule with its tiers cut where these shares of all voted items lie above.

    Rounded down to a thousandth, so that the shares are reached and not just missed. Voices and
    agreement are left as they are and cut further. No items leave the rule as it is.

    Args:
        total: Confidence summed over the fleet.
        rule: What else is asked of a label.
        deep: Share that is sure enough for all layers.
        taught: Share that is sure enough for anything; at least deep.

    >>> total = confidence_histogram([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]], voted=[1, 1, 1])
    >>> cut = tiers_by_share(total, DepthRule(), deep=0.34, taught=1.0)
    >>> cut.high, cut.middle
    (0.8, 0.7)
    """
    if not 0 <= deep <= taught <= 1:
        raise InputError(f"expected 0 <= deep <= taught <= 1, got {deep} and {taught}")
    items = int(total.counts.sum())
    if not items:
        return rule
    above = total.counts[::-1].cumsum()[::-1]
    high, middle = (
        int(np.flatnonzero(above >= min(share * items, items)).max(initial=0)) / BINS
        for share in (deep, taught)
    )
    return replace(rule, high=high, middle=middle)
