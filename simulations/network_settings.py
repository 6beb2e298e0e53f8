"""What network a rehearsal trains on its devices: `[network]` of a scenario with learner "deep"."""

from dataclasses import dataclass
from typing import Literal

from fieldvote.errors import SettingsError
from fieldvote.training import TrainingNames


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """A network whose weights are drawn, and how deep it is trained.

    Attributes:
        kind: "perceptron", or "pictures" for rows that are square grey pictures.
        hidden: Width of each hidden layer, or channels of each layer of windows.
        depth: "all", "head" or "last:N".
        optimizer: What a device steps by.
        terms: What may be added to a gradient.
        gate: Tensor behind which labels teach only where they are sure enough; empty for none.
    """

    kind: Literal["perceptron", "pictures"] = "perceptron"
    hidden: tuple[int, ...] = (64,)
    depth: str = "all"
    optimizer: Literal["sgd", "momentum", "adam"] = "sgd"
    terms: tuple[Literal["clip", "proximal"], ...] = ()
    gate: str = ""

    def __post_init__(self) -> None:
        """Refuse what no task could say."""
        if not self.hidden or min(self.hidden) < 1:
            raise SettingsError(f"network.hidden: expected 1 or more each, got {self.hidden}")
        self.training()

    def training(self) -> TrainingNames:
        """Return the same as a task says it."""
        return TrainingNames(
            depth=self.depth, optimizer=self.optimizer, terms=self.terms, gate=self.gate
        )

    def toml(self) -> str:
        """Return the `[training]` of task.toml."""
        terms = ", ".join(f'"{term}"' for term in self.terms)
        return (
            f'[training]\ndepth = "{self.depth}"\noptimizer = "{self.optimizer}"\n'
            f'terms = [{terms}]\ngate = "{self.gate}"\n'
        )
