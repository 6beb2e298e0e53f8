import os
from contextlib import closing
from pathlib import Path

import pytest

from coordinator.store import archive
from coordinator.store.archive import backup, restore
from coordinator.store.campaign import Store
from coordinator.store.database import Database
from coordinator.store.leases import Lease
from coordinator.store.verify import verify
from fieldvote.errors import DataError, InputError, StoreError
from tests.coordinator.store.places import NOON, Place, everything, write_a_bit_of_everything


def a_full_store(place: Place) -> Store:
    store, other = place.store(), place.store("other")
    for number in range(3):
        write_a_bit_of_everything(store, number)
        write_a_bit_of_everything(other, number)
    Lease.acquire(store.database, "campaign", "one", 0.01)
    return store


@pytest.fixture
def elsewhere(place: Place, tmp_path: Path, request: pytest.FixtureRequest) -> Path | str:
    """An empty place of the other kind."""
    if place.is_postgres:
        return tmp_path / "elsewhere.sqlite"
    return str(request.getfixturevalue("fresh_postgres"))


def test_a_backup_holds_everything_in_one_file_and_goes_back_to_either_kind(
    place: Place, elsewhere: Path | str, tmp_path: Path
) -> None:
    store, path = a_full_store(place), tmp_path / "backup.sqlite"
    backup(store.database, path)
    assert [file for file in tmp_path.iterdir() if file.name.startswith("backup")] == [path]
    kept = path.read_bytes()
    for target in (elsewhere, tmp_path / "third.sqlite", None):
        with closing(Database.open(target, now=lambda: NOON)) as database:
            report = restore(path, database)
            assert report.faults == ()
            assert everything(database) == everything(store.database)
            assert Store(database).heads() == store.heads()
            write_a_bit_of_everything(Store(database), 3)  # and it goes on
            assert verify(database, heads=store.heads()).faults == ()
    assert path.read_bytes() == kept


def test_a_backup_is_one_moment_of_a_store_that_is_written_to(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = a_full_store(place), place.store()
    before = everything(store.database)
    copied = archive._portions
    calls: list[int] = []

    def while_written(source, table):  # type: ignore[no-untyped-def]  # as the original
        write_a_bit_of_everything(other, 3 + len(calls))
        calls.append(1)
        return copied(source, table)

    monkeypatch.setattr(archive, "_portions", while_written)
    backup(store.database, tmp_path / "b.sqlite")
    monkeypatch.undo()
    assert len(calls) > 10
    with closing(Database.open(None, now=lambda: NOON)) as database:
        restore(tmp_path / "b.sqlite", database)
        assert everything(database) == before


def test_nothing_is_overwritten_by_a_backup(place: Place, tmp_path: Path) -> None:
    store, path = a_full_store(place), tmp_path / "b.sqlite"
    path.write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        backup(store.database, path)
    assert path.read_text() == "mine"
    with pytest.raises(StoreError):
        backup(store.database, tmp_path / "no" / "folder" / "b.sqlite")


def test_a_backup_that_fails_leaves_no_part_of_it(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = a_full_store(place)
    before = sorted(tmp_path.iterdir())

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        backup(store.database, tmp_path / "b.sqlite")
    assert sorted(tmp_path.iterdir()) == before


def test_only_an_empty_store_is_restored_into(place: Place, tmp_path: Path) -> None:
    store, path = a_full_store(place), tmp_path / "b.sqlite"
    backup(store.database, path)
    before = everything(store.database)
    with pytest.raises(InputError, match="is not empty"):
        restore(path, store.database)
    assert everything(store.database) == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE event SET body = 'lie' WHERE version = 1",
        "DELETE FROM event WHERE version = 1 AND stream = 'rounds'",
        "UPDATE artifact SET blob = x'00'",
        "UPDATE budget SET spent = 0",
    ],
)
def test_a_backup_that_was_tampered_with_is_not_restored(
    place: Place, tmp_path: Path, statement: str
) -> None:
    path = tmp_path / "b.sqlite"
    with closing(Database.open(None, now=lambda: NOON)) as source:
        for number in range(3):
            write_a_bit_of_everything(Store(source), number)
        backup(source, path)
    Place(path, None).tamper(statement)  # type: ignore[arg-type]  # nothing is opened
    target = place.database()
    before = everything(target)
    with pytest.raises(DataError, match="not whole, nothing was restored"):
        restore(path, target)
    assert everything(target) == before


def test_what_is_no_backup_is_refused(place: Place, tmp_path: Path) -> None:
    target, path = place.database(), tmp_path / "b.sqlite"
    with pytest.raises(InputError, match="no such backup"):
        restore(path, target)
    path.write_bytes(b"")
    with pytest.raises(StoreError, match="no store in it"):
        restore(path, target)
    Place(path, None).tamper("CREATE TABLE orders (id INTEGER)")  # type: ignore[arg-type]  # as above
    with pytest.raises(StoreError, match="not fieldvote's"):
        restore(path, target)
    assert all(not rows for name, rows in everything(target).items() if name != "fieldvote_meta")
