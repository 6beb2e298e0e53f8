"""Before differentiation: what can be computed now is computed, and shapes become known.

Exporters write the shape of a reshape as a computation over the shapes of tensors. Here those are
followed until they are numbers, because a rule needs numbers. Weights are never folded into
anything: `Transpose(weight)` stays an operation, or its gradient could not find the weight.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from coordinator.compiler.files import infer, node_of
from coordinator.compiler.graph import Array, Graph, Operation, Shape, needed
from fieldvote.errors import InputError

_MOST_ROUNDS = 8
# a hostile ConstantOfShape asks for 64 GiB in forty bytes
_MOST_FOLDED = 1 << 20


def prepare(graph: Graph) -> Graph:
    """Return the graph with its shape computations carried out and unused operations gone.

    Raises:
        InputError: shapes in the graph contradict each other.
    """
    graph = _constants_named(graph)
    for _ in range(_MOST_ROUNDS):
        smaller = _folded(graph, *infer(graph))
        if len(smaller.operations) == len(graph.operations):
            break
        graph = smaller
    wanted = {port.name for port in graph.outputs}
    return replace(graph, operations=needed(graph.operations, wanted))


def _constants_named(graph: Graph) -> Graph:
    """Turn Constant operations into constants, and give shared weights a copy each.

    Exporters merge weights of equal value, such as the ones of all layer norms, through Identity.
    They are different parameters that start alike, so each gets its own.
    """
    constants, operations, weights = dict(graph.constants), list[Operation](), set(graph.weights)
    for op in graph.operations:
        if op.kind == "Constant":
            constants[op.outputs[0]] = _value_of(op)
        elif op.kind == "Identity" and op.inputs[0] in weights:
            constants[op.outputs[0]] = constants[op.inputs[0]].copy()
            weights.add(op.outputs[0])
        else:
            operations.append(op)
    return replace(
        graph, operations=tuple(operations), constants=constants, weights=frozenset(weights)
    )


def _value_of(op: Operation) -> Array:
    """Return what a Constant operation says."""
    for key, value in op.attributes.items():
        if isinstance(value, np.ndarray):
            return value
        if key in ("value_float", "value_floats"):
            return np.asarray(value, np.float32)
        if key in ("value_int", "value_ints"):
            return np.asarray(value, np.int64)
    raise InputError(f"{op}: a constant of a kind that is not known here")


def _folded(
    graph: Graph, shapes: Mapping[str, Shape], dtypes: Mapping[str, np.dtype[np.generic]]
) -> Graph:
    """Carry out the operations whose inputs are known, weights excepted."""
    constants, left = dict(graph.constants), list[Operation]()
    shape_of: dict[str, Shape] = {}
    for op in graph.operations:
        known = _known_dimensions(op, constants, shapes, shape_of)
        if known is None and op.kind == "CastLike" and op.inputs[0] in constants:
            # the type is that of an activation, which is known although its value is not
            kind = dtypes.get(op.inputs[1])
            known = None if kind is None else (constants[op.inputs[0]].astype(kind),)
        if known is None and _foldable(op, graph, constants, shapes):
            known = _carried_out(op, constants, graph.opset)
        if known is None:
            left.append(op)
        else:
            constants.update(zip(op.outputs, known, strict=True))
    return replace(graph, operations=tuple(left), constants=constants)


def _known_dimensions(
    op: Operation,
    constants: Mapping[str, Array],
    shapes: Mapping[str, Shape],
    shape_of: dict[str, Shape],
) -> tuple[Array, ...] | None:
    """Return what a Shape, or a pick from one, must be where those dimensions are numbers."""
    if op.kind == "Shape" and op.inputs[0] in shapes:
        shape = shapes[op.inputs[0]]
        shape = shape[op.integer("start", 0) : op.integer("end", len(shape))]
        shape_of[op.outputs[0]] = shape
        return _numbers(shape)
    if op.kind == "Gather" and op.inputs[0] in shape_of and op.inputs[1] in constants:
        picks, shape = constants[op.inputs[1]], shape_of[op.inputs[0]]
        if picks.size and all(-len(shape) <= int(i) < len(shape) for i in picks.flat):
            known = _numbers(tuple(shape[int(i)] for i in picks.flat))
            return None if known is None else (known[0].reshape(picks.shape),)
    return None


def _numbers(shape: Shape) -> tuple[Array, ...] | None:
    """Return a shape as an array, if all of it is known."""
    if all(isinstance(size, int) for size in shape):
        return (np.array(shape, np.int64),)
    return None


def _foldable(
    op: Operation, graph: Graph, constants: Mapping[str, Array], shapes: Mapping[str, Shape]
) -> bool:
    """Say whether an operation reads only constants that are no weights, and makes little."""
    inputs = [name for name in op.inputs if name]
    if not inputs or not all(name in constants for name in inputs):
        return False
    if any(name in graph.weights and _may_learn(constants[name]) for name in inputs):
        return False
    for name in op.outputs:
        size = 1
        for extent in shapes.get(name, ("unknown",)):
            size *= extent if isinstance(extent, int) else _MOST_FOLDED + 1
        if size > _MOST_FOLDED:
            return False
    return True


def _may_learn(array: Array) -> bool:
    """Say whether a weight could be a parameter: floats with at least one axis."""
    return array.ndim > 0 and bool(np.issubdtype(array.dtype, np.floating))


def _carried_out(
    op: Operation, constants: Mapping[str, Array], opset: int
) -> tuple[Array, ...] | None:
    """Return the outputs of an operation on constants; None where onnx cannot compute it."""
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    names = list(dict.fromkeys(name for name in op.inputs if name))
    model = helper.make_model(
        helper.make_graph(
            [node_of(op)],
            "one",
            [
                helper.make_tensor_value_info(
                    name,
                    helper.np_dtype_to_tensor_dtype(constants[name].dtype),
                    constants[name].shape,
                )
                for name in names
            ],
            [
                helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None)
                for name in op.outputs
            ],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
    )
    try:
        values = ReferenceEvaluator(model).run(None, {name: constants[name] for name in names})
    except Exception:  # not foldable is no error: the operation stays, and its rule decides
        return None
    return tuple(np.asarray(value) for value in values)
