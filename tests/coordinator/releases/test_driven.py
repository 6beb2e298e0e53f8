"""A deployed campaign takes a release up: commands, devices that install, restarts, folders."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from coordinator.driving import drive
from coordinator.pulse import Pulse
from coordinator.releases.tasks import current_task
from coordinator.service import CoordinatorSettings, check_task, status_of
from coordinator.transport import Transport
from coordinator.upkeep import labels_of, reproduce_round
from edge.service import Serving
from edge.settings import EdgeSettings
from fieldvote.cli import app
from fieldvote.errors import InputError
from fieldvote.records import DeviceId
from fieldvote.rng import stream
from fieldvote.task import FUNCTIONS_FILE, Task
from tests.coordinator.driven import store_of
from tests.coordinator.releases.signed import A2, A_LOW, A, B
from tests.coordinator.rounds.campaign import KEYS, SMALL_FILES, Reader, TurnedClock, desk_of
from tests.doubles.owner import OWNER
from tests.doubles.tasks import write_device, write_task
from tests.doubles.transport import MemoryTransport

DEVICES = 3
ITEMS = 40


class EnoughError(Exception):
    """Ends a campaign that a test has seen enough of."""


class Site:
    """A coordinator's folder, three devices with folders of their own, and a person."""

    def __init__(self, folder: Path, held: ExitStack) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.config = folder / "coordinator.toml"
        write_task(folder / "task", SMALL_FILES)
        OWNER.sign_task(folder / "task", 1)
        self.config.write_text(
            'folder = "state"\ntask = "task"\nrounds = 3\nquorum = 3\n'
            f"{OWNER.put_online(folder)}"
            '[campaign]\nname = "small"\n'
            "seed = 3\nsurveyed_share = 1.0\nlabels_per_device = 2\noffers = 4\nexchanges = 2\n"
            "deadline_s = 5\n[campaign.releases]\nshare = 0.6\nleast_items = 1\n"
        )
        self.phones = {}
        for number in range(1, DEVICES + 1):
            rows = stream(8, "device", number).normal(size=(ITEMS, 3))
            place = folder / f"phone{number}"
            place.mkdir()
            np.savez(place / "items.npz", X=rows)
            device = write_device(
                place,
                SMALL_FILES,
                item_file='"items.npz"',
                root=OWNER.put_root(place),
                labeling_key=f'"{KEYS.labeling.public.hex()}"',
                desk_key=f'"{KEYS.signing.public.hex()}"',
            )
            OWNER.sign_task(place / "task", 1)
            settings = EdgeSettings.load(device)
            own = held.enter_context(ExitStack())  # it closes what it holds when it installs
            self.phones[DeviceId(number)] = Serving(settings, own, lambda _: None)

    def network(self) -> MemoryTransport:
        return MemoryTransport({d: phone.answer for d, phone in self.phones.items()})

    def drive(self, until: Callable[[], bool] = lambda: False) -> None:
        """Lead the campaign, as somebody answers what waits, to its end or until it is so."""
        clock = Living(self, until)
        courier: Callable[[], Transport] = self.network
        drive(self.config, self.network(), Pulse(self.said.append), courier=courier, clock=clock)

    def says(self, *words: str) -> str:
        """Run a command of ours."""
        ended = CliRunner().invoke(app, ["functions", *words, "--config", str(self.config)])
        assert ended.exit_code == 0, ended.output
        return ended.stdout

    def phase(self) -> str:
        """Return where the newest release stands."""
        return str(json.loads(self.says("list", "--json"))[-1]["phase"])

    def sign(self, name: str, functions: tuple[bytes, ...], version: int) -> str:
        """Write and sign another version of the task; return its folder."""
        files = {**SMALL_FILES, FUNCTIONS_FILE: b"".join(functions)}
        folder = write_task(self.folder / name, files)
        OWNER.sign_task(folder, version)
        return str(folder)


