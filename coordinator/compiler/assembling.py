"""The graph of a step from its parts: what is fed, what is asked for, and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from coordinator.compiler.builder import Builder
from coordinator.compiler.gates import gate_input
from coordinator.compiler.graph import Graph, Port, Shape, needed
from coordinator.compiler.intake import OPSET
from coordinator.compiler.loss import LOSS, TARGET, WEIGHT, WEIGHT_SUM
from coordinator.compiler.optimizers import RATE, accumulator, gradient, new
from coordinator.compiler.terms import Terms
from fieldvote.errors import InputError

_FLOAT = np.dtype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """What goes in and out of a step.

    Attributes:
        batch: Number of samples; a name where it is free.
        classes: Number of classes.
        parameters: Shapes of what is trained.
        state: Shapes of what the optimizer remembers; None where gradients are asked for.
        gates: Tensors with a gate.
        terms: What is added to the gradient.
        accumulate: Whether a part of a batch is fed.
    """

    batch: int | str
    classes: int
    parameters: Mapping[str, tuple[int, ...]]
    state: Mapping[str, tuple[int, ...]] | None
    gates: Sequence[str]
    terms: Terms
    accumulate: bool

    def inputs(self) -> dict[str, Shape]:
        """Return what is fed beside the model's own inputs."""
        rows: Shape = (self.batch,)
        found: dict[str, Shape] = {TARGET: (*rows, self.classes), WEIGHT: rows, RATE: ()}
        found |= {gate_input(tensor): rows for tensor in self.gates}
        if self.accumulate:
            found[WEIGHT_SUM] = ()
            found |= {accumulator(name): shape for name, shape in self.parameters.items()}
        found |= dict(self.parameters)
        if self.state is not None:
            found |= dict(self.state)
            found |= dict.fromkeys(self.terms.scalars, ())
            for name, shape in self.parameters.items():
                found |= dict.fromkeys(self.terms.tensors(name), shape)
        return found

    def outputs(self) -> dict[str, Shape]:
        """Return what is asked for."""
        found: dict[str, Shape] = {LOSS: ()}
        if self.state is None:
            return found | {gradient(name): shape for name, shape in self.parameters.items()}
        moving = {**self.parameters, **self.state}
        return found | {new(name): shape for name, shape in moving.items()}


def assemble(forward: Graph, b: Builder, interface: Interface) -> Graph:
    """Return the whole step.

    Args:
        forward: The forward pass, for its inputs and constants.
        b: Everything that was written, the forward pass included.
        interface: What goes in and out.

    Raises:
        InputError: the model has an input, or a tensor, of a name that the step needs.
    """
    fed, asked = interface.inputs(), interface.outputs()
    taken = {port.name for port in forward.inputs} | set(forward.producers())
    for name in (*fed, *asked):
        if name in taken or (name in forward.constants and name not in interface.parameters):
            raise InputError(f"the model has a tensor '{name}'; a step needs that name: rename it")
    constants = {
        name: array
        for name, array in {**forward.constants, **b.constants}.items()
        if name not in interface.parameters
    }
    return replace(
        forward,
        # names were for messages; one that a rewrite used twice ONNX Runtime would refuse
        operations=tuple(replace(op, name="") for op in needed(tuple(b.operations), set(asked))),
        constants=constants,
        inputs=(*forward.inputs, *_ports(fed)),
        outputs=_ports(asked),
        opset=max(forward.opset, OPSET),
    )


def frozen_weights(step: Graph) -> dict[str, NDArray[np.float32]]:
    """Return the weights a graph reads and does not train; numbers without an axis stay in it."""
    read = {name for op in step.operations for name in op.inputs}
    return {
        name: np.asarray(array, np.float32)
        for name, array in step.constants.items()
        if name in step.weights and name in read and array.dtype == _FLOAT and array.ndim
    }


def _ports(shapes: Mapping[str, Shape]) -> tuple[Port, ...]:
    """Return ports of float32."""
    return tuple(Port(name=name, dtype=_FLOAT, shape=shape) for name, shape in shapes.items())
