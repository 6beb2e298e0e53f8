"""How a campaign trains the task's own network across its devices: `[campaign.deep]`."""

import math
from dataclasses import dataclass
from typing import Literal

from fieldvote.errors import SettingsError
from fieldvote.training import MOST_BATCH
from strategies.aggregation.adaptive import ServerRates
from strategies.aggregation.deep_update import LARGEST_CLIP


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepSettings:
    """What goes with `learner = "deep"`.

    Attributes:
        batch: Samples to a device's step.
        rate: Learning rate of a device's steps.
        clip: Length in parameter units to which a device's move is cut.
        clip_norm: Length to which the gradient of a step is cut, where the task's step can.
        proximal: FedProx's pull towards the weights sent, where the task's step can; 0 is none.
        server_optimizer: What the coordinator makes of the mean move.
        server_rate: Its learning rate.
        server_beta1: Its memory of moves.
        server_beta2: Its memory of their squares.
        server_tau: Its least denominator, in parameter units.
    """

    batch: int = 32
    rate: float = 0.1
    clip: float = 16.0
    clip_norm: float = 10.0
    proximal: float = 0.0
    server_optimizer: Literal["averaging", "momentum", "adagrad", "adam", "yogi"] = "averaging"
    server_rate: float = 1.0
    server_beta1: float = 0.9
    server_beta2: float = 0.99
    server_tau: float = 0.001

    def __post_init__(self) -> None:
        """Refuse what no device would do, and no server."""
        if not 1 <= self.batch <= MOST_BATCH:
            raise SettingsError(f"deep.batch: expected 1 to {MOST_BATCH}, got {self.batch}")
        if not 0 < self.clip <= LARGEST_CLIP:
            raise SettingsError(
                f"deep.clip: expected above 0, to {LARGEST_CLIP:g}, got {self.clip}"
            )
        for name in ("rate", "clip_norm", "server_rate", "server_tau"):
            if not 0 < getattr(self, name) < math.inf:
                raise SettingsError(f"deep.{name}: expected above 0, got {getattr(self, name)}")
        if not 0 <= self.proximal < math.inf:
            raise SettingsError(f"deep.proximal: expected 0 or more, got {self.proximal}")
        for name in ("server_beta1", "server_beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingsError(
                    f"deep.{name}: expected 0 to below 1, got {getattr(self, name)}"
                )

    @property
    def rates(self) -> ServerRates:
        """The server's own."""
        return ServerRates(
            rate=self.server_rate,
            beta1=self.server_beta1,
            beta2=self.server_beta2,
            tau=self.server_tau,
        )
