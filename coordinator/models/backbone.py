"""Small frozen models to start a task with: an embedding, and a head that knows nothing yet.

::

    input (n, width) ── [projection] ── embedding (n, d) ── head ── softmax ── probabilities (n, k)

The head is all zeros, so every class gets the same probability until a trained one takes its place.
The same arguments give the same bytes.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, MissingExtraError, ShapeError

if TYPE_CHECKING:
    from onnx import NodeProto

# old enough for every ONNX Runtime since 1.14; nothing newer is needed for these operators
_IR_VERSION = 8
_OPSET = 17


def identity_backbone(width: int, classes: int) -> bytes:
    """Return an ONNX model whose embedding is its input; d = width.

    Args:
        width: Number of features.
        classes: Number of classes, k.

    Raises:
        InputError: Less than one feature, or less than two classes.
        MissingExtraError: onnx is not installed.
    """
    if width < 1:
        raise InputError(f"width: expected 1 or more, got {width}")
    return _build(None, width, width, classes)


def projection_backbone(projection: NDArray[np.float32], classes: int) -> bytes:
    """Return an ONNX model whose embedding is a fixed linear map of its input.

    Args:
        projection: Applied from the right. Shape (width, d), finite.
        classes: Number of classes, k.

    Raises:
        ShapeError: The projection is not a matrix, or is empty.
        InputError: It holds a value that is not finite, or there are less than two classes.
        MissingExtraError: onnx is not installed.
    """
    if projection.ndim != 2 or 0 in projection.shape:
        raise ShapeError("projection", projection.shape, ("width", "d"))
    matrix = projection.astype(np.float32)
    if not np.isfinite(matrix).all():
        raise InputError("projection holds a value that is not finite")
    return _build(matrix, matrix.shape[0], matrix.shape[1], classes)


def _build(
    projection: NDArray[np.float32] | None, width: int, dimensions: int, classes: int
) -> bytes:
    """Put the graph together and write it down."""
    if classes < 2:
        raise InputError(f"classes: expected 2 or more, got {classes}")
    try:
        from onnx import helper
    except ModuleNotFoundError as err:
        raise MissingExtraError("building a model", "coordinator") from err

    nodes: list[NodeProto] = [
        helper.make_node("Gemm", ["embedding", "head.weight", "head.bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    weights: dict[str, NDArray[np.generic]] = {
        "head.weight": np.zeros((dimensions, classes), np.float32),
        "head.bias": np.zeros(classes, np.float32),
    }
    if projection is None:
        nodes.insert(0, helper.make_node("Identity", ["input"], ["embedding"]))
    else:
        nodes.insert(0, helper.make_node("MatMul", ["input", "projection"], ["embedding"]))
        weights["projection"] = projection

    ends = (("input", width), ("embedding", dimensions), ("probabilities", classes))
    return write_model("backbone", nodes, weights, ends)


def write_model(
    name: str,
    nodes: Sequence["NodeProto"],
    weights: Mapping[str, NDArray[np.generic]],
    ends: Sequence[tuple[str, int]],
) -> bytes:
    """Return a graph as a checked file; the same graph gives the same bytes.

    Args:
        name: Of the graph.
        nodes: What it does, in order.
        weights: Its initializers.
        ends: Its input and then its outputs, with the width of each; all are float batches.
    """
    from onnx import TensorProto, checker, helper, numpy_helper

    given, *made = (
        helper.make_tensor_value_info(end, TensorProto.FLOAT, ["batch", width])
        for end, width in ends
    )
    graph = helper.make_graph(
        nodes,
        name,
        inputs=[given],
        outputs=made,
        initializer=[numpy_helper.from_array(array, key) for key, array in weights.items()],
    )
    model = helper.make_model(
        graph,
        producer_name="fieldvote",
        ir_version=_IR_VERSION,
        opset_imports=[helper.make_operatorsetid("", _OPSET)],
    )
    checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
