import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from threading import Thread

import numpy as np
import pytest
from sqlalchemy import Connection, text

from coordinator.store.campaign import Store
from coordinator.store.database import Database
from fieldvote.errors import InternalError, StoreError
from fieldvote.records import DeviceId
from tests.coordinator.store.places import (
    NOON,
    ROOT,
    Place,
    everything,
    write_a_bit_of_everything,
)
from tests.doubles.postgres import PostgresServer

ONE = np.array([1])
BEGINNING = (
    "import os, signal, sys\n"
    "from datetime import UTC, datetime\n"
    "from pathlib import Path\n"
    "from coordinator.store.campaign import open_store\n"
    "from fieldvote.errors import StoreError\n"
    "from tests.coordinator.store.places import write_a_bit_of_everything\n"
    "place = sys.argv[1]\n"
    "place = place if place.startswith('postgresql:') else Path(place)\n"
    "store = open_store(place, now=lambda: datetime(2026, 1, 1, tzinfo=UTC))\n"
)


def started(place: Place, script: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BEGINNING + script, str(place.where)],
        cwd=ROOT, env=dict(os.environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def break_off(store: Store, fault: type[BaseException]) -> None:
    with store.transaction():
        write_a_bit_of_everything(store, 1)
        raise fault


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt, StoreError])
def test_a_transaction_is_all_or_nothing(place: Place, fault: type[BaseException]) -> None:
    store, reader = place.store(), place.database()
    with store.transaction():
        write_a_bit_of_everything(store, 0)
    before = everything(reader)
    assert all(rows for name, rows in before.items() if name != "lease")
    with pytest.raises(fault):
        break_off(store, fault)
    assert everything(reader) == before
    with store.transaction():
        write_a_bit_of_everything(store, 1)
    assert all(len(everything(reader)[name]) == 2 for name in ("inbox", "candidate", "artifact"))


