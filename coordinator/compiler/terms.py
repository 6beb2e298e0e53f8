"""What federated training adds to a gradient, each with its own extra inputs.

::

    clip        g · min(1, clip_norm / ‖g‖), ‖g‖ over all parameters
    proximal    g + proximal · (w - anchor:NAME)        FedProx, arXiv:1812.06127
    corrected   g + correction:NAME, which is c - cᵢ    SCAFFOLD, arXiv:1910.06378

They are applied in this order.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.compiler.builder import Builder

CLIP_NORM, PROXIMAL = "clip_norm", "proximal"
# a gradient of zero has no direction to scale
_LEAST_NORM = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Which terms a step has.

    Attributes:
        clip: Scale the gradient down to a largest norm over all parameters.
        proximal: Pull each parameter towards an anchor.
        corrected: Add a correction to each gradient.
    """

    clip: bool = False
    proximal: bool = False
    corrected: bool = False

    def __bool__(self) -> bool:
        """Say whether there is any."""
        return self.clip or self.proximal or self.corrected

    @property
    def scalars(self) -> tuple[str, ...]:
        """The inputs that are one number."""
        return (CLIP_NORM,) * self.clip + (PROXIMAL,) * self.proximal

    def tensors(self, name: str) -> tuple[str, ...]:
        """Return the inputs that are shaped like one parameter."""
        return (anchor(name),) * self.proximal + (correction(name),) * self.corrected

    def write(self, b: Builder, gradients: Mapping[str, str]) -> dict[str, str]:
        """Write the terms; return the gradient of each parameter with them."""
        found = dict(gradients)
        if self.clip:
            factor = _clip_factor(b, found)
            found = {name: b.mul(g, factor) for name, g in found.items()}
        if self.proximal:
            found = {
                name: b.add(g, b.mul(PROXIMAL, b.sub(name, anchor(name))))
                for name, g in found.items()
            }
        if self.corrected:
            found = {name: b.add(g, correction(name)) for name, g in found.items()}
        return found


#: The loss's gradient and nothing else.
PLAIN = Terms()


def anchor(name: str) -> str:
    """Return the name of the input that a parameter is pulled towards.

    >>> anchor("head.weight"), correction("head.weight")
    ('anchor:head.weight', 'correction:head.weight')
    """
    return f"anchor:{name}"


def correction(name: str) -> str:
    """Return the name of the input that is added to a parameter's gradient."""
    return f"correction:{name}"


def _clip_factor(b: Builder, gradients: Mapping[str, str]) -> str:
    """Write what to multiply every gradient with."""
    squares = [b.op("ReduceSumSquare", g, keepdims=0) for g in gradients.values()]
    norm = b.op("Sqrt", b.op("Sum", *squares))
    ratio = b.div(CLIP_NORM, b.op("Max", norm, b.number(_LEAST_NORM)))
    return b.op("Min", b.number(1.0), ratio)
