"""A store whose key lives elsewhere: the same laws, and a stolen disk that tells nothing."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select, text

from coordinator.store.archive import backup, restore
from coordinator.store.campaign import Store
from coordinator.store.database import Database
from coordinator.store.rows import StoredCandidate
from coordinator.store.schema import LOCKED, TABLES, pending, total
from coordinator.store.verify import verify
from fieldvote.errors import InputError, InternalError, SealError
from fieldvote.records import DeviceId
from privacy.sealing.at_rest import Held
from tests.coordinator.store.places import NOON, Place, everything, write_a_bit_of_everything
from tests.doubles.postgres import PostgresServer

KEY, OTHER = Held(b"k" * 32), Held(b"o" * 32)
PLANTED = b"a planted sentence nobody may find"


def opened(where: Path | str, custody: Held | None = KEY) -> Database:
    return Database.open(where, now=lambda: NOON, custody=custody)


def write(database: Database, *numbers: int) -> Store:
    """Write a bit of everything, and a planted sentence into each locked column."""
    store = Store(database)
    for number in numbers:
        write_a_bit_of_everything(store, number)
        item = bytes([number + 100]) * 16
        store.keep_artifact(PLANTED + b"%d" % number)
        store.owe(f"planted {number}", "email", PLANTED)
        store.expect_all(number, "collect", {DeviceId(number): PLANTED})
        store.keep_snapshot(f"stream {number}", 0, PLANTED)
        store.keep_candidate(
            2, StoredCandidate(item=item, device=DeviceId(1), arm=0, envelope=PLANTED)
        )
    return store


def told(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of every table, but for what this database is."""
    return {name: rows for name, rows in everything(database).items() if name != "fieldvote_meta"}


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


def test_a_locked_store_says_what_a_plain_one_says(empty_place: Place, tmp_path: Path) -> None:
    with (
        closing(opened(empty_place.where)) as locked,
        closing(opened(tmp_path / "plain.sqlite", None)) as plain,
    ):
        for database in (locked, plain):
            write(database, 0, 1)
        assert told(locked) == told(plain)
        assert verify(locked).faults == ()
    with closing(opened(empty_place.where)) as again:
        assert Store(again).artifacts() == Store(again).artifacts()
        assert Store(again).expected(0, "collect") == {DeviceId(0): PLANTED}
        assert Store(again).snapshot("stream 1") == (0, PLANTED)
        assert [owed.body for owed in Store(again).owed()].count(PLANTED) == 2
        assert [c.envelope for c in Store(again).queue(2)] == [PLANTED] * 2


def test_planted_strings_are_in_no_byte_of_the_folder_while_open_and_after(tmp_path: Path) -> None:
    with closing(opened(tmp_path / "store.sqlite")) as database:
        write(database, 0, 1)
        backup(database, tmp_path / "backup.sqlite")
        assert list(tmp_path.glob("*-wal"))
        assert b"planted 0" in bytes_of(tmp_path)  # the outbox key: the right place to look
        assert b"sentence" not in bytes_of(tmp_path)
    assert b"sentence" not in bytes_of(tmp_path)


def test_every_locked_column_is_locked_on_either_database(empty_place: Place) -> None:
    with closing(opened(empty_place.where)) as database:
        write(database, 0)
        plain = told(database)
    with closing(_without_key(empty_place.where)) as raw:
        for name, columns in LOCKED.items():
            table = TABLES.tables[name]
            names = [column.name for column in table.columns]
            query = select(table).order_by(*table.primary_key.columns)
            rows = raw.rows(query)
            assert rows, f"{name}: the sample writes no row"
            for row, open_row in zip(rows, plain[name], strict=True):
                for column in columns:
                    assert len(row[column]) == len(open_row[names.index(column)]) + 28  # type: ignore[arg-type]  # bytes


def _without_key(where: Path | str) -> Database:
    """Open a locked database as a thief does: with another program."""
    database = opened(where)
    database._locked.key = None
    return database


def test_a_plain_store_is_locked_when_it_is_first_opened_with_a_key(empty_place: Place) -> None:
    where = empty_place.where
    with closing(opened(where, None)) as database:
        write(database, 0, 1)
        before = told(database)
    if isinstance(where, Path):
        assert b"sentence" in bytes_of(where.parent)
    with closing(opened(where)) as database:
        assert told(database) == before
        assert verify(database).faults == ()
        if isinstance(where, Path):
            assert b"sentence" not in bytes_of(where.parent)
    with closing(opened(where)) as database:
        assert told(database) == before


