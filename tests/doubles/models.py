"""ONNX models as files, good and hostile, made node by node."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

NAMES = ("input", "probabilities", "embedding")
WIDTH, CLASSES = 4, 2

Constants = dict[str, NDArray[np.generic]]


def node(operator: str, inputs: str, outputs: str, **attributes: object) -> NodeProto:
    """Return a node; names are parted by spaces, and _ is an input that is left out."""
    given = ["" if name == "_" else name for name in inputs.split()]
    return helper.make_node(operator, given, outputs.split(), **attributes)


HEAD = (
    node("Gemm", "embedding head.weight head.bias", "logits"),
    node("Softmax", "logits", "probabilities", axis=1),
)
WEIGHTS: Constants = {
    "head.weight": np.arange(WIDTH * CLASSES, dtype=np.float32).reshape(WIDTH, CLASSES),
    "head.bias": np.zeros(CLASSES, dtype=np.float32),
}


def model_of(
    nodes: Sequence[NodeProto] = (), constants: Constants | None = None, **also: object
) -> ModelProto:
    """Return a model: these nodes make `embedding` of `input`, then a head makes probabilities."""
    first = list(nodes) or [node("Identity", "input", "embedding")]
    graph: GraphProto = helper.make_graph(
        [*first, *HEAD],
        "backbone",
        inputs=[helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", WIDTH])],
        outputs=[
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", "d"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", CLASSES]),
        ],
        initializer=[
            numpy_helper.from_array(np.asarray(array), name)
            for name, array in {**WEIGHTS, **(constants or {})}.items()
        ],
    )
    settings = {"ir_version": 8, "opset_imports": [helper.make_operatorsetid("", 17)], **also}
    return helper.make_model(graph, **settings)


def written(model: ModelProto) -> bytes:
    """Return a model as a file."""
    return bytes(model.SerializeToString())


def made(*nodes: NodeProto, **constants: object) -> bytes:
    """Return the file of a model of these nodes; constants by name."""
    return written(model_of(nodes, {name: np.asarray(array) for name, array in constants.items()}))


def tag(number: int, wire: int) -> bytes:
    """Return how a field begins."""
    return varint(number << 3 | wire)


def varint(number: int) -> bytes:
    """Return a number as protocol buffers write it."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def framed(number: int, content: bytes) -> bytes:
    """Return a field of bytes."""
    return tag(number, 2) + varint(len(content)) + content
