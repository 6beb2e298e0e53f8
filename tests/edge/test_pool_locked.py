"""A pool whose key lives elsewhere: a stolen disk tells nothing, and a changed one is noticed."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge.flower.fleet import Message, Metadata, ObjectTree
from edge.flower.journal import Journal, Parcel
from edge.pool import Pool
from fieldvote.custody import Custody, CustodySettings
from fieldvote.errors import InputError, SealError
from privacy.sealing.at_rest import Held

PLANTED = "a planted sentence nobody may find"
IDS = [bytes([number]) * 16 for number in range(4)]
ITEMS = [f"{PLANTED} {number}".encode() for number in range(4)]
KEY, OTHER = Held(b"k" * 32), Held(b"o" * 32)


def filled(folder: Path, custody: Held | Custody | None = KEY) -> Path:
    """Return a pool's file with items, a reply, and a message on its way."""
    path = folder / "pool.sqlite"
    with closing(Pool(path, custody=custody)) as pool:
        pool.add(IDS, ITEMS)
        pool.remember(b"request", PLANTED.encode())
        with closing(Journal(path, pool.locker)) as journal:
            metadata = Metadata(message_id="m")
            journal.receive(Message(metadata=metadata), ObjectTree(object_id="o"))
            parcel = Parcel(metadata=metadata, tree=ObjectTree(object_id="o"))
            journal.keep_request(parcel, PLANTED.encode())
    return path


def stolen(folder: Path) -> bytes:
    """Return every byte of a folder, names included."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return b"".join(path.name.encode() + path.read_bytes() for path in files)


def planted_in(content: bytes) -> bool:
    return any(
        word.encode(encoding) in content
        for word in ("planted", "sentence", "nobody")
        for encoding in ("utf-8", "utf-16-le")
    )


def test_planted_strings_are_in_no_byte_of_the_folder_while_open_and_after(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with closing(Pool(path, custody=KEY)) as pool:
        pool.mark_shipped(1, 0)
        pool.answer(1, 0, 1)
        assert pool.payloads() == ITEMS
        assert [pool.payload(place) for place in range(4)] == ITEMS
        assert pool.recall(b"request") == PLANTED.encode()
        with closing(Journal(path, pool.locker)) as journal:
            assert [parcel.request for parcel in journal.open_parcels()] == [PLANTED.encode()]
        assert list(tmp_path.glob("*-wal"))  # the log is looked at too
        assert IDS[2] in stolen(tmp_path)  # it is the right place to look
        assert not planted_in(stolen(tmp_path))
    assert not planted_in(stolen(tmp_path))


def test_without_a_key_the_same_strings_are_there(tmp_path: Path) -> None:
    filled(tmp_path, None)
    assert planted_in(stolen(tmp_path))


def test_a_plain_pool_is_locked_when_it_is_first_opened_with_a_key(tmp_path: Path) -> None:
    path = filled(tmp_path, None)
    with closing(Pool(path, custody=KEY)) as pool:
        assert pool.payloads() == ITEMS
        assert pool.recall(b"request") == PLANTED.encode()
        with closing(Journal(path, pool.locker)) as journal:
            assert [parcel.request for parcel in journal.open_parcels()] == [PLANTED.encode()]
        assert not planted_in(stolen(tmp_path))
    with closing(Pool(path, custody=KEY)) as pool:
        assert pool.payloads() == ITEMS


def test_a_crash_while_a_pool_is_locked_leaves_it_plain_and_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = filled(tmp_path, None)
    with monkeypatch.context() as patch:
        patch.setattr(Pool, "rewrap", _dies)
        with pytest.raises(ZeroDivisionError):
            Pool(path, custody=KEY)
    with closing(Pool(path)) as pool:
        assert pool.payloads() == ITEMS


def _dies(*_: object, **__: object) -> None:
    raise ZeroDivisionError


def test_leftovers_of_a_crash_after_locking_are_erased_at_the_next_start(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        # what was deleted by a program that did not overwrite it
        file.execute("PRAGMA secure_delete = OFF")
        file.execute("CREATE TABLE before (said TEXT)")
        file.executemany("INSERT INTO before VALUES (?)", [(PLANTED * 50,)] * 20)
        file.execute("DROP TABLE before")
        file.execute("INSERT INTO note VALUES ('data key leftovers', x'')")
    assert planted_in(stolen(tmp_path))
    Pool(path, custody=KEY).close()
    assert not planted_in(stolen(tmp_path))


@pytest.mark.parametrize("custody", [OTHER, Held("a passphrase"), None])
def test_another_key_is_one_clear_error_and_changes_nothing(
    tmp_path: Path, custody: Held | None
) -> None:
    path = filled(tmp_path)
    before = path.read_bytes()
    with pytest.raises(SealError, match="locked"):
        Pool(path, custody=custody)
    assert path.read_bytes() == before
    with closing(Pool(path, custody=KEY)) as pool:
        assert pool.payloads() == ITEMS


TAMPERED = {
    "swapped rows": "UPDATE item SET payload = (SELECT o.payload FROM item o"
    " WHERE o.position = 1 - item.position) WHERE position < 2",
    "swapped ids": "UPDATE item SET id = CASE position WHEN 0 THEN x'AA' ELSE id END",
    "a flipped bit": "UPDATE item SET payload = CAST(x'00' || substr(payload, 2) AS BLOB)"
    " WHERE position = 0",
    "cut short": "UPDATE item SET payload = substr(payload, 1, length(payload) - 1)"
    " WHERE position = 0",
    "emptied": "UPDATE item SET payload = x'' WHERE position = 0",
    "plain": "UPDATE item SET payload = CAST('plain text' AS BLOB) WHERE position = 0",
    "another table's": "UPDATE item SET payload = (SELECT reply FROM journal) WHERE position = 0",
}


@pytest.mark.parametrize("statement", TAMPERED.values(), ids=TAMPERED)
def test_a_row_that_was_changed_or_moved_on_the_disk_is_refused(
    tmp_path: Path, statement: str
) -> None:
    path = filled(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute(statement)
    with closing(Pool(path, custody=KEY)) as pool:
        for read in (pool.payloads, lambda: pool.payload(0)):
            with pytest.raises(SealError, match="changed, cut short or moved"):
                read()
        assert pool.payload(3) == ITEMS[3]


def test_a_row_of_another_devices_pool_is_refused(tmp_path: Path) -> None:
    """Even where both devices were given the same wrapping key."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    one, other = filled(tmp_path / "a"), filled(tmp_path / "b")
    with closing(sqlite3.connect(one, isolation_level=None)) as file:
        file.execute("ATTACH ? AS other", (str(other),))
        file.execute("UPDATE item SET payload = (SELECT o.payload FROM other.item o"
                     " WHERE o.position = item.position)")  # fmt: skip
    with closing(Pool(one, custody=KEY)) as pool, pytest.raises(SealError):
        pool.payloads()


