"""The pool: all or nothing, first answer stays, and what is deleted is gone."""

import contextlib
import sqlite3
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.pool import ID_BYTES, Pool
from edge.pool_schema import SCHEMAS
from edge.sums import enter
from fieldvote.errors import InputError, StoreError

COLUMNS = ("gold", "arm", "answer", "answered_in", "summed")


def ids(*numbers: int) -> list[bytes]:
    return [number.to_bytes(ID_BYTES, "big") for number in numbers]


def everything(pool: Pool) -> tuple[object, ...]:
    columns = [pool.column(name).tolist() for name in COLUMNS]
    return (pool.ids(), pool.payloads(), columns, list(pool.entries()), pool.note("n"))


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.binary(min_size=ID_BYTES, max_size=ID_BYTES), unique=True, max_size=8), st.data()
)
def test_items_come_back_in_the_order_of_their_arrival(
    names: list[bytes], data: st.DataObject
) -> None:
    payloads = [data.draw(st.binary(max_size=20)) for _ in names]
    gold = data.draw(st.none() | st.just([place % 3 for place in range(len(names))]))
    cut = data.draw(st.integers(0, len(names)))
    pool = Pool(None)
    for part in (slice(0, cut), slice(cut, None)):
        pool.add(names[part], payloads[part], gold=None if gold is None else gold[part])
    assert len(pool) == len(names)
    assert pool.ids() == names
    assert pool.payloads() == payloads
    assert pool.column("gold").tolist() == ([-1] * len(names) if gold is None else gold)
    assert pool.column("summed").tolist() == [0] * len(names)
    pool.close()


def test_everything_survives_closing_and_opening_again(tmp_path: Path) -> None:
    pool = Pool(tmp_path / "pool.sqlite")
    pool.add(ids(1, 2, 3), [b"a", b"b", b"c"], gold=[0, 1, 2])
    pool.mark_shipped(1, 2)
    pool.answer(1, 4, 9)
    enter(pool, np.array([0, 2]), ["f"])
    pool.remember(b"request", b"reply")
    pool.keep_note("n", b"note")
    pool.append(b"entry")
    before = everything(pool)
    pool.close()
    again = Pool(tmp_path / "pool.sqlite")
    assert everything(again) == before
    assert again.recall(b"request") == b"reply"
    assert (again.column("summed") > 0).tolist() == [True, False, True]
    assert again.column("arm").tolist() == [-1, 2, -1]
    assert again.column("answered_in").tolist() == [-1, 9, -1]
    again.close()


@pytest.mark.parametrize(
    ("names", "payloads", "gold", "said"),
    [
        (ids(7, 1), [b"x", b"y"], None, "is in the pool already"),
        (ids(8, 8), [b"x", b"y"], None, "is in the pool already"),
        (ids(8), [b"x", b"y"], None, "1 ids for 2 items"),
        (ids(8), [b"x"], [1, 2], "1 ids for 1 items"),
        ([b"short"], [b"x"], None, "an id has 16 bytes"),
    ],
)
def test_items_that_cannot_be_added_change_nothing(
    names: list[bytes], payloads: list[bytes], gold: list[int] | None, said: str
) -> None:
    pool = Pool(None)
    pool.add(ids(1), [b"first"])
    before = everything(pool)
    with pytest.raises(InputError, match=said):
        pool.add(names, payloads, gold=gold)
    assert everything(pool) == before
    pool.add(ids(2), [b"second"])
    assert pool.payloads() == [b"first", b"second"]


def test_changes_that_belong_together_are_made_all_or_not_at_all() -> None:
    pool = Pool(None)
    pool.add(ids(1, 2), [b"a", b"b"])
    before = everything(pool)

    def half_way() -> None:
        with pool.changing():
            enter(pool, np.array([0]), ["f"])
            with pool.changing():
                pool.answer(1, 1, 1)
            pool.append(b"entry")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half_way()
    assert everything(pool) == before
    with pool.changing():
        pool.answer(1, 1, 1)
    assert pool.column("answer").tolist() == [-1, 1]


def test_what_was_not_committed_is_gone_after_a_crash(tmp_path: Path) -> None:
    pool = Pool(tmp_path / "pool.sqlite")
    pool.add(ids(1), [b"a"])
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    with pool.changing():
        pool.answer(0, 1, 1)
        for file in tmp_path.glob("pool.sqlite*"):
            (crashed / file.name).write_bytes(file.read_bytes())
    pool.close()
    again = Pool(crashed / "pool.sqlite")
    assert again.payloads() == [b"a"]
    assert again.column("answer").tolist() == [-1]
    again.close()


def test_the_first_answer_stays() -> None:
    pool = Pool(None)
    pool.add(ids(1), [b"a"])
    pool.answer(0, 1, 3)
    pool.answer(0, 0, 4)
    assert pool.column("answer").tolist() == [1]
    assert pool.column("answered_in").tolist() == [3]


