"""A deployed campaign in a folder, driven over a network in memory; people answer elsewhere."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from coordinator.driving import drive
from coordinator.pulse import Pulse
from coordinator.service import CoordinatorSettings, open_store
from coordinator.store.campaign import Store
from tests.coordinator.rounds.campaign import SMALL_FILES, Reader, TurnedClock, desk_of
from tests.doubles.tasks import write_task
from tests.doubles.transport import MemoryTransport

CAMPAIGN = (
    '[campaign]\nname = "small"\nseed = 3\nsurveyed_share = 1.0\nlabels_per_device = 2\n'
    "offers = 4\nexchanges = 2\n"
)


def write_campaign(folder: Path, said: str = "") -> Path:
    """Write a task and a coordinator's file; return the file."""
    write_task(folder / "task", SMALL_FILES)
    config = folder / "coordinator.toml"
    config.write_text(f'folder = "state"\ntask = "task"\n{said}\n{CAMPAIGN}')
    return config


def store_of(config: Path) -> Store:
    """Return a connection of its own to the campaign's store."""
    return open_store(CoordinatorSettings.load(config))


class Driven(TurnedClock):
    """Drives a campaign on a clock that it turns; people look into the queue now and then."""

    def __init__(self, config: Path, *, answers_every_s: float = 3.0) -> None:
        super().__init__()
        self.config = config
        self.said: list[str] = []
        self.slept_s = 0.0
        self.on_sleep: Callable[[], None] = lambda: None
        self._answers_every_s = answers_every_s

    def drive(self, transport: MemoryTransport, *, lease_s: float = 12.0) -> None:
        """Drive it to its end."""
        pulse = Pulse(self.said.append, lambda: self.slept_s)
        drive(self.config, transport, pulse, clock=self, lease_s=lease_s)

    def sleep(self, seconds: float) -> None:
        """Let time pass, and whoever lives in it do something."""
        super().sleep(seconds)
        self.slept_s += seconds
        if self.slept_s % self._answers_every_s < seconds:
            self.answer()
        self.on_sleep()

    def answer(self) -> None:
        """Let people answer what waits, over a connection of their own."""
        with closing(store_of(self.config)) as store:
            desk_of(Reader()).work(store)
