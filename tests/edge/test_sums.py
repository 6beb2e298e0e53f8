"""Which sums items are in: kept by version, across releases, other tasks, and older programs."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from edge.pool import ID_BYTES, Pool
from edge.pool_schema import SCHEMAS
from edge.released import Released
from edge.sums import Installed, Kind, adopt, earlier_tasks, enter, released

CLASSES = ("no", "yes")


def ids(*numbers: int) -> list[bytes]:
    return [number.to_bytes(ID_BYTES, "big") for number in numbers]


def task(
    name: str,
    *,
    family: str = "",
    versions: tuple[str, ...] = ("f",),
    classes: tuple[str, ...] = CLASSES,
) -> Installed:
    return Installed(task=name, family=family or name, versions=versions, classes=classes)


def used_pool() -> Pool:
    """Return a pool of task "a": item 0 summed, 1 answered, 2 shipped, 3 untouched."""
    pool = Pool(None)
    adopt(pool, task("a"))
    pool.add(ids(1, 2, 3, 4), [b"1", b"2", b"3", b"4"])
    enter(pool, np.array([0]), ["f"])
    pool.mark_shipped(1, 2)
    pool.answer(1, 1, 1)
    enter(pool, np.array([1]), ["f"], "anchored")
    pool.mark_shipped(2, 0)
    pool.keep_note("offers", b"some")
    pool.keep_note("voted sums", b"sent")
    pool.remember(b"request", b"reply")
    pool.append(b"entry")
    return pool


def sums_of(pool: Pool, kind: Kind = "summed") -> list[list[list[str]]]:
    """Return what each item is in, by position."""
    found: list[list[list[str]]] = [[] for _ in range(len(pool))]
    for state, places in released(pool, kind).items():
        for place in places:
            found[place] = [sorted(held) for held in state.sets]
    return found


def columns_of(pool: Pool) -> dict[str, list[int]]:
    return {name: pool.column(name).tolist() for name in ("arm", "answer", "answered_in")}


def test_a_pool_that_stays_with_its_task_is_left_as_it_is() -> None:
    pool = used_pool()
    before = (columns_of(pool), sums_of(pool), pool.note("offers"))
    assert not adopt(pool, task("a"))
    assert (columns_of(pool), sums_of(pool), pool.note("offers")) == before
    assert pool.recall(b"request") == b"reply"
    pool.close()


def test_another_task_begins_its_own_sums_and_keeps_items_answers_and_the_ledger() -> None:
    pool = used_pool()
    assert adopt(pool, task("b"))
    assert columns_of(pool) == {
        "arm": [-1, 2, -1, -1],
        "answer": [-1, 1, -1, -1],
        "answered_in": [-1, 1, -1, -1],
    }
    assert sums_of(pool) == sums_of(pool, "anchored") == [[], [], [], []]
    assert (pool.note("offers"), pool.note("voted sums")) == (None, None)
    assert pool.recall(b"request") is None
    assert pool.ids() == ids(1, 2, 3, 4)
    assert list(pool.entries()) == [b"entry"]
    pool.close()


def test_answers_do_not_outlive_the_classes_they_are_of() -> None:
    pool = used_pool()
    adopt(pool, task("b", classes=("yes", "no")))
    assert columns_of(pool) == {name: [-1] * 4 for name in ("arm", "answer", "answered_in")}
    assert sums_of(pool) == [[], [], [], []]
    pool.close()


def test_a_task_that_comes_back_does_not_sum_an_item_twice() -> None:
    pool = used_pool()
    adopt(pool, task("b"))
    enter(pool, np.array([1, 3]), ["f"])
    adopt(pool, task("a"))
    assert sums_of(pool) == [[["f"]], [], [], []]
    assert sums_of(pool, "anchored") == [[], [["f"]], [], []]
    assert pool.note("voted sums") == b"sent"
    adopt(pool, task("b"))
    assert sums_of(pool) == [[], [["f"]], [], [["f"]]]
    assert pool.note("voted sums") is None
    pool.close()


def test_a_release_goes_on_with_the_sums_of_its_family() -> None:
    pool = used_pool()
    adopt(pool, task("a"))
    assert not adopt(pool, task("a2", family="a", versions=("f", "g")))
    assert sums_of(pool) == [[["f"]], [], [], []]
    # what was shipped may still be answered, and a reply that was lost is still owed
    assert columns_of(pool)["arm"] == [-1, 2, 0, -1]
    assert pool.recall(b"request") == b"reply"
    assert (pool.note("offers"), pool.note("voted sums")) == (None, b"sent")
    assert earlier_tasks(pool) == ["a"]
    enter(pool, np.array([0, 3]), ["f", "g"])
    assert sums_of(pool) == [[["f", "g"]], [], [], [["f", "g"]]]
    # another family, and back: nothing is forgotten
    adopt(pool, task("b"))
    assert earlier_tasks(pool) == []
    adopt(pool, task("a3", family="a", versions=("g",)))
    assert sums_of(pool) == [[["f", "g"]], [], [], [["f", "g"]]]
    pool.close()


def test_a_purge_forgets_what_entered_the_sums_of_other_tasks() -> None:
    pool = used_pool()
    adopt(pool, task("b"))
    pool.purge()
    pool.add(ids(9), [b"9"])
    adopt(pool, task("a"))
    assert sums_of(pool) == [[]]
    assert pool.rows("SELECT count(*) FROM note WHERE name LIKE 'released %'") == [(0,)]
    pool.close()


def old_pool(path: Path, *, installed: str) -> None:
    """Write the pool of a program that knew a flag only: items 0 and 2 of 3 summed, 1 answered."""
    db = sqlite3.connect(path, isolation_level=None)
    for schema in SCHEMAS[:2]:
        db.executescript(schema)
    rows = [(n, bytes([n]) * ID_BYTES, b"x", n % 2 == 0) for n in range(3)]
    db.executemany("INSERT INTO item (position, id, payload, summed) VALUES (?, ?, ?, ?)", rows)
    db.execute("UPDATE item SET answer = 1 WHERE position = 1")
    db.execute("INSERT INTO note VALUES ('task digest', ?)", [installed.encode()])
    db.execute("INSERT INTO note VALUES ('task classes', ?)", [b'["no", "yes"]'])
    db.close()


def test_what_an_earlier_program_summed_were_the_functions_of_its_task(tmp_path: Path) -> None:
    old_pool(tmp_path / "p", installed="a")
    pool = Pool(tmp_path / "p")
    assert not adopt(pool, task("a", family="all", versions=("f", "g")))
    assert sums_of(pool) == [[["f", "g"]], [], [["f", "g"]]]
    assert sums_of(pool, "anchored") == [[], [["f", "g"]], []]
    assert not adopt(pool, task("a2", family="all", versions=("f", "h")))
    assert sums_of(pool) == [[["f", "g"]], [], [["f", "g"]]]
    pool.close()


def test_the_task_an_earlier_program_had_before_comes_back_to_its_sums(tmp_path: Path) -> None:
    old_pool(tmp_path / "p", installed="a")
    pool = Pool(tmp_path / "p")
    assert adopt(pool, task("b", family="others"))
    assert sums_of(pool) == [[], [], []]
    assert adopt(pool, task("a", family="all", versions=("g",)))
    assert sums_of(pool) == [[["g"]], [], [["g"]]]
    pool.close()


def test_items_that_were_never_summed_are_told_from_those_summed_under_no_function() -> None:
    assert not Released().anything
    assert Released().joined([]).anything


@pytest.mark.parametrize("sets", [(), (["a"],), (["a", "b"], ["b", "c"]), ([],)])
def test_what_was_released_survives_its_note(sets: tuple[list[str], ...]) -> None:
    state = Released()
    for each in sets:
        state = state.joined(each)
    assert Released.from_note(state.to_note()) == state
