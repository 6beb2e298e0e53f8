"""Small networks to train from their first day: a perceptron, and one that looks at pictures.

::

    input (n, width) ── standardise ── [layers] ── embedding (n, d) ── head ── softmax ── (n, k)

Weights are drawn from a seed, so the same arguments give the same bytes. What an input is
standardised by is no parameter: it says what numbers mean, and is not learnt.

Source: He et al. 2015, arXiv:1502.01852, for how wide weights are drawn before a Relu.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from coordinator.models.backbone import write_model
from fieldvote.errors import InputError, MissingExtraError, ShapeError
from fieldvote.rng import stream

if TYPE_CHECKING:
    from onnx import NodeProto

Floats = NDArray[np.float32]


def perceptron(
    *,
    hidden: Sequence[int],
    classes: int,
    mean: NDArray[np.floating],
    scale: NDArray[np.floating],
    seed: int = 0,
) -> bytes:
    """Return a multilayer perceptron; its embedding is its last hidden layer.

    Args:
        hidden: Width of each hidden layer, at least one.
        classes: k.
        mean: What is subtracted from each feature. Shape (width,).
        scale: What each is divided by; positive. Shape (width,).
        seed: Of the weights.

    Raises:
        InputError: no layer, less than two classes, or a scale that is not positive.
        ShapeError: mean and scale are not of one width.
        MissingExtraError: onnx is not installed.
    """
    network = _Begun(mean, scale, classes, seed)
    if not hidden or min(hidden) < 1:
        raise InputError(f"hidden: expected one layer or more of 1 or more, got {list(hidden)}")
    x, width = network.standardised, len(mean)
    for place, size in enumerate(hidden, start=1):
        x = network.dense(x, f"layer{place}", width, size)
        width = size
    return network.ended(x, width)


def picture_network(
    *,
    side: int,
    channels: Sequence[int],
    classes: int,
    scale: float,
    seed: int = 0,
) -> bytes:
    """Return a convolutional network for square grey pictures; each layer halves their side.

    Args:
        side: Rows and columns; a power of two times what is left in the end.
        channels: Of each layer of 3 x 3 windows, at least one.
        classes: k.
        scale: What each brightness is divided by.
        seed: Of the weights.

    Raises:
        InputError: the side cannot be halved so often, or a number is not positive.
        MissingExtraError: onnx is not installed.
    """
    if not channels or min(channels) < 1 or side % (1 << len(channels)):
        raise InputError(f"a side of {side} cannot be halved {len(channels)} times")
    pixels = side * side
    network = _Begun(np.zeros(pixels), np.full(pixels, scale), classes, seed)
    x = network.reshaped(network.standardised, (-1, 1, side, side))
    before = 1
    for place, count in enumerate(channels, start=1):
        x = network.convolved(x, f"layer{place}", before, count)
        before, side = count, side // 2
    width = before * side * side
    return network.ended(network.reshaped(x, (-1, width)), width)


class _Begun:
    """A network while it is put together."""

    def __init__(
        self, mean: NDArray[np.floating], scale: NDArray[np.floating], classes: int, seed: int
    ) -> None:
        """Begin with the input, standardised."""
        if mean.ndim != 1 or not len(mean) or scale.shape != mean.shape:
            raise ShapeError("mean and scale", (*mean.shape, *scale.shape), ("width", "width"))
        if not bool(np.all(np.isfinite(mean)) and np.all(np.isfinite(scale)) and np.all(scale > 0)):
            raise InputError("mean and scale must be finite, and scale positive")
        if classes < 2:
            raise InputError(f"classes: expected 2 or more, got {classes}")
        self._nodes: list[NodeProto] = []
        self._weights: dict[str, NDArray[np.generic]] = {}
        self._rng, self._classes, self._width = stream(seed, "network"), classes, len(mean)
        self._weights["input.mean"] = mean.astype(np.float32)
        self._weights["input.scale"] = scale.astype(np.float32)
        self._node("Sub", ["input", "input.mean"], "input.centred")
        self._node("Div", ["input.centred", "input.scale"], "input.standard")
        self.standardised = "input.standard"

    def dense(self, x: str, name: str, width: int, size: int) -> str:
        """Write a layer of products and a Relu."""
        self._weights[f"{name}.weight"] = self._drawn((width, size), width)
        self._weights[f"{name}.bias"] = np.zeros(size, np.float32)
        self._node("Gemm", [x, f"{name}.weight", f"{name}.bias"], f"{name}.sum")
        return self._node("Relu", [f"{name}.sum"], f"{name}.out")

    def convolved(self, x: str, name: str, before: int, count: int) -> str:
        """Write a layer of 3 x 3 windows, a Relu, and the largest of each 2 x 2."""
        self._weights[f"{name}.weight"] = self._drawn((count, before, 3, 3), 9 * before)
        self._weights[f"{name}.bias"] = np.zeros(count, np.float32)
        given = [x, f"{name}.weight", f"{name}.bias"]
        self._node("Conv", given, f"{name}.sum", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        self._node("Relu", [f"{name}.sum"], f"{name}.lit")
        return self._node(
            "MaxPool", [f"{name}.lit"], f"{name}.out", kernel_shape=[2, 2], strides=[2, 2]
        )

    def reshaped(self, x: str, shape: tuple[int, ...]) -> str:
        """Write the same numbers in another shape."""
        self._weights[f"{x}.shape"] = np.array(shape, np.int64)
        return self._node("Reshape", [x, f"{x}.shape"], f"{x}.shaped")

    def ended(self, x: str, width: int) -> bytes:
        """Write embedding, head and softmax; return the file."""
        self._node("Identity", [x], "embedding")
        self._weights["head.weight"] = self._drawn((width, self._classes), width) * np.float32(0.1)
        self._weights["head.bias"] = np.zeros(self._classes, np.float32)
        self._node("Gemm", ["embedding", "head.weight", "head.bias"], "logits")
        self._node("Softmax", ["logits"], "probabilities", axis=1)
        ends = [("input", self._width), ("embedding", width), ("probabilities", self._classes)]
        return write_model("network", self._nodes, self._weights, ends)

    def _drawn(self, shape: tuple[int, ...], fan_in: int) -> Floats:
        """Return weights of a layer's first day."""
        spread = float(np.sqrt(2.0 / fan_in))
        return (self._rng.standard_normal(shape) * spread).astype(np.float32)

    def _node(self, kind: str, given: list[str], made: str, **settings: list[int] | int) -> str:
        """Write one operator; return what it makes."""
        try:
            from onnx import helper
        except ModuleNotFoundError as err:
            raise MissingExtraError("building a network", "coordinator") from err
        node = helper.make_node(kind, given, [made])
        node.attribute.extend(helper.make_attribute(name, said) for name, said in settings.items())
        self._nodes.append(node)
        return made
