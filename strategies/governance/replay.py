"""What is shown again when a function changes: chosen anchors, and the previous model's answers.

Anchors are answered items of the device's own. A few per class are kept for replay, those whose
mean stays closest to the mean of all (herding), so that a small set stands for the class. Rows
whose votes did not change also learn from the previous model; rows the new version votes on
otherwise do not, for there the previous model may be what is to be corrected.

Sources: Rebuffi et al. 2017, arXiv:1611.07725, algorithm 4 (herding); Li and Hoiem 2016,
arXiv:1606.09282 (learning without forgetting); Hinton et al. 2015, arXiv:1503.02531 (temperature).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.governance.confidence import checked_probabilities
from strategies.labeling.votes import checked_labels, checked_votes


def class_quotas(available: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Share places among classes as evenly as what is there allows; ties to the lower class.

    Args:
        available: Items per class. Shape (k,).
        most: Places.

    >>> class_quotas(np.array([1, 10, 10]), 8).tolist()
    [1, 4, 3]
    """
    if most < 0 or bool(np.any(available < 0)):
        raise InputError("expected places and items of 0 or more")
    quotas = np.zeros(len(available), dtype=np.int64)
    left = min(most, int(available.sum()))
    while left:
        open_to = np.flatnonzero(quotas < available)
        each = max(left // len(open_to), 1)
        for c in open_to:
            given = min(each, int(available[c] - quotas[c]), left)
            quotas[c] += given
            left -= given
    return quotas


def choose_replay(
    embeddings: NDArray[np.float64],
    labels: ArrayLike,
    *,
    classes: int,
    most: int,
    ids: ArrayLike | None = None,
) -> NDArray[np.int64]:
    """Return the positions of the anchors to replay; no randomness, in no order of the items.

    Args:
        embeddings: What the head sees of them. Shape (n, d).
        labels: People's answers. Shape (n,).
        classes: Number of classes, k.
        most: How many anchors may be kept.
        ids: Distinct numbers that break ties. Shape (n,). None: the positions.

    Returns:
        Class by class, the most telling first. Shape (min(most, n),), int64.

    >>> choose_replay(np.array([[0.0], [2.0], [1.1]]), [0, 0, 0], classes=2, most=1).tolist()
    [2]
    """
    if embeddings.ndim != 2 or not bool(np.all(np.isfinite(embeddings))):
        raise InputError("embeddings must be a matrix of finite numbers")
    truth = checked_labels(labels, classes, items=len(embeddings))
    names = np.arange(len(truth)) if ids is None else np.asarray(ids)
    if names.shape != truth.shape or len(np.unique(names)) != len(truth):
        raise InputError(f"expected {len(truth)} distinct ids")
    quotas = class_quotas(np.bincount(truth, minlength=classes), most)
    # by id first, so that sums and ties do not depend on the order of rows
    by_id = np.argsort(names, kind="stable")
    chosen = [
        _herd(embeddings, by_id[truth[by_id] == c], int(quota)) for c, quota in enumerate(quotas)
    ]
    return np.concatenate(chosen)


def _herd(
    embeddings: NDArray[np.float64], rows: NDArray[np.int64], quota: int
) -> NDArray[np.int64]:
    """Pick rows one by one, each bringing the mean of the picked closest to that of all."""
    points = embeddings[rows]
    goal = points.mean(axis=0) if len(rows) else np.zeros(embeddings.shape[1])
    picked: list[int] = []
    total, free = np.zeros_like(goal), np.ones(len(rows), dtype=np.bool_)
    for count in range(1, quota + 1):
        apart = (((total + points) / count - goal) ** 2).sum(axis=1)
        best = int(np.where(free, apart, np.inf).argmin())
        picked.append(best)
        free[best] = False
        total = total + points[best]
    return np.asarray(rows[np.asarray(picked, dtype=np.int64)], dtype=np.int64)


def teacher_share(
    votes_before: ArrayLike, votes_now: ArrayLike, *, classes: int, share: float = 0.8
) -> NDArray[np.float64]:
    """Return how far each item learns from the previous model when functions change.

    Not at all where a function now casts a vote it did not cast before: that is the correction.
    Wholly where a vote fell silent, or nobody votes: silence says nothing new, and what is left
    of the votes is a poorer label than the one the previous model learned from. By share where
    votes stayed. (Where a function is taken out because it taught something wrong, nothing of it is
    to be kept: then the previous model is no teacher.)

    Args:
        votes_before: By the previous versions. Shape (n, m), integers, -1 abstains.
        votes_now: By the new ones. Shape (n, m).
        classes: Number of classes, k.
        share: What the previous model counts beside a label that stayed, 0 to 1.

    Returns:
        Shape (n,), 0 to 1.

    >>> teacher_share([[0], [0], [0]], [[0], [1], [-1]], classes=2).tolist()
    [0.8, 0.0, 1.0]
    """
    now = checked_votes(votes_now, classes)
    before = checked_votes(votes_before, classes, functions=now.shape[1])
    if len(before) != len(now):
        raise ShapeError("votes_before", before.shape, now.shape)
    if not 0 <= share <= 1:
        raise InputError(f"expected a share in 0..1, got {share}")
    corrected = ((now >= 0) & (now != before)).any(axis=1)
    silent = ((now < 0) & (before >= 0)).any(axis=1) | ~(now >= 0).any(axis=1)
    return np.select([corrected, silent], [0.0, 1.0], default=share).astype(np.float64)


def distillation_targets(
    labels: ArrayLike, teacher: ArrayLike, share: ArrayLike, *, temperature: float = 1.0
) -> NDArray[np.float64]:
    """Return soft labels mixed with the previous model's answers.

    Args:
        labels: Label probabilities. Shape (n, k).
        teacher: The previous model's probabilities. Shape (n, k).
        share: How far each item learns from it, such as ``teacher_share`` gives. Shape (n,).
        temperature: Above 1 makes the previous model less sure, below 1 surer.

    >>> distillation_targets([[1.0, 0.0]], [[0.2, 0.8]], [0.5]).tolist()
    [[0.6, 0.4]]
    """
    own, other = checked_probabilities(labels), checked_probabilities(teacher)
    if other.shape != own.shape:
        raise ShapeError("teacher", other.shape, own.shape)
    part = np.asarray(share, dtype=np.float64)
    if part.shape != (len(own),):
        raise ShapeError("share", part.shape, (len(own),))
    if not bool(np.all((part >= 0) & (part <= 1))) or not 0 < temperature < np.inf:
        raise InputError("expected shares in 0..1 and a temperature above 0")
    # the largest is 1 before the power, so that not all can vanish
    softened = (other / other.max(axis=1, keepdims=True)) ** (1 / temperature)
    softened /= softened.sum(axis=1, keepdims=True)
    return np.asarray((1 - part[:, None]) * own + part[:, None] * softened)
