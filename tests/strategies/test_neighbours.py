import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from strategies import neighbours
from strategies.neighbours import NEIGHBOURS, lean_on_neighbours

Rows = NDArray[np.float64]


def drawn(items: int, width: int, seed: int, *, spread: int = 40) -> Rows:
    rng = np.random.default_rng(seed)
    return rng.integers(-spread, spread + 1, size=(items, width)).astype(np.float64)


def one_by_one(rows: Rows, share: float, pool: Rows | None) -> Rows:
    """Follow the definition, row by row."""
    moved = []
    for place, row in enumerate(rows):
        among = rows if pool is None else pool
        others = [
            (float(((other - row) ** 2).sum()), n)
            for n, other in enumerate(among)
            if pool is not None or n != place
        ]
        near = [among[n] for _, n in sorted(others)[:NEIGHBOURS]]
        if not near:
            moved.append(row)
            continue
        mean = np.sum(near, axis=0) / len(near)
        moved.append(np.rint(row + share * len(near) / NEIGHBOURS * (mean - row)))
    return np.array(moved)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 30),
    st.integers(1, 6),
    st.integers(0, 999),
    st.sampled_from([0.1, 0.4, 1.0]),
    st.one_of(st.none(), st.integers(1, 12)),
)
def test_rows_move_as_the_definition_says(
    items: int, width: int, seed: int, share: float, others: int | None
) -> None:
    rows = drawn(items, width, seed)
    pool = None if others is None else drawn(others, width, seed + 1)
    moved = lean_on_neighbours(rows, share, pool=pool)
    assert np.array_equal(moved, one_by_one(rows, share, pool))


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = drawn(50, 4, 1)
    whole = lean_on_neighbours(rows, 0.4)
    monkeypatch.setattr(neighbours, "_BLOCK_ROWS", 7)
    assert np.array_equal(lean_on_neighbours(rows, 0.4), whole)


def test_of_a_large_pool_evenly_spaced_items_stand_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(neighbours, "MOST_COMPARED", 10)
    rows = drawn(30, 3, 2)
    # an item is not its own neighbour, whether it is one of those or not
    expected = [
        one_by_one(rows[place : place + 1], 0.5, np.delete(rows[::3], place // 3, axis=0))[0]
        if place % 3 == 0
        else one_by_one(rows[place : place + 1], 0.5, rows[::3])[0]
        for place in range(30)
    ]
    # without itself, one that stands for all has nine to choose from, which is enough
    assert np.array_equal(lean_on_neighbours(rows, 0.5), np.array(expected))


def test_no_share_and_no_neighbour_leave_rows_as_they_are() -> None:
    rows = drawn(9, 3, 3)
    assert np.array_equal(lean_on_neighbours(rows, 0.0), rows)
    assert np.array_equal(lean_on_neighbours(rows[:1], 0.7), rows[:1])
    assert len(lean_on_neighbours(rows[:0], 0.7)) == 0


def test_equal_rows_stay_where_they_are() -> None:
    rows = np.full((8, 3), 5.0)
    assert np.array_equal(lean_on_neighbours(rows, 1.0), rows)


def test_items_of_one_kind_come_closer_together_than_kinds_do() -> None:
    rng = np.random.default_rng(4)
    kinds = np.repeat([0, 1], 20)
    rows = np.rint(300.0 * kinds[:, None] * [1.0, 0.0] + rng.normal(0, 60, size=(40, 2)))
    moved = lean_on_neighbours(rows, 0.5)

    def ratio(points: Rows) -> float:
        within = np.mean([points[kinds == kind].std(axis=0).sum() for kind in (0, 1)])
        return float(
            np.linalg.norm(points[kinds == 0].mean(0) - points[kinds == 1].mean(0)) / within
        )

    assert ratio(moved) > 1.2 * ratio(rows)
