"""Driving a campaign to its end: over a network in memory, on a clock that the test turns."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from coordinator.rounds.campaign import STREAM
from coordinator.rounds.commands import Command
from coordinator.rounds.machine import Phase
from coordinator.service import STORE_FILE, CoordinatorSettings, open_store, status_of
from coordinator.store.database import Database
from coordinator.store.leases import Lease
from fieldvote.errors import FencedError, InputError
from tests.coordinator.driven import Driven, store_of, write_campaign
from tests.coordinator.rounds.campaign import ONE, Fleet, make_fleet
from tests.doubles.tasks import tabular_files, write_task

LEAD = "campaign small"


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with closing(make_fleet()) as made:
        yield made


def begun(config: Path) -> None:
    """Make the campaign's store."""
    open_store(CoordinatorSettings.load(config), make=True).close()


def test_a_campaign_is_driven_from_nothing_to_its_end_and_all_that_matters_is_told(
    tmp_path: Path, fleet: Fleet
) -> None:
    driven = Driven(write_campaign(tmp_path, "rounds = 2\nquorum = 3"))
    driven.drive(fleet.transport())
    assert driven.said[0] == "campaign small: begins, 2 rounds"
    waits = [line for line in driven.said if line.startswith("waiting")]
    assert waits == [
        "waiting: round 1: people: 0 of 3 candidates are answered",
        "waiting: round 2: people: 0 of 6 candidates are answered",
    ]
    lines = [line.removeprefix("round 1: ") for line in driven.said if line.startswith("round 1:")]
    unusual = {
        Phase.NONE, Phase.PAUSED, Phase.QUARANTINED, Phase.ABANDONED, Phase.REJECTED,
        Phase.ROLLED_BACK,
    }  # fmt: skip
    usual = [phase.value for phase in Phase if phase not in unusual]
    for line, phase in zip(lines, usual, strict=True):
        assert line.startswith(phase)
    assert any("3 answers for 0.15" in line for line in driven.said)
    assert sum(" after 2 exchanges" in line for line in driven.said) == 2
    assert sum("of 10 right, random arm" in line for line in driven.said) == 2
    status = status_of(driven.config)
    assert (status["round"], status["phase"], status["labels"]) == (2, Phase.DONE.value, 9)
    assert status["served"] == status["model"] != ""
    before = len(driven.said)
    driven.drive(fleet.transport())  # there is nothing left to do
    assert driven.said[before:] == ["campaign small: goes on at round 2 of 2, done"]


def test_people_who_take_their_time_are_told_of_every_half_minute(
    tmp_path: Path, fleet: Fleet
) -> None:
    driven = Driven(write_campaign(tmp_path, "rounds = 1"), answers_every_s=100.0)
    driven.drive(fleet.transport())
    waits = [line for line in driven.said if "people: 0 of 3" in line]
    assert len(waits) == 4


def test_a_quorum_that_is_not_there_is_waited_for_and_told_of_once_in_a_while(
    tmp_path: Path, fleet: Fleet
) -> None:
    transport = fleet.transport()
    transport.away = {device for device in transport.handlers if device in (2, 3)}
    driven = Driven(write_campaign(tmp_path, "rounds = 1\nquorum = 3"))

    def come_back() -> None:
        if driven.slept_s > 70:
            transport.away.clear()

    driven.on_sleep = come_back
    driven.drive(transport)
    line = "waiting: 1 training devices are there, 3 are needed: start more"
    assert driven.said.count(line) == 3
    assert status_of(driven.config)["phase"] == Phase.DONE.value


class KilledError(Exception):
    """Stands for a kill."""


def test_a_campaign_goes_on_where_it_was_left(tmp_path: Path, fleet: Fleet) -> None:
    driven = Driven(write_campaign(tmp_path, "rounds = 1"), answers_every_s=1000.0)

    def kill() -> None:
        raise KilledError

    driven.on_sleep = kill
    with pytest.raises(KilledError):
        driven.drive(fleet.transport())
    again = Driven(driven.config)
    again.drive(fleet.transport())
    assert again.said[0] == "campaign small: goes on at round 1 of 1, waiting for people"
    assert status_of(driven.config)["labels"] == 3


def test_a_coordinator_stands_by_while_another_leads_and_takes_over_when_it_is_gone(
    tmp_path: Path, fleet: Fleet
) -> None:
    driven = Driven(write_campaign(tmp_path, "rounds = 1"))
    begun(driven.config)
    stored: list[int] = []

    def look() -> None:
        with closing(store_of(driven.config)) as store:
            stored.append(len(store.events(STREAM)))
        time.sleep(0.05)

    driven.on_sleep = look
    with closing(store_of(driven.config)) as store:
        # a leader that dies: it never lets go, and never renews
        Lease.acquire(store.database, LEAD, "the first", 0.6)
        driven.drive(fleet.transport())
    assert driven.said[0].startswith("standing by: ")
    assert "the first" in driven.said[0]
    assert driven.said[1] == "campaign small: begins, 1 rounds"
    assert stored[:3] == [0, 0, 0]
    assert status_of(driven.config)["phase"] == Phase.DONE.value


