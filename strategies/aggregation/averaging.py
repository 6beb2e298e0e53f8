"""Federated averaging of softmax heads: local steps on each device, then a weighted mean.

Kept for comparison and for learners that cannot be solved from sums; the head itself needs two to
three times the labels this way.

Source: McMahan et al. 2017, "Communication-efficient learning of deep networks from decentralized
    data", arXiv:1602.05629, algorithm 1 with full local batches.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.fixed_point import INPUT_FRACTION, WEIGHT_FRACTION, check_inputs
from strategies.aggregation.summed_head import Head, gradient_sums

# Head steps are summed times weights of 16 bits; 2^33 a weight leaves room for 2^14 full devices
# in an int64.
_PRODUCT_LIMIT = 1 << 33


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedHead:
    """Heads times the weight of the items they were trained on, in whole numbers that add up.

    Attributes:
        product: Sum of head weights (steps of 2^-20) times whole-item weights. Shape (p, k), int64.
        weight: Sum of the sample weights, in whole items.
    """

    product: NDArray[np.int64]
    weight: int

    @classmethod
    def empty(cls, *, width: int, classes: int) -> Self:
        """Return the sum over no device."""
        return cls(product=np.zeros((width, classes), dtype=np.int64), weight=0)

    def __add__(self, other: "WeightedHead") -> "WeightedHead":
        if other.product.shape != self.product.shape:
            raise ShapeError("head", other.product.shape, self.product.shape)
        return WeightedHead(product=self.product + other.product, weight=self.weight + other.weight)


LocalStep: TypeAlias = Callable[
    [Head, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]], WeightedHead
]
Combine: TypeAlias = Callable[[Head, WeightedHead], Head]


@dataclass(frozen=True, slots=True, kw_only=True)
class Averaging:
    """The two halves of one round of federated averaging.

    Attributes:
        local: On a device: (broadcast head, inputs, targets, weight) to its weighted head.
        combine: At the coordinator: (broadcast head, sum of weighted heads) to the next head.
    """

    local: LocalStep
    combine: Combine


def federated_averaging(*, epochs: int = 5, l2_per_item: float = 0.0) -> Averaging:
    """Return federated averaging with this many full-batch epochs on each device.

    Args:
        epochs: Gradient steps between two averages. At least 1.
        l2_per_item: Weight decay relative to the mean loss. Not negative.
    """
    if epochs < 1 or not 0 <= l2_per_item < np.inf:
        raise InputError("averaging needs at least one epoch and a decay that is not negative")

    def local(
        head: Head,
        inputs: NDArray[np.float64],
        targets: NDArray[np.float64],
        weight: NDArray[np.float64],
    ) -> WeightedHead:
        check_inputs(inputs)
        total = gradient_sums(inputs, targets, weight, head).weight * 2.0**-WEIGHT_FRACTION
        items = int(np.ceil(total))
        if items == 0:
            return WeightedHead.empty(width=head.width, classes=head.classes)
        # The softmax bends by at most half the squared length of an input (Böhning 1992): a safe
        # step is its inverse.
        longest = float((inputs**2).sum(axis=1).max()) * 4.0**-INPUT_FRACTION
        rate = 1.0 / (0.5 * longest + l2_per_item)
        trained = head
        for _ in range(epochs):
            gradient = gradient_sums(inputs, targets, weight, trained).gradient_values / total
            decay = l2_per_item * trained.values
            trained = Head.from_values(trained.values - rate * (gradient + decay))
        if np.abs(trained.weights).max() >= _PRODUCT_LIMIT:
            raise InputError("a locally trained head is beyond 2^13 and was not sent")
        return WeightedHead(product=trained.weights * items, weight=items)

    def combine(head: Head, total: WeightedHead) -> Head:
        if total.product.shape != head.weights.shape:
            raise ShapeError("head", total.product.shape, head.weights.shape)
        # Nobody trained: the head stays.
        return head if total.weight == 0 else Head(weights=total.product // total.weight)

    return Averaging(local=local, combine=combine)
