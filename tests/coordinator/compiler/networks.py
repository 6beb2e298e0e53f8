"""Networks of every family that devices train, written as ONNX with weights drawn from a seed.

Each has a twin in torch, with the same names (`torch_twins.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from fieldvote.rng import stream

FloatArray = NDArray[np.float32]


@dataclass
class Net:
    """A model being written: each method adds operators and returns the output's name."""

    seed: int = 0
    opset: int = 18
    nodes: list[NodeProto] = field(default_factory=list)
    weights: dict[str, NDArray[np.generic]] = field(default_factory=dict)

    def op(
        self, kind: str, *inputs: str, out: str = "", outputs: int = 1, **attributes: object
    ) -> str:
        """Add an operator; constants may be given as arrays through :meth:`const`."""
        name = out or f"{kind.lower()}{len(self.nodes)}"
        names = [name, *(f"{name}.{i}" for i in range(1, outputs))]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name, **attributes))
        return name

    def weight(self, name: str, *shape: int, scale: float | None = None) -> str:
        """Add a weight drawn from the seed; fan-in scaled."""
        fan_in = int(np.prod(shape[1:])) or 1
        std = np.sqrt(2 / fan_in) if scale is None else scale
        drawn = std * stream(self.seed, "weight", name).standard_normal(shape)
        self.weights[name] = drawn.astype(np.float32)
        return name

    def const(self, value: object, dtype: type = np.int64) -> str:
        """Add a constant by a Constant operator, which is no weight."""
        name = f"constant{len(self.nodes)}"
        tensor = numpy_helper.from_array(np.asarray(value, dtype))
        self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        return name

    def linear(self, x: str, name: str, width: int, out: int, *, rank: int = 2) -> str:
        """Add a dense layer: Gemm on matrices, MatMul and Add on stacks of them."""
        if rank == 2:
            weight = self.weight(f"{name}.weight", out, width)
            return self.op("Gemm", x, weight, self.weight(f"{name}.bias", out, scale=0.1), transB=1)
        weight = self.weight(f"{name}.weight", out, width)
        product = self.op("MatMul", x, self.op("Transpose", weight, perm=[1, 0]))
        return self.op("Add", product, self.weight(f"{name}.bias", out, scale=0.1))

    def conv(
        self, x: str, name: str, channels: int, out: int, kernel: int, **attributes: object
    ) -> str:
        """Add a square convolution with bias."""
        group = attributes.get("group", 1)
        assert isinstance(group, int)
        weight = self.weight(f"{name}.weight", out, channels // group, kernel, kernel)
        bias = self.weight(f"{name}.bias", out, scale=0.1)
        return self.op("Conv", x, weight, bias, kernel_shape=[kernel, kernel], **attributes)

    def norm(self, x: str, name: str, kind: str, width: int) -> str:
        """Add a layer norm or a batch norm with fixed statistics."""
        self.weights[f"{name}.weight"] = 1 + 0.1 * self._drawn(f"{name}.weight", width)
        self.weights[f"{name}.bias"] = 0.1 * self._drawn(f"{name}.bias", width)
        inputs = [x, f"{name}.weight", f"{name}.bias"]
        if kind == "LayerNormalization":
            return self.op(kind, *inputs, axis=-1)
        self.weights[f"{name}.running_mean"] = 0.1 * self._drawn(f"{name}.mean", width)
        self.weights[f"{name}.running_var"] = np.exp(0.2 * self._drawn(f"{name}.var", width))
        return self.op(kind, *inputs, f"{name}.running_mean", f"{name}.running_var")

    def model(
        self,
        inputs: dict[str, tuple[int | str, ...]],
        outputs: dict[str, tuple[int | str, ...]],
        *,
        integers: tuple[str, ...] = (),
    ) -> bytes:
        """Return the ONNX file."""
        graph = helper.make_graph(
            self.nodes,
            "network",
            [
                helper.make_tensor_value_info(
                    name, TensorProto.INT64 if name in integers else TensorProto.FLOAT, shape
                )
                for name, shape in inputs.items()
            ],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, shape in outputs.items()
            ],
            [numpy_helper.from_array(array, name) for name, array in self.weights.items()],
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", self.opset)],
            ir_version=9 if self.opset <= 20 else 10,
        )
        return bytes(model.SerializeToString())

    def _drawn(self, name: str, size: int) -> FloatArray:
        return stream(self.seed, "weight", name).standard_normal(size).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Network:
    """A model and what it is fed.

    Attributes:
        model: The ONNX file.
        shape: Of one sample.
        classes: Number of classes.
        gate: The tensor before the head.
    """

    model: bytes
    shape: tuple[int, ...]
    classes: int
    gate: str

    def batch(self, n: int, seed: int = 0) -> dict[str, FloatArray]:
        """Return samples, soft targets and weights."""
        rng = stream(seed, "batch")
        return {
            "x": rng.standard_normal((n, *self.shape)).astype(np.float32),
            "target": rng.dirichlet(np.ones(self.classes), n).astype(np.float32),
            "weight": rng.uniform(0.2, 1.0, n).astype(np.float32),
        }


