"""Where to cut for a rare class: the threshold that serves F1, from a histogram without labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError

BINS = 1000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoreHistogram:
    """How many items have which probability of one class; adds up over devices.

    Attributes:
        counts: Items per bin of width 1 / BINS, the lowest first. Shape (BINS,), int64.
    """

    counts: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.counts.shape != (BINS,):
            raise ShapeError("counts", self.counts.shape, (BINS,))

    @classmethod
    def none(cls) -> "ScoreHistogram":
        """Return the histogram of nothing, the start of every sum."""
        return cls(counts=np.zeros(BINS, dtype=np.int64))

    @classmethod
    def of(cls, scores: ArrayLike) -> "ScoreHistogram":
        """Count scores.

        Args:
            scores: Probabilities of the class, such as predict(votes)[:, 1]. Shape (n,).

        Raises:
            ShapeError, InputError: Not a column of probabilities.
        """
        column = np.asarray(scores, dtype=np.float64)
        if column.ndim != 1:
            raise ShapeError("scores", column.shape, ("n",))
        if not ((column >= 0) & (column <= 1)).all():
            raise InputError("expected probabilities, 0 to 1")
        bins = np.minimum((column * BINS).astype(np.int64), BINS - 1)
        return cls(counts=np.bincount(bins, minlength=BINS).astype(np.int64))

    def __add__(self, other: "ScoreHistogram") -> "ScoreHistogram":
        """Return the histogram over both sets of items."""
        if not isinstance(other, ScoreHistogram):
            return NotImplemented
        return ScoreHistogram(counts=self.counts + other.counts)

    @property
    def f1_threshold(self) -> float:
        """The threshold with the best F1, were the probabilities right; 0.5 for no items.

        Of the items at or above it, sum(p) are expected to be right, of sum(p) over all that
        should have been found.

        Source: Lipton et al. 2014, arXiv:1402.1892, section 4.

        >>> sure, unsure = ScoreHistogram.of([0.9] * 10), ScoreHistogram.of([0.3] * 90)
        >>> round((sure + unsure).f1_threshold, 2)
        0.3
        >>> round((sure + sure + sure).f1_threshold, 2), ScoreHistogram.none().f1_threshold
        (0.9, 0.5)
        """
        taken = self.counts[::-1].cumsum()
        middles = (np.arange(BINS) + 0.5) / BINS
        right = (self.counts * middles)[::-1].cumsum()
        if not taken[-1]:
            return 0.5
        f1 = np.where(self.counts[::-1] > 0, 2 * right / (taken + right[-1]), 0.0)
        return float(BINS - 1 - int(f1.argmax())) / BINS
