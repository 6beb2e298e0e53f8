"""Every rule beside central differences in float64: one small model for each case."""

from collections.abc import Callable

import numpy as np
import pytest

from coordinator.compiler import compile_step
from coordinator.compiler.rules.table import RULES
from tests.coordinator.compiler.differences import Differences
from tests.coordinator.compiler.networks import Net
from tests.coordinator.compiler.running import distance, run

F = np.float32
#: A case writes operators from `x` and returns the output's name; its shape is in the table.
Case = Callable[[Net], str]


def unary(kind: str, **attributes: object) -> Case:
    """x w + v, then one operator."""
    return lambda net: net.op(kind, _mixed(net), **attributes)


def _mixed(net: Net, width: int = 6, out: int = 5) -> str:
    """Trained numbers on both sides of zero."""
    return net.linear("x", "in", width, out)


def _positive(net: Net) -> str:
    return net.op("Add", net.op("Exp", _mixed(net)), net.const(0.3, F))


def _image(net: Net, channels: int = 4) -> str:
    """The input as images of 6 by 7, through a trained convolution of points."""
    image = net.op("Reshape", "x", net.const([-1, 2, 6, 7]))
    return net.conv(image, "points", 2, channels, 1)


def _heads(net: Net) -> tuple[str, str]:
    """Two stacks of matrices, (n, 2, 3, 2) and (n, 2, 2, 3)."""
    left = net.op("Reshape", net.linear("x", "left", 6, 12), net.const([-1, 2, 3, 2]))
    right = net.op("Reshape", net.linear("x", "right", 6, 12), net.const([-1, 2, 2, 3]))
    return left, right


def _batch_norm(net: Net) -> str:
    return net.norm(_image(net), "norm", "BatchNormalization", 4)


def _group_norm(net: Net) -> str:
    net.weights["s"] = np.array([1.1, 0.8, 1.2, 0.9], F)
    net.weights["t"] = np.array([0.1, -0.2, 0.3, 0.0], F)
    return net.op("GroupNormalization", _image(net), "s", "t", num_groups=2)


def _instance_norm(net: Net) -> str:
    net.weights["s"] = np.array([1.1, 0.8, 1.2, 0.9], F)
    net.weights["t"] = np.array([0.1, -0.2, 0.3, 0.0], F)
    return net.op("InstanceNormalization", _image(net), "s", "t")


def _prelu(net: Net) -> str:
    return net.op("PRelu", _mixed(net), net.weight("slope", 5, scale=0.3))


def _pooled(kind: str, **attributes: object) -> Case:
    return lambda net: net.op(kind, _image(net), **attributes)


def _convolved(channels: int = 4, out: int = 4, kernel: int = 3, **attributes: object) -> Case:
    return lambda net: net.conv(_image(net, channels), "conv", channels, out, kernel, **attributes)


def _conv_1d(net: Net) -> str:
    series = net.op("Reshape", "x", net.const([-1, 3, 28]))
    series = net.op("Conv", series, net.weight("first", 4, 3, 1), kernel_shape=[1])
    weight = net.weight("second", 4, 2, 3)
    return net.op("Conv", series, weight, kernel_shape=[3], group=2, strides=[2], dilations=[2])


def _conv_3d(net: Net) -> str:
    block = net.op("Reshape", "x", net.const([-1, 1, 3, 4, 7]))
    block = net.op("Conv", block, net.weight("first", 2, 1, 1, 1, 1), kernel_shape=[1] * 3)
    return net.op("Conv", block, net.weight("second", 2, 2, 2, 2, 2), kernel_shape=[2] * 3)


def _split(net: Net) -> str:
    parts = net.op("Split", _mixed(net, out=6), net.const([2, 3, 1]), axis=1, outputs=3)
    first = net.op("ReduceSum", parts, net.const([1]), keepdims=1)
    return net.op("Mul", first, f"{parts}.1")  # the third part teaches nobody


def _gathered(net: Net) -> str:
    rows = net.op("Reshape", _mixed(net, out=6), net.const([-1, 3, 2]))
    first = net.op("Gather", rows, net.const(0), axis=1)
    third = net.op("Gather", rows, net.const(-1), axis=1)
    return net.op("Mul", first, third)


def _all_picks(net: Net) -> str:
    rows = net.op("Reshape", _mixed(net, out=6), net.const([-1, 3, 2]))
    a, b, c = (net.op("Gather", rows, net.const(i), axis=1) for i in range(3))
    return net.op("Add", net.op("Mul", a, b), c)


def _table(net: Net) -> str:
    rows = net.op("Cast", net.op("Abs", net.op("Mul", "x", net.const(2, F))), to=7)
    rows = net.op("Mod", rows, net.const(4))
    found = net.op("Gather", net.weight("table", 4, 2), rows, axis=0)
    return net.op("Flatten", found)


def _where(net: Net) -> str:
    left, right = net.linear("x", "left", 6, 5), net.linear("x", "right", 6, 5)
    return net.op("Where", net.op("Greater", left, net.const(0.2, F)), left, right)