@pytest.mark.slow
def test_a_process_killed_inside_a_transaction_leaves_what_was_there_before(place: Place) -> None:
    store = place.store()
    with store.transaction():
        write_a_bit_of_everything(store, 0)
    before = everything(store.database)
    script = (
        "with store.transaction():\n"
        "    write_a_bit_of_everything(store, 1)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with started(place, script) as process:
        assert process.wait(60) == -signal.SIGKILL
    assert everything(store.database) == before
    with store.transaction():  # and nobody is locked out
        write_a_bit_of_everything(store, 1)


@pytest.mark.slow
def test_of_two_writers_that_race_for_one_version_exactly_one_wins(place: Place) -> None:
    place.store().append("rounds", 0, "First", "{}")
    script = (
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "won = 0\n"
        "for version in range(1, 41):\n"
        "    try:\n"
        "        with store.transaction():\n"
        "            store.admit(f'{os.getpid()} {version}')\n"
        "            store.append('rounds', version, 'K', str(os.getpid()))\n"
        "        won += 1\n"
        "    except StoreError:\n"
        "        pass\n"
        "print(won, flush=True)\n"
    )
    with started(place, script) as one, started(place, script) as two:
        for process in (one, two):
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in (one, two):
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        won = [int(process.communicate(timeout=60)[0]) for process in (one, two)]
    store = place.store()
    bodies = [body for _, body in store.events("rounds", after=0)]
    assert sum(won) == len(bodies) == 40
    assert [bodies.count(str(process.pid)) for process in (one, two)] == won
    # what the loser wrote in the same transaction is not there either
    assert len(everything(store.database)["inbox"]) == 40


def test_transactions_do_not_nest_and_a_change_needs_one(place: Place) -> None:
    store = place.store()
    with pytest.raises(InternalError, match="nest"), store.transaction(), store.transaction():
        pass
    with pytest.raises(InternalError, match="outside"):
        store.database.change(text("DELETE FROM note"))
    with store.database.snapshot(), pytest.raises(InternalError, match="outside"):
        store.database.change(text("DELETE FROM note"))


def swallow_a_failure(store: Store) -> None:
    with store.transaction():
        store.keep_note("before", "it")
        with pytest.raises(StoreError):
            store.append("rounds", 0, "Theirs", "{}")
        with pytest.raises(StoreError, match="take the step again"):
            store.note("before")


def test_a_step_whose_failure_was_swallowed_is_not_stored_and_says_so(place: Place) -> None:
    store = place.store()
    store.append("rounds", 0, "Mine", "{}")
    with pytest.raises(StoreError, match="nothing of it was stored"):
        swallow_a_failure(store)
    assert store.note("before") is None
    assert store.events("rounds") == [("Mine", "{}")]


def test_a_reader_sees_what_is_durable_and_stops_no_writer(place: Place) -> None:
    writer, reader = place.store(), place.store()
    with writer.transaction():
        writer.append("rounds", 0, "K", "{}")
        assert reader.events("rounds") == []
        assert writer.events("rounds") == [("K", "{}")]
    assert reader.events("rounds") == [("K", "{}")]
    with reader.transaction():
        reader.append("rounds", 1, "K", "{}")
    assert len(writer.events("rounds")) == 2


def test_a_snapshot_is_one_moment(place: Place) -> None:
    writer, reader = place.store(), place.store()
    writer.keep_note("a", "1")
    with reader.database.snapshot():
        assert reader.note("a") == "1"
        writer.keep_note("a", "2")
        assert reader.note("a") == "1"
    assert reader.note("a") == "2"


def test_threads_wait_for_each_other(place: Place) -> None:
    store = place.store()
    store.add("count", ONE)
    seen: list[int] = []

    def work() -> None:
        for _ in range(20):
            with store.transaction():
                store.add("count", ONE)
            seen.append(int(store.total("count")[0]))  # type: ignore[index]  # it was added to

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert store.total("count") == [81]
    assert max(seen) == 81


@pytest.mark.slow
def test_steps_that_read_before_they_write_lose_nothing_between_two_programs(place: Place) -> None:
    script = (
        "import numpy as np\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "for number in range(30):\n"
        "    store.add('count', np.array([1]))\n"
        "    store.owe(f'{os.getpid()} {number}', 'k', b'')\n"
    )
    place.store()
    with started(place, script) as one, started(place, script) as two:
        for process in (one, two):
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in (one, two):
            process.communicate("go\n", timeout=60)
    store = place.store()
    assert store.total("count") == [60]
    places = [row[2] for row in everything(store.database)["outbox"]]
    assert sorted(places) == list(range(1, 61))  # type: ignore[type-var]  # whole numbers


def test_a_write_on_its_own_is_durable_at_once(place: Place) -> None:
    place.store().expect_all(1, "survey", {DeviceId(3): b"request"})
    assert place.store().expected(1, "survey") == {3: b"request"}


def cut_inside(store: Store, cut: Callable[[], object]) -> None:
    with store.transaction():
        store.keep_note("a", "3")
        cut()
        store.keep_note("a", "4")


def test_a_lost_connection_is_a_store_error_inside_a_step_and_nothing_between_steps(
    fresh_postgres: str, postgres: PostgresServer
) -> None:
    store = Store(Database.open(fresh_postgres, now=lambda: NOON))

    def cut() -> None:
        postgres.end_sessions("shared")

    with closing(store):
        store.keep_note("a", "1")
        cut()
        assert store.note("a") == "1"
        cut()
        store.keep_note("a", "2")
        with pytest.raises(StoreError, match=r"connection.*lost.*whole.*go on"):
            cut_inside(store, cut)
        assert store.note("a") == "2"
        store.keep_note("a", "5")
        assert store.note("a") == "5"


def test_a_connection_lost_at_the_last_word_says_that_the_step_may_be_stored(
    fresh_postgres: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(Database.open(fresh_postgres, now=lambda: NOON))
    said = Connection.exec_driver_sql

    def cut_at_the_end(connection: Connection, statement: str) -> object:
        if statement == "COMMIT":
            postgres.end_sessions("shared")
        return said(connection, statement)

    with closing(store):
        monkeypatch.setattr(Connection, "exec_driver_sql", cut_at_the_end)
        with pytest.raises(StoreError, match="may be stored or not; load what is stored"):
            store.keep_note("a", "1")
        monkeypatch.undo()
        assert store.note("a") is None
        store.keep_note("a", "2")
        assert store.note("a") == "2"
