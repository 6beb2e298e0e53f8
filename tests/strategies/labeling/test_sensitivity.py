"""How far one item moves a summary: the formula, against every item there is."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fieldvote.errors import InputError
from strategies.labeling import VoteSummary
from strategies.labeling.sensitivity import (
    Neighbours,
    Sensitivity,
    cap_votes,
    summary_sensitivity,
)
from tests.strategies.labeling.made_votes import any_votes


def vectors_of_every_item(functions: int, classes: int, cap: int) -> list[NDArray[np.int64]]:
    rows = product(range(-1, classes), repeat=functions)
    allowed = [row for row in rows if sum(vote >= 0 for vote in row) <= cap]
    return [
        VoteSummary.from_votes(np.array([row], dtype=np.int8), classes=classes).to_vector()
        for row in allowed
    ]


def largest(changes: list[NDArray[np.int64]]) -> Sensitivity:
    return Sensitivity(
        l1=max(int(np.abs(change).sum()) for change in changes),
        l2_squared=max(int((change**2).sum()) for change in changes),
        linf=max(int(np.abs(change).max(initial=0)) for change in changes),
    )


@pytest.mark.parametrize(("functions", "classes"), [(1, 2), (2, 3), (4, 2), (3, 3)])
@pytest.mark.parametrize("cap", [0, 1, 2, 3, 9])
def test_no_item_moves_a_summary_further_and_one_moves_it_as_far(
    functions: int, classes: int, cap: int
) -> None:
    items = vectors_of_every_item(functions, classes, cap)
    assert largest(items) == summary_sensitivity(functions=functions, cap=cap)
    summary = VoteSummary.empty(functions=functions, classes=classes)
    assert summary.sensitivity(cap=cap) == summary_sensitivity(functions=functions, cap=cap)


@pytest.mark.parametrize(("functions", "cap"), [(1, 1), (2, 1), (4, 2), (4, 1), (3, 3), (3, 0)])
def test_no_exchange_of_items_moves_a_summary_further(functions: int, cap: int) -> None:
    items = vectors_of_every_item(functions, 2, cap)
    found = largest([one - other for one in items for other in items])
    stated = summary_sensitivity(functions=functions, cap=cap, neighbours=Neighbours.REPLACE)
    assert found.l1 <= stated.l1
    assert found.l2_squared <= stated.l2_squared
    assert found.linf == stated.linf
    if functions >= 2 * cap:
        assert found == stated


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 2**32),
    items=st.integers(0, 12),
    functions=st.integers(0, 8),
    cap=st.integers(0, 9),
)
def test_capped_neighbours_differ_by_no_more_than_stated(
    seed: int, items: int, functions: int, cap: int
) -> None:
    rng = np.random.default_rng(seed)
    votes = any_votes(rng, items=items + 1, functions=functions, classes=3)
    more, fewer = (
        VoteSummary.from_votes(cap_votes(part, cap, classes=3), classes=3).to_vector()
        for part in (votes, np.delete(votes, rng.integers(0, items + 1), axis=0))
    )
    change, stated = more - fewer, summary_sensitivity(functions=functions, cap=cap)
    assert np.abs(change).sum() <= stated.l1
    assert (change**2).sum() <= stated.l2_squared
    assert np.abs(change).max() <= stated.linf


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32), cap=st.integers(0, 9))
def test_a_cap_keeps_votes_and_as_many_as_it_may(seed: int, cap: int) -> None:
    votes = any_votes(np.random.default_rng(seed), items=30, functions=8, classes=3)
    before = votes.copy()
    capped = cap_votes(votes, cap, classes=3)
    assert np.array_equal(votes, before)
    assert ((capped == votes) | (capped == -1)).all()
    cast = (votes >= 0).sum(axis=1)
    assert np.array_equal((capped >= 0).sum(axis=1), np.minimum(cast, cap))


def test_a_cap_looks_at_one_item_at_a_time_and_spares_no_function() -> None:
    rng = np.random.default_rng(3)
    votes = rng.integers(0, 3, (9_000, 6)).astype(np.int8)
    capped = cap_votes(votes, 2, classes=3)
    order = rng.permutation(len(votes))
    assert np.array_equal(cap_votes(votes[order], 2, classes=3), capped[order])
    kept = (capped >= 0).mean(axis=0)
    assert np.abs(kept - 2 / 6).max() < 0.1


def test_caps_below_zero_are_refused() -> None:
    with pytest.raises(InputError):
        summary_sensitivity(functions=3, cap=-1)
    with pytest.raises(InputError):
        cap_votes(np.zeros((1, 1), dtype=np.int8), -1, classes=2)
