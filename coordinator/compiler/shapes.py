"""Dimensions that onnx leaves open although they can only be the number of samples.

onnx gives the -1 of a reshape a fresh name, and so every sum of two reshaped tensors looks like a
broadcast that shows only at run time. Where the other dimensions of a reshape make as many elements
on both sides, its open dimension is the one that went in.
"""

from collections.abc import Mapping

from coordinator.compiler.graph import Graph, Shape
from coordinator.compiler.site import product

_ELEMENTWISE = frozenset(
    {
        *("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Sum", "Where", "PRelu"),
        *("And", "Or", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"),
    }
)


def resolved(graph: Graph, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Return the shapes with open dimensions named alike where they must be equal.

    Args:
        graph: What the shapes belong to.
        shapes: As onnx found them.
    """
    same: dict[str, int | str] = {}
    found: dict[str, Shape] = {}

    def named(name: str) -> Shape | None:
        shape = shapes.get(name)
        if shape is None:
            return None
        return tuple(same.get(size, size) if isinstance(size, str) else size for size in shape)

    for op in graph.operations:
        known = [named(name) for name in op.inputs if name]
        inputs = [shape for shape in known if shape is not None]
        output = named(op.outputs[0])
        if output is None or len(inputs) != len(known):
            continue
        expected: Shape | None = None
        if op.kind in ("Reshape", "Flatten"):
            expected = _reshaped(inputs[0], output)
        elif op.kind in _ELEMENTWISE:
            expected = _broadcast(inputs, len(output))
        elif op.kind == "MatMul" and min(len(shape) for shape in inputs) >= 2:
            lead = _broadcast([shape[:-2] for shape in inputs], len(output) - 2)
            expected = None if lead is None else (*lead, inputs[0][-2], inputs[1][-1])
        pairs = zip(output, expected or output, strict=True)
        same |= {was: must for was, must in pairs if isinstance(was, str) and was != must}
    for name in shapes:
        shape = named(name)
        if shape is not None:
            found[name] = shape
    return found


def _reshaped(shape: Shape, output: Shape) -> Shape | None:
    """Return the output's shape with its open dimension, if that is the input's."""
    before = [size for size in shape if isinstance(size, str)]
    after = [size for size in output if isinstance(size, str)]
    sizes = (product([n for n in s if isinstance(n, int)]) for s in (shape, output))
    if len(before) != 1 or len(after) != 1 or len(set(sizes)) != 1:
        return None
    return tuple(before[0] if isinstance(size, str) else size for size in output)


def _broadcast(shapes: list[Shape], rank: int) -> Shape | None:
    """Return the shape that shapes broadcast to; None where that shows only at run time."""
    found: list[int | str] = []
    for axis in range(-rank, 0):
        sizes = {shape[axis] for shape in shapes if len(shape) >= -axis} - {1}
        if len(sizes) > 1:
            return None
        found.append(sizes.pop() if sizes else 1)
    return tuple(found)
