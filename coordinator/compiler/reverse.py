"""The backward pass: operations in reverse order, each asked for its rule."""

from collections.abc import Mapping, Sequence

import numpy as np

from coordinator.compiler import blocked
from coordinator.compiler.builder import Builder
from coordinator.compiler.gates import Gates, Gating
from coordinator.compiler.graph import Array, Graph, Operation, Shape
from coordinator.compiler.rules.table import RULES
from coordinator.compiler.site import Site
from fieldvote.errors import InputError, nearest


class Reverse:
    """One backward pass from the logits to the parameters; what rules see of it is Surroundings."""

    def __init__(
        self,
        graph: Graph,
        *,
        shapes: Mapping[str, Shape],
        dtypes: Mapping[str, np.dtype[np.generic]],
        parameters: Sequence[str],
        batch: int | str,
        gates: Sequence[str] = (),
        gating: Gating = Gating.ROWS,
        block: int = 0,
    ) -> None:
        """Find which tensors lead to a parameter, and write the forward pass.

        Args:
            graph: The prepared forward pass.
            shapes: Of its tensors.
            dtypes: Of its tensors.
            parameters: Names of the constants that are trained.
            batch: The first dimension of every tensor with a row for each sample.
            gates: Tensors with a depth gate, from the loss backwards.
            gating: What gates do.
            block: Channels in a block of ONNX Runtime's layout; 0 uses standard operators only.
        """
        self.builder, self.block = Builder(), block
        self._graph, self._shapes, self._dtypes = graph, dict(shapes), dtypes
        # a set would give another order, and so other bytes, in every process
        self._order, self._parameters = tuple(parameters), frozenset(parameters)
        self._wanted = _leading_to(self._parameters, graph, dtypes)
        self._gates = Gates(
            gates,
            graph=graph,
            wanted=self._wanted,
            shapes=self._shapes,
            batch=batch,
            gating=gating,
            builder=self.builder,
        )
        self._write_forward()

    def gradients(self, output: str, gradient: str) -> dict[str, str]:
        """Write the backward pass from one tensor's gradient.

        Returns:
            The gradient of each parameter that the tensor depends on.

        Raises:
            InputError: an operation on the way has no rule, or its rule refuses.
        """
        found: dict[str, list[str]] = {output: [gradient]}
        for op in reversed(self._graph.operations):
            if not any(name in found for name in op.outputs):
                continue
            if not any(name in self._wanted for name in op.inputs):
                continue
            parts = [found.pop(name, None) for name in op.outputs]
            upstream = tuple(None if part is None else self.builder.total(part) for part in parts)
            for name, part in zip(op.inputs, self._differentiated(op, upstream), strict=False):
                if part is not None and name in self._wanted:
                    found.setdefault(name, []).append(part)
        return {name: self.builder.total(found[name]) for name in self._order if name in found}

    def _differentiated(
        self, op: Operation, upstream: tuple[str | None, ...]
    ) -> Sequence[str | None]:
        """Return the gradients of an operation's inputs."""
        gated = tuple(
            None if g is None else self._gates.passed(name, g)
            for name, g in zip(op.outputs, upstream, strict=True)
        )
        site = Site(op=op, upstream=gated, level=self._gates.level(op), around=self)
        rule = RULES.get(op.kind)
        if rule is None or op.domain:
            raise site.refuses(f"the operator has no rule; {nearest(op.kind, RULES)}")
        for name in (*op.outputs, *op.inputs):
            dtype = self._dtypes.get(name)
            if name in self._wanted and dtype is not None and dtype != np.float32:
                raise site.refuses(f"'{name}' is {dtype}; gradients are float32")
        return rule(site)

    def _write_forward(self) -> None:
        """Write the forward pass; trained convolutions in blocks where they fit."""
        for op in self._graph.operations:
            if (
                self.block
                and op.kind == "Conv"
                and op.inputs[1] in self._parameters
                and blocked.forward(
                    self.builder,
                    op,
                    self.shape(op.inputs[0]),
                    self.shape(op.inputs[1]),
                    self.block,
                )
            ):
                continue
            self.builder.operations.append(op)

    # What a rule may ask.

    def saved(self, name: str, level: int) -> str:
        """Return a tensor of the forward pass as seen below that many gates."""
        return name if name in self._graph.constants else self._gates.saved(name, level)

    def shape(self, name: str) -> Shape:
        """Return a tensor's shape."""
        try:
            return self._shapes[name]
        except KeyError as err:
            raise InputError(f"the shape of tensor '{name}' cannot be found out") from err

    def constant(self, name: str) -> Array | None:
        """Return a tensor's value if it is known and not trained."""
        return None if name in self._parameters else self._graph.constants.get(name)

    def wanted(self, name: str) -> bool:
        """Say whether a tensor's gradient leads to a parameter."""
        return name in self._wanted

    def trained(self, name: str) -> bool:
        """Say whether a tensor is a parameter."""
        return name in self._parameters

    def also_made(self, op: Operation, position: int, shape: Shape) -> str:
        """Have the forward operation make one of its optional outputs; return its name."""
        written = self.builder.operations
        at = next(i for i, other in enumerate(written) if other.outputs[0] == op.outputs[0])
        outputs = list(written[at].outputs)
        while len(outputs) <= position:
            outputs.append(self.builder.name(op.kind))
        outputs[position] = outputs[position] or self.builder.name(op.kind)
        written[at] = written[at].with_outputs(*outputs)
        self._shapes[outputs[position]] = shape
        return outputs[position]


def _leading_to(
    parameters: frozenset[str], graph: Graph, dtypes: Mapping[str, np.dtype[np.generic]]
) -> frozenset[str]:
    """Return the tensors that depend on a parameter by way of numbers, not of shapes."""
    wanted = set(parameters)
    for op in graph.operations:
        if wanted.intersection(op.inputs):
            wanted.update(
                name
                for name in op.outputs
                if name and (name not in dtypes or np.issubdtype(dtypes[name], np.floating))
            )
    return frozenset(wanted)
