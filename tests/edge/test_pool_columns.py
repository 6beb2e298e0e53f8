"""Columns that are kept: what is given is never older than the last change, whoever made it."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.pool import ID_BYTES, Pool
from edge.pool_columns import KeptColumns

IDS = [number.to_bytes(ID_BYTES, "big") for number in range(4)]


def pool_of_three(path: Path | None = None) -> Pool:
    pool = Pool(path)
    pool.add(IDS[:3], [b"a", b"b", b"c"])
    return pool


def failing(pool: Pool) -> None:
    with contextlib.suppress(ZeroDivisionError), pool.changing():
        pool.answer(1, 2, 1)
        assert pool.column("answer").tolist() == [-1, 2, -1]  # inside, it is so
        raise ZeroDivisionError


def emptied(pool: Pool) -> None:
    assert pool.purge() == 3


CHANGES: dict[str, tuple[Callable[[Pool], None], str, list[int]]] = {
    "an answer": (lambda pool: pool.answer(1, 2, 1), "answer", [-1, 2, -1]),
    "a shipped item": (lambda pool: pool.mark_shipped(0, 1), "arm", [1, -1, -1]),
    "any statement": (
        lambda pool: pool.update("UPDATE item SET summed = 5 WHERE position = ?", [(2,)]),
        "summed",
        [0, 0, 5],
    ),
    "an item more": (lambda pool: pool.add(IDS[3:], [b"d"]), "answer", [-1, -1, -1, -1]),
    "a purge": (emptied, "answer", []),
    "what was undone": (failing, "answer", [-1, -1, -1]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_column_is_read_anew_after_every_change(name: str) -> None:
    change, column, after = CHANGES[name]
    pool = pool_of_three()
    pool.column(column)
    edition = pool.columns.edition
    change(pool)
    assert pool.columns.edition != edition
    assert pool.column(column).tolist() == after
    assert len(pool) == len(after)
    pool.close()


def test_what_another_program_wrote_is_seen(tmp_path: Path) -> None:
    ours = pool_of_three(tmp_path / "pool.sqlite")
    theirs = Pool(tmp_path / "pool.sqlite")
    assert ours.column("answer").tolist() == [-1, -1, -1]
    theirs.answer(0, 1, 1)
    theirs.add(IDS[3:], [b"d"])
    assert ours.column("answer").tolist() == [1, -1, -1, -1]
    assert len(ours) == 4
    ours.close()
    theirs.close()


def test_what_tells_of_no_item_reads_nothing_again() -> None:
    pool = pool_of_three()
    asked: list[str] = []

    def rows(query: str) -> list[tuple[object, ...]]:
        asked.append(query)
        return pool.rows(query)

    pool.columns = KeptColumns(rows, shared=False)
    before = pool.column("arm")
    for step in range(3):
        pool.append(b"an entry")
        pool.remember(bytes([step]), b"a reply")
        pool.keep_note("n", bytes([step]))
        pool.keep_window(b"s", b"e", bytes([step]))
        assert pool.column("arm") is before
        assert len(pool) == 3
    assert len(asked) == 2
    assert len(list(pool.entries())) == 3
    pool.close()


def test_a_kept_column_cannot_be_written_to() -> None:
    pool = pool_of_three()
    with pytest.raises(ValueError, match="read-only"):
        pool.column("answer")[0] = 1
    assert np.array_equal(pool.column("answer"), [-1, -1, -1])
    pool.close()