def _network(net: Net, logits: str, shape: tuple[int, ...], classes: int, gate: str) -> Network:
    net.op("Identity", logits, out="logits")
    model = net.model({"x": ("n", *shape)}, {"logits": ("n", classes)})
    return Network(model=model, shape=shape, classes=classes, gate=gate)


def mlp(width: int = 64, hidden: int = 256, classes: int = 10) -> Network:
    """Three dense layers."""
    net = Net()
    x = net.op("Relu", net.linear("x", "0", width, hidden))
    x = net.op("Relu", net.linear(x, "2", hidden, hidden))
    return _network(net, net.linear(x, "4", hidden, classes), (width,), classes, x)


def large_mlp() -> Network:
    """784-512-512-10."""
    return mlp(784, 512)


def lenet(size: int = 28) -> Network:
    """Two convolutions of 5 by 5 with pools, two dense layers."""
    net = Net()
    x = net.op("Relu", net.conv("x", "0", 1, 32, 5, pads=[2] * 4))
    x = net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.op("Relu", net.conv(x, "3", 32, 64, 5, pads=[2] * 4))
    x = net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    flat = net.op("Flatten", x)
    x = net.op("Relu", net.linear(flat, "7", 64 * (size // 4) ** 2, 128))
    return _network(net, net.linear(x, "9", 128, 10), (1, size, size), 10, flat)


def odd_convolutions() -> Network:
    """Grouped, dilated, strided and depthwise convolutions whose strides leave a remainder."""
    net = Net()
    x = net.op("Relu", net.conv("x", "a", 3, 12, 3, strides=[2, 2], pads=[1, 1, 1, 1]))
    x = net.op("LeakyRelu", net.conv(x, "b", 12, 24, 3, group=4, dilations=[2, 2], pads=[2] * 4))
    x = net.op("Sigmoid", net.conv(x, "c", 24, 24, 3, group=24, strides=[2, 2], pads=[1, 0, 0, 1]))
    x = net.op("Tanh", net.conv(x, "d", 24, 16, 2, strides=[2, 2], dilations=[1, 2]))
    pooled = net.op("Flatten", net.op("GlobalAveragePool", x))
    return _network(net, net.linear(pooled, "e", 16, 5), (3, 27, 22), 5, pooled)


#: Expansion, channels, repeats and stride of MobileNetV2's stages (Sandler et al. 2018, table 2).
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet(
    size: int = 96, stages: tuple[tuple[int, int, int, int], ...] = STAGES, last: int = 1280
) -> Network:
    """MobileNetV2 as it is deployed: batch norms folded into the convolutions."""
    net = Net()

    def unit(x: str, name: str, channels: int, out: int, kernel: int, **attributes: object) -> str:
        made = net.conv(x, name, channels, out, kernel, **attributes)
        return net.op("Clip", made, net.const(0, np.float32), net.const(6, np.float32))

    x = unit("x", "stem", 3, 32, 3, strides=[2, 2], pads=[1] * 4)
    channels, number = 32, 0
    for expansion, out, repeats, stride in stages:
        for repeat in range(repeats):
            step, wide, y = stride if repeat == 0 else 1, channels * expansion, x
            if expansion > 1:
                y = unit(y, f"{number}.expand", channels, wide, 1)
            y = unit(
                y, f"{number}.depth", wide, wide, 3, group=wide, strides=[step] * 2, pads=[1] * 4
            )
            y = net.conv(y, f"{number}.project", wide, out, 1)
            x = net.op("Add", x, y) if step == 1 and channels == out else y
            channels, number = out, number + 1
    x = unit(x, "top", channels, last, 1)
    pooled = net.op("Flatten", net.op("GlobalAveragePool", x))
    return _network(net, net.linear(pooled, "head", last, 10), (3, size, size), 10, pooled)


def small_mobilenet() -> Network:
    """Three inverted residuals of MobileNetV2 on small images."""
    return mobilenet(32, ((1, 16, 1, 1), (6, 16, 1, 1), (6, 32, 2, 2)), 128)


def transformer(
    length: int = 64, width: int = 128, heads: int = 4, layers: int = 2, classes: int = 10
) -> Network:
    """Pre-norm encoder over windows of 32 channels, mean over time, dense head."""
    net = Net(opset=20)
    x = net.linear("x", "embed", 32, width, rank=3)
    x = net.op("Add", x, net.weight("position", 1, length, width, scale=0.1))
    for layer in range(layers):
        y = net.norm(x, f"{layer}.norm1", "LayerNormalization", width)
        x = net.op("Add", x, _attention(net, y, f"{layer}", length, width, heads))
        y = net.norm(x, f"{layer}.norm2", "LayerNormalization", width)
        y = net.op("Gelu", net.linear(y, f"{layer}.up", width, 4 * width, rank=3))
        x = net.op("Add", x, net.linear(y, f"{layer}.down", 4 * width, width, rank=3))
    x = net.norm(x, "norm", "LayerNormalization", width)
    pooled = net.op("ReduceMean", x, net.const([1]), keepdims=0)
    logits = net.linear(pooled, "head", width, classes)
    return _network(net, logits, (length, 32), classes, pooled)


def _attention(net: Net, x: str, name: str, length: int, width: int, heads: int) -> str:
    """Self-attention over time."""
    each = width // heads
    packed = net.linear(x, f"{name}.qkv", width, 3 * width, rank=3)
    packed = net.op("Reshape", packed, net.const([0, length, 3, heads, each]))
    packed = net.op("Transpose", packed, perm=[2, 0, 3, 1, 4])
    q, k, v = (net.op("Gather", packed, net.const(i), axis=0) for i in range(3))
    scores = net.op("MatMul", q, net.op("Transpose", k, perm=[0, 1, 3, 2]))
    scores = net.op("Mul", scores, net.const(each**-0.5, np.float32))
    mixed = net.op("MatMul", net.op("Softmax", scores, axis=-1), v)
    mixed = net.op("Transpose", mixed, perm=[0, 2, 1, 3])
    mixed = net.op("Reshape", mixed, net.const([0, length, width]))
    return net.linear(mixed, f"{name}.out", width, width, rank=3)


def small_transformer() -> Network:
    """The transformer, small enough to check in a moment."""
    return transformer(length=8, width=16, heads=2, layers=1, classes=4)


def residual(size: int = 16) -> Network:
    """Pre-activation ResNet (He et al. 2016, arXiv:1603.05027), batch norms as deployed."""
    net = Net()
    x = net.conv("x", "stem", 3, 16, 3, pads=[1] * 4)
    for name, channels, out, stride in (("a", 16, 16, 1), ("b", 16, 32, 2), ("c", 32, 32, 1)):
        y = net.op("Relu", net.norm(x, f"{name}.norm1", "BatchNormalization", channels))
        short = (
            x
            if channels == out
            else net.conv(y, f"{name}.short", channels, out, 1, strides=[stride] * 2)
        )
        y = net.conv(y, f"{name}.conv1", channels, out, 3, strides=[stride] * 2, pads=[1] * 4)
        y = net.op("Relu", net.norm(y, f"{name}.norm2", "BatchNormalization", out))
        x = net.op("Add", short, net.conv(y, f"{name}.conv2", out, out, 3, pads=[1] * 4))
    x = net.op("Relu", net.norm(x, "norm", "BatchNormalization", 32))
    pooled = net.op("ReduceMean", x, net.const([2, 3]), keepdims=0)
    return _network(net, net.linear(pooled, "head", 32, 10), (3, size, size), 10, pooled)


NETWORKS: dict[str, Callable[[], Network]] = {
    "large_mlp": large_mlp,
    "lenet": lenet,
    "mlp": mlp,
    "mobilenet": mobilenet,
    "odd_convolutions": odd_convolutions,
    "residual": residual,
    "small_mobilenet": small_mobilenet,
    "small_transformer": small_transformer,
    "transformer": transformer,
}
