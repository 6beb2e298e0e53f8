"""The forward pass with its trained weights as inputs: one session scores with any of them.

A device that is given new weights feeds them; nothing is loaded again, and two sets of weights can
be compared on the same items. What is not trained stays a constant, which ONNX Runtime may fold and
pack, but its values may be left out of the file as those of a train step.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from coordinator.compiler import files
from coordinator.compiler.assembling import frozen_weights
from coordinator.compiler.graph import Port, needed
from coordinator.compiler.preparing import prepare
from coordinator.compiler.step import FloatArray
from fieldvote.errors import InputError, nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringGraph:
    """A model that is told its weights.

    Attributes:
        graph: The ONNX file. Inputs are the model's own and each parameter by its name.
        parameters: The model's own values of these.
        frozen: All other weights, which whoever loads the graph gives.
    """

    graph: bytes
    parameters: dict[str, FloatArray]
    frozen: dict[str, FloatArray]


def compile_scoring(
    model: bytes, *, parameters: Sequence[str], outputs: Sequence[str]
) -> ScoringGraph:
    """Return a model's forward pass that reads these weights from its inputs.

    Args:
        model: The ONNX file.
        parameters: Names of initializers, in the order of the inputs.
        outputs: What it is to put out; outputs of the model.

    Raises:
        InputError: the model cannot be read, or has no such weight or output.
        MissingExtraError: onnx is not installed.
    """
    graph = prepare(files.read(model))
    ports = {port.name: port for port in graph.outputs}
    for name in outputs:
        if name not in ports:
            raise InputError(f"the model has no output '{name}'; {nearest(name, ports)}")
    for name in parameters:
        if name not in graph.weights or graph.constants[name].dtype != np.float32:
            raise InputError(
                f"the model has no float32 weight '{name}'; {nearest(name, graph.weights)}"
            )
    fed = {name: np.asarray(graph.constants[name], np.float32) for name in parameters}
    kind = np.dtype(np.float32)
    scoring = replace(
        graph,
        operations=tuple(replace(op, name="") for op in needed(graph.operations, set(outputs))),
        constants={name: array for name, array in graph.constants.items() if name not in fed},
        inputs=(
            *graph.inputs,
            *(Port(name=name, dtype=kind, shape=array.shape) for name, array in fed.items()),
        ),
        outputs=tuple(ports[name] for name in outputs),
    )
    left_out = frozen_weights(scoring)
    return ScoringGraph(
        graph=files.write(scoring, outside=frozenset(left_out)), parameters=fed, frozen=left_out
    )
