"""Layouts of votes, against the one-hot matrix they stand for."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from strategies.labeling.incidence import Incidence, cheapest_pattern, row_sums
from tests.strategies.labeling.made_votes import any_votes


def one_hot(votes: NDArray[np.int8], classes: int) -> NDArray[np.float64]:
    hot = np.stack([votes == c for c in range(classes)], axis=2)
    return hot.reshape(len(votes), votes.shape[1] * classes).astype(np.float64)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    items=st.integers(0, 60),
    functions=st.integers(1, 12),
    classes=st.integers(2, 6),
    size=st.integers(0, 4),
)
def test_a_layout_multiplies_as_the_one_hot_matrix_does(
    seed: int, items: int, functions: int, classes: int, size: int
) -> None:
    rng = np.random.default_rng(seed)
    votes = any_votes(rng, items=items, functions=functions, classes=classes)
    hot = one_hot(votes, classes)
    values = rng.integers(-(1 << 34), 1 << 34, (classes, hot.shape[1])).astype(np.float64)
    weights = rng.integers(0, 1 << 20, (classes, items)).astype(np.float64)
    laid = Incidence.of(votes, classes, pattern_functions=size)
    assert laid.counts.tolist() == hot.sum(axis=0).tolist()
    table = laid.layout.spread(values)
    tally = np.zeros_like(table)
    gathered, start = [], 0
    for block in laid.blocks:
        end = start + len(block.voted)
        gathered.append(block.gather(table))
        block.scatter(weights[:, start:end], tally)
        assert block.voted.tolist() == (votes[start:end] >= 0).any(axis=1).tolist()
        start = end
    assert start == items
    if items:
        assert np.array_equal(np.concatenate(gathered, axis=1), (hot @ values.T).T)
    assert np.array_equal(laid.layout.collect(tally), weights @ hot)
    assert np.array_equal(row_sums(values[0], laid), hot @ values[0])


def test_few_votes_are_listed_and_many_are_looked_up_in_patterns() -> None:
    rng = np.random.default_rng(1)
    many = rng.integers(-1, 2, (50_000, 14)).astype(np.int8)
    few = np.where(rng.random(many.shape) < 0.01, many, -1).astype(np.int8)
    assert cheapest_pattern(many, 2) > 2
    assert cheapest_pattern(few, 2) == 0
    assert cheapest_pattern(many[:0], 2) == 0


def test_patterns_of_many_functions_or_of_many_classes_are_numbered_too() -> None:
    rng = np.random.default_rng(2)
    for functions, classes, size in ((15, 2, 7), (7, 2, 7), (9, 4, 5), (3, 127, 1), (11, 63, 2)):
        votes = any_votes(rng, items=200, functions=functions, classes=classes)
        hot = one_hot(votes, classes)
        values = rng.integers(0, 1 << 30, hot.shape[1]).astype(np.float64)
        laid = Incidence.of(votes, classes, pattern_functions=size)
        assert laid.counts.tolist() == hot.sum(axis=0).tolist()
        assert np.array_equal(row_sums(values, laid), hot @ values)
