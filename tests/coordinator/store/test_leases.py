"""One leads, another takes over when it dies or hangs, and the old one can write nothing."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from threading import Thread

import pytest

from coordinator.store import database as database_module
from coordinator.store import leases
from coordinator.store.campaign import Store
from coordinator.store.database import Database
from coordinator.store.leases import Lease
from coordinator.store.verify import verify
from fieldvote.errors import FencedError, SettingsError, StoreError
from tests.coordinator.store.places import (
    ROOT,
    Place,
    everything,
    write_a_bit_of_everything,
)

LEADER = (
    "import os, sys, time\n"
    "from datetime import UTC, datetime\n"
    "from pathlib import Path\n"
    "from coordinator.store.campaign import open_store\n"
    "from coordinator.store.leases import Lease\n"
    "from fieldvote.errors import FencedError\n"
    "place = sys.argv[1]\n"
    "place = place if place.startswith('postgresql:') else Path(place)\n"
    "store = open_store(place, now=lambda: datetime.now(UTC))\n"
    "lease = Lease.acquire(store.database, 'campaign', 'one', 0.5)\n"
    "store = store.guarded_by(lease)\n"
    "version = 0\n"
    "while True:\n"
    "    try:\n"
    "        lease.renew()\n"
    "        with store.transaction():\n"
    "            store.append('rounds', version, 'Old', '{}')\n"
    "            store.keep_note('last', str(version))\n"
    "    except FencedError as err:\n"
    "        print(err, flush=True)\n"
    "        break\n"
    "    version += 1\n"
    "    print('leads', flush=True)\n"
    "    time.sleep(0.01)\n"
    "for write in (\n"
    "    lambda: store.append('mine', 0, 'Late', '{}'),\n"
    "    lambda: store.keep_note('last', 'late'),\n"
    "    lambda: store.keep_artifact(b'late'),\n"
    "    lambda: store.admit('late'),\n"
    "    lease.renew,\n"
    "):\n"
    "    try:\n"
    "        write()\n"
    "        print('written', flush=True)\n"
    "    except FencedError:\n"
    "        print('fenced', flush=True)\n"
)


def a_leader(place: Place) -> subprocess.Popen[str]:
    place.store().close()
    process = subprocess.Popen(
        [sys.executable, "-c", LEADER, str(place.where)],
        cwd=ROOT, env=dict(os.environ), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for _ in range(3):
        assert process.stdout.readline() == "leads\n"
    return process


def take_over(database: Database, within_s: float = 20.0) -> Lease:
    """Try again until the lease has run out."""
    end = time.monotonic() + within_s
    while True:
        try:
            return Lease.acquire(database, "campaign", "two", 5.0)
        except (FencedError, StoreError):
            assert time.monotonic() < end, "nobody could take over"
            time.sleep(0.02)


@pytest.mark.slow
def test_another_program_takes_over_from_a_leader_that_was_killed(place: Place) -> None:
    with a_leader(place) as process:
        database = place.database()
        with pytest.raises(FencedError, match="campaign is led by one; nothing was written"):
            Lease.acquire(database, "campaign", "two", 5.0)
        process.kill()
    store = Store(database).guarded_by(take_over(database))
    version = len(store.events("rounds"))
    assert version >= 3
    assert store.note("last") == str(version - 1)
    store.append("rounds", version, "New", "{}")
    assert verify(database).faults == ()


@pytest.mark.slow
def test_a_leader_that_hung_and_wakes_up_after_a_takeover_can_write_nothing(place: Place) -> None:
    with a_leader(place) as process:
        process.send_signal(signal.SIGSTOP)
        database = place.database()
        try:
            lease = take_over(database)
            store = Store(database).guarded_by(lease)
            store.append("rounds", len(store.events("rounds")), "New", "{}")
            before = everything(database)
        finally:
            process.send_signal(signal.SIGCONT)
        said = process.communicate(timeout=60)[0].splitlines()
    assert [line for line in said if line != "leads"] == [
        "campaign is led by two; nothing was written: wait, or stop that one",
        *["fenced"] * 5,
    ]
    assert everything(database) == before
    store.append("rounds", len(store.events("rounds")), "New", "{}")


WRITES: list[Callable[[Store], object]] = [
    lambda store: store.append("rounds", 0, "Late", "{}"),
    lambda store: write_a_bit_of_everything(store, 0),
    lambda store: store.keep_artifact(b"late"),
    lambda store: store.settle("nothing"),
]


def in_a_transaction(store: Store, write: Callable[[Store], object]) -> None:
    with store.transaction():
        write(store)


def in_somebody_elses(store: Store, write: Callable[[Store], object]) -> None:
    with store.database.transaction():
        write(store)


def through_another_store(store: Store, write: Callable[[Store], object]) -> None:
    with Store(store.database, "another").transaction():
        write(store)


def on_its_own(store: Store, write: Callable[[Store], object]) -> None:
    write(store)


WAYS = [on_its_own, in_a_transaction, in_somebody_elses, through_another_store]


def fenced_off(place: Place) -> tuple[Store, Store]:
    """Return a leader that was overtaken, and the one that leads."""
    old_database, new_database = place.database(), place.database()
    old = Lease.acquire(old_database, "campaign", "old", 0.02)
    time.sleep(0.05)
    new = Lease.acquire(new_database, "campaign", "new", 60.0)
    assert new.token > old.token
    return Store(old_database).guarded_by(old), Store(new_database).guarded_by(new)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("write", WRITES, ids=["event", "everything", "artifact", "settle"])
def test_there_is_no_way_to_write_for_a_leader_that_was_overtaken(
    place: Place, write: Callable[[Store], object], way: Callable[..., None]
) -> None:
    old, new = fenced_off(place)
    before = everything(new.database)
    with pytest.raises(FencedError, match="led by new"):
        way(old, write)
    assert everything(new.database) == before
    assert old.events("rounds") == []  # it may read on
    way(new, WRITES[0])


def test_without_the_look_at_the_token_the_old_leader_would_write(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, _ = fenced_off(place)
    monkeypatch.setattr(Lease, "check", lambda _self, _database: None)
    old.append("rounds", 0, "Late", "{}")
    assert old.events("rounds") == [("Late", "{}")]


def test_a_takeover_waits_for_the_step_that_is_under_way(place: Place) -> None:
    old_database, new_database = place.database(), place.database(wait_s=20.0)
    old = Lease.acquire(old_database, "campaign", "old", 0.02)
    store = Store(old_database).guarded_by(old)
    order: list[str] = []

    def follow() -> None:
        Lease.acquire(new_database, "campaign", "new", 60.0)
        order.append("taken over")

    thread = Thread(target=follow)
    with store.transaction():
        store.keep_note("a", "1")
        thread.start()
        time.sleep(0.3)
        order.append("step done")
    thread.join(30)
    assert order == ["step done", "taken over"]
    assert store.note("a") == "1"
    with pytest.raises(FencedError):
        store.keep_note("a", "2")


def hang(store: Store, until: Thread) -> None:
    with store.transaction():
        store.keep_note("a", "1")
        until.start()
        until.join(30)
        store.keep_note("a", "2")


@pytest.mark.slow
def test_a_leader_that_hangs_inside_a_step_is_thrown_out_by_the_server(
    fresh_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "_IDLE_S", 1)
    old_database = Database.open(fresh_postgres, now=_nobody_asks)  # type: ignore[arg-type]  # never
    new_database = Database.open(fresh_postgres, now=_nobody_asks)  # type: ignore[arg-type]  # never
    try:
        store = Store(old_database).guarded_by(Lease.acquire(old_database, "campaign", "old", 0.1))
        taken: list[Lease] = []
        follow = Thread(target=lambda: taken.append(take_over(new_database)))
        with pytest.raises(StoreError, match=r"whole.*go on"):
            hang(store, follow)
        assert [lease.holder for lease in taken] == ["two"]
        assert store.note("a") is None
    finally:
        old_database.close()
        new_database.close()


def _nobody_asks() -> object:
    raise AssertionError("nobody asks for the time")


def test_a_lease_is_renewed_while_it_is_ours_and_let_go_of_once(place: Place) -> None:
    database, other = place.database(), place.database()
    lease = Lease.acquire(database, "campaign", "one", 0.05)
    time.sleep(0.1)
    lease.renew()  # it ran out, and nobody took it
    lease = Lease.acquire(place.database(), "another", "one", 60.0)  # a name of its own
    lease.release()
    second = Lease.acquire(other, "another", "two", 60.0)
    assert second.token > lease.token
    lease.release()  # too late: it is not ours to let go of
    with pytest.raises(FencedError, match="led by two"):
        Lease.acquire(database, "another", "three", 60.0)
    for gone in (lease.renew, lambda: Store(database).guarded_by(lease).keep_note("a", "b")):
        with pytest.raises(FencedError):
            gone()
    second.renew()


def test_whoever_let_go_writes_no_more(place: Place) -> None:
    database = place.database()
    lease = Lease.acquire(database, "campaign", "one", 60.0)
    lease.release()
    with pytest.raises(FencedError, match="led by nobody"):
        Store(database).guarded_by(lease).keep_note("a", "b")


def test_a_holder_of_the_same_name_is_another_holder(place: Place) -> None:
    database = place.database()
    Lease.acquire(database, "campaign", "one", 60.0)
    with pytest.raises(FencedError):
        Lease.acquire(database, "campaign", "one", 60.0)


def test_what_a_dead_holder_of_a_file_left_behind_is_taken_at_once_and_on_a_server_runs_out(
    place: Place,
) -> None:
    database = place.database()
    first = Lease.acquire(database, "campaign", "one", 60.0)
    asked: list[str] = []

    def lives(holder: str) -> bool:
        asked.append(holder)
        return False

    with pytest.raises(FencedError, match="led by one"):
        Lease.acquire(place.database(), "campaign", "two", 60.0, is_gone=lives)
    first.renew()
    assert asked == ([] if place.is_postgres else ["one"])
    if place.is_postgres:
        # a server's clients are on many machines, and none knows the processes of another
        with pytest.raises(FencedError, match="led by one"):
            Lease.acquire(place.database(), "campaign", "two", 60.0, is_gone=lambda _: True)
        first.renew()
        return
    second = Lease.acquire(place.database(), "campaign", "two", 60.0, is_gone=lambda _: True)
    assert second.token == first.token + 1
    with pytest.raises(FencedError, match="led by two"):
        Store(database).guarded_by(first).keep_note("a", "b")
    second.renew()


@pytest.mark.parametrize("ttl_s", [0.0, -1.0, float("nan")])
def test_a_lease_lasts_some_time(place: Place, ttl_s: float) -> None:
    with pytest.raises(SettingsError, match="more than 0"):
        Lease.acquire(place.database(), "campaign", "one", ttl_s)


@pytest.mark.parametrize("moved_s", [-3600, 3600])
def test_a_clock_that_jumps_an_hour_lets_nobody_lead_for_ever_and_no_old_leader_write(
    place: Place, monkeypatch: pytest.MonkeyPatch, moved_s: int
) -> None:
    database = place.database()
    first = Lease.acquire(database, "campaign", "one", 30.0)
    true_clock = leases._now_us
    monkeypatch.setattr(leases, "_now_us", lambda each: true_clock(each) + moved_s * 1_000_000)
    second = Lease.acquire(place.database(), "campaign", "two", 30.0)
    with pytest.raises(FencedError):
        Store(database).guarded_by(first).keep_note("a", "b")
    Store(database).guarded_by(second).keep_note("a", "b")


def test_the_clock_of_a_lease_is_the_databases_and_not_the_programs(place: Place) -> None:
    database = place.database()
    before = leases._now_us(database)
    time.sleep(0.05)
    passed = leases._now_us(database) - before
    assert 50_000 <= passed < 5_000_000
