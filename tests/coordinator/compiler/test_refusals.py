"""What cannot be differentiated is refused by name, and no bytes bring the compiler down."""

import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from coordinator.compiler import Terms, compile_step, last_layers
from coordinator.compiler.low_rank import merged
from fieldvote.errors import InputError, ShapeError
from tests.coordinator.compiler.networks import Net, mlp

F = np.float32
SMALL = mlp(width=6, hidden=8, classes=3)
SHAPE = ("n", 6)


def model_of(write: Callable[[Net], str]) -> bytes:
    """A trained layer, what is written, a head."""
    net = Net()
    net.op("Identity", net.linear("x", "in", 6, 6), out="mixed")
    net.op("Identity", net.linear(write(net), "head", 6, 3), out="logits")
    return net.model({"x": SHAPE}, {"logits": ("n", 3)})


def _conv(net: Net, **attributes: object) -> str:
    image = net.op("Reshape", "mixed", net.const([-1, 1, 2, 3]))
    return net.op("Flatten", net.op("Conv", image, net.weight("w", 1, 1, 1, 1), **attributes))


def _every_other(net: Net) -> str:
    return net.op("Slice", "mixed", net.const([0]), net.const([6]), net.const([1]), net.const([2]))


OPERATORS: dict[str, tuple[Callable[[Net], str], str]] = {
    "unknown operator": (lambda n: n.op("Cos", "mixed"), "no gradient for Cos 'cos.*has no rule"),
    "einsum": (
        lambda n: n.op("Einsum", "mixed", "mixed", equation="ij,ij->ij"),
        "no gradient for Einsum",
    ),
    "sequence of steps": (lambda n: n.op("CumSum", "mixed", n.const(1)), "no gradient for CumSum"),
    "slice with a step": (
        lambda n: n.op("Concat", _every_other(n), _every_other(n), axis=1),
        "Slice 'slice.*step other than 1",
    ),
    "clip by a tensor": (
        lambda n: n.op("Clip", "mixed", n.op("ReduceMin", "x", keepdims=0)),
        "Clip 'clip.*a bound must be a constant",
    ),
    "clip to nothing": (
        lambda n: n.op("Clip", "mixed", n.const(2, F), n.const(1, F)),
        "Clip 'clip.*leave nothing between",
    ),
    "pad by reflection": (
        lambda n: n.op("Pad", "mixed", n.const([0, 0, 0, 0]), mode="reflect"),
        "Pad 'pad.*attribute 'mode'='reflect'",
    ),
    "power of tensors": (
        lambda n: n.op("Pow", n.op("Exp", "mixed"), n.op("Relu", "x")),
        "Pow 'pow.*exponent must be a constant",
    ),
    "pooled sizes from inside": (
        lambda n: n.op("Gather", "mixed", n.const([0, 2, 1, 3, 5, 4]), axis=1),
        "Gather 'gather.*only rows of a trained table",
    ),
    "batch norm that follows its batch": (
        lambda n: n.op(
            "BatchNormalization",
            "mixed",
            n.weight("s", 6),
            n.weight("t", 6),
            n.const(np.zeros(6), F),
            n.const(np.ones(6), F),
            training_mode=1,
            outputs=3,
        ),
        "BatchNormalization .*attribute 'training_mode'=1.*GroupNorm",
    ),
    "dropout that drops": (
        lambda n: n.op("Dropout", "mixed", n.const(0.5, F), n.const(True, np.bool_)),
        "Dropout .*deterministic",
    ),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_without_a_gradient_is_named_with_its_node(name: str) -> None:
    write, said = OPERATORS[name]
    with pytest.raises(InputError, match=said):
        compile_step(model_of(write))


@pytest.mark.parametrize("name", OPERATORS)
def test_what_lies_before_a_head_may_be_any_operator(name: str) -> None:
    step = compile_step(model_of(OPERATORS[name][0]), trainable="head")
    assert set(step.parameters) == {"head.weight", "head.bias"}


def test_a_node_s_odd_attribute_is_named() -> None:
    with pytest.raises(InputError, match=r"not a valid ONNX model|attribute 'auto_pad'"):
        compile_step(model_of(lambda n: _conv(n, auto_pad="SIDEWAYS")))


def test_an_image_whose_size_shows_only_at_run_time_is_refused() -> None:
    net = Net()
    image = net.conv("x", "conv", 2, 3, 3)
    image = net.op("MaxPool", image, kernel_shape=[2, 2], strides=[2, 2])
    pooled = net.op("Flatten", net.op("GlobalAveragePool", image))
    net.op("Identity", net.linear(pooled, "head", 3, 3), out="logits")
    model = net.model({"x": ("n", 2, "height", "width")}, {"logits": ("n", 3)})
    with pytest.raises(InputError, match=r"GlobalAveragePool .* must be known before the model"):
        compile_step(model)


def test_a_sum_that_may_or_may_not_broadcast_is_refused() -> None:
    net = Net()
    left = net.linear("x", "left", 6, 3)
    right = net.linear("y", "right", 6, 3)
    net.op("Add", left, right, out="logits")
    model = net.model({"x": ("n", 6), "y": ("m", 6)}, {"logits": ("n", 3)})
    with pytest.raises(InputError, match=r"broadcast .* shows only at run time"):
        compile_step(model)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"trainable": "body"}, "expected 'all', 'head' or a list"),
        ({"trainable": ["0.wight"]}, "no initializer; did you mean '0.weight'"),
        ({"trainable": []}, "nothing to train"),
        ({"loss": "hinge"}, "loss='hinge' is not known; known: soft_cross_entropy"),
        ({"optimizer": "adamm"}, "did you mean 'adam'"),
        ({"emit": "everything"}, "emit='everything'"),
        ({"gating": "drop"}, "gating='drop'"),
        ({"output": "probs"}, "output='probs'"),
        ({"low_rank": 0}, "low_rank=0"),
        ({"low_rank": 100}, "no trained matrix is larger than 200"),
        ({"accumulate": True, "optimizer": "adam"}, "accumulate=True"),
        ({"accumulate": True, "terms": Terms(clip=True)}, "accumulate=True"),
        ({"frozen": "away"}, "frozen='away'"),
        ({"block": -1}, "block=-1"),
    ],
)
def test_an_argument_that_means_nothing_is_refused(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        compile_step(SMALL.model, **arguments)


def test_a_weight_that_cannot_be_trained_is_refused_by_its_reason() -> None:
    net = Net()
    net.weights["table"] = np.arange(6).astype(np.int64)
    net.weights["aside"] = np.ones(3, F)
    rows = net.op("Gather", "x", "table", axis=1)
    net.op("Add", net.linear(rows, "head", 6, 3), net.const(0, F), out="logits")
    net.op("Mul", "logits", "aside", out="shown")
    model = net.model({"x": SHAPE}, {"logits": ("n", 3), "shown": ("n", 3)})
    with pytest.raises(InputError, match="'table' is int64; only float32"):
        compile_step(model, trainable=["table"])
    with pytest.raises(InputError, match="'aside' does not reach the loss"):
        compile_step(model, trainable=["aside"])


def test_a_named_weight_that_no_gradient_reaches_is_refused() -> None:
    net = Net()
    rounded = net.op("Cast", net.op("Mul", "x", net.weight("scale", 6)), to=7)
    back = net.op("Cast", rounded, to=1)
    net.op("Identity", net.linear(back, "head", 6, 3), out="logits")
    model = net.model({"x": SHAPE}, {"logits": ("n", 3)})
    with pytest.raises(InputError, match="'scale': no gradient reaches it"):
        compile_step(model, trainable=["scale", "head.bias"])
    assert set(compile_step(model).parameters) == {"head.weight", "head.bias"}


def test_several_outputs_without_a_hint_are_refused_and_one_is_taken_by_name() -> None:
    net = Net()
    net.op("Relu", net.linear("x", "body", 6, 4), out="features")
    net.op("Identity", net.linear("features", "head", 4, 3), out="classes")
    model = net.model({"x": SHAPE}, {"features": ("n", 4), "classes": ("n", 3)})
    with pytest.raises(InputError, match="features, classes; name the one with the classes"):
        compile_step(model)
    assert compile_step(model, output="classes").classes == 3


@pytest.mark.parametrize("shape", [("n", 2, 3), ("n", "k"), ("n", 1)])
def test_logits_of_another_shape_are_refused(shape: tuple[int | str, ...]) -> None:
    net = Net()
    net.op("Mul", "x", net.weight("w", 1), out="logits")
    with pytest.raises(InputError, match="the logits 'logits' have shape"):
        compile_step(net.model({"x": shape}, {"logits": shape}))


@pytest.mark.parametrize("taken", ["target", "weight", "lr", "loss", "in.weight:new"])
def test_a_model_that_uses_a_step_s_own_name_is_refused(taken: str) -> None:
    model = model_of(lambda net: net.op("Relu", "mixed", out=taken))
    with pytest.raises(InputError, match=f"has a tensor '{taken}'; a step needs that name"):
        compile_step(model)


def test_layers_are_counted_from_one() -> None:
    with pytest.raises(InputError, match="layers=0"):
        last_layers(SMALL.model, 0)


def test_a_trained_tensor_without_a_place_or_of_another_shape_is_not_merged() -> None:
    weights = {"w": np.zeros((4, 3), F)}
    with pytest.raises(InputError, match="'v' has no place"):
        merged(weights, {"v": np.zeros(3, F)})
    with pytest.raises(ShapeError):
        merged(weights, {"w": np.zeros((3, 4), F)})
    with pytest.raises(ShapeError):
        merged(weights, {"w:down": np.zeros((3, 2), F), "w:up": np.zeros((2, 4), F)})


def _loop() -> bytes:
    """A loop of 2⁴⁰ rounds."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, [])],
    )
    net = Net()
    net.op("Loop", net.const(2**40), net.const(True, np.bool_), body=body, out="")
    net.op("Identity", net.linear("x", "head", 6, 3), out="logits")
    return net.model({"x": SHAPE}, {"logits": ("n", 3)})


def _large(net: Net) -> str:
    """64 GiB in forty bytes."""
    zeros = net.op("ConstantOfShape", net.const([1 << 17, 1 << 17]))
    return net.op("Add", "mixed", net.op("ReduceSum", zeros, keepdims=0))


def _external() -> bytes:
    proto = onnx.load_from_string(SMALL.model)
    tensor = proto.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return bytes(proto.SerializeToString())


def _short() -> bytes:
    proto = onnx.load_from_string(SMALL.model)
    proto.graph.initializer[0].raw_data = proto.graph.initializer[0].raw_data[:-4]
    return bytes(proto.SerializeToString())


def _huge() -> bytes:
    proto = onnx.load_from_string(SMALL.model)
    proto.graph.initializer[0].dims[0] = 1 << 60
    return bytes(proto.SerializeToString())


def _foreign(domain: str, kind: str) -> bytes:
    proto = onnx.load_from_string(SMALL.model)
    proto.graph.node[0].domain, proto.graph.node[0].op_type = domain, kind
    proto.opset_import.append(helper.make_opsetid(domain, 1))
    return bytes(proto.SerializeToString())


def _circular() -> bytes:
    proto = onnx.load_from_string(SMALL.model)
    proto.graph.node[0].input[0] = proto.graph.node[-1].output[0]
    return bytes(proto.SerializeToString())


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a circle": (_circular, "not a valid ONNX model"),
    "a file elsewhere": (_external, "'0.weight' lies outside the file"),
    "a foreign operator": (lambda: _foreign("com.example", "Gemm"), "domain 'com.example'"),
    "a loop": (_loop, "Loop .*attribute 'body' is a graph of its own|not a valid ONNX model"),
    "a weight too large": (_huge, "not a valid ONNX model|cannot be read"),
    "a weight too short": (_short, "not a valid ONNX model|cannot be read"),
    "an internal operator": (
        lambda: _foreign("com.microsoft.nchwc", "Conv"),
        "domain 'com.microsoft.nchwc'",
    ),
    "nothing": (lambda: b"", "operator set 0|no ONNX model"),
    "randomness": (
        lambda: model_of(lambda n: n.op("Add", "mixed", n.op("RandomNormalLike", "mixed"))),
        "RandomNormalLike .*deterministic",
    ),
    "text": (lambda: b"not a model at all" * 10, "no ONNX model"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_are_refused(name: str) -> None:
    model, said = HOSTILE[name]
    with pytest.raises(InputError, match=said):
        compile_step(model())


def test_a_constant_that_would_fill_the_memory_is_never_made() -> None:
    start = time.monotonic()
    step = compile_step(model_of(_large), trainable="head")
    assert time.monotonic() - start < 5
    assert len(step.graph) < 10_000


def test_a_truncated_file_is_refused_at_any_length() -> None:
    for length in range(0, len(SMALL.model), 97):
        with pytest.raises(InputError):
            compile_step(SMALL.model[:length])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_flipped_bits_compile_or_are_refused_but_raise_nothing_else(data: st.DataObject) -> None:
    broken = bytearray(SMALL.model)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(broken) - 1))
        broken[place] ^= 1 << data.draw(st.integers(0, 7))
    with suppress(InputError):
        compile_step(bytes(broken))
