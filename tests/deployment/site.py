"""A campaign's folder while programs work in it: what they say, store, and ask people."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import edge.status
from coordinator.labels.terminal import answer_queue
from coordinator.rounds.campaign import STREAM
from coordinator.rounds.events import Event, load_event
from coordinator.service import CoordinatorSettings, open_store
from fieldvote.task import Task
from strategies.labeling import VoteSummary
from tests.deployment.processes import (
    FIELDVOTE,
    environment,
    programs_of,
    register,
    running,
    wait_for,
)

# a coordinator as it is, except that its SuperLink writes nothing down
_PASSING = """
import sys
from coordinator.site import Site
real = Site.superlink_command
Site.superlink_command = lambda self: [*real(self)[:-1], ":flwr-in-memory:"]
sys.argv[1:] = ["coordinator", "serve"]
from fieldvote.cli import main
main()
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A task `my-task`, a desk, devices and a coordinator, in one folder.

    Attributes:
        folder: Where everything of the deployment lies.
        devices: The folders of the training devices.
    """

    folder: Path
    devices: tuple[str, ...] = ()

    def stored_apps(self) -> list[list[str]]:
        """Return the names of the files in each app that a lasting SuperLink stores."""
        with closing(sqlite3.connect(self.folder / "state" / "superlink.sqlite")) as link:
            found = link.execute("SELECT content FROM fab").fetchall()
        return [ZipFile(BytesIO(row[0])).namelist() for row in found]

    @property
    def said(self) -> str:
        """What the coordinators have printed so far."""
        path = self.folder / "coordinator.log"
        return path.read_text("utf-8") if path.exists() else ""

    def await_said(self, words: str, limit_s: float = 60, *, times: int = 1) -> None:
        """Return when a coordinator has printed these words."""
        wait_for(lambda: self.said.count(words) >= times, limit_s, self.folder)

    def superlink(self) -> int:
        """Return the PID of the SuperLink."""
        [pid] = programs_of(self.folder, "flower-superlink")
        return pid

    def register(self, *more: str) -> None:
        """Make the devices known, and more: the first by the command the coordinator prints."""
        self.await_said("devices reach")
        [command] = re.findall(r"registered once: (.*)", self.said)
        first, *others = (self.folder / name / "node.key.pub" for name in (*self.devices, *more))
        subprocess.run(
            command.replace("KEY.pub", str(first)), shell=True, check=True, cwd=self.folder,
            env=environment(self.folder), capture_output=True,
        )  # fmt: skip
        if others:
            *_, link = command.split()
            register(others, link, self.folder, flower=self.folder / "state" / "flower")

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return what the campaign's store says."""
        with closing(sqlite3.connect(self.folder / "state" / "campaign.sqlite")) as store:
            return store.execute(query, values).fetchall()

    def events(self) -> list[Event]:
        """Return what has happened in the campaign, oldest first."""
        found = self.rows("SELECT kind, body FROM event WHERE stream = ? ORDER BY version", STREAM)
        return [load_event(*row) for row in found]

    def status(self, device: str) -> dict[str, str | int]:
        """Return what a device says of itself."""
        return edge.status.status_of(self.folder / device / "device.toml")

    def answer(self, oracle: Callable[[str], int]) -> list[str]:
        """Answer the whole queue as at the desk's terminal; return what was shown there."""
        said: list[str] = []
        shown: list[str] = []

        def ask(_: str) -> str:
            shown.append(said[-1])
            return str(oracle(said[-1]))

        settings, desk = self.folder / "coordinator.toml", self.folder / "desk"
        assert answer_queue(settings, desk, ask=ask, say=said.append) == len(shown)
        return shown

    def assert_everything_was_counted_once(self, *, labels: int, items: int) -> None:
        """Compare what devices have given with what the coordinator has taken."""
        assert self.rows("SELECT count(*), sum(delivered) FROM label") == [(labels, labels)]
        assert self.rows("SELECT count(*) FROM pending") == [(0,)]
        ledgers = [
            edge.status.ledger_rows(self.folder / name / "device.toml") for name in self.devices
        ]
        assert sum(row["candidates"] for ledger in ledgers for row in ledger) == labels
        assert self.counted_items() == items

    def counted_items(self) -> int:
        """Return how many items the summed votes are about."""
        task = Task.load(self.folder / "my-task")
        settings = CoordinatorSettings.load(self.folder / "coordinator.toml")
        with closing(open_store(settings)) as store:
            votes = store.total("votes")
        assert votes is not None
        summary = VoteSummary.from_vector(
            votes, functions=len(task.functions), classes=len(task.classes)
        )
        return summary.items


@contextmanager
def serving(site: Site, *, lasting: bool = True) -> Iterator[subprocess.Popen[bytes]]:
    """Serve the campaign of a site while the block lasts.

    A SuperLink that nobody kills need not be lasting; then a message takes half of its time.
    """
    command = [FIELDVOTE, "coordinator", "serve"] if lasting else [sys.executable, "-c", _PASSING]
    with running(command, site.folder, "coordinator.log") as process:
        yield process