def _both(kind: str) -> Case:
    def write(net: Net) -> str:
        left = net.linear("x", "left", 6, 5)
        column = net.op("ReduceMean", net.linear("x", "right", 6, 5), net.const([1]), keepdims=1)
        return net.op(kind, left, net.op("Exp", column) if kind == "Div" else column)

    return write


CASES: dict[str, tuple[Case, int, int]] = {  # what is written, width of x, width of the output
    "Abs": (unary("Abs"), 6, 5),
    "Add, broadcast": (_both("Add"), 6, 5),
    "AveragePool": (_pooled("AveragePool", kernel_shape=[2, 2], strides=[2, 2]), 84, 36),
    "AveragePool, overlapping": (
        _pooled("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        84,
        48,
    ),
    "AveragePool, pads counted": (
        _pooled("AveragePool", kernel_shape=[3, 2], pads=[1, 0, 1, 0], count_include_pad=1),
        84,
        144,
    ),
    "BatchNormalization": (_batch_norm, 84, 168),
    "Clip": (
        lambda net: net.op("Clip", _mixed(net), net.const(-0.4, F), net.const(0.9, F)),
        6,
        5,
    ),
    "Clip, one side": (lambda net: net.op("Clip", _mixed(net), "", net.const(0.5, F)), 6, 5),
    "Concat": (lambda net: net.op("Concat", _mixed(net), "x", net.op("Relu", "x"), axis=1), 6, 17),
    "Conv, 1-D grouped strided dilated": (_conv_1d, 84, 48),
    "Conv, 3-D": (_conv_3d, 84, 72),
    "Conv, depthwise": (_convolved(group=4, pads=[1] * 4), 84, 168),
    "Conv, depthwise doubling": (_convolved(out=8, group=4, strides=[2, 2]), 84, 48),
    "Conv, depthwise strided": (_convolved(group=4, strides=[2, 2], pads=[1] * 4), 84, 48),
    "Conv, few channels": (_convolved(out=3, kernel=3, pads=[1] * 4), 84, 126),
    "Conv, grouped": (_convolved(out=6, group=2, dilations=[2, 1], pads=[2, 1, 2, 1]), 84, 252),
    "Conv, grouped strided": (_convolved(out=2, group=2, strides=[2, 3]), 84, 8),
    "Conv, point strided": (_convolved(out=3, kernel=1, strides=[2, 2]), 84, 36),
    "Conv, same lower": (_convolved(out=2, kernel=2, auto_pad="SAME_LOWER"), 84, 84),
    "Conv, same upper strided": (
        _convolved(out=2, auto_pad="SAME_UPPER", strides=[2, 2]),
        84,
        24,
    ),
    "Conv, wide": (_convolved(channels=9, out=2, kernel=2, strides=[2, 1]), 84, 36),
    "Div, broadcast": (_both("Div"), 6, 5),
    "Elu": (unary("Elu", alpha=0.7), 6, 5),
    "Erf": (unary("Erf"), 6, 5),
    "Exp": (unary("Exp"), 6, 5),
    "Expand": (
        lambda net: net.op(
            "Flatten",
            net.op(
                "Expand", net.op("Unsqueeze", _mixed(net), net.const([1])), net.const([1, 3, 1])
            ),
        ),
        6,
        15,
    ),
    "Gather, all positions": (_all_picks, 6, 2),
    "Gather, positions": (_gathered, 6, 2),
    "Gather, table": (_table, 6, 12),
    "Gelu": (unary("Gelu"), 6, 5),
    "Gelu, tanh": (unary("Gelu", approximate="tanh"), 6, 5),
    "Gemm, transposed both": (
        lambda net: net.op(
            "Transpose",
            net.op(
                "Gemm",
                net.weight("w", 6, 5),
                "x",
                net.weight("c", 5, 1),
                transA=1,
                transB=1,
                alpha=0.5,
                beta=2.0,
            ),
            perm=[1, 0],
        ),
        6,
        5,
    ),
    "GlobalAveragePool": (_pooled("GlobalAveragePool"), 84, 4),
    "GlobalMaxPool": (_pooled("GlobalMaxPool"), 84, 4),
    "GroupNormalization": (_group_norm, 84, 168),
    "HardSigmoid": (unary("HardSigmoid", alpha=0.3), 6, 5),
    "HardSwish": (unary("HardSwish"), 6, 5),
    "InstanceNormalization": (_instance_norm, 84, 168),
    "LayerNormalization": (
        lambda net: net.norm(_mixed(net), "norm", "LayerNormalization", 5),
        6,
        5,
    ),
    "LeakyRelu": (unary("LeakyRelu", alpha=0.2), 6, 5),
    "Log": (lambda net: net.op("Log", _positive(net)), 6, 5),
    "LogSoftmax": (lambda net: net.op("Mul", net.op("LogSoftmax", _mixed(net)), "x5"), 6, 5),
    "MatMul, stacked": (lambda net: net.op("Flatten", net.op("MatMul", *_heads(net))), 6, 18),
    "Max": (_both("Max"), 6, 5),
    "MaxPool": (_pooled("MaxPool", kernel_shape=[2, 1], strides=[2, 1]), 84, 84),
    "MaxPool, overlapping": (
        _pooled("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        84,
        48,
    ),
    "MaxPool, remainder": (_pooled("MaxPool", kernel_shape=[2, 2], strides=[2, 2]), 84, 36),
    "Min": (_both("Min"), 6, 5),
    "Mul, broadcast": (_both("Mul"), 6, 5),
    "Neg": (unary("Neg"), 6, 5),
    "PRelu": (_prelu, 6, 5),
    "Pad": (lambda net: net.op("Pad", _mixed(net), net.const([0, 2, 0, 1])), 6, 8),
    "Pow": (lambda net: net.op("Pow", _positive(net), net.const(1.7, F)), 6, 5),
    "Pow, square": (lambda net: net.op("Pow", _mixed(net), net.const(2.0, F)), 6, 5),
    "Reciprocal": (lambda net: net.op("Reciprocal", _positive(net)), 6, 5),
    "ReduceL2": (
        lambda net: net.op("ReduceL2", _mixed(net), net.const([1]), keepdims=1),
        6,
        1,
    ),
    "ReduceMax": (
        lambda net: net.op("ReduceMax", _image(net), net.const([2, -1]), keepdims=0),
        84,
        4,
    ),
    "ReduceMean": (
        lambda net: net.op("ReduceMean", _image(net), net.const([2, 3]), keepdims=0),
        84,
        4,
    ),
    "ReduceSum": (
        lambda net: net.op("ReduceSum", _mixed(net), net.const([-1]), keepdims=1),
        6,
        1,
    ),
    "ReduceSumSquare": (
        lambda net: net.op("ReduceSumSquare", _mixed(net), net.const([1]), keepdims=1),
        6,
        1,
    ),
    "Relu": (unary("Relu"), 6, 5),
    "Sigmoid": (unary("Sigmoid"), 6, 5),
    "Slice": (
        lambda net: net.op(
            "Slice", _mixed(net, out=7), net.const([1]), net.const([-1]), net.const([1])
        ),
        6,
        5,
    ),
    "Softmax": (lambda net: net.op("Mul", net.op("Softmax", _mixed(net)), "x5"), 6, 5),
    "Softplus": (unary("Softplus"), 6, 5),
    "Split": (_split, 6, 3),
    "Sqrt": (lambda net: net.op("Sqrt", _positive(net)), 6, 5),
    "Squeeze": (
        lambda net: net.op(
            "Squeeze", net.op("Unsqueeze", _mixed(net), net.const([0])), net.const([0])
        ),
        6,
        5,
    ),
    "Sub, broadcast": (_both("Sub"), 6, 5),
    "Sum": (lambda net: net.op("Sum", _mixed(net), net.linear("x", "v", 6, 5), "x5"), 6, 5),
    "Tanh": (unary("Tanh"), 6, 5),
    "Transpose": (
        lambda net: net.op("Flatten", net.op("Transpose", _image(net), perm=[0, 3, 1, 2])),
        84,
        168,
    ),
    "Where": (_where, 6, 5),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_gives_the_slope_that_differences_give(name: str) -> None:
    case, width, out = CASES[name]
    net = Net(opset=21 if name == "GroupNormalization" else 20)
    if name in ("Softmax", "LogSoftmax", "Sum"):
        net.op("Slice", "x", net.const([0]), net.const([5]), net.const([1]), out="x5")
    flat = net.op("Flatten", case(net))
    net.op("Identity", net.linear(flat, "out", out, 3), out="logits")
    model = net.model({"x": ("n", width)}, {"logits": ("n", 3)})
    rng = np.random.default_rng(5)
    feed = {
        "x": rng.standard_normal((4, width)).astype(F),
        "target": rng.dirichlet(np.ones(3), 4).astype(F),
        "weight": rng.uniform(0.2, 1, 4).astype(F),
    }

    step = compile_step(model, emit="gradients")
    found = run(step, feed)

    twin = Differences(model, feed)
    assert found["loss"] == pytest.approx(twin.loss(), abs=2e-6)
    fixed = {"norm.running_mean", "norm.running_var"}
    assert set(step.parameters) == {n for n in net.weights if n not in fixed}
    for parameter in step.parameters:
        if parameter not in ("out.weight", "out.bias"):
            expected = twin.gradient(parameter)
            assert distance(found[f"grad:{parameter}"], expected) < 2e-5, parameter


def test_every_rule_has_a_case() -> None:
    here = {name.split(",")[0] for name in CASES}
    elsewhere = {
        "Cast",
        "CastLike",
        "Dropout",
        "Flatten",
        "Gemm",
        "Identity",
        "Reshape",
        "Unsqueeze",
    }
    assert set(RULES) <= here | elsewhere
