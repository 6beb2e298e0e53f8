"""From a labeling function to what the model does: influence that adds up over devices.

A behaviour is a loss we look at: that of the answered items of one class, of one input, or a change
of the head. Its gradient at the head, the *direction*, is broadcast. A sample whose gradient
points the same way lowers that loss when it is learned from. What function j has to do with it is
what its vote changed:

    influence[j, b] = sum over items i with a vote of j of  <g_i - g_ij, D_b>,

with g_i = w_i x_i (p_i - t_i)' the gradient of the sample's soft-label loss, and g_ij the same with
the label and the weight the item would have without that vote. So influence is **above zero where
a function works for the behaviour**, below where it works against it. With D the gradient of a loss
it is TracIn's estimate, per unit of learning rate, of how far the function's votes lower that
loss in a step; with the curvature divided out of D (``what_if``), of what retraining without it
costs. Labels are compared, not linearised, so it is exact in the vote.

Every number is whole and rounded item by item, so the sum over any split of the items has the same
bits. Bit budget: directions have columns of L1 norm 1, so a logit is below 2^4 in steps of 2^-20;
a residual is below 2^6 over all classes in steps of 2^-12; a product is below 2^42. A sum beyond
what its items can bring is refused, so a device that lies cannot make a sum overflow.

Sources: Pruthi et al. 2020, arXiv:2002.08484, section 3 (TracIn, last layer); Zhang et al. 2022,
arXiv:2205.12879 (influence of sources of labels).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.fixed_point import (
    HEAD_FRACTION,
    INPUT_FRACTION,
    RESIDUAL_FRACTION,
    WEIGHT_FRACTION,
    row_blocks,
    row_weights,
)
from strategies.aggregation.head import Head, logits, predict
from strategies.labeling.model import LabelModel
from strategies.labeling.votes import checked_labels, checked_votes

PULL_FRACTION = 20
INFLUENCE_FRACTION = PULL_FRACTION + RESIDUAL_FRACTION
ITEM_BITS = 42
MOST_ITEMS = 1 << 20
_VOTES_AT_ONCE = 1 << 12  # whose items are labeled without them in one go
_DIRECTION_FRACTION = 19
_LOGIT_FRACTION = 29


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Direction:
    """Where a behaviour's loss rises, in fixed point: what is broadcast.

    Attributes:
        steps: The direction over its scale, times 2^19; columns have L1 norm 2^19 at most.
        scale: What one unit of a normed direction stands for; 0 for a direction that is zero.
    """

    steps: Head
    scale: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> "Direction":
        """Norm and round a direction.

        Args:
            values: Such as the gradient of a loss at the head. Shape (p, k).
        """
        if values.ndim != 2 or not bool(np.all(np.isfinite(values))):
            raise InputError("a direction is a matrix of finite numbers")
        scale = float(np.abs(values).sum(axis=0).max(initial=0.0))
        # a hair below the limit, so that rounding cannot pass it
        normed = values * ((1 - 2.0**-20) * 2.0**_DIRECTION_FRACTION / scale) if scale else values
        return cls(steps=Head.from_values(normed), scale=scale)

    @classmethod
    def sent(cls, steps: NDArray[np.int64]) -> "Direction":
        """Return a direction as it was broadcast; what it is a unit of, only the sender knows.

        Args:
            steps: ``steps.weights`` of the direction. Shape (p, k).

        Raises:
            InputError: A column is longer than ``of`` makes any, so that a sum could overflow.
        """
        # as floats: the integer sum of hostile steps could wrap around to something small
        length = np.abs(steps.astype(np.float64)).sum(axis=0).max(initial=0.0)
        if length > 2.0 ** (_DIRECTION_FRACTION + HEAD_FRACTION):
            raise InputError("a direction that was sent is longer than a normed one")
        return cls(steps=Head(weights=steps), scale=1.0)

    def pull(self, inputs: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return what each class's logit of each item moves along it, in steps of 2^-20. (n, k)."""
        shift = 2.0 ** (PULL_FRACTION - _LOGIT_FRACTION - _DIRECTION_FRACTION)
        return np.asarray(np.rint(logits(inputs, self.steps) * shift), dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InfluenceSums:
    """Influence of functions on behaviours in one layer, in steps of 2^-32 of a normed direction.

    Attributes:
        steps: At [function, behaviour]. Shape (m, b), int64.
        items: How many items were looked at.
    """

    steps: NDArray[np.int64]
    items: int

    def __post_init__(self) -> None:
        if self.steps.ndim != 2:
            raise ShapeError("influence", self.steps.shape, ("m", "b"))
        if self.steps.dtype != np.int64:
            raise InputError(f"influence is summed as int64, got {self.steps.dtype}")
        if not 0 <= self.items <= MOST_ITEMS:
            raise InputError(f"influence is summed over at most {MOST_ITEMS} items")
        most = self.items << ITEM_BITS
        if not bool(np.all((self.steps <= most) & (self.steps >= -most))):
            raise InputError("influence is beyond what so many items can have")

    @classmethod
    def none(cls, *, functions: int, behaviours: int) -> "InfluenceSums":
        """Return the influence of nothing, the start of every sum."""
        return cls(steps=np.zeros((functions, behaviours), dtype=np.int64), items=0)

    def __add__(self, other: "InfluenceSums") -> "InfluenceSums":
        """Return the influence over both sets of items."""
        if not isinstance(other, InfluenceSums):
            return NotImplemented
        if other.steps.shape != self.steps.shape:
            raise ShapeError("influence", other.steps.shape, self.steps.shape)
        return InfluenceSums(steps=self.steps + other.steps, items=self.items + other.items)

    def values(self, directions: tuple[Direction, ...]) -> NDArray[np.float64]:
        """Return the influence in units of the directions it was summed with. Shape (m, b)."""
        scale = np.asarray([each.scale for each in directions])
        if scale.shape != self.steps.shape[1:]:
            raise ShapeError("directions", scale.shape, self.steps.shape[1:])
        return np.asarray(self.steps.astype(np.float64) * 2.0**-INFLUENCE_FRACTION * scale)

    def to_vector(self) -> NDArray[np.int64]:
        """Return the numbers to send."""
        return np.concatenate([np.array([self.items], dtype=np.int64), self.steps.ravel()])

    @classmethod
    def from_vector(cls, vector: NDArray[np.int64], *, behaviours: int) -> "InfluenceSums":
        """Return the influence that to_vector sent."""
        if vector.ndim != 1 or behaviours < 1 or (len(vector) - 1) % behaviours or not len(vector):
            raise ShapeError("vector", vector.shape, (f"1 + m * {behaviours}",))
        return cls(steps=vector[1:].reshape(-1, behaviours).copy(), items=int(vector[0]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaughtItems:
    """Items of one device that votes taught.

    Attributes:
        inputs: What ``Representation.inputs`` gives. Shape (n, p).
        votes: Shape (n, m), integers, -1 abstains.
        weight: What each weighs in training, 0 to 16. Shape (n,).
    """

    inputs: NDArray[np.float64]
    votes: NDArray[np.int8]
    weight: NDArray[np.float64]


Weigh = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""What labels weigh, of shape (n, k), where that follows from how sure they are. Shape (n,)."""


def function_influence(
    taught: TaughtItems,
    labeler: LabelModel,
    head: Head,
    directions: tuple[Direction, ...],
    *,
    weigh: Weigh | None = None,
) -> InfluenceSums:
    """Return how far each function's votes work for each behaviour, at this head.

    An item whose only voice was the function would not have been taught at all: without the vote
    its weight is 0.

    Args:
        taught: The device's items.
        labeler: What made their labels from their votes.
        head: Where the gradients are taken.
        directions: One per behaviour.
        weigh: What an item would weigh by its label without the vote; without it, as much as now.

    Raises:
        ShapeError, InputError: The parts do not fit each other.
    """
    votes = checked_votes(taught.votes, labeler.classes, functions=labeler.functions)
    if len(votes) != len(taught.inputs):
        raise ShapeError("votes", votes.shape, (len(taught.inputs), labeler.functions))
    if head.classes != labeler.classes:
        raise ShapeError("head", head.weights.shape, ("p", labeler.classes))
    weight = row_weights(taught.inputs, taught.weight) * 2.0**-WEIGHT_FRACTION
    labels, said = labeler.predict(votes), predict(taught.inputs, head)
    pulls = [direction.pull(taught.inputs) for direction in directions]
    full = label_residual(said, labels, weight)
    steps = np.zeros((labeler.functions, len(directions)), dtype=np.int64)
    items, functions = np.nonzero(votes >= 0)
    for start in range(0, len(items), _VOTES_AT_ONCE):
        rows, cast = (each[start : start + _VOTES_AT_ONCE] for each in (items, functions))
        without = votes[rows]
        without[np.arange(len(rows)), cast] = -1
        labels_left = labeler.predict(without)
        still = weight[rows]
        if weigh is not None:
            still = row_weights(labels_left, weigh(labels_left)) * 2.0**-WEIGHT_FRACTION
        left = np.where((without >= 0).any(axis=1), still, 0.0)
        moved = full[rows] - label_residual(said[rows], labels_left, left)
        for b, pull in enumerate(pulls):
            np.add.at(steps[:, b], cast, (moved * pull[rows]).sum(axis=1))
    return InfluenceSums(steps=steps, items=len(votes))


def answer_influence(
    inputs: NDArray[np.float64],
    targets: NDArray[np.float64],
    weight: NDArray[np.float64],
    head: Head,
    directions: tuple[Direction, ...],
) -> InfluenceSums:
    """Return how far people's answers work for each behaviour, as one more row beside functions.

    Args:
        inputs: What ``Representation.inputs`` gives, of answered items that teach. Shape (n, p).
        targets: What people said. Shape (n, k).
        weight: What each weighs in training, 0 to 16. Shape (n,).
        head: Where the gradients are taken.
        directions: One per behaviour.
    """
    steps = row_weights(inputs, weight) * 2.0**-WEIGHT_FRACTION
    residual = label_residual(predict(inputs, head), targets, steps)
    sums = [int((residual * direction.pull(inputs)).sum()) for direction in directions]
    return InfluenceSums(steps=np.array([sums], dtype=np.int64), items=len(inputs))


def label_residual(
    said: NDArray[np.float64], labels: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return w·(p - t) in steps of 2^-12: a sample's gradient is its input times this. (n, k).

    Rows sum to zero, rounding included, as they do in training: so the last class need not be sent,
    and a direction says the same whatever is added to all of its columns.
    """
    steps = np.rint(weight[:, None] * (said - labels) * 2.0**RESIDUAL_FRACTION).astype(np.int64)
    steps[:, -1] = -steps[:, :-1].sum(axis=1)
    return steps


def class_directions(
    inputs: NDArray[np.float64], labels: ArrayLike, head: Head
) -> NDArray[np.float64]:
    """Return the gradient of the summed loss of answered items, class by class.

    Sums over devices; a class without items has a gradient of zero.

    Args:
        inputs: What ``Representation.inputs`` gives, of answered items. Shape (n, p).
        labels: People's answers. Shape (n,).
        head: Where the gradients are taken.

    Returns:
        Shape (k, p, k): behaviour, input, class.
    """
    return gradients_from(class_gradients(inputs, labels, head))


def class_gradients(
    inputs: NDArray[np.float64], labels: ArrayLike, head: Head
) -> NDArray[np.int64]:
    """Return the same in whole steps, as devices send it. Shape (k, p, k), int64."""
    truth = checked_labels(labels, head.classes, items=len(inputs))
    target = np.eye(head.classes)[truth]
    residual = label_residual(predict(inputs, head), target, np.ones(len(inputs)))
    total = np.zeros((head.classes, *head.weights.shape), dtype=np.int64)
    for c in range(head.classes):
        ours = np.flatnonzero(truth == c)
        for rows in row_blocks(len(ours)):
            part = ours[rows]
            total[c] += (inputs[part].T @ residual[part]).astype(np.int64)
    return total


def gradients_from(total: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return summed gradients in real numbers. Any shape."""
    return np.asarray(total.astype(np.float64) * 2.0 ** -(INPUT_FRACTION + RESIDUAL_FRACTION))


def input_direction(
    inputs: NDArray[np.float64], head: Head, *, label: int | None = None
) -> NDArray[np.float64]:
    """Return the gradient of one input's loss against a class: why does the head say it?

    Args:
        inputs: The input, in one row. Shape (1, p).
        head: What answered.
        label: The class asked about; None asks about the class it says.
    """
    if len(inputs) != 1:
        raise ShapeError("inputs", inputs.shape, (1, head.width))
    said = int(predict(inputs, head)[0].argmax()) if label is None else label
    if not 0 <= said < head.classes:
        raise InputError(f"expected a class in 0..{head.classes - 1}, got {said}")
    return np.asarray(class_directions(inputs, np.array([said]), head)[said])


def change_directions(before: Head, after: Head) -> NDArray[np.float64]:
    """Return the way from one head back to another, class by class: who made the model change?

    A function with influence above zero pulls the class's logit the way it went.

    Returns:
        Shape (k, p, k): the class whose column moved, input, class.
    """
    if after.weights.shape != before.weights.shape:
        raise ShapeError("head", after.weights.shape, before.weights.shape)
    columns = np.eye(before.classes)[:, None, :]
    return np.asarray(columns * (before.values - after.values)[None])
