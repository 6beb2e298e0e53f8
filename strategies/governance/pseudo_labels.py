"""Labels a model gives itself: only above thresholds that held-out answers vouch for, and capped.

Devices count, per class the model says and per bin of confidence, how many of their held-out
answers it got right; the counts add up. For each class the threshold is the lowest confidence above
which its answers show the wanted precision, counted carefully (the lower end of an interval). A
class without enough answers gets no pseudo-labels at all. The answers must be random and never
trained on: a model is always sure, and right, about what it has seen.

Sources: Lee 2013, "Pseudo-label" (the idea); Zhang et al. 2021, arXiv:2110.08263 (a threshold per
class); Wilson 1927, JASA 22 (the interval). Thresholds by held-out precision and the cap are ours.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.governance.confidence import checked_probabilities
from strategies.labeling.votes import checked_classes, checked_labels

BINS = 100
WANTED_PRECISION = 0.9
MOST_SHARE = 0.3
NORMAL_90 = 1.2815515655446004
"""One-sided: nine thresholds of ten are worth at least what is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PseudoLabelCounts:
    """How right the model is where it says which class how surely; adds up over devices.

    Attributes:
        said: Answered items at [class said, bin of confidence]. Shape (k, BINS), int64.
        right: Of them, those of that class. Shape (k, BINS), int64.
    """

    said: NDArray[np.int64]
    right: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.said.ndim != 2 or self.said.shape[1] != BINS:
            raise ShapeError("said", self.said.shape, ("k", BINS))
        if self.right.shape != self.said.shape:
            raise ShapeError("right", self.right.shape, self.said.shape)
        if self.said.dtype != np.int64 or self.right.dtype != np.int64:
            raise InputError("pseudo-label counts are int64")
        if not bool(np.all((self.right >= 0) & (self.right <= self.said))):
            raise InputError("no more can be right than were said")

    @classmethod
    def none(cls, *, classes: int) -> "PseudoLabelCounts":
        """Return the counts of nothing, the start of every sum."""
        empty = np.zeros((checked_classes(classes), BINS), dtype=np.int64)
        return cls(said=empty, right=empty)

    @classmethod
    def of(cls, probabilities: ArrayLike, labels: ArrayLike) -> "PseudoLabelCounts":
        """Count held-out answers.

        Args:
            probabilities: The model's, on items it was not trained on. Shape (n, k).
            labels: People's answers. Shape (n,).
        """
        p = checked_probabilities(probabilities)
        truth = checked_labels(labels, p.shape[1], items=len(p))
        said, bins = p.argmax(axis=1), confidence_bins(p)
        counts, right = (np.zeros((p.shape[1], BINS), dtype=np.int64) for _ in range(2))
        np.add.at(counts, (said, bins), 1)
        np.add.at(right, (said, bins), (said == truth).astype(np.int64))
        return cls(said=counts, right=right)

    def __add__(self, other: "PseudoLabelCounts") -> "PseudoLabelCounts":
        """Return the counts over both sets of answers."""
        if not isinstance(other, PseudoLabelCounts):
            return NotImplemented
        if other.said.shape != self.said.shape:
            raise ShapeError("said", other.said.shape, self.said.shape)
        return PseudoLabelCounts(said=self.said + other.said, right=self.right + other.right)

    def to_vector(self) -> NDArray[np.int64]:
        """Return the numbers to send."""
        return np.concatenate([self.said.ravel(), self.right.ravel()])

    @classmethod
    def from_vector(cls, vector: NDArray[np.int64], *, classes: int) -> "PseudoLabelCounts":
        """Return the counts that to_vector sent.

        Raises:
            ShapeError, InputError: vector is not such numbers.
        """
        cells = checked_classes(classes) * BINS
        if vector.shape != (2 * cells,):
            raise ShapeError("vector", vector.shape, (2 * cells,))
        said, right = vector.reshape(2, classes, BINS)
        return cls(said=said.copy(), right=right.copy())

    def precision(self, thresholds: NDArray[np.int64]) -> tuple[float | None, ...]:
        """Return per class the share that is right at or above its threshold; None for no answer.

        Counted on answers the thresholds were not made from, this is the gate before wide use.
        """
        shares: list[float | None] = []
        for said, right, start in zip(self.said, self.right, thresholds, strict=True):
            total = int(said[start:].sum())
            shares.append(int(right[start:].sum()) / total if total else None)
        return tuple(shares)

    def thresholds(self, *, precision: float = WANTED_PRECISION) -> NDArray[np.int64]:
        """Return per class the lowest bin from which on the wanted precision is vouched for.

        Returns:
            Shape (k,), int64; BINS where no threshold is, which no confidence reaches.

        >>> sure, unsure = [[0.95, 0.05]] * 30, [[0.6, 0.4]] * 30
        >>> counts = PseudoLabelCounts.of(sure + unsure, [0] * 30 + [0, 1] * 15)
        >>> counts.thresholds(precision=0.9).tolist()
        [95, 100]
        """
        if not 0 < precision < 1:
            raise InputError(f"expected a precision between 0 and 1, got {precision}")
        # from the surest bin down: what a threshold at each bin would let through
        said = self.said[:, ::-1].cumsum(axis=1)[:, ::-1]
        right = self.right[:, ::-1].cumsum(axis=1)[:, ::-1]
        # only where an answer was seen: nothing vouches for the gap below the lowest
        vouched = (self.said > 0) & (_lower_end(right, said) >= precision)
        return np.where(vouched.any(axis=1), vouched.argmax(axis=1), BINS).astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PseudoLabels:
    """Items that were given a label by the model.

    Attributes:
        items: Their positions, in the order they were taken. Shape (q,), int64.
        labels: The classes given. Shape (q,), int64.
    """

    items: NDArray[np.int64]
    labels: NDArray[np.int64]


