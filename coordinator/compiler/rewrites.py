"""The same function written so that its gradient is cheaper, or has a rule at all."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from coordinator.compiler.graph import Array, Graph, Operation, Shape
from coordinator.compiler.site import product


def rewrite(graph: Graph, shapes: Mapping[str, Shape], kept: frozenset[str]) -> Graph:
    """Return the graph with every rewrite applied.

    Args:
        graph: The prepared forward pass.
        shapes: Of its tensors.
        kept: Tensors that must go on existing: the loss is taken from them, or a gate sits there.
    """
    graph = _norms_by_group(graph, shapes)
    graph = _pool_before_relu(graph, kept)
    return _picks_together(graph, shapes)


def _norms_by_group(graph: Graph, shapes: Mapping[str, Shape]) -> Graph:
    """Write group and instance norm as a layer norm of each group, then scale and shift.

    ONNX Runtime computes a layer norm in one operator and gives its statistics away, so one rule
    serves all three.
    """
    constants, operations = dict(graph.constants), list[Operation]()
    for op in graph.operations:
        if op.kind not in ("GroupNormalization", "InstanceNormalization"):
            operations.append(op)
            continue
        shape = shapes.get(op.inputs[0], ())
        sizes = [size for size in shape[1:] if isinstance(size, int)]
        if len(shape) < 3 or len(sizes) != len(shape) - 1:
            raise op.refuses(f"the shape {shape} must be known but for the samples")
        groups = op.integer("num_groups", sizes[0])
        if groups < 1 or sizes[0] % groups:
            raise op.refuses(f"{sizes[0]} channels make no such groups", "num_groups")
        operations += _norm_by_group(op, groups, sizes, constants)
    return replace(graph, operations=tuple(operations), constants=constants)


def _norm_by_group(
    op: Operation, groups: int, sizes: list[int], constants: dict[str, Array]
) -> list[Operation]:
    """Return the operations of one norm; scale and bias are those of channels."""
    (x, scale, bias), y = op.inputs, op.outputs[0]
    members = product(sizes) // groups
    ones = f"{y}/ones"
    constants[ones] = np.ones(members, np.float32)

    def say(name: str, values: list[int]) -> str:
        constants[f"{y}/{name}"] = np.array(values, np.int64)
        return f"{y}/{name}"

    def write(kind: str, *inputs: str, output: str, **attributes: int | float) -> Operation:
        return Operation(
            kind=kind, inputs=inputs, outputs=(output,), attributes=attributes, name=op.name
        )

    grouped, image = say("groups", [-1, groups, members]), say("image", [-1, *sizes])
    column = say("column", [sizes[0], *([1] * len(sizes[1:]))])
    epsilon = op.number("epsilon", 1e-5)
    return [
        write("Reshape", x, grouped, output=f"{y}/grouped"),
        write(
            "LayerNormalization",
            f"{y}/grouped",
            ones,
            output=f"{y}/normal",
            axis=-1,
            epsilon=epsilon,
        ),
        write("Reshape", f"{y}/normal", image, output=f"{y}/placed"),
        write("Reshape", scale, column, output=f"{y}/scale"),
        write("Reshape", bias, column, output=f"{y}/bias"),
        write("Mul", f"{y}/placed", f"{y}/scale", output=f"{y}/scaled"),
        write("Add", f"{y}/scaled", f"{y}/bias", output=y),
    ]


def _pool_before_relu(graph: Graph, kept: frozenset[str]) -> Graph:
    """Exchange Relu and MaxPool where one follows the other.

    Both orders are the same function; this one masks the gradient where the image is small.
    """
    operations, readers = list(graph.operations), graph.readers()
    producers = graph.producers()
    for pool in graph.operations:
        relu = producers.get(pool.inputs[0]) if pool.kind == "MaxPool" else None
        if relu is None or relu.kind != "Relu" or len(pool.outputs) > 1:
            continue
        between, outside = relu.outputs[0], {port.name for port in graph.outputs}
        if len(readers[between]) > 1 or between in kept | outside:
            continue
        pooled = f"{between}/pooled"
        operations[operations.index(relu)] = pool.with_inputs(relu.inputs[0]).with_outputs(pooled)
        operations[operations.index(pool)] = relu.with_inputs(pooled).with_outputs(*pool.outputs)
    return replace(graph, operations=tuple(operations))


def _picks_together(graph: Graph, shapes: Mapping[str, Shape]) -> Graph:
    """Write x[0], x[1], x[2] that cover an axis as one Split: its gradient is one Concat."""
    operations, constants = list(graph.operations), dict(graph.constants)
    for name, readers in graph.readers().items():
        axes = {op.attributes.get("axis", 0) for op in readers}
        index = [constants.get(op.inputs[1]) if op.kind == "Gather" else None for op in readers]
        known = [int(i) for i in index if i is not None and i.ndim == 0]
        (axis,) = axes if len(axes) == 1 else (None,)
        if len(readers) < 2 or len(known) != len(readers) or not isinstance(axis, int):
            continue
        if any(op.inputs[0] != name for op in readers):
            continue
        shape = shapes.get(name, ())
        if not shape or shape[axis] != len(known) or sorted(known) != list(range(len(known))):
            continue
        constants[f"{name}/axis"] = np.array([axis], np.int64)
        constants[f"{name}/each"] = np.ones(len(known), np.int64)
        parts = [f"{name}/pick{i}" for i in range(len(known))]
        at = min(operations.index(op) for op in readers)
        split = Operation(
            kind="Split",
            inputs=(name, f"{name}/each"),
            outputs=tuple(parts),
            attributes={"axis": axis},
        )
        picked = [
            Operation(kind="Squeeze", inputs=(parts[i], f"{name}/axis"), outputs=op.outputs)
            for i, op in zip(known, readers, strict=True)
        ]
        operations = [op for op in operations if op not in readers]
        operations[at:at] = [split, *picked]
    return replace(graph, operations=tuple(operations), constants=constants)
