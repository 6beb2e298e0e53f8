"""Which weights are trained: all, the head, the last layers, or those that are named.

A parameter is a float32 initializer with at least one axis, in a place where its operator has a
weight. Numbers that exporters lift out of the graph, such as the bounds of a clip, the scale of
attention or its mask, have no axis, another place, or values that no weight has. They are trained
only if somebody names them.
"""

from collections.abc import Sequence

import numpy as np

from coordinator.compiler.graph import Graph, Operation
from fieldvote.errors import InputError, nearest

_LAYERS = frozenset({"Conv", "Gemm", "MatMul"})
_MOVES = frozenset({"Identity", "Reshape", "Transpose", "Unsqueeze", "Squeeze"})
# an attention mask holds infinities, or what exporters put in their place
_MASKED = 1e30
#: In which inputs an operator has weights.
_PLACES = {
    "Add": (0, 1),
    "BatchNormalization": (1, 2),
    "Conv": (1, 2),
    "Gather": (0,),
    "Gemm": (0, 1, 2),
    "LayerNormalization": (1, 2),
    "MatMul": (0, 1),
    "Mul": (0, 1),
    "PRelu": (1,),
    **dict.fromkeys(_MOVES, (0,)),
}


def chosen(graph: Graph, trainable: str | Sequence[str], output: str) -> tuple[str, ...]:
    """Return the names of the parameters to train, in the order of the file.

    Args:
        graph: The prepared forward pass.
        trainable: "all", "head", or names of initializers.
        output: The tensor whose loss is taken.

    Raises:
        InputError: a name is unknown or no float32 weight, or does not reach the output.
    """
    reaching = _reaching(graph, output)
    if trainable == "all":
        names = frozenset(name for name in reaching if _is_parameter(name, graph))
    elif trainable == "head":
        names = frozenset(last(graph, output, layers=1))
    elif isinstance(trainable, str):
        raise InputError(
            f"trainable='{trainable}': expected 'all', 'head' or a list of initializer names"
        )
    else:
        for name in trainable:
            _refuse_unknown(name, graph, reaching)
        names = frozenset(trainable)
    if not names:
        raise InputError("nothing to train: no float32 weight reaches the loss")
    return tuple(name for name in graph.constants if name in names)


def last(graph: Graph, output: str, *, layers: int) -> tuple[str, ...]:
    """Return the parameters of the last layers: a layer is a matrix product or a convolution.

    What stands between a layer and the loss (biases, norms) belongs to it.
    """
    producers, found, left = graph.producers(), list[str](), layers
    behind = {output}
    for op in reversed(graph.operations):
        if behind.isdisjoint(op.outputs) or left == 0:
            continue
        behind.update(op.inputs)
        mine = [
            name
            for source in op.inputs
            for name in _weights_behind(source, producers)
            if _is_parameter(name, graph)
        ]
        found.extend(mine)
        if op.kind in _LAYERS and mine:
            left -= 1
    return tuple(dict.fromkeys(found))


def _weights_behind(name: str, producers: dict[str, Operation]) -> list[str]:
    """Return a name, or the weight that is only moved to become it."""
    op = producers.get(name)
    while op is not None and op.kind in _MOVES:
        name = op.inputs[0]
        op = producers.get(name)
    return [name]


def _reaching(graph: Graph, output: str) -> frozenset[str]:
    """Return everything the output is made from."""
    found = {output}
    for op in reversed(graph.operations):
        if found.intersection(op.outputs):
            found.update(op.inputs)
    return frozenset(found)


def _is_parameter(name: str, graph: Graph) -> bool:
    """Say whether a name is a weight in a weight's place."""
    array = graph.constants.get(name)
    if name not in graph.weights or array is None or array.dtype != np.float32 or not array.ndim:
        return False
    if not (np.abs(array) < _MASKED).all():
        return False
    return all(
        place in _PLACES.get(op.kind, ())
        for op in graph.operations
        for place, source in enumerate(op.inputs)
        if source == name
    )


def _refuse_unknown(name: str, graph: Graph, reaching: frozenset[str]) -> None:
    """Refuse a name that cannot be trained, saying why."""
    array = graph.constants.get(name)
    if name not in graph.weights or array is None:
        raise InputError(f"trainable '{name}' is no initializer; {nearest(name, graph.weights)}")
    if array.dtype != np.float32:
        raise InputError(f"trainable '{name}' is {array.dtype}; only float32 is trained")
    if name not in reaching:
        raise InputError(f"trainable '{name}' does not reach the loss")
