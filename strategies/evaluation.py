"""What a model is worth: confusion counts that add up, scores, labels needed for a score.

Devices send confusion counts only; every score is a function of the sum.
"""

from collections.abc import Sequence
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError

# Above this ratio of largest to smallest class, accuracy rewards ignoring the small ones.
IMBALANCE_RATIO = 3

_MOVING_MEAN_ROUNDS = 3


class Metric(Enum):
    """How a confusion matrix becomes one number between 0 and 1."""

    ACCURACY = "accuracy"
    RARE_F1 = "f1"
    MACRO_F1 = "macro-f1"


def confusion(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Count items by true class (rows) and predicted class (columns).

    Args:
        labels: True classes. Shape (n,).
        predicted: Predicted classes. Shape (n,).
        classes: How many classes there are, k.

    Returns:
        Counts that add up over devices. Shape (k, k).

    Raises:
        InputError: A class outside 0..k-1.

    >>> confusion(np.array([0, 1, 1]), np.array([0, 1, 0]), 2)
    array([[1, 0],
           [1, 1]])
    """
    if labels.ndim != 1 or labels.shape != predicted.shape:
        raise ShapeError("predicted", predicted.shape, labels.shape)
    for name, given in (("labels", labels), ("predicted", predicted)):
        if len(given) and not 0 <= given.min() <= given.max() < classes:
            raise InputError(f"{name} must lie in 0..{classes - 1}")
    cells = labels.astype(np.int64) * classes + predicted.astype(np.int64)
    counts = np.bincount(cells, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def choose_metric(labels: NDArray[np.int64], classes: int, *, text: bool) -> Metric:
    """Return the metric by which a data set with these labels is judged.

    F1 of the rarer class for two-class text; macro-F1 where the largest class is more than three
    times the smallest; accuracy otherwise. A class without any item makes the ratio infinite.

    >>> choose_metric(np.array([0, 0, 0, 0, 1]), 2, text=False)
    <Metric.MACRO_F1: 'macro-f1'>
    """
    if text and classes == 2:
        return Metric.RARE_F1
    counts = np.bincount(labels, minlength=classes)
    imbalanced = counts.max() > IMBALANCE_RATIO * counts.min()
    return Metric.MACRO_F1 if imbalanced else Metric.ACCURACY


def score(metric: Metric, counts: NDArray[np.int64]) -> float:
    """Return the score of summed confusion counts.

    Named cases: no item at all scores 0. A class that is neither present nor predicted has no F1
    and is left out of the mean; one that is present but never predicted, or the reverse, has F1
    0. The rarer class is the one with fewer items, class 1 on a tie, and a class that is absent
    altogether is not it.

    Args:
        metric: How to score.
        counts: True class by predicted class. Shape (k, k).

    >>> score(Metric.ACCURACY, np.array([[3, 1], [0, 4]]))
    0.875
    """
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ShapeError("counts", counts.shape, ("k", "k"))
    hits, present, claimed = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    if not counts.sum():
        return 0.0
    if metric is Metric.ACCURACY:
        return float(hits.sum() / counts.sum())
    defined = present + claimed > 0
    f1 = 2 * hits / np.maximum(present + claimed, 1)
    if metric is Metric.MACRO_F1:
        return float(f1[defined].mean())
    # Reversed, because the first minimum wins and a tie goes to the higher class.
    rarity = np.where(present > 0, present, np.iinfo(np.int64).max)[::-1]
    return float(f1[::-1][int(np.argmin(rarity))])


def labels_to(curve: Sequence[tuple[int, float]], target: float) -> float | None:
    """Return how many labels the first crossing of target took.

    The curve is smoothed by a centred three-round moving mean, its ends repeated, and the
    crossing is interpolated linearly between the two rounds around it.

    Args:
        curve: (labels, metric) per round, labels not decreasing.
        target: The score to reach.

    Returns:
        Labels, those of the first round if it is already there, None if the target is never
        reached.

    >>> labels_to([(10, 0.0), (20, 0.6), (30, 0.6), (40, 0.6)], 0.5)
    25.0
    """
    if not curve:
        return None
    labels = np.array([point[0] for point in curve], dtype=np.float64)
    metric = np.array([point[1] for point in curve], dtype=np.float64)
    padded = np.r_[metric[0], metric, metric[-1]]
    window = np.ones(_MOVING_MEAN_ROUNDS) / _MOVING_MEAN_ROUNDS
    smooth = np.convolve(padded, window, "valid")
    there = np.flatnonzero(smooth >= target)
    if not len(there):
        return None
    at = int(there[0])
    if at == 0:
        return float(labels[0])
    share = (target - smooth[at - 1]) / (smooth[at] - smooth[at - 1])
    return float(labels[at - 1] + share * (labels[at] - labels[at - 1]))