class Living(TurnedClock):
    """A clock on which somebody answers, and which may end the campaign."""

    def __init__(self, site: Site, until: Callable[[], bool]) -> None:
        super().__init__(datetime.now(UTC))  # the devices go by the true time
        self._site, self._until, self._slept = site, until, 0

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self._slept += 1
        assert self._slept < 3000, self._site.said[-5:]
        store = store_of(self._site.config)
        desk_of(Reader()).work(store)
        store.close()
        if self._until():
            raise EnoughError

        time.sleep(0.005)  # deliveries live in threads of their own


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as held:
        yield Site(tmp_path, held)


def led(site: Site, until: Callable[[], bool]) -> None:
    """Lead the campaign until something is so."""
    with pytest.raises(EnoughError):
        site.drive(until)


def is_begun(site: Site) -> bool:
    store = store_of(site.config)
    try:
        return store.total("votes") is not None
    finally:
        store.close()


def test_a_release_goes_by_commands_from_a_folder_to_every_device(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.releases.terminal._WAIT_S", 0.0)
    led(site, lambda: is_begun(site))
    next_task = site.sign("next", (A2, B, A_LOW), 2)
    site.says("release", next_task, "--share", "0.6")
    led(site, lambda: site.phase().startswith("tried"))
    shown = json.loads(site.says("show", "--json"))
    assert (shown["devices"], shown["items"]) == (2, 80)
    assert [row["function"] for row in shown["functions"]] == ["a_is_high", "a_is_low"]
    assert "a_is_high" in site.says("show", "1")
    assert "release_1" in status_of(site.config)
    site.says("promote", "1", "--reason", "the bound was too high")
    site.drive()
    assert any("a release was promoted: on with task" in line for line in site.said)
    assert sum("has installed small v2" in line for line in site.said) == DEVICES
    after = Task.load(Path(next_task))
    for number in range(1, DEVICES + 1):
        assert Task.load(site.folder / f"phone{number}" / "task").digest == after.digest
    store = store_of(site.config)
    try:
        assert current_task(store, Task.load(site.folder / "task")).digest == after.digest
        seen = store.total("votes")
        assert seen is not None
        assert seen[0] == DEVICES * ITEMS
    finally:
        store.close()
    # rounds before and after it can be made again, each with the task it had
    for number in (1, 2, 3):
        assert all(row["same"] == "yes" for row in reproduce_round(site.config, number))
    assert len(labels_of(site.config, None)) > 0
    # from the folder of either version the campaign goes on, from any other it does not
    settings = CoordinatorSettings.load(site.config)
    check_task(settings, Task.load(site.folder / "task"))
    check_task(settings, after)
    with pytest.raises(InputError, match="put the task back"):
        check_task(settings, Task.load(Path(site.sign("other", (A, A_LOW), 3))))
    shutil.rmtree(site.folder / "task")
    shutil.copytree(next_task, site.folder / "task")
    site.drive()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("unsigned", "its owner has to sign it first"),
        ("old", "version 1 is not newer than 1"),
        ("policy", "policy.toml differs"),
        ("same", "there is nothing to release"),
        ("tampered", "is not the one that was signed"),
    ],
)
def test_what_is_no_release_is_one_line_and_exit_code_2_or_3(
    site: Site, change: str, why: str
) -> None:
    led(site, lambda: is_begun(site))
    functions = (A, B) if change == "same" else (A2, B)
    folder = Path(site.sign("next", functions, 1 if change == "old" else 2))
    if change == "unsigned":
        (folder / "targets.msgpack").unlink()
    if change == "policy":
        (folder / "policy.toml").write_text("[limits]\ncandidates = 7\n")
        OWNER.sign_task(folder, 2)
    if change == "tampered":
        (folder / FUNCTIONS_FILE).write_bytes(A2)
    words = ["functions", "release", str(folder), "--config", str(site.config)]
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code in (2, 3)
    assert why in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert json.loads(site.says("list", "--json")) == []


def test_a_release_that_is_not_there_is_said(site: Site) -> None:
    led(site, lambda: is_begun(site))
    for words in (["show", "3"], ["promote", "3"], ["rollback", "3"]):
        ended = CliRunner().invoke(app, ["functions", *words, "--config", str(site.config)])
        assert ended.exit_code == 2
        assert "there is no release 3" in ended.stderr
