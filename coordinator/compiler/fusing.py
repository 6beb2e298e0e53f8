"""Subtracting a gradient from a tensor inside the matrix product that makes the gradient."""

from collections import Counter
from dataclasses import replace

from coordinator.compiler.builder import Builder
from coordinator.compiler.graph import Operation


def subtract(
    b: Builder, tensor: str, gradient: str, shape: tuple[int, ...], *, output: str
) -> None:
    """Write `tensor - gradient`, as the addend of the gradient's own Gemm where it has one.

    Args:
        b: Where both were written.
        tensor: What to subtract from.
        gradient: What to subtract.
        shape: Of both.
        output: Name of the difference.
    """
    gemm, moved = _made_by(b, gradient)
    if gemm is None:
        b.op("Sub", tensor, gradient, output=output)
        return
    left, right = gemm.inputs
    flip_left, flip_right = (gemm.integer(key, 0) for key in ("transA", "transB"))
    if moved == "Transpose":  # (a b)ᵀ = bᵀ aᵀ
        left, right, flip_left, flip_right = (
            right,
            left,
            1 - flip_right,
            1 - flip_left,
        )
    addend = b.reshape(tensor, b.matrices[gemm.outputs[0]]) if moved == "Reshape" else tensor
    fused = Operation(
        kind="Gemm",
        inputs=(left, right, addend),
        outputs=(output,),
        attributes={
            "alpha": -gemm.number("alpha", 1.0),
            "beta": 1.0,
            "transA": flip_left,
            "transB": flip_right,
        },
    )
    if moved == "Reshape":
        matrix = b.name("Gemm")
        b.operations.append(replace(fused, outputs=(matrix,)))
        b.op("Reshape", matrix, b.ints(shape), output=output)
    else:
        b.operations.append(fused)


def _made_by(b: Builder, gradient: str) -> tuple[Operation | None, str]:
    """Return the Gemm that makes a gradient and nobody else reads, and what moves its result."""
    producers = {name: op for op in b.operations for name in op.outputs}
    read = Counter(name for op in b.operations for name in op.inputs)
    op, moved = producers.get(gradient), ""
    if op is not None and op.kind in ("Transpose", "Reshape") and not read[gradient]:
        moved, gradient = op.kind, op.inputs[0]
        if moved == "Transpose" and op.attributes.get("perm") != (1, 0):
            return None, ""
        if moved == "Reshape" and gradient not in b.matrices:
            return None, ""
        op = producers.get(gradient)
    if op is None or op.kind != "Gemm" or len(op.inputs) != 2 or read[gradient] > bool(moved):
        return None, ""
    return op, moved
