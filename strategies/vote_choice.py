"""How much votes may weigh: heads that learned with and without them, judged where they were not.

The devices are cut into folds. For each fold, the other devices teach a head at every weight that
is tried, 0 among them, by the rule a round teaches its head by. The labels of the fold that was
left out judge these heads by their log loss. What leaves a device is a sum over its labels: the
loss of each head, and of each pair of a head and the one without votes the squared difference, from
which follows how sure the difference is.

Votes must prove themselves: functions that are right where they vote can still ruin a head, as they
vote on a part of the items only, and always on the same. Nothing but labels elsewhere tells.

Sources: Stone 1974, "Cross-validatory choice and assessment of statistical predictions"; Breiman et
    al. 1984, "Classification and Regression Trees", section 3.4.3, for the standard error as a bar.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.fixed_point import row_blocks, softmax
from strategies.aggregation.head import Head, logits

MOST_NATS = 16.0
"""A label a head has never heard of costs no more; squares of it add up over any fleet."""

_FRACTION = 10  # losses in steps of 2^-10
_LEAST_LABELS = 2  # with fewer nothing is known of how sure a difference is


def loss_sums(
    inputs: NDArray[np.float64], labels: NDArray[np.int64], heads: Sequence[Head]
) -> NDArray[np.int64]:
    """Return what labels say of heads: their number, each loss, squared differences to the first.

    Args:
        inputs: What ``Representation.inputs`` gives. Shape (n, p).
        labels: Shape (n,).
        heads: The one that learned without votes comes first. At least one.

    Returns:
        An additive vector. Shape (2 h,).

    Raises:
        InputError: a label is no class of these heads.

    >>> from strategies.aggregation.head import Head
    >>> even = Head.zeros(width=1, classes=2)
    >>> loss_sums(np.array([[512.0]] * 3), np.array([0, 1, 1]), [even, even]).tolist()
    [3, 2130, 2130, 0]
    """
    if len(labels) and not 0 <= labels.min() <= labels.max() < heads[0].classes:
        raise InputError(f"labels must lie in 0..{heads[0].classes - 1}")
    losses = np.zeros((len(labels), len(heads)), dtype=np.int64)
    for place, head in enumerate(heads):
        for rows in row_blocks(len(labels)):
            _, log_probabilities = softmax(logits(inputs[rows], head))
            nats = -log_probabilities[np.arange(len(log_probabilities)), labels[rows]]
            losses[rows, place] = np.rint(np.clip(nats, 0.0, MOST_NATS) * 2.0**_FRACTION)
    squares = (losses[:, 1:] - losses[:, :1]) ** 2
    return np.concatenate([[len(labels)], losses.sum(axis=0), squares.sum(axis=0)])


def losses_of(sums: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the loss per label of each head, in nats; empty where no label judged. Shape (h,).

    >>> losses_of(np.array([2, 2048, 1024, 524288])).tolist()
    [1.0, 0.5]
    """
    labels, losses, _ = _read(sums)
    return losses / labels if labels else np.empty(0)


def better_weight(sums: NDArray[np.int64], *, better_by: float, doubt: float) -> int:
    """Return the place of the weight to go on with: the first, 0, unless another earns it.

    A weight earns its place if its head's loss is less than the loss without votes by a share of
    that, and by so many standard errors of the difference; of those that do, the least loss wins.

    Args:
        sums: What ``loss_sums`` of every label that judges add up to. Shape (2 h,).
        better_by: By which share of the loss without votes.
        doubt: How many standard errors make a difference clear.

    >>> clear = np.array([4, 4096, 2048, 1024, 1048576, 2359296])
    >>> better_weight(clear, better_by=0.02, doubt=1.0)
    2
    >>> better_weight(clear, better_by=0.8, doubt=1.0)
    0
    """
    labels, losses, squares = _read(sums)
    if labels < _LEAST_LABELS:
        return 0
    for place in sorted(range(1, len(losses)), key=lambda place: (losses[place], place)):
        gain = float(losses[0] - losses[place])
        spread = max(float(squares[place - 1]) - gain * gain / labels, 0.0)
        error = math.sqrt(spread * labels / (labels - 1))
        if gain > max(doubt * error, better_by * float(losses[0])):
            return place
    return 0


def _read(
    sums: NDArray[np.int64],
) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
    """Return the number of labels, the losses, and the squared differences."""
    if len(sums) < 2 or len(sums) % 2:
        raise ShapeError("sums of losses", sums.shape, ("2 h",))
    heads = len(sums) // 2
    told = sums.astype(np.float64)
    return (
        int(sums[0]),
        np.asarray(told[1 : 1 + heads] * 2.0**-_FRACTION),
        np.asarray(told[1 + heads :] * 4.0**-_FRACTION),
    )
