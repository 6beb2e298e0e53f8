"""What goes wrong below comes out as one clear error, and nothing stored before is lost."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from coordinator.store.campaign import Store, open_store
from coordinator.store.database import Database
from coordinator.store.verify import verify
from fieldvote.errors import InputError, MissingExtraError, StoreError
from tests.coordinator.store.places import (
    NOON,
    Place,
    candidate,
    everything,
    nobody,
    write_a_bit_of_everything,
)
from tests.doubles.postgres import PostgresServer


def fill_up(store: Store) -> int:
    """Write until the disk is full; return how many transactions went through."""
    for number in range(10_000):
        try:
            with store.transaction():
                store.admit(f"more {number}")
                store.keep_candidate(2, candidate(b"more" + number.to_bytes(12, "big"), bytes(700)))
                store.append("rounds", 1 + number, "More", "{}")
        except StoreError as err:
            found = str(err)
            assert "disk is full; what was stored before is whole; make room" in found
            return number
    pytest.fail("the disk was never full")


def check_that_nothing_was_lost(store: Store, done: int) -> None:
    assert len(store.events("rounds")) == 1 + done
    assert len(store.queue()) == done
    assert store.paid() == (1, 0.5)
    assert verify(store.database).faults == ()


def test_a_full_disk_loses_nothing_and_with_room_again_the_same_store_goes_on(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s.sqlite"
    with closing(open_store(path, now=lambda: NOON)) as store:
        with store.transaction():
            write_a_bit_of_everything(store, 0)
        (row,) = store.database.rows(text("PRAGMA page_count"))
        store.database.rows(text(f"PRAGMA max_page_count = {row['page_count'] + 12}"))
        done = fill_up(store)
        assert done > 3
        check_that_nothing_was_lost(store, done)
        store.database.rows(text("PRAGMA max_page_count = 100000"))
        assert not store.admit(f"more {done - 1}")
        assert store.admit(f"more {done}")
    with closing(open_store(path, now=lambda: NOON)) as store:
        check_that_nothing_was_lost(store, done)


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = Path(tempfile.mkdtemp(prefix="fv-disk-"))
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False, capture_output=True
    )
    try:
        if not mounted or mounted.returncode:
            pytest.skip("mounting a small disk needs root: sudo make test")
        yield folder
        subprocess.run(["umount", folder], check=True)
    finally:
        folder.rmdir()


def test_a_disk_that_is_really_full_loses_nothing(small_disk: Path) -> None:
    path = small_disk / "s.sqlite"
    with closing(open_store(path, now=lambda: NOON)) as store:
        with store.transaction():
            write_a_bit_of_everything(store, 0)
        done = fill_up(store)
        assert done > 3
        check_that_nothing_was_lost(store, done)
    with closing(open_store(path, now=lambda: NOON)) as store:
        check_that_nothing_was_lost(store, done)


def test_a_file_that_may_not_be_written_to_says_so_and_stays(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="fv-read-only-") as name:
        folder, path = Path(name), Path(name) / "s.sqlite"
        with closing(open_store(path, now=lambda: NOON)) as store:
            write_a_bit_of_everything(store, 0)
        before = path.read_bytes()
        path.chmod(0o444)
        folder.chmod(0o555)
        try:
            with nobody(), pytest.raises(StoreError, match=r"whole; (give|check)"):
                write_note(path)
        finally:
            folder.chmod(0o755)
            path.chmod(0o644)
        assert path.read_bytes() == before
        with closing(open_store(path, now=lambda: NOON)) as store:
            assert store.note("task") == "digest 0"


def write_note(path: Path) -> None:
    with closing(open_store(path, now=lambda: NOON)) as store:
        store.keep_note("task", "changed")


def test_a_server_that_takes_no_writes_says_so(
    empty_postgres: str, postgres: PostgresServer
) -> None:
    Database.open(empty_postgres, now=lambda: NOON).close()
    name = empty_postgres.split("/")[3].split("?")[0]
    postgres.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with closing(open_store(empty_postgres, now=lambda: NOON)) as store:
        with pytest.raises(StoreError, match="may not be written to"):
            store.keep_note("a", "b")
        assert store.note("a") is None


def test_another_writer_is_waited_for_and_not_for_ever(place: Place) -> None:
    holder, waiter = place.store(), place.store(wait_s=0.2)
    holder.keep_note("a", "0")
    with holder.transaction():
        holder.keep_note("a", "1")
        with pytest.raises(StoreError, match=r"somebody else was writing.*whole; wait"):
            waiter.keep_note("a", "2")
        assert waiter.note("a") == "0"
    assert waiter.note("a") == "1"
    waiter.keep_note("a", "2")
    assert holder.note("a") == "2"


def test_a_clock_that_goes_back_an_hour_changes_no_order_and_breaks_no_chain(place: Place) -> None:
    clock = iter([NOON, NOON + timedelta(hours=1), NOON, NOON - timedelta(hours=1)])
    with closing(Database.open(place.where, now=lambda: next(clock))) as database:
        store = Store(database)
        for version in range(4):
            store.append("rounds", version, f"K{version}", "{}")
        assert [kind for kind, _ in store.events("rounds")] == ["K0", "K1", "K2", "K3"]
        said = [datetime.fromisoformat(str(row[5])).hour for row in everything(database)["event"]]
        assert said == [12, 13, 12, 11]
        assert verify(database).faults == ()


def test_what_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    path.write_bytes(b"this is no database, but long enough to look at" * 40)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="no database; it was left as it is: name another"):
        open_store(path, now=lambda: NOON)
    assert path.read_bytes() == before
    for gone in (tmp_path / "no" / "such" / "folder", tmp_path):
        with pytest.raises(StoreError, match="cannot be opened"):
            open_store(gone, now=lambda: NOON)


def test_a_damaged_file_is_not_called_whole(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with closing(open_store(path, now=lambda: NOON)) as store:
        write_a_bit_of_everything(store, 0)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with pytest.raises(StoreError, match="damaged; take a copy of it, then restore a backup"):
        read_everything(path)


def read_everything(path: Path) -> None:
    with closing(open_store(path, now=lambda: NOON)) as store:
        everything(store.database)


STATES = {
    "53100": "disk is full",
    "25006": "may not be written to",
    "55P03": "somebody else was writing",
    "40P01": "two writers waited for each other",
    "53300": "no connection left",
    "57014": "stopping or starting",
    "XX000": "SQLSTATE XX000",
}


@pytest.mark.parametrize(("state", "words"), STATES.items())
def test_what_a_server_says_comes_out_in_our_words(
    fresh_postgres: str, state: str, words: str
) -> None:
    with closing(Database.open(fresh_postgres, now=lambda: NOON)) as database:
        says = f"DO $$ BEGIN RAISE EXCEPTION 'secret of item 7' USING ERRCODE = '{state}'; END $$"
        with pytest.raises(StoreError, match=words) as failed, database.transaction():
            database.change(text(says))
        assert "whole" in str(failed.value)
        assert "secret" not in str(failed.value)


def test_a_server_that_is_not_there_is_named_without_the_password(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="pip install 'fieldvote[postgres]'")
    url = f"postgresql://me:hunter2@/there?host={tmp_path}&password=hunter3"
    with pytest.raises(
        StoreError, match=r"me:\*\*\*@/there.*cannot be reached.*check server"
    ) as failed:
        Database.open(url, now=lambda: NOON)
    chain: BaseException | None = failed.value
    while chain is not None:
        assert "hunter" not in f"{chain!r} {chain}"
        chain = chain.__cause__ or chain.__context__


def test_a_database_that_is_missing_on_the_server_is_named(postgres: PostgresServer) -> None:
    with pytest.raises(StoreError, match=r'database "missing" does not exist'):
        Database.open(postgres.url("missing"), now=lambda: NOON)


@pytest.mark.parametrize("url", ["mysql://me:hunter2@host/x", "store.sqlite", "postgresql", ":/"])
def test_a_place_that_is_neither_file_nor_server_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InputError, match="expected a path, or postgresql://") as refused:
        Database.open(url, now=lambda: NOON)
    assert "hunter2" not in str(refused.value)


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"fieldvote\[postgres\]"):
        Database.open("postgresql://me@host/x", now=lambda: NOON)


def test_an_error_names_no_value_of_a_row(place: Place) -> None:
    store = place.store()
    store.append("rounds", 0, "K", "what a person said")
    with pytest.raises(StoreError) as failed:
        store.append("rounds", 0, "K", "what a person said")
    chain: BaseException | None = failed.value
    while chain is not None:
        assert "what a person said" not in f"{chain!r} {chain}"
        chain = chain.__cause__


def test_every_table_is_written_by_the_sample_that_tests_compare_with(place: Place) -> None:
    store = place.store()
    write_a_bit_of_everything(store, 0)
    empty = {name for name, rows in everything(store.database).items() if not rows}
    assert empty == {"lease"}
