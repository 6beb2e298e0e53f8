"""Both ways of counting pairs count the same, and the cheaper is taken."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from strategies.labeling import pair_counts
from strategies.labeling.pair_counts import (
    count_bits,
    count_listed_pairs,
    count_pairs,
    listing_is_cheaper,
)
from tests.strategies.labeling.made_votes import any_votes


def as_lists(counted: pair_counts.PairCounts) -> list[object]:
    return [part.tolist() for part in counted]


def by_products(votes: NDArray[np.int8], classes: int) -> list[object]:
    """The same from products of one-hot matrices."""
    hot = np.stack([votes == c for c in range(classes)]).astype(np.int64)
    cast = (votes >= 0).astype(np.int64)
    off = 1 - np.eye(votes.shape[1], dtype=np.int64)
    return [
        hot.sum(axis=1).T.tolist(),
        (cast.T @ cast * off).tolist(),
        (np.einsum("cij,cil->jl", hot, hot) * off).tolist(),
    ]


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    items=st.integers(0, 200),
    functions=st.integers(0, 9),
    classes=st.sampled_from([2, 3, 4, 5, 8, 9, 127]),
)
def test_bits_and_lists_count_the_same(seed: int, items: int, functions: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    votes = any_votes(rng, items=items, functions=functions, classes=classes)
    expected = by_products(votes, classes)
    assert as_lists(count_bits(votes, classes)) == expected
    assert as_lists(count_listed_pairs(votes, classes)) == expected


def test_pairs_are_counted_over_many_blocks_and_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    votes = any_votes(np.random.default_rng(2), items=70_000, functions=5, classes=3)
    expected = by_products(votes, 3)
    monkeypatch.setattr(pair_counts, "BLOCK_PAIRS", 1_000)
    assert as_lists(count_bits(votes, 3)) == expected
    assert as_lists(count_listed_pairs(votes, 3)) == expected


def test_lists_without_a_table_of_all_votes_count_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    votes = any_votes(np.random.default_rng(3), items=300, functions=6, classes=4)
    monkeypatch.setattr(pair_counts, "MOST_JOINT_CELLS", 10)
    assert as_lists(count_listed_pairs(votes, 4)) == by_products(votes, 4)


def test_few_votes_are_listed_and_many_are_counted_by_bits() -> None:
    rng = np.random.default_rng(4)
    many = rng.integers(0, 3, (2_000, 40)).astype(np.int8)
    few = np.where(rng.random(many.shape) < 0.02, many, -1).astype(np.int8)
    assert listing_is_cheaper(few, 3)
    assert not listing_is_cheaper(many, 3)
    for votes in (few, many):
        assert as_lists(count_pairs(votes, 3)) == by_products(votes, 3)