def test_another_key_takes_over_without_an_item_written_anew(tmp_path: Path) -> None:
    path = filled(tmp_path)
    query = "SELECT payload FROM item ORDER BY position"
    with closing(Pool(path, custody=KEY)) as pool:
        before = pool.rows(query)
        pool.rewrap(b"o" * 32)
        assert pool.rows(query) == before
    with pytest.raises(SealError, match="give it the key it was locked with"):
        Pool(path, custody=KEY)
    with closing(Pool(path, custody=OTHER)) as pool:
        assert pool.payloads() == ITEMS
    with closing(Pool(None)) as plain, pytest.raises(InputError, match="not locked"):
        plain.rewrap(b"o" * 32)


def test_after_a_purge_neither_the_content_nor_the_key_that_opened_it_is_there(
    tmp_path: Path,
) -> None:
    custody = Custody(settings=CustodySettings(), folder=tmp_path)  # the key lies beside
    path = filled(tmp_path, custody)
    before = path.read_bytes()
    with closing(Pool(path, custody=custody)) as pool:
        wrapped, [(locked,)] = pool.note("data key"), pool.rows(
            "SELECT payload FROM item WHERE position = 0"
        )  # fmt: skip
        assert wrapped is not None
        assert locked[:28] in before
        assert pool.purge() == 4
        pool.add(IDS[:1], ITEMS[:1])
        assert pool.payloads() == ITEMS[:1]
    assert locked[:28] not in stolen(tmp_path)
    assert wrapped not in stolen(tmp_path)  # what a disk kept of the old rows opens no more
    with closing(Pool(path, custody=custody)) as pool:
        assert pool.payloads() == ITEMS[:1]
