"""Low-rank deltas: a large matrix stays as it is, and a thin one beside it learns.

W becomes W + D U with D of shape (rows, rank) and U of shape (rank, columns), but the large product
is never made: x W + (x D) U. U starts at zero, so the model starts as it was; only D and U are
trained and travel.

Source: Hu et al. 2021, arXiv:2106.09685; we leave out their constant factor, which the learning
rate can hold.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from coordinator.compiler.graph import Array, Graph, Operation
from fieldvote.errors import InputError, ShapeError
from fieldvote.rng import stream


def down(name: str) -> str:
    """Return the name of the left factor.

    >>> down("ffn.weight"), up("ffn.weight")
    ('ffn.weight:down', 'ffn.weight:up')
    """
    return f"{name}:down"


def up(name: str) -> str:
    """Return the name of the right factor, which starts at zero."""
    return f"{name}:up"


def with_deltas(
    graph: Graph, names: tuple[str, ...], *, rank: int, seed: int
) -> tuple[Graph, tuple[str, ...]]:
    """Give every large matrix among some parameters a low-rank delta to train in its place.

    Args:
        graph: The prepared forward pass.
        names: The parameters.
        rank: Of the deltas. A matrix is large if both its sides are longer than twice the rank.
        seed: Of the first factors.

    Returns:
        The graph with deltas, and the parameters with large matrices replaced by their factors.

    Raises:
        InputError: the rank is not positive, or no parameter is a large matrix.
    """
    if rank < 1:
        raise InputError(f"low_rank={rank}: expected 1 or more")
    operations, constants = list(graph.operations), dict(graph.constants)
    readers, parameters = graph.readers(), list[str]()
    for name in names:
        products = _products(name, readers) if _large(constants[name], rank) else []
        if not products:
            parameters.append(name)
            continue
        rows, columns = constants[name].shape
        first = stream(seed, "low rank", name).standard_normal((rows, rank)) / np.sqrt(rows)
        constants[down(name)] = first.astype(np.float32)
        constants[up(name)] = np.zeros((rank, columns), np.float32)
        parameters += [down(name), up(name)]
        for op, flipped in products:
            at = operations.index(op)
            operations[at : at + 1] = _beside(op, name, flipped=flipped)
    if tuple(parameters) == names:
        raise InputError(f"low_rank={rank}: no trained matrix is larger than {2 * rank} both ways")
    weights = graph.weights | set(parameters)
    deltas = replace(graph, operations=tuple(operations), constants=constants, weights=weights)
    return deltas, tuple(parameters)


def merged(weights: Mapping[str, Array], trained: Mapping[str, Array]) -> dict[str, Array]:
    """Return the model's weights with trained deltas added and trained weights replaced.

    Args:
        weights: The weights of the model by name.
        trained: What a step trained; factors come in pairs.

    Raises:
        InputError: something trained has no place in the model.
        ShapeError: something trained has another shape than its place.
    """
    found = dict(weights)
    for name, array in trained.items():
        if name in weights:
            if array.shape != weights[name].shape:
                raise ShapeError(name, array.shape, weights[name].shape)
            found[name] = array
            continue
        base, _, factor = name.rpartition(":")
        if base not in weights or factor not in ("down", "up") or up(base) not in trained:
            raise InputError(f"trained '{name}' has no place in the model")
        if factor == "down":
            delta = np.asarray(array, np.float64) @ np.asarray(trained[up(base)], np.float64)
            if delta.shape != weights[base].shape:
                raise ShapeError(f"delta of {base}", delta.shape, weights[base].shape)
            found[base] = np.asarray(np.asarray(weights[base], np.float64) + delta, np.float32)
    return found


def _large(array: Array, rank: int) -> bool:
    """Say whether a delta would be smaller than the weight by enough to be worth it."""
    return array.ndim == 2 and min(array.shape) > 2 * rank


def _products(name: str, readers: Mapping[str, list[Operation]]) -> list[tuple[Operation, bool]]:
    """Return the products with a matrix on their right, and whether each transposes it.

    Empty if anything else reads the matrix: then a delta beside the products would not be all.
    """
    found = list[tuple[Operation, bool]]()
    for op in readers[name]:
        if op.kind == "Transpose":
            found += [(reader, True) for reader in readers[op.outputs[0]]]
        else:
            found.append((op, op.integer("transB", 0) == 1))
    plain = all(
        op.kind in ("Gemm", "MatMul")
        and op.number("alpha", 1.0) == 1.0
        and not op.integer("transA", 0)
        and name not in (op.inputs[0], *op.inputs[2:])
        for op, _ in found
    )
    return found if plain else []


def _beside(op: Operation, name: str, *, flipped: bool) -> list[Operation]:
    """Return the operation with a delta's product added to its output."""
    y, first, second = op.outputs[0], down(name), up(name)
    found = [op.with_outputs(f"{y}/frozen")]

    def write(kind: str, *inputs: str, output: str) -> str:
        found.append(Operation(kind=kind, inputs=inputs, outputs=(output,), name=op.name))
        return output

    if flipped:  # (D U)ᵀ = Uᵀ Dᵀ
        first, second = (
            write("Transpose", factor, output=f"{y}/{i}")
            for i, factor in enumerate((second, first))
        )
    thin = write("MatMul", op.inputs[0], first, output=f"{y}/thin")
    delta = write("MatMul", thin, second, output=f"{y}/delta")
    write("Add", f"{y}/frozen", delta, output=y)
    return found
