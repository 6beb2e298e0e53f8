"""What functions do, counted twice: by the program, and item by item."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.check_conduct import count_votes, effective_sources, suspicions, tally, tally_all
from fieldvote.rng import stream
from strategies.labeling import analyse

CLASSES = 3
MATRICES = st.lists(
    st.lists(st.sampled_from([-1, -1, 0, 1, 2]), min_size=3, max_size=3), min_size=1, max_size=12
).map(lambda rows: np.array(rows, dtype=np.int8))


@settings(deadline=None)
@given(MATRICES, st.data())
def test_a_tally_is_what_counting_item_by_item_gives(
    votes: NDArray[np.int8], data: st.DataObject
) -> None:
    n, m = votes.shape
    labels = np.array(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))
    counts = count_votes(votes, CLASSES)
    for function in range(m):
        for vote in (None, 0, 1, 2):
            cast = [
                i for i in range(n)
                if (votes[i, function] >= 0 if vote is None else votes[i, function] == vote)
            ]  # fmt: skip
            others = {i: [v for j, v in enumerate(votes[i]) if j != function and v >= 0]
                      for i in cast}  # fmt: skip
            got = tally(votes, counts, labels, function=function, vote=vote)
            assert got.coverage == len(cast) / n
            assert got.overlap == sum(bool(others[i]) for i in cast) / n
            assert got.conflict == (
                sum(any(v != votes[i, function] for v in others[i]) for i in cast) / n
            )
            right = [votes[i, function] == labels[i] for i in cast]
            assert got.accuracy == (pytest.approx(np.mean(right)) if right else None)
    together = tally_all(votes, labels)
    voted = [[v for v in row if v >= 0] for row in votes]
    assert together.coverage == sum(bool(row) for row in voted) / n
    assert together.overlap == sum(len(row) > 1 for row in voted) / n
    assert together.conflict == sum(len(set(row)) > 1 for row in voted) / n
    for c in range(CLASSES):
        mine = tally_all(votes, None, vote=c)
        assert mine.coverage == sum(c in row for row in voted) / n
        assert mine.conflict == sum(c in row and len(set(row)) > 1 for row in voted) / n
        assert mine.accuracy is None


@settings(deadline=None)
@given(MATRICES)
def test_a_tally_is_what_the_label_model_s_analysis_says(votes: NDArray[np.int8]) -> None:
    for report in analyse(votes, classes=CLASSES):
        got = tally(votes, count_votes(votes, CLASSES), None, function=report.position)
        assert (got.coverage, got.overlap, got.conflict) == (
            report.coverage, report.overlap, report.conflict
        )  # fmt: skip


def crowd(seed: int, n: int = 3000, m: int = 8) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Independent functions of 75 % accuracy that vote on 60 % of items, and the truth."""
    rng = stream(seed, "crowd")
    labels = rng.integers(0, 2, n)
    right = rng.random((n, m)) < 0.75
    votes = np.where(right, labels[:, None], 1 - labels[:, None])
    return np.where(rng.random((n, m)) < 0.6, votes, -1).astype(np.int8), labels


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_a_copy_is_suspected_and_independent_functions_are_not(seed: int, known: bool) -> None:
    votes, labels = crowd(seed)
    copy = votes[:, 2].copy()
    changed = stream(seed, "copy").random(len(copy)) < 0.1
    copy[changed] = -1
    found = suspicions(np.column_stack([votes, copy]), labels if known else None, 2)
    assert [(each.first, each.second) for each in found] == [(2, 8)]
    assert found[0].agreement > 0.85
    assert found[0].expected < 0.6


def test_functions_of_one_class_that_fire_together_are_suspected_only_beyond_their_class() -> None:
    rng = stream(1, "one class")
    labels = (rng.random(4000) < 0.2).astype(np.int64)
    fires = rng.random((4000, 3)) < 0.7
    votes = np.where(fires & (labels == 1)[:, None], 1, -1).astype(np.int8)
    assert suspicions(votes, labels, 2) == ()
    votes[:, 2] = votes[:, 1]
    assert [(e.first, e.second) for e in suspicions(votes, labels, 2)] == [(1, 2)]


def test_ten_origins_of_which_one_speaks_are_effectively_one() -> None:
    votes = np.full((10, 3), -1, dtype=np.int8)
    votes[:, 0] = 1
    assert effective_sources(votes, [0, 1, 2]) == 1.0
    votes[:, 1:] = 1
    assert effective_sources(votes, [0, 1, 2]) == pytest.approx(3.0)
    assert effective_sources(votes, [0, 0, 0]) == 1.0
    assert effective_sources(np.full((2, 1), -1, dtype=np.int8), [0]) == 0.0