def choose(
    probabilities: ArrayLike,
    thresholds: NDArray[np.int64],
    *,
    labeled: int,
    most_share: float = MOST_SHARE,
    balance: ArrayLike | None = None,
    ids: ArrayLike | None = None,
) -> PseudoLabels:
    """Choose which items get a pseudo-label; no randomness, and the order of items is of no matter.

    Classes take turns in proportion to balance, each with its surest item first, so that the cap
    falls on frequent classes and not on rare ones.

    Args:
        probabilities: The model's, on unlabeled items. Shape (n, k).
        thresholds: Per class, a bin of confidence. Shape (k,).
        labeled: How many samples with other labels there are.
        most_share: Pseudo-labels are at most this share of all samples; 0 to below 1.
        balance: Share of each class, all above 0. Shape (k,). None: all alike.
        ids: Distinct numbers that break ties. Shape (n,). None: the positions.

    >>> rows = [[0.9, 0.1], [0.99, 0.01], [0.2, 0.8], [0.6, 0.4]]
    >>> choose(rows, np.array([70, 70]), labeled=5, most_share=0.3).items.tolist()
    [1, 2]
    """
    p = checked_probabilities(probabilities)
    items, classes = p.shape
    if thresholds.shape != (classes,):
        raise ShapeError("thresholds", thresholds.shape, (classes,))
    if labeled < 0 or not 0 <= most_share < 1:
        raise InputError("expected labeled samples of 0 or more and a share in 0 to below 1")
    share = np.ones(classes) if balance is None else np.asarray(balance, dtype=np.float64)
    if share.shape != (classes,):
        raise ShapeError("balance", share.shape, (classes,))
    if not bool(np.all((share > 0) & np.isfinite(share))):
        raise InputError("every class needs a share above 0")
    names = np.arange(items) if ids is None else np.asarray(ids)
    if names.shape != (items,) or len(np.unique(names)) != items:
        raise InputError(f"expected {items} distinct ids")
    said, confidence = p.argmax(axis=1), p.max(axis=1)
    passed = confidence_bins(p) >= thresholds[said]
    turn = np.full(items, np.inf)
    for c in range(classes):
        of_class = np.flatnonzero(passed & (said == c))
        best_first = of_class[np.lexsort((names[of_class], -confidence[of_class]))]
        turn[best_first] = np.arange(1, len(best_first) + 1) / share[c]
    order = np.lexsort((names, said, turn))
    # the small number undoes the rounding of a quotient that is whole
    cap = int(most_share * labeled / (1 - most_share) + 1e-9)
    taken = order[: min(cap, int(passed.sum()))]
    return PseudoLabels(items=taken.astype(np.int64), labels=said[taken].astype(np.int64))


def confidence_bins(p: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return each row's bin of confidence, 0 to BINS - 1. Shape (n,)."""
    return np.asarray(np.minimum((p.max(axis=1) * BINS).astype(np.int64), BINS - 1))


def _lower_end(right: NDArray[np.int64], said: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the lower end of Wilson's one-sided 90 % interval, 0 where nothing was said."""
    n, z2 = np.maximum(said, 1), NORMAL_90**2
    share = right / n
    half = NORMAL_90 * np.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return np.asarray(np.where(said > 0, (share + z2 / (2 * n) - half) / (1 + z2 / n), 0.0))