def test_the_journal_remembers_the_latest_and_forgets_the_oldest() -> None:
    pool = Pool(None)
    for number in range(100):
        pool.remember(b"%d" % number, b"reply %d" % number)
    known = [number for number in range(100) if pool.recall(b"%d" % number)]
    assert known == list(range(36, 100))
    assert pool.recall(b"99") == b"reply 99"


def test_a_purge_leaves_the_ledger_and_nothing_else(tmp_path: Path) -> None:
    pool = Pool(tmp_path / "pool.sqlite")
    secret = b"my number is 07700 900123"
    pool.add(ids(1, 2), [secret, secret * 200])
    pool.remember(b"request", secret)
    pool.append(b"entry")
    assert any(secret in file.read_bytes() for file in tmp_path.iterdir())
    assert pool.purge() == 2
    assert len(pool) == 0
    assert pool.recall(b"request") is None
    assert list(pool.entries()) == [b"entry"]
    assert not any(secret in file.read_bytes() for file in tmp_path.iterdir())
    pool.close()


def test_a_full_disk_is_said_and_what_was_stored_stays(tmp_path: Path) -> None:
    pool = Pool(tmp_path / "pool.sqlite")
    pool.add(ids(1), [b"a"])
    pages = pool._db.execute("PRAGMA page_count").fetchone()[0]
    pool._db.execute(f"PRAGMA max_page_count = {pages}")
    before = everything(pool)
    with pytest.raises(StoreError, match="full"):
        pool.add(ids(*range(2, 50)), [bytes(1000)] * 48)

    def change() -> None:
        with pool.changing():
            pool.answer(0, 1, 1)
            pool.append(bytes(100_000))

    with pytest.raises(StoreError, match="full"):
        change()
    assert everything(pool) == before
    pool._db.execute(f"PRAGMA max_page_count = {pages + 100}")
    pool.add(ids(2), [bytes(5000)])
    assert len(pool) == 2
    pool.close()
    again = Pool(tmp_path / "pool.sqlite")
    assert len(again) == 2
    again.close()


def test_a_change_that_cannot_be_committed_is_undone(tmp_path: Path) -> None:
    pool = Pool(tmp_path / "pool.sqlite")
    pool.add(ids(1), [b"a"])
    before = everything(pool)
    # a constraint that is only looked at on commit stands for a disk that fails there
    pool._db.execute("PRAGMA foreign_keys = ON")
    pool._db.execute(
        "CREATE TABLE late (x REFERENCES item(position) DEFERRABLE INITIALLY DEFERRED)"
    )

    def change() -> None:
        with pool.changing():
            pool.answer(0, 1, 1)
            pool._db.execute("INSERT INTO late VALUES (99)")

    with pytest.raises(sqlite3.IntegrityError):
        change()
    assert everything(pool) == before
    pool.answer(0, 0, 1)
    pool.close()
    again = Pool(tmp_path / "pool.sqlite")
    assert again.column("answer").tolist() == [0]
    again.close()


def test_the_file_of_a_pool_is_for_nobody_else_to_read(tmp_path: Path) -> None:
    pool = Pool(tmp_path / "pool.sqlite")
    pool.add(ids(1), [b"a"])
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert "pool.sqlite-wal" in modes
    assert set(modes.values()) == {0o600}
    pool.close()


def test_what_is_no_pool_is_refused_in_our_words(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        Pool(tmp_path / "nowhere" / "pool.sqlite")
    (tmp_path / "text").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match="not a database"):
        Pool(tmp_path / "text")
    assert (tmp_path / "text").read_bytes().startswith(b"not a database")
    newer = sqlite3.connect(tmp_path / "newer")
    newer.execute("PRAGMA user_version = 7")
    newer.close()
    with pytest.raises(StoreError, match=f"schema 7; this program knows {len(SCHEMAS)}"):
        Pool(tmp_path / "newer")
    pool = Pool(None)
    pool.close()
    with pytest.raises(StoreError):
        pool.ids()


def test_a_pool_of_the_first_schema_is_brought_up_to_date_and_keeps_what_it_holds(
    tmp_path: Path,
) -> None:
    path = tmp_path / "pool.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.executescript(SCHEMAS[0])
        old.execute("INSERT INTO note VALUES ('a', x'62')")
        old.commit()
    for _ in range(2):
        pool = Pool(path)
        assert pool.note("a") == b"b"
        pool.close()
    with contextlib.closing(sqlite3.connect(path)) as now:
        assert now.execute("PRAGMA user_version").fetchone() == (len(SCHEMAS),)
        assert now.execute("SELECT count(*) FROM parcel").fetchone() == (0,)


def test_a_purge_forgets_the_messages_on_their_way_too(tmp_path: Path) -> None:
    pool = Pool(tmp_path / "pool.sqlite")
    with contextlib.closing(sqlite3.connect(tmp_path / "pool.sqlite")) as other:
        other.execute("INSERT INTO parcel (id, head) VALUES ('a', 'b')")
        other.commit()
        pool.purge()
        assert other.execute("SELECT count(*) FROM parcel").fetchone() == (0,)
    pool.close()


def test_a_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="no column payload"):
        Pool(None).column("payload")
