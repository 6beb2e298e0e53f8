"""From gradients to new parameters: SGD inside the gradient's own product, or a flat optimizer.

Plain SGD is linear in the gradient, so the gradient is scaled by the learning rate once, at the
logits, and `W - g` becomes the addend of the product that makes g: no gradient is stored and no
pass over the weights is made. Momentum and Adam work on all parameters as one vector: a dozen
operators whatever the model, where one chain per tensor would be a thousand.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coordinator.compiler.builder import Builder
from coordinator.compiler.fusing import subtract
from coordinator.compiler.graph import Array
from coordinator.compiler.site import product

RATE = "lr"
NEW = ":new"


def new(name: str) -> str:
    """Return the name of the output with a parameter's or a state's next value.

    >>> new("head.weight")
    'head.weight:new'
    """
    return f"{name}{NEW}"


def gradient(name: str) -> str:
    """Return the name of the output with a parameter's gradient.

    >>> gradient("head.weight")
    'grad:head.weight'
    """
    return f"grad:{name}"


def accumulator(name: str) -> str:
    """Return the name of the input that a part of a batch subtracts its gradient from.

    >>> accumulator("head.weight")
    'acc:head.weight'
    """
    return f"acc:{name}"


class Optimizer(Protocol):
    """A rule for steps; its state travels beside the parameters, from `NAME` to `NAME:new`."""

    @property
    def linear(self) -> bool:
        """Whether the step is the learning rate times the gradient, and nothing else."""

    def state(self, size: int) -> dict[str, NDArray[np.float32]]:
        """Return the state before the first step, for that many parameters."""

    def first_gradient(self, made: Mapping[str, Array]) -> NDArray[np.float64] | None:
        """Return all gradients as one vector, read from the outputs of a first step.

        None where the state does not tell, but the parameters themselves do.
        """

    def write(
        self, b: Builder, shapes: Mapping[str, tuple[int, ...]], gradients: Mapping[str, str]
    ) -> None:
        """Write `NAME:new` for every parameter and every state."""


@dataclass(frozen=True, slots=True)
class Sgd:
    """w ← w - lr g.

    Attributes:
        accumulate: Subtract from `acc:NAME` instead of the parameter, so that the parts of a batch
            add up to the batch's step.
        linear: Gradients come scaled by the learning rate already.
    """

    accumulate: bool = False
    linear: bool = True

    def state(self, size: int) -> dict[str, NDArray[np.float32]]:
        """Nothing is remembered."""
        return {}

    def first_gradient(self, made: Mapping[str, Array]) -> NDArray[np.float64] | None:
        """The parameters tell."""
        return None

    def write(
        self, b: Builder, shapes: Mapping[str, tuple[int, ...]], gradients: Mapping[str, str]
    ) -> None:
        """Write the step into the products that make the gradients."""
        for name, shape in shapes.items():
            start = accumulator(name) if self.accumulate else name
            step = gradients[name] if self.linear else b.mul(RATE, gradients[name])
            subtract(b, start, step, shape, output=new(name))


@dataclass(frozen=True, slots=True)
class Momentum:
    """v ← μ v + g, w ← w - lr v. Source: Polyak 1964, as in torch, without dampening."""

    decay: float = 0.9
    linear: bool = False

    def state(self, size: int) -> dict[str, NDArray[np.float32]]:
        """The velocity, one vector."""
        return {"momentum": np.zeros(size, np.float32)}

    def first_gradient(self, made: Mapping[str, Array]) -> NDArray[np.float64] | None:
        """The first velocity is the gradient."""
        return np.asarray(made[new("momentum")], np.float64)

    def write(
        self, b: Builder, shapes: Mapping[str, tuple[int, ...]], gradients: Mapping[str, str]
    ) -> None:
        """Write the step over all parameters at once."""
        kept = b.mul("momentum", b.number(self.decay))
        velocity = b.op("Add", kept, _flat(b, shapes, gradients), output=new("momentum"))
        _apply(b, shapes, b.mul(RATE, velocity))


@dataclass(frozen=True, slots=True)
class Adam:
    """Kingma and Ba 2015, arXiv:1412.6980, algorithm 1, with ε where torch has it."""

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    linear: bool = False

    def state(self, size: int) -> dict[str, NDArray[np.float32]]:
        """Both moments, one vector each, and the number of steps."""
        return {
            "adam:mean": np.zeros(size, np.float32),
            "adam:square": np.zeros(size, np.float32),
            "adam:steps": np.zeros((), np.float32),
        }

    def first_gradient(self, made: Mapping[str, Array]) -> NDArray[np.float64] | None:
        """The first mean is (1 - β₁) g."""
        mean = np.asarray(made[new("adam:mean")], np.float64)
        return np.asarray(mean / float(np.float32(1.0 - self.beta1)))

    def write(
        self, b: Builder, shapes: Mapping[str, tuple[int, ...]], gradients: Mapping[str, str]
    ) -> None:
        """Write the step over all parameters at once."""
        g = _flat(b, shapes, gradients)
        steps = b.op("Add", "adam:steps", b.number(1.0), output=new("adam:steps"))
        mean = self._moment(b, "adam:mean", g, self.beta1)
        square = self._moment(b, "adam:square", b.mul(g, g), self.beta2)
        unbias1, unbias2 = (
            b.sub(b.number(1.0), b.op("Pow", b.number(beta), steps))
            for beta in (self.beta1, self.beta2)
        )
        deviation = b.div(b.op("Sqrt", square), b.op("Sqrt", unbias2))
        direction = b.div(mean, b.add(deviation, b.number(self.epsilon)))
        _apply(b, shapes, b.mul(b.div(RATE, unbias1), direction))

    @staticmethod
    def _moment(b: Builder, name: str, value: str, beta: float) -> str:
        """Write the moving average of a value."""
        kept, added = b.mul(name, b.number(beta)), b.mul(value, b.number(1.0 - beta))
        return b.op("Add", kept, added, output=new(name))


def _flat(b: Builder, shapes: Mapping[str, tuple[int, ...]], gradients: Mapping[str, str]) -> str:
    """Write all gradients as one vector, in the order of the parameters."""
    parts = [b.reshape(gradients[name], [-1]) for name in shapes]
    return b.op("Concat", *parts, axis=0) if len(parts) > 1 else parts[0]


def _apply(b: Builder, shapes: Mapping[str, tuple[int, ...]], steps: str) -> None:
    """Write every parameter less its part of a vector of steps."""
    sizes = [product(shape) for shape in shapes.values()]
    parts = (
        b.ops("Split", steps, b.ints(sizes), outputs=len(sizes), axis=0)
        if len(sizes) > 1
        else (steps,)
    )
    for (name, shape), part in zip(shapes.items(), parts, strict=True):
        b.op("Sub", name, b.reshape(part, shape), output=new(name))


OPTIMIZERS: Mapping[str, Optimizer] = {"adam": Adam(), "momentum": Momentum(), "sgd": Sgd()}
