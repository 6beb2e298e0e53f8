import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import Connection, text

from coordinator.store.campaign import Store
from coordinator.store.database import Database
from coordinator.store.migrations import FIRST, MIGRATIONS, SCHEMA
from coordinator.store.verify import verify
from fieldvote.errors import StoreError
from fieldvote.records import DeviceId
from tests.coordinator.store.places import (
    NOON,
    Place,
    candidate,
    everything,
    write_a_bit_of_everything,
)

ITEM = b"i" * 16
OLDER = """
CREATE TABLE event (seq INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL,
    version INTEGER NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL, at TEXT NOT NULL,
    UNIQUE (stream, version));
CREATE TABLE inbox (message TEXT PRIMARY KEY);
CREATE TABLE pending (message TEXT PRIMARY KEY);
CREATE TABLE total (name TEXT PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE device (id INTEGER PRIMARY KEY);
CREATE TABLE offer (round INTEGER NOT NULL, item BLOB NOT NULL, PRIMARY KEY (round, item));
CREATE TABLE candidate (item BLOB PRIMARY KEY);
CREATE TABLE label (item BLOB PRIMARY KEY REFERENCES candidate);
INSERT INTO inbox VALUES ('1/survey/1');
PRAGMA user_version = 1;
"""


def add_a_column(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE note ADD COLUMN who TEXT NOT NULL DEFAULT 'somebody'")


def fill_it(connection: Connection) -> None:
    connection.exec_driver_sql("UPDATE note SET who = 'us'")


def break_down(connection: Connection) -> None:
    connection.exec_driver_sql("DELETE FROM note")
    connection.exec_driver_sql("SELECT * FROM no_such_table")


def opened(place: Place, *more: object) -> Database:
    return Database.open(place.where, now=lambda: NOON, migrations=(*MIGRATIONS, *more))  # type: ignore[arg-type]  # migrations


def schema_of(database: Database) -> str:
    (row,) = database.rows(text("SELECT value FROM fieldvote_meta WHERE name = 'schema'"))
    return str(row["value"])


def test_a_store_of_an_earlier_schema_is_brought_forward_step_by_step(empty_place: Place) -> None:
    store = empty_place.store()
    write_a_bit_of_everything(store, 0)
    store.close()
    with closing(opened(empty_place, add_a_column)) as database:
        assert schema_of(database) == str(SCHEMA + 1)
    with closing(opened(empty_place, add_a_column, fill_it)) as database:
        assert [row["who"] for row in database.rows(text("SELECT who FROM note"))] == ["us"]
        assert schema_of(database) == str(SCHEMA + 2)
        assert Store(database).events("rounds") == [("Kind", "{}")]
    with closing(opened(empty_place, add_a_column, fill_it)) as database:
        assert schema_of(database) == str(SCHEMA + 2)


def test_labels_of_the_schema_before_become_answers_of_somebody_unnamed(empty_place: Place) -> None:
    store = empty_place.store()
    store.keep_candidate(4, candidate(ITEM))
    store.close()
    blob = "BYTEA" if empty_place.is_postgres else "BLOB"
    for statement in (
        "DROP TABLE replay",
        "DROP TABLE annotation",
        "DROP TABLE label",
        f"CREATE TABLE label (campaign TEXT NOT NULL, item {blob} NOT NULL, label BIGINT NOT NULL,"
        f" price BIGINT NOT NULL, envelope {blob} NOT NULL, counted BIGINT, sent BIGINT,"
        " delivered BOOLEAN NOT NULL, PRIMARY KEY (campaign, item))",
        "INSERT INTO label SELECT campaign, item, 1, 250000, envelope, 4, NULL, urgent"
        " FROM candidate",
        "UPDATE fieldvote_meta SET value = '2' WHERE name = 'schema'",
        *([] if empty_place.is_postgres else ["PRAGMA user_version = 2"]),
    ):
        empty_place.tamper(statement)
    with closing(opened(empty_place)) as database:
        assert schema_of(database) == str(SCHEMA)
        found = Store(database)
        [kept] = found.kept_labels()
        assert (kept.label.label, kept.label.method, kept.counted) == (1, "one answer", 4)
        [(answer, _)] = kept.answers
        assert (answer.annotator, answer.label, answer.expert) == ("unnamed", 1, False)
        assert (found.paid(), found.count_labels(4)) == ((1, 0.25), (1, 1, 0.25))
        assert (found.count_labels(5), verify(database).faults) == ((0, 0, 0.0), ())


def test_a_store_of_the_schema_before_remembers_envelopes_from_now_on(empty_place: Place) -> None:
    empty_place.store().close()
    for statement in (
        "DROP TABLE replay",
        "UPDATE fieldvote_meta SET value = '3' WHERE name = 'schema'",
        *([] if empty_place.is_postgres else ["PRAGMA user_version = 3"]),
    ):
        empty_place.tamper(statement)
    with closing(opened(empty_place)) as database:
        assert schema_of(database) == str(SCHEMA)
        store = Store(database)
        assert store.admit_envelope(DeviceId(1), bytes(16), 4)
        assert not store.admit_envelope(DeviceId(1), bytes(16), 4)


def test_a_step_that_fails_leaves_the_store_as_it_was(empty_place: Place) -> None:
    store = empty_place.store()
    write_a_bit_of_everything(store, 0)
    before = everything(store.database)
    store.close()
    with pytest.raises(StoreError):
        opened(empty_place, add_a_column, break_down)
    with closing(opened(empty_place)) as database:
        assert everything(database) == before


def test_a_store_of_a_newer_program_is_left_as_it_is(empty_place: Place) -> None:
    opened(empty_place, add_a_column).close()
    before = empty_place.where.read_bytes() if isinstance(empty_place.where, Path) else b""
    with pytest.raises(StoreError, match=rf"schema {SCHEMA + 1}, .* knows {SCHEMA}.*newer program"):
        opened(empty_place)
    assert not isinstance(empty_place.where, Path) or empty_place.where.read_bytes() == before


def test_somebody_elses_database_is_left_as_it_is(empty_place: Place) -> None:
    empty_place.tamper("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    before = empty_place.where.read_bytes() if isinstance(empty_place.where, Path) else b""
    with pytest.raises(StoreError, match="not fieldvote's; it was left as it is"):
        opened(empty_place)
    if isinstance(empty_place.where, Path):
        assert empty_place.where.read_bytes() == before
        assert list(empty_place.where.parent.iterdir()) == [empty_place.where]
    empty_place.tamper("DROP TABLE orders")  # nothing of ours was put beside it
    empty_place.store().keep_note("a", "b")


def test_a_store_of_the_first_program_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with closing(sqlite3.connect(path)) as file:
        file.executescript(OLDER)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"first program .* left as it is: finish its campaign"):
        Database.open(path, now=lambda: NOON)
    assert path.read_bytes() == before


def test_the_first_program_refuses_a_store_of_this_one(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    Database.open(path, now=lambda: NOON).close()
    with closing(sqlite3.connect(path)) as file:
        # it took any user_version but 0 and 1 for another program's
        assert file.execute("PRAGMA user_version").fetchone()[0] == SCHEMA >= FIRST > 1


def test_a_header_of_another_program_is_enough_to_be_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 7")
    with pytest.raises(StoreError, match="not fieldvote's"):
        Database.open(path, now=lambda: NOON)


def test_a_store_that_forgot_its_schema_is_left_alone(empty_place: Place) -> None:
    empty_place.store().close()
    empty_place.tamper("DELETE FROM fieldvote_meta")
    with pytest.raises(StoreError, match="does not say its schema"):
        opened(empty_place)


def test_an_empty_place_is_made_a_store_only_if_asked(empty_place: Place) -> None:
    with pytest.raises(StoreError, match="no store in it"):
        Database.open(empty_place.where, now=lambda: NOON, make=False)
    empty_place.store().close()
    Database.open(empty_place.where, now=lambda: NOON, make=False).close()


def test_many_may_open_an_empty_place_at_once(empty_place: Place) -> None:
    failed: list[BaseException] = []

    def work() -> None:
        try:
            empty_place.store().keep_note("a", "b")
        except BaseException as err:
            failed.append(err)

    threads = [Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert empty_place.store().note("a") == "b"