def test_a_coordinator_stands_by_while_a_leader_hangs_in_the_middle_of_a_write(
    tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    driven = Driven(write_campaign(tmp_path, "rounds = 1"))
    begun(driven.config)
    opening = Database.open
    monkeypatch.setattr(Database, "open", lambda *a, **k: opening(*a, **{**k, "wait_s": 0.1}))
    hung = open_store(CoordinatorSettings.load(driven.config))
    writing = hung.transaction()
    writing.__enter__()
    hung.keep_note("half", "done")

    def wake_up() -> None:
        if driven.slept_s >= 2 and hung.database.turn:
            writing.__exit__(None, None, None)

    driven.on_sleep = wake_up
    driven.drive(fleet.transport())
    hung.close()
    assert driven.said[0].startswith("standing by: ")
    assert "somebody else was writing for too long" in driven.said[0]
    assert driven.said[-1].startswith("round 1: ")


def test_whoever_ends_lets_the_next_one_lead_at_once(tmp_path: Path, fleet: Fleet) -> None:
    driven = Driven(write_campaign(tmp_path, "rounds = 1"))

    def interrupt() -> None:
        raise KilledError

    driven.on_sleep = interrupt
    with pytest.raises(KilledError):
        driven.drive(fleet.transport(), lease_s=600.0)
    with closing(store_of(driven.config)) as store:
        Lease.acquire(store.database, LEAD, "the next", 1.0)


def take(config: Path) -> Lease:
    """Take the lead from whoever has it, as if it had been silent for too long."""
    store = store_of(config)
    with closing(sqlite3.connect(config.parent / "state" / STORE_FILE)) as file, file:
        file.execute("UPDATE lease SET until_us = 0")
    return Lease.acquire(store.database, LEAD, "the usurper", 600.0)


def everything_but_the_desks(config: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(config.parent / "state" / STORE_FILE)) as file:
        names = [
            row[0] for row in file.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        return {
            name: file.execute(f"SELECT * FROM {name}").fetchall()  # noqa: S608  # its own names
            for name in names
            if name not in ("label", "annotation")
        }


def test_a_leader_whose_lead_was_taken_writes_nothing_more_and_says_who_leads(
    tmp_path: Path, fleet: Fleet
) -> None:
    driven = Driven(write_campaign(tmp_path, "rounds = 2"), answers_every_s=2.0)
    kept: list[object] = []
    held: list[Lease] = []

    def usurp() -> None:
        if not held and driven.slept_s >= 1:
            held.append(take(driven.config))
            kept.append(everything_but_the_desks(driven.config))

    driven.on_sleep = usurp
    with pytest.raises(FencedError, match="the usurper"):
        driven.drive(fleet.transport())
    assert kept == [everything_but_the_desks(driven.config)]
    # its own end did not end the other's lead
    held[0].renew()
    held[0].database.close()


def test_a_task_of_another_digest_is_refused_before_anything_is_done(
    tmp_path: Path, fleet: Fleet
) -> None:
    driven = Driven(write_campaign(tmp_path, "rounds = 1"))
    driven.drive(fleet.transport())
    before = everything_but_the_desks(driven.config)
    write_task(tmp_path / "task", tabular_files())
    again = Driven(driven.config)
    with pytest.raises(InputError, match="or put the task back"):
        again.drive(fleet.transport())
    assert again.said == []
    assert everything_but_the_desks(driven.config) == before


def test_what_people_ask_for_from_elsewhere_is_done_while_it_is_driven(
    tmp_path: Path, fleet: Fleet
) -> None:
    driven = Driven(write_campaign(tmp_path, "rounds = 1"), answers_every_s=1000.0)

    def abort() -> None:
        with closing(store_of(driven.config)) as store:
            command = Command(what="abort", round=1, reason="wrong guide")
            store.owe("one", "command", command.to_json())

    driven.on_sleep = abort
    driven.drive(fleet.transport())
    assert driven.said[-1] == "round 1: given up: wrong guide"
    assert status_of(driven.config)["phase"] == Phase.ABANDONED.value


def test_a_device_that_runs_nothing_of_ours_stops_nobody(tmp_path: Path, fleet: Fleet) -> None:
    transport = fleet.transport()
    transport.corrupt[ONE] = lambda _: b"rubbish"
    driven = Driven(write_campaign(tmp_path, "rounds = 1"))
    driven.drive(transport)
    assert status_of(driven.config)["training_devices"] == 2
    assert status_of(driven.config)["labels"] == 2