def test_a_crash_while_a_store_is_locked_leaves_it_plain_and_whole(
    empty_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(opened(empty_place.where, None)) as database:
        write(database, 0)
        before = told(database)
    with monkeypatch.context() as patch:
        patch.setitem(LOCKED, "outbox", ("no such column",))  # the last table
        with pytest.raises(KeyError):
            opened(empty_place.where)
    with closing(opened(empty_place.where, None)) as database:
        assert told(database) == before


def test_leftovers_of_a_crash_after_locking_are_erased_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with closing(opened(path)) as database:
        write(database, 0)
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        # what was deleted by a program that did not overwrite it
        file.execute("PRAGMA secure_delete = OFF")
        file.execute("CREATE TABLE before (said BLOB)")
        file.executemany("INSERT INTO before VALUES (?)", [(PLANTED * 50,)] * 20)
        file.execute("DROP TABLE before")
        file.execute("INSERT INTO fieldvote_meta VALUES ('data key leftovers', '')")
    assert b"sentence" in bytes_of(tmp_path)
    opened(path).close()
    assert b"sentence" not in bytes_of(tmp_path)


@pytest.mark.parametrize("custody", [OTHER, Held("a passphrase"), None])
def test_another_key_is_one_clear_error_and_changes_nothing(
    empty_place: Place, custody: Held | None
) -> None:
    with closing(opened(empty_place.where)) as database:
        write(database, 0)
        before = told(database)
    with pytest.raises(SealError, match="locked"):
        opened(empty_place.where, custody)
    with closing(opened(empty_place.where)) as database:
        assert told(database) == before


def test_two_programs_that_lock_a_new_store_at_once_agree_on_one_key(empty_place: Place) -> None:
    with closing(opened(empty_place.where)) as one, closing(opened(empty_place.where)) as two:
        write(one, 0)
        assert told(two) == told(one)


SWAPPED = {
    "candidates": "UPDATE candidate SET envelope = (SELECT o.envelope FROM candidate o"
    " WHERE o.item <> candidate.item AND o.round = candidate.round)",
    "totals": "UPDATE total SET name = 'other' WHERE name = 'votes'",
    "a campaign": "UPDATE outbox SET campaign = 'second'",
    "artifacts": "UPDATE artifact SET blob = (SELECT o.blob FROM artifact o"
    " WHERE o.digest <> artifact.digest ORDER BY o.digest LIMIT 1)",
    "another table's": "UPDATE label SET envelope = (SELECT envelope FROM candidate c"
    " WHERE c.item = label.item)",
    "cut short": "UPDATE snapshot SET state = substr(state, 1, length(state) - 1)",
    "emptied": "UPDATE pending SET request = substr(request, 1, 0)",
}


@pytest.mark.parametrize("statement", SWAPPED.values(), ids=SWAPPED)
def test_a_row_that_was_changed_or_moved_on_the_disk_is_refused(
    empty_place: Place, statement: str
) -> None:
    with closing(opened(empty_place.where)) as database:
        write(database, 0, 1)
    empty_place.tamper(statement, unchecked=True)
    with (
        closing(opened(empty_place.where)) as database,
        pytest.raises(SealError, match="changed, cut short or moved"),
    ):
        told(database)
    with closing(opened(empty_place.where)) as database:
        assert len(verify(database).faults) >= 1


def test_a_backup_is_locked_by_a_key_of_its_own_and_goes_back_to_either_kind(
    empty_place: Place, tmp_path: Path, empty_postgres: str
) -> None:
    path = tmp_path / "monday"
    with closing(opened(empty_place.where)) as database:
        write(database, 0, 1)
        before = told(database)
        backup(database, path)
    assert b"sentence" not in path.read_bytes()
    with closing(sqlite3.connect(path)) as file:
        [(kept,)] = file.execute("SELECT value FROM fieldvote_meta WHERE name = 'data key'")
        if isinstance(empty_place.where, Path):
            assert kept.encode() not in bytes_of(empty_place.where.parent).replace(
                path.read_bytes(), b""
            )
    places: list[Path | str] = [tmp_path / "new.sqlite"]
    if empty_place.where != empty_postgres:
        places.append(empty_postgres)
    for where in places:
        with closing(opened(where)) as database:
            assert restore(path, database).faults == ()
            assert told(database) == before
    with closing(opened(tmp_path / "foreign.sqlite", OTHER)) as database:
        with pytest.raises(SealError, match="locked by key"):
            restore(path, database)
        assert not any(told(database).values())


def test_another_key_takes_over_without_a_row_written_anew(empty_place: Place) -> None:
    with closing(opened(empty_place.where)) as database:
        write(database, 0)
        before = told(database)
        raw = [_raw(database) for _ in range(2)]
        database.rewrap(b"o" * 32)
        assert [_raw(database)] * 2 == raw
    with pytest.raises(SealError):
        opened(empty_place.where)
    with closing(opened(empty_place.where, OTHER)) as database:
        assert told(database) == before
    with closing(opened(Path(":memory:"), None)) as plain, pytest.raises(InputError):
        plain.rewrap(b"o" * 32)


def _raw(database: Database) -> bytes:
    """Return a sum as it lies on the disk."""
    (row,) = database.rows(text("SELECT vector FROM total"))
    return bytes(row["vector"])


def test_a_query_that_cannot_say_which_row_it_reads_is_a_bug_at_once(tmp_path: Path) -> None:
    with closing(opened(tmp_path / "store.sqlite")) as database:
        write(database, 0)
        for query in (select(total.c.vector), select(pending.c.request, pending.c.campaign)):
            with pytest.raises(InternalError, match="does not say which row"):
                database.rows(query)


def test_what_was_purged_from_the_store_is_not_in_its_free_pages(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with closing(opened(path, None)) as database:
        store = Store(database)
        store.expect_all(1, "collect", {DeviceId(1): PLANTED})
        store.withdraw(1, "collect")
    assert b"sentence" not in bytes_of(tmp_path)


@pytest.mark.usefixtures("postgres")
def test_what_a_server_keeps_of_a_row_is_locked(
    postgres: PostgresServer, empty_postgres: str
) -> None:
    with closing(opened(empty_postgres)) as database:
        write(database, 0)
        rows = database.rows(text("SELECT encode(blob, 'escape') AS said FROM artifact"))
    assert rows
    assert not any("sentence" in row["said"] for row in rows)
