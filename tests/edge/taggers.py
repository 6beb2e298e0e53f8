"""Real taggers, as small as they can be: a convolution that knows one phrase by heart."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

_CODES = 128


def phrase_tagger(phrase: str, *, kinds: int = 1) -> bytes:
    """Return a model that tags every character of this phrase, and nothing else, as kind 1."""
    length = len(phrase)
    kernel = np.zeros((1, _CODES, length), dtype=np.float32)
    for place, char in enumerate(phrase):
        kernel[0, ord(char), place] = 1.0
    constants = {
        "last": np.array(_CODES - 1, dtype=np.int32),
        "table": np.eye(_CODES, dtype=np.float32),
        "kernel": kernel,
        "all": np.array([0.5 - length], dtype=np.float32),
        "none": np.array(0.0, dtype=np.float32),
        "little": np.array(0.1, dtype=np.float32),
    }
    nodes = [
        helper.make_node("Min", ["text", "last"], ["codes"]),
        helper.make_node("Gather", ["table", "codes"], ["rows"], axis=0),
        helper.make_node("Transpose", ["rows"], ["columns"], perm=[0, 2, 1]),
        helper.make_node("Conv", ["columns", "kernel", "all"], ["match"], pads=[0, length - 1]),
        helper.make_node("Relu", ["match"], ["begins"]),
        helper.make_node(
            "MaxPool", ["begins"], ["inside"], kernel_shape=[length], pads=[length - 1, 0]
        ),
        helper.make_node("Mul", ["inside", "none"], ["zero"]),
        helper.make_node("Add", ["zero", "little"], ["outside"]),
        helper.make_node(
            "Concat", ["outside", "inside", *["zero"] * (kinds - 1)], ["scores"], axis=1
        ),
        helper.make_node("Transpose", ["scores"], ["kinds"], perm=[0, 2, 1]),
    ]
    return _model(nodes, constants, kinds)


def broken_tagger() -> bytes:
    """Return a model that loads, and fails on every text: its shapes do not fit."""
    nodes = [
        helper.make_node("Cast", ["text"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["numbers", "weights"], ["kinds"]),
    ]
    return _model(nodes, {"weights": np.ones((99_999, 2), dtype=np.float32)})


def nan_tagger() -> bytes:
    """Return a model that says nothing anybody could read."""
    nodes = [
        helper.make_node("Cast", ["text"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["numbers", "last"], ["column"]),
        helper.make_node("Mul", ["column", "nan"], ["lost"]),
        helper.make_node("Concat", ["lost", "lost"], ["kinds"], axis=2),
    ]
    constants: dict[str, NDArray[Any]] = {
        "last": np.array([2], dtype=np.int64),
        "nan": np.array(np.nan, dtype=np.float32),
    }
    return _model(nodes, constants)


def _model(
    nodes: list[onnx.NodeProto], constants: Mapping[str, NDArray[Any]], kinds: int = 1
) -> bytes:
    """Return the bytes of a model over one text."""
    graph = helper.make_graph(
        nodes,
        "tagger",
        [helper.make_tensor_value_info("text", TensorProto.INT32, [1, "n"])],
        [helper.make_tensor_value_info("kinds", TensorProto.FLOAT, [1, "n", 1 + kinds])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())
