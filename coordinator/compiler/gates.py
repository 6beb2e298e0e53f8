"""Depth gates: how far back each sample may teach.

A gate sits on a tensor of the forward pass. Its input `gate:TENSOR` has a number for each sample: 1
lets the sample's gradient pass to the layers below, 0 stops it, a fraction weakens it. Under `rows`
the samples that are stopped are taken out, so the backward pass below costs what the others cost;
under `scale` their gradients are multiplied by zero, at full cost and for any layout.

Several gates lie one behind the other, nearest to the loss first; each sees what the last let by.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from coordinator.compiler.builder import Builder
from coordinator.compiler.graph import Graph, Operation, Shape
from fieldvote.errors import InputError

_INT64 = 7  # as ONNX numbers data types


class Gating(StrEnum):
    """How a stopped sample is kept from teaching."""

    ROWS = "rows"
    SCALE = "scale"


def gate_input(tensor: str) -> str:
    """Return the name of a gate's input.

    >>> gate_input("embedding")
    'gate:embedding'
    """
    return f"gate:{tensor}"


class Gates:
    """The gates of one step: which operations lie behind which, and what is left of a tensor."""

    def __init__(
        self,
        tensors: Sequence[str],
        *,
        graph: Graph,
        wanted: frozenset[str],
        shapes: Mapping[str, Shape],
        batch: int | str,
        gating: Gating,
        builder: Builder,
    ) -> None:
        """Find what lies behind each gate.

        Raises:
            InputError: a gate is not in the graph, teaches nothing, can be gone around, or the
                gates do not lie one behind the other.
        """
        self.tensors = tuple(tensors)
        self._b, self._gating, self._shapes, self._batch = builder, gating, shapes, batch
        self._levels: dict[str, int] = {}
        self._seen: dict[tuple[str, int], str] = {}
        self._rows: dict[int, tuple[str, str]] = {}
        producers = graph.producers()
        for number, tensor in enumerate(self.tensors):
            if tensor not in producers:
                raise InputError(f"gate '{tensor}': no operation of the model makes this tensor")
            if tensor not in wanted:
                raise InputError(f"gate '{tensor}': nothing behind it is trained")
            repeated = tensor in self.tensors[:number]
            if repeated or self._levels.get(tensor, 0) != number:
                raise InputError(
                    f"gate '{tensor}' does not lie behind '{self.tensors[number - 1]}'; "
                    "name gates from the loss backwards"
                )
            behind = _ancestors(tensor, producers, wanted)
            _refuse_a_way_around(tensor, behind, graph.operations, wanted)
            self._levels.update(dict.fromkeys(behind, number + 1))
        if self.tensors and gating is Gating.ROWS and not isinstance(batch, str):
            raise InputError(
                f"the model's batch is always {batch}; export it with a free batch, or use "
                "gating='scale'"
            )

    def level(self, op: Operation) -> int:
        """Return how many gates lie between the loss and an operation."""
        return self._levels.get(op.outputs[0], 0)

    def passed(self, tensor: str, gradient: str) -> str:
        """Write what a gate lets by of its tensor's gradient; all of it where there is no gate."""
        if tensor not in self.tensors:
            return gradient
        number, b = self.tensors.index(tensor), self._b
        column = [-1] + [1] * (len(self._shapes[tensor]) - 1)
        if self._gating is Gating.SCALE:
            return b.mul(gradient, b.reshape(gate_input(tensor), column))
        relative, _ = self._kept(number)
        kept = b.op("Gather", gradient, relative, axis=0)
        strength = b.op("Gather", gate_input(tensor), self._absolute(number), axis=0)
        return b.mul(kept, b.reshape(strength, column))

    def saved(self, name: str, level: int) -> str:
        """Return a tensor of the forward pass, its stopped samples taken out."""
        shape = self._shapes.get(name, (self._batch,))
        if level == 0 or self._gating is Gating.SCALE:
            return name
        if all(isinstance(size, int) for size in shape):
            return name
        if shape[0] != self._batch or self._batch in shape[1:]:
            raise InputError(
                f"tensor '{name}' of shape {shape} has not one row for each sample; "
                "use gating='scale'"
            )
        if (name, level) not in self._seen:
            rows = self._absolute(level - 1)
            self._seen[name, level] = self._b.op("Gather", name, rows, axis=0)
        return self._seen[name, level]

    def _absolute(self, number: int) -> str:
        """Return the positions in the batch that gate `number` lets by."""
        return self._kept(number)[1]

    def _kept(self, number: int) -> tuple[str, str]:
        """Write the positions a gate lets by: among those it sees, and in the whole batch.

        The first sample always stays, with the strength it has: where a gate lets nobody by, that
        is 0, and a gradient of zero is the right answer, while operators refuse a batch of none.
        """
        if number not in self._rows:
            b, gate = self._b, gate_input(self.tensors[number])
            if number:
                gate = b.op("Gather", gate, self._absolute(number - 1), axis=0)
            open_ = b.op("Cast", b.op("Greater", gate, b.number(0.0)), to=_INT64)
            kept = b.op("ScatterElements", open_, b.ints([0]), b.ints([1]), axis=0)
            relative = b.reshape(b.op("NonZero", kept), [-1])
            absolute = relative
            if number:
                absolute = b.op("Gather", self._absolute(number - 1), relative, axis=0)
            self._rows[number] = (relative, absolute)
        return self._rows[number]


def _ancestors(
    tensor: str, producers: Mapping[str, Operation], wanted: frozenset[str]
) -> frozenset[str]:
    """Return the trained tensors that a tensor is made from, itself included."""
    found, open_ = set[str](), [tensor]
    while open_:
        name = open_.pop()
        op = producers.get(name)
        if op is not None and name not in found:
            found.update(op.outputs)
            open_.extend(source for source in op.inputs if source in wanted)
    return frozenset(found)


def _refuse_a_way_around(
    tensor: str,
    behind: frozenset[str],
    operations: Sequence[Operation],
    wanted: frozenset[str],
) -> None:
    """Refuse a gate that a gradient could pass by."""
    inside = (behind & wanted) - {tensor}
    for op in operations:
        if behind.isdisjoint(op.outputs) and inside.intersection(op.inputs):
            leak = next(iter(inside.intersection(op.inputs)))
            raise InputError(
                f"gate '{tensor}' can be gone around: {op} reads '{leak}', which lies behind it"
            )
