"""Influence on layers below the head, where a sample's gradient has no closed form.

A device runs the train step's gradients (``emit="gradients"``) twice over the items a function
voted on: with their labels, and with the labels and weights they would have without the vote. The
difference, layer by layer, is what the function teaches there, for the gradient of a soft-label
loss is linear in the label. Its part along the gradient of a behaviour is the function's influence
on that behaviour in that layer, in the same sense as in ``influence``.

The numbers are rounded once per device, so sums over devices are exact however devices are grouped.
Over rows of one device they are as exact as its ONNX Runtime is.

Sources: Pruthi et al. 2020, arXiv:2002.08484, section 3; Du et al. 2018, arXiv:1812.02224 (aligned
gradients as the measure of what helps).
"""

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.governance.influence import INFLUENCE_FRACTION, ITEM_BITS, InfluenceSums

MOST_LENGTH = float(1 << (ITEM_BITS - INFLUENCE_FRACTION))
"""The longest gradient an item may bring on average."""


def unit_directions(gradients: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each behaviour's gradient at length 1; one of length 0 stays so.

    Args:
        gradients: Of one layer, flat. Shape (b, q).

    >>> unit_directions(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    if gradients.ndim != 2 or not bool(np.all(np.isfinite(gradients))):
        raise InputError("gradients of behaviours must be a matrix of finite numbers")
    # the largest first: squares of small gradients would vanish, of large ones overflow
    largest = np.abs(gradients).max(axis=1, keepdims=True, initial=0.0)
    scaled = gradients / np.where(largest > 0, largest, 1.0)
    length = np.sqrt((scaled * scaled).sum(axis=1, keepdims=True))
    return np.asarray(scaled / np.where(length > 0, length, 1.0))


def layer_influence(
    taught: NDArray[np.float64], directions: NDArray[np.float64], *, items: int
) -> InfluenceSums:
    """Return how far what functions teach one layer works for each behaviour.

    Args:
        taught: Per function, the layer's gradient with its votes less that without, summed over
            the device's items. Shape (m, q).
        directions: What ``unit_directions`` gives for the layer. Shape (b, q).
        items: How many items were looked at.

    Raises:
        ShapeError: The two are not about one layer.
        InputError: A number that is not finite, or gradients too long for so many items.

    >>> sums = layer_influence(np.array([[2.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0]]), items=3)
    >>> (sums.steps / 2**32).tolist()
    [[2.0, 0.0]]
    """
    if taught.ndim != 2 or directions.ndim != 2 or taught.shape[1] != directions.shape[1]:
        raise ShapeError("taught", taught.shape, ("m", directions.shape[-1]))
    if not bool(np.all(np.isfinite(taught))) or not bool(np.all(np.abs(directions) <= 1)):
        raise InputError("gradients must be finite, and directions of length 1")
    values = taught @ directions.T
    if not bool(np.all(np.abs(values) <= MOST_LENGTH * items)):
        raise InputError("a gradient is too long to be summed; clip it first")
    return InfluenceSums(
        steps=np.rint(values * 2.0**INFLUENCE_FRACTION).astype(np.int64), items=items
    )
