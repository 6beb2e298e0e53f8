from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from coordinator import service
from coordinator.labels.desk import Desk
from coordinator.processes import alone
from coordinator.pulse import Pulse
from coordinator.rounds.machine import (
    Collected,
    Evaluated,
    Event,
    Fitted,
    Labeled,
    Phase,
    Planned,
    Selected,
    Surveyed,
    Trained,
    dump_event,
)
from coordinator.rounds.scheduler import STREAM
from coordinator.service import (
    CoordinatorSettings,
    drive,
    is_finished,
    open_store,
    status_of,
)
from fieldvote.errors import InputError, SettingsError, StoreError, UnavailableError
from tests.coordinator.rounds.campaign import KEYS, TASK, Fleet, Reader, make_fleet
from tests.doubles.transport import MemoryTransport

CAMPAIGN = (
    '[campaign]\nname = "small"\nseed = 3\nsurveyed_share = 1.0\nlabels_per_device = 2\n'
    "offers = 4\nexchanges = 2\n"
)


def write(folder: Path, said: str = "") -> Path:
    config = folder / "coordinator.toml"
    config.write_text(f'folder = "state"\ntask = "task"\n{said}\n{CAMPAIGN}')
    return config


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with closing(make_fleet()) as made:
        yield made


class Driven:
    """A campaign that is driven on a clock of its own; people answer after some sleeps."""

    def __init__(
        self, config: Path, monkeypatch: pytest.MonkeyPatch, *, answers_after_s: float = 3.0
    ) -> None:
        self.config = config
        self.said: list[str] = []
        self.now_s = 0.0
        self._answers_after_s = answers_after_s
        self.on_sleep = lambda: None
        monkeypatch.setattr(
            service, "time", SimpleNamespace(sleep=self._sleep, monotonic=lambda: self.now_s)
        )
        monkeypatch.setattr(service, "Task", SimpleNamespace(load=lambda _: TASK))

    def drive(self, transport: MemoryTransport) -> None:
        drive(self.config, transport, Pulse(self.said.append, lambda: self.now_s))

    def _sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.on_sleep()
        if self.now_s % (self._answers_after_s + 1) < self._answers_after_s:
            return
        with closing(open_store(CoordinatorSettings.load(self.config))) as store:
            Desk(KEYS, Reader(), task=TASK.digest, classes=len(TASK.classes), price=0.05).work(
                store
            )


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("rounds = 0", "rounds and quorum"),
        ("quorum = 0", "rounds and quorum"),
        ('address = "nowhere"', "expected host:port"),
        ('address = ":9092"', "expected host:port"),
        ('address = "host:"', "expected host:port"),
        ("round = 3", "unknown key 'round'; did you mean 'rounds'"),
    ],
)
def test_settings_no_campaign_can_have_are_refused(tmp_path: Path, said: str, wrong: str) -> None:
    with pytest.raises(SettingsError, match=wrong):
        CoordinatorSettings.load(write(tmp_path, said))


def test_paths_are_seen_from_where_the_settings_are(tmp_path: Path) -> None:
    settings = CoordinatorSettings.load(write(tmp_path))
    assert Path(settings.folder) == tmp_path / "state"
    assert Path(settings.task) == tmp_path / "task"
    assert settings.flower.ca == ""


def test_a_store_is_made_only_where_a_campaign_begins(tmp_path: Path) -> None:
    settings = CoordinatorSettings.load(write(tmp_path))
    with pytest.raises(InputError, match="no campaign yet"):
        open_store(settings)
    assert not (tmp_path / "state").exists()
    open_store(settings, make=True).close()
    open_store(settings).close()


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(StoreError, match="cannot be made"):
        open_store(CoordinatorSettings.load(write(tmp_path)), make=True)


def test_a_campaign_is_finished_when_its_last_round_is_and_not_before(tmp_path: Path) -> None:
    settings = CoordinatorSettings.load(write(tmp_path, "rounds = 1"))
    assert not is_finished(settings)
    history: list[Event] = [
        Planned(round=1, devices=(1,), budget=1, first=True),
        Surveyed(round=1, replies=1, offers=1),
        Selected(round=1, items=()),
        Collected(round=1, sealed=0, refused=0),
        Labeled(round=1, answers=0, cost=0.0),
        Fitted(round=1, delivered=0, functions=1),
        Trained(round=1, model="", parent="", exchanges=0),
        Evaluated(round=1, held_out=(), random_arm=()),
    ]
    with closing(open_store(settings)) as store, store.transaction():
        for version, event in enumerate(history[:-1]):
            store.append(STREAM, version, *dump_event(event))
    assert not is_finished(settings)
    with closing(open_store(settings)) as store, store.transaction():
        store.append(STREAM, len(history) - 1, *dump_event(history[-1]))
    assert is_finished(settings)


def test_a_campaign_is_driven_to_its_end_and_every_wait_is_told_of(
    tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    driven = Driven(write(tmp_path, "rounds = 2\nquorum = 3"), monkeypatch)
    driven.drive(fleet.transport())
    assert driven.said[0] == "campaign small: begins, 2 rounds"
    waits = [line for line in driven.said if line.startswith("waiting")]
    assert waits == [
        "waiting for people: 0 of 3 candidates are answered",
        "waiting for people: 0 of 6 candidates are answered",
    ]
    assert driven.said[-1].startswith("round 2: evaluated, held-out ")
    status = status_of(driven.config)
    assert (status["round"], status["phase"], status["labels"]) == (2, Phase.DONE.value, 9)
    before = len(driven.said)
    driven.drive(fleet.transport())  # there is nothing left to do
    assert driven.said[before:] == ["campaign small: goes on at round 2 of 2, evaluated"]


def test_people_who_take_their_time_are_told_of_every_half_minute(
    tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    driven = Driven(write(tmp_path, "rounds = 1"), monkeypatch, answers_after_s=100.0)
    driven.drive(fleet.transport())
    waits = [line for line in driven.said if "waiting for people: 0 of 3" in line]
    assert len(waits) == 4


def test_a_quorum_that_is_not_there_is_waited_for_and_told_of_once_in_a_while(
    tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = fleet.transport()
    transport.away = {device for device in transport.handlers if device in (2, 3)}
    driven = Driven(write(tmp_path, "rounds = 1\nquorum = 3"), monkeypatch)

    def come_back() -> None:
        if driven.now_s > 70:
            transport.away.clear()

    driven.on_sleep = come_back
    driven.drive(transport)
    line = "waiting: 1 training devices are there, 3 are needed: start more"
    assert driven.said.count(line) == 3
    assert driven.said[-1].startswith("round 1: evaluated")


def test_a_campaign_goes_on_where_it_was_left(
    tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        """Stands for a kill."""

    driven = Driven(write(tmp_path, "rounds = 1"), monkeypatch)

    def kill() -> None:
        raise KilledError

    driven.on_sleep = kill
    with pytest.raises(KilledError):
        driven.drive(fleet.transport())
    driven.on_sleep = lambda: None
    driven.drive(fleet.transport())
    assert "campaign small: goes on at round 1 of 1, candidates in" in driven.said
    assert status_of(driven.config)["labels"] == 3


def test_two_runs_do_not_drive_one_campaign(
    tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    driven = Driven(write(tmp_path), monkeypatch)
    (tmp_path / "state").mkdir()
    with (
        alone(tmp_path / "state" / "drive.lock", "first"),
        pytest.raises(UnavailableError, match="another run drives this campaign"),
    ):
        driven.drive(fleet.transport())
    assert driven.said == []
