"""A network as values: operations, constants, and what goes in and out.

Everything between reading an ONNX file and writing one works on these; no protobuf in between.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError

Array = NDArray[np.generic]
Attribute = int | float | str | tuple[int, ...] | tuple[float, ...] | Array
#: A whole number where a dimension is known, its name where it is only known at run time.
Shape = tuple[int | str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Operation:
    """One node of the graph; two that look alike are still two.

    Attributes:
        kind: The ONNX operator.
        inputs: Names of tensors; an empty name is an optional input left out.
        outputs: Names of tensors, each made by this operation only.
        attributes: What the node says of itself; text is decoded.
        name: As in the file, for messages.
        domain: Empty for the standard operators.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    name: str = ""
    domain: str = ""

    def __str__(self) -> str:
        """Say which operation this is, for messages.

        >>> print(Operation(kind="Relu", inputs=("x",), outputs=("y",), name="block/act"))
        Relu 'block/act'
        """
        return f"{self.kind} '{self.name or next(iter(self.outputs), '')}'"

    def integer(self, name: str, default: int) -> int:
        """Return an attribute that is a whole number.

        Raises:
            InputError: it is something else; as with the others below.
        """
        value = self.attributes.get(name, default)
        if not isinstance(value, int):
            raise self.refuses("is not a whole number", name)
        return value

    def number(self, name: str, default: float) -> float:
        """Return an attribute that is a number."""
        value = self.attributes.get(name, default)
        if not isinstance(value, int | float):
            raise self.refuses("is not a number", name)
        return float(value)

    def text(self, name: str, default: str) -> str:
        """Return an attribute that is a word."""
        value = self.attributes.get(name, default)
        if not isinstance(value, str):
            raise self.refuses("is not a word", name)
        return value

    def integers(self, name: str, default: Sequence[int]) -> tuple[int, ...]:
        """Return an attribute that is a list of whole numbers."""
        value = self.attributes.get(name, tuple(default))
        if not isinstance(value, tuple):
            raise self.refuses("is not a list", name)
        return tuple(int(size) for size in value)

    def refuses(self, why: str, attribute: str | None = None) -> InputError:
        """Return the error that names operator, node and, where it is one, the attribute."""
        said = f", attribute '{attribute}'={self.attributes.get(attribute)!r}" if attribute else ""
        return InputError(f"no gradient for {self}{said}: {why}")

    def with_inputs(self, *inputs: str) -> "Operation":
        """Return the same operation reading other tensors."""
        return replace(self, inputs=inputs)

    def with_outputs(self, *outputs: str) -> "Operation":
        """Return the same operation writing other tensors."""
        return replace(self, outputs=outputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """An input or output of the whole graph.

    Attributes:
        name: Of the tensor.
        dtype: Of its elements.
        shape: May name dimensions; None where not even their number is said.
    """

    name: str
    dtype: np.dtype[np.generic]
    shape: Shape | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A network.

    Attributes:
        operations: In an order in which they can be run.
        constants: Tensors known beforehand, weights among them.
        inputs: What is fed.
        outputs: What is asked for.
        opset: Version of the standard operators.
        weights: Names of the constants that the file calls initializers; others were computed.
    """

    operations: tuple[Operation, ...]
    constants: Mapping[str, Array]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    opset: int
    weights: frozenset[str] = frozenset()

    def producers(self) -> dict[str, Operation]:
        """Return which operation makes each tensor."""
        return {name: op for op in self.operations for name in op.outputs if name}

    def readers(self) -> dict[str, list[Operation]]:
        """Return which operations read each tensor."""
        found: dict[str, list[Operation]] = {}
        for op in self.operations:
            for name in op.inputs:
                found.setdefault(name, []).append(op)
        return found


def needed(operations: tuple[Operation, ...], wanted: set[str]) -> tuple[Operation, ...]:
    """Return the operations without those that nothing wanted depends on, in the same order."""
    live, kept = set(wanted), list[Operation]()
    for op in reversed(operations):
        if live.intersection(op.outputs):
            kept.append(op)
            live.update(op.inputs)
    return tuple(reversed(kept))
