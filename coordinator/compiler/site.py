"""What a gradient rule is shown: one operation, its shapes, and the gradient of its outputs.

A rule is a function of a site. It writes operations through `site.b` and returns the name of one
gradient for each input, None where there is none. It asks `site.wants(i)` before it writes what
nobody needs, and refuses by `raise site.refuses(...)`: a gradient that is silently wrong trains.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from coordinator.compiler.builder import Builder
from coordinator.compiler.graph import Array, Operation, Shape
from fieldvote.errors import InputError


class Surroundings(Protocol):
    """The backward pass a site is part of."""

    builder: Builder
    block: int

    def saved(self, name: str, level: int) -> str:
        """Return a tensor of the forward pass as seen below that many gates."""

    def shape(self, name: str) -> Shape:
        """Return a tensor's shape in the forward pass; raises InputError if unknown."""

    def constant(self, name: str) -> Array | None:
        """Return a tensor's value if it is known and not trained."""

    def wanted(self, name: str) -> bool:
        """Say whether a tensor's gradient leads to a parameter."""

    def trained(self, name: str) -> bool:
        """Say whether a tensor is a parameter."""

    def also_made(self, op: Operation, position: int, shape: Shape) -> str:
        """Have the forward operation make one of its optional outputs; return its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One operation in the backward pass.

    Attributes:
        op: The operation of the forward pass.
        upstream: The gradient of each of its outputs; None for outputs nobody learns from.
        level: How many gates lie between the loss and here.
        around: The backward pass.
    """

    op: Operation
    upstream: tuple[str | None, ...]
    level: int
    around: Surroundings

    @property
    def b(self) -> Builder:
        """Where to write."""
        return self.around.builder

    @property
    def g(self) -> str:
        """The gradient of the first output."""
        first = self.upstream[0]
        if first is None:
            raise self.refuses("only a secondary output is used")
        return first

    def x(self, i: int = 0) -> str:
        """Return input i, as it was in the forward pass."""
        return self.around.saved(self.op.inputs[i], self.level)

    def y(self, i: int = 0) -> str:
        """Return output i, as it was in the forward pass."""
        return self.around.saved(self.op.outputs[i], self.level)

    def also_made(self, position: int, shape: Shape) -> str:
        """Return an output that the forward operation can make beside the first."""
        return self.around.saved(self.around.also_made(self.op, position, shape), self.level)

    def has(self, i: int) -> bool:
        """Say whether input i is there."""
        return i < len(self.op.inputs) and bool(self.op.inputs[i])

    def wants(self, i: int) -> bool:
        """Say whether the gradient of input i leads to a parameter."""
        return self.has(i) and self.around.wanted(self.op.inputs[i])

    def constant(self, i: int) -> Array | None:
        """Return the value of input i if it is known and not trained."""
        return self.around.constant(self.op.inputs[i]) if self.has(i) else None

    def must_be_constant(self, i: int, what: str) -> Array:
        """Return the value of input i, which the rule cannot do without."""
        value = self.constant(i)
        if value is None:
            raise self.refuses(f"{what} must be a constant")
        return value

    def shape(self, i: int = 0) -> Shape:
        """Return the shape of input i."""
        return self.around.shape(self.op.inputs[i])

    def out_shape(self, i: int = 0) -> Shape:
        """Return the shape of output i."""
        return self.around.shape(self.op.outputs[i])

    def sizes(self, shape: Shape, what: str) -> tuple[int, ...]:
        """Return dimensions that must be numbers."""
        known = tuple(size for size in shape if isinstance(size, int))
        if len(known) != len(shape):
            raise self.refuses(f"{what} {shape} must be known before the model runs")
        return known

    def axis(self, default: int, rank: int) -> int:
        """Return the attribute `axis` counted from the front."""
        return self.op.integer("axis", default) % rank

    def refuses(self, why: str, attribute: str | None = None) -> InputError:
        """Return the error that names operator, node and, where it is one, the attribute."""
        return self.op.refuses(why, attribute)

    def like(self, gradient: str, i: int = 0) -> str:
        """Write the gradient in the shape of input i."""
        return self.in_shape(gradient, self.shape(i), like=i)

    def in_shape(self, gradient: str, shape: Shape, *, like: int | None = None) -> str:
        """Write the gradient in another shape, of which one dimension may be open.

        Args:
            gradient: What to reshape.
            shape: The shape it shall have.
            like: Input that has this shape; needed where several dimensions are open.
        """
        free = [size for size in shape if not isinstance(size, int)]
        if len(free) <= 1:
            return self.b.reshape(
                gradient, [size if isinstance(size, int) else -1 for size in shape]
            )
        if like is None:
            raise self.refuses(f"{len(free)} dimensions of {shape} are only known at run time")
        return self.b.op("Reshape", gradient, self.b.op("Shape", self.x(like)))

    def summed_to(self, gradient: str, i: int) -> str:
        """Sum the gradient of the output down to the shape of input i, undoing a broadcast."""
        return self.summed(gradient, self.out_shape(), self.shape(i))

    def summed(self, gradient: str, shape: Shape, to: Shape) -> str:
        """Sum a gradient of one shape down to another that broadcasts to it."""
        lead = len(shape) - len(to)
        axes = list(range(lead))
        for axis, size in enumerate(to):
            if size == 1 and shape[axis + lead] != 1:
                axes.append(axis + lead)
            elif size != shape[axis + lead]:
                raise self.refuses(f"whether {to} is broadcast to {shape} shows only at run time")
        if not axes:
            return gradient
        if len(axes) == lead:
            return self.b.reduce("ReduceSum", gradient, axes, keep=False)
        total = self.b.reduce("ReduceSum", gradient, axes)
        return self.in_shape(total, to) if lead else total


#: One gradient for each input; shorter where the rest has none.
Gradients = Sequence[str | None]
Rule = Callable[[Site], Gradients]


def product(sizes: Sequence[int]) -> int:
    """Return how many elements there are.

    >>> product((2, 3)), product(())
    (6, 1)
    """
    return int(np.prod(sizes, dtype=np.int64))
