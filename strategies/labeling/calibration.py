"""How honest probabilities are: scores against true labels."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.labeling.votes import checked_labels

LEAST_PROBABILITY = 1e-12  # keeps one confident mistake from making a mean infinite


def brier_score(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Return the mean squared distance to the true class, summed over classes: 0 best, 2 worst.

    This is Brier's own multi-class convention; for two classes it is twice the one-class score.

    Args:
        probabilities: Shape (n, k).
        labels: True classes. Shape (n,).

    Raises:
        InputError: Nothing to score, or labels outside the classes.

    Source: Brier 1950, Monthly Weather Review 78, equation 2.

    >>> brier_score([[1.0, 0.0], [0.5, 0.5]], [0, 1])
    0.25
    """
    p, truth = _scored(probabilities, labels)
    target = np.zeros_like(p)
    target[np.arange(len(p)), truth] = 1.0
    return float(((p - target) ** 2).sum(axis=1).mean())


def log_loss(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Return the mean negative log probability of the true class, in nats.

    Args:
        probabilities: Shape (n, k). Values below 1e-12 count as 1e-12.
        labels: True classes. Shape (n,).

    Raises:
        InputError: Nothing to score, or labels outside the classes.

    >>> round(log_loss([[0.5, 0.5], [0.5, 0.5]], [0, 1]), 4)
    0.6931
    """
    p, truth = _scored(probabilities, labels)
    chosen = np.maximum(p[np.arange(len(p)), truth], LEAST_PROBABILITY)
    return float(-np.log(chosen).mean())


def expected_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, *, bins: int = 15
) -> float:
    """Return the mean gap between confidence and accuracy, over equal-width bins of confidence.

    Args:
        probabilities: Shape (n, k); confidence is the largest of a row.
        labels: True classes. Shape (n,).
        bins: How many.

    Raises:
        InputError: Nothing to score, labels outside the classes, or no bins.

    Source: Guo et al. 2017, arXiv:1706.04599, equation 3.

    >>> round(expected_calibration_error([[0.8, 0.2]] * 4, [0, 0, 0, 1]), 2)
    0.05
    """
    if bins < 1:
        raise InputError(f"expected at least one bin, got {bins}")
    p, truth = _scored(probabilities, labels)
    confidence = p.max(axis=1)
    gap = confidence - (p.argmax(axis=1) == truth)
    where = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    return float(np.abs(np.bincount(where, weights=gap, minlength=bins)).sum() / len(p))


def _scored(
    probabilities: ArrayLike, labels: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2:
        raise ShapeError("probabilities", p.shape, ("n", "k"))
    if not len(p):
        raise InputError("expected at least one item to score")
    if not np.isfinite(p).all():
        raise InputError("probabilities must be finite")
    return p, checked_labels(labels, p.shape[1], items=len(p))
