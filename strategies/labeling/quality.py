"""How good probabilistic labels are against gold, as sums: no row of votes or answers travels.

One Brier convention throughout: Brier's own, summed over classes, 0 best and 2 worst (calibration).
Without gold, quality is unknown, which is None and never 0.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.labeling.votes import checked_classes, checked_labels

UNIT = 1 << 20
"""Confidences and scores are counted in multiples of 2^-20 per item."""
BINS = 15
NORMAL_95 = 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelQuality:
    """Labels against gold, of one device or of many.

    Attributes:
        confusion: How often the likeliest class was c on items of class t, at [t, c]. The first of
            equals is taken. Shape (k, k), int64.
        counts: Items per bin of confidence, BINS of equal width. Shape (BINS,), int64.
        right: Of them, those whose likeliest class was the true one. Shape (BINS,), int64.
        confidence: Their summed confidence, in multiples of 2^-20. Shape (BINS,), int64.
        brier: Summed Brier score, in multiples of 2^-20.

    >>> quality = LabelQuality.of([[0.9, 0.1], [0.6, 0.4]], [0, 1])
    >>> quality.accuracy, quality.noise_rate, round(quality.brier_score or 0.0, 2)
    (0.5, 0.5, 0.37)
    >>> LabelQuality.none(classes=2).noise_rate is None
    True
    """

    confusion: NDArray[np.int64]
    counts: NDArray[np.int64]
    right: NDArray[np.int64]
    confidence: NDArray[np.int64]
    brier: int

    @classmethod
    def none(cls, *, classes: int) -> "LabelQuality":
        """Return the quality of nothing, the start of every sum."""
        k = checked_classes(classes)
        empty = np.zeros(BINS, dtype=np.int64)
        return cls(
            confusion=np.zeros((k, k), dtype=np.int64),
            counts=empty,
            right=empty,
            confidence=empty,
            brier=0,
        )

    @classmethod
    def of(cls, probabilities: ArrayLike, labels: ArrayLike) -> "LabelQuality":
        """Sum over items with gold.

        Args:
            probabilities: Shape (n, k).
            labels: True classes. Shape (n,).

        Raises:
            ShapeError, InputError: Not probabilities, or labels that are not of their classes.
        """
        p = np.asarray(probabilities, dtype=np.float64)
        if p.ndim != 2:
            raise ShapeError("probabilities", p.shape, ("n", "k"))
        if not ((p >= 0) & (p <= 1)).all():
            raise InputError("expected probabilities, 0 to 1")
        k = checked_classes(p.shape[1])
        truth = checked_labels(labels, k, items=len(p))
        first, confidence = p.argmax(axis=1), p.max(axis=1, initial=0.0)
        bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
        # rounded item by item, so that no way of sharing items out changes the sums
        fixed = np.floor(confidence * UNIT + 0.5).astype(np.int64)
        distance = ((p - np.eye(k)[truth]) ** 2).sum(axis=1)
        summed = np.zeros(BINS, dtype=np.int64)
        np.add.at(summed, bins, fixed)
        return cls(
            confusion=np.bincount(truth * k + first, minlength=k * k).reshape(k, k),
            counts=np.bincount(bins, minlength=BINS),
            right=np.bincount(bins[first == truth], minlength=BINS),
            confidence=summed,
            brier=int(np.floor(distance * UNIT + 0.5).astype(np.int64).sum()),
        )

    def __add__(self, other: "LabelQuality") -> "LabelQuality":
        """Return the quality over both sets of items."""
        if not isinstance(other, LabelQuality):
            return NotImplemented
        if self.confusion.shape != other.confusion.shape:
            raise ShapeError("confusion", other.confusion.shape, self.confusion.shape)
        return LabelQuality(
            confusion=self.confusion + other.confusion,
            counts=self.counts + other.counts,
            right=self.right + other.right,
            confidence=self.confidence + other.confidence,
            brier=self.brier + other.brier,
        )

    @property
    def items(self) -> int:
        """How many items had gold."""
        return int(self.counts.sum())

    @property
    def accuracy(self) -> float | None:
        """Share of items whose likeliest class is the true one; None without gold."""
        return int(self.right.sum()) / self.items if self.items else None

    @property
    def accuracy_interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy; everything without gold.

        Source: Wilson 1927, JASA 22.
        """
        n = self.items
        if not n:
            return 0.0, 1.0
        share, z2 = int(self.right.sum()) / n, NORMAL_95**2
        middle = (share + z2 / (2 * n)) / (1 + z2 / n)
        half = NORMAL_95 * (share * (1 - share) / n + z2 / (4 * n * n)) ** 0.5 / (1 + z2 / n)
        return max(0.0, middle - half), min(1.0, middle + half)

    @property
    def noise_rate(self) -> float | None:
        """Share of items whose likeliest class is wrong; None without gold."""
        return None if self.accuracy is None else 1 - self.accuracy

    @property
    def recall(self) -> tuple[float | None, ...]:
        """Per class, the share of its items that were found; None where there are none."""
        return tuple(
            int(row[c]) / int(row.sum()) if row.sum() else None
            for c, row in enumerate(self.confusion)
        )

    @property
    def brier_score(self) -> float | None:
        """Mean Brier score; None without gold."""
        return self.brier / UNIT / self.items if self.items else None

    @property
    def expected_calibration_error(self) -> float | None:
        """Mean gap between confidence and accuracy over bins; None without gold."""
        gaps = np.abs(self.confidence / UNIT - self.right)
        return float(gaps.sum()) / self.items if self.items else None

    def to_vector(self) -> NDArray[np.int64]:
        """Return the numbers to send."""
        parts = [self.confusion.ravel(), self.counts, self.right, self.confidence]
        return np.concatenate([*parts, np.array([self.brier], dtype=np.int64)])

    @classmethod
    def from_vector(cls, vector: NDArray[np.int64], *, classes: int) -> "LabelQuality":
        """Return the quality that to_vector sent.

        Raises:
            ShapeError: vector has not the length of so many classes.
            InputError: vector does not hold integers.
        """
        k = checked_classes(classes)
        if vector.shape != (k * k + 3 * BINS + 1,):
            raise ShapeError("vector", vector.shape, (k * k + 3 * BINS + 1,))
        if vector.dtype != np.int64:
            raise InputError(f"quality is sent as int64, got {vector.dtype}")
        confusion, counts, right, confidence, brier = np.split(
            vector, np.cumsum([k * k, BINS, BINS, BINS])
        )
        return cls(
            confusion=confusion.reshape(k, k).copy(),
            counts=counts.copy(),
            right=right.copy(),
            confidence=confidence.copy(),
            brier=int(brier[0]),
        )
