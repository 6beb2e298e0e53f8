"""Laws of vote summaries, against counting by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fieldvote.codec import field_sizes
from fieldvote.errors import InputError, ShapeError
from fieldvote.records import SurveyReply
from strategies.labeling import VoteSummary
from tests.strategies.labeling.made_votes import any_votes, shard

NOTHING = np.empty(0, dtype=np.int64)


def counted_by_hand(votes: NDArray[np.int8], classes: int) -> VoteSummary:
    functions = votes.shape[1]
    total = VoteSummary.empty(functions=functions, classes=classes)
    for row in votes.tolist():
        for j, v in enumerate(row):
            if v < 0:
                continue
            total.counts[j, v] += 1
            for other, u in enumerate(row):
                if other == j or u < 0:
                    continue
                total.co_votes[j, other] += 1
                total.agreements[j, other] += u == v
    return VoteSummary(
        items=len(votes),
        counts=total.counts,
        co_votes=total.co_votes,
        agreements=total.agreements,
    )


sizes = {
    "seed": st.integers(0, 2**32),
    "items": st.integers(0, 150),
    "functions": st.integers(0, 7),
    "classes": st.integers(2, 5),
}


@settings(deadline=None, max_examples=40)
@given(**sizes)
def test_a_summary_is_what_counting_by_hand_gives(
    seed: int, items: int, functions: int, classes: int
) -> None:
    rng = np.random.default_rng(seed)
    votes = any_votes(rng, items=items, functions=functions, classes=classes)
    assert VoteSummary.from_votes(votes, classes=classes) == counted_by_hand(votes, classes)


@settings(deadline=None, max_examples=40)
@given(**sizes, pieces=st.integers(1, 9))
def test_summaries_add_up_however_the_rows_are_dealt(
    seed: int, items: int, functions: int, classes: int, pieces: int
) -> None:
    rng = np.random.default_rng(seed)
    votes = any_votes(rng, items=items, functions=functions, classes=classes)
    parts = [VoteSummary.from_votes(s, classes=classes) for s in shard(rng, votes, pieces)]
    start = VoteSummary.empty(functions=functions, classes=classes)
    assert sum(parts, start=start) == VoteSummary.from_votes(votes, classes=classes)


@settings(deadline=None, max_examples=40)
@given(**sizes)
def test_taking_out_what_was_added_leaves_no_trace(
    seed: int, items: int, functions: int, classes: int
) -> None:
    rng = np.random.default_rng(seed)
    a, b = (
        VoteSummary.from_votes(
            any_votes(rng, items=items, functions=functions, classes=classes), classes=classes
        )
        for _ in range(2)
    )
    assert a + b - b == a


@settings(deadline=None, max_examples=40)
@given(**sizes, dropped=st.sets(st.integers(0, 6)))
def test_a_retired_function_might_as_well_never_have_voted(
    seed: int, items: int, functions: int, classes: int, dropped: set[int]
) -> None:
    rng = np.random.default_rng(seed)
    votes = any_votes(rng, items=items, functions=functions, classes=classes)
    retired = sorted(position for position in dropped if position < functions)
    left = VoteSummary.from_votes(votes, classes=classes).retire(retired)
    assert left == VoteSummary.from_votes(np.delete(votes, retired, axis=1), classes=classes)


@settings(deadline=None, max_examples=40)
@given(**sizes)
def test_a_summary_survives_the_wire(seed: int, items: int, functions: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    votes = any_votes(rng, items=items, functions=functions, classes=classes)
    summary = VoteSummary.from_votes(votes, classes=classes)
    vector = summary.to_vector()
    assert vector.dtype == np.int64
    copy = VoteSummary.from_vector(vector, functions=functions, classes=classes)
    assert copy == summary
    for name in ("counts", "co_votes", "agreements"):
        assert np.array_equal(getattr(copy, name), getattr(summary, name)), name


def test_a_vector_holds_each_number_once() -> None:
    functions, classes = 10, 3
    vector = VoteSummary.empty(functions=functions, classes=classes).to_vector()
    assert len(vector) == 1 + functions * classes + functions * (functions - 1)
    assert len(vector) == VoteSummary.vector_length(functions=functions, classes=classes)


@pytest.mark.parametrize(
    ("functions", "classes", "most"),
    [
        pytest.param(20, 4, 2_000, id="20 functions, 4 classes, 2 kB"),
        pytest.param(68, 6, 20_000, id="68 functions, 6 classes, 20 kB"),
    ],
)
def test_a_device_with_many_items_uploads_a_small_summary(
    functions: int, classes: int, most: int
) -> None:
    # two to the thirty items: every number then needs its four bytes
    vector = VoteSummary.empty(functions=functions, classes=classes).to_vector() + (1 << 30)
    reply = SurveyReply(
        round=1, items=1 << 30, voted=1 << 30, votes=vector, moments=NOTHING, offers=()
    )
    assert field_sizes(reply)["votes"] <= most


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**32), pieces=st.sampled_from([1, 10, 100, 1_000]))
def test_up_to_a_thousand_shards_sum_to_the_same_bits(seed: int, pieces: int) -> None:
    rng = np.random.default_rng(seed)
    votes = any_votes(rng, items=1_500, functions=6, classes=3)
    parts = [VoteSummary.from_votes(s, classes=3) for s in shard(rng, votes, pieces)]
    whole = VoteSummary.from_votes(votes, classes=3)
    total = sum(parts, start=VoteSummary.empty(functions=6, classes=3))
    assert total.to_vector().tobytes() == whole.to_vector().tobytes()


@settings(deadline=None, max_examples=40)
@given(**sizes)
def test_selected_functions_are_summed_in_the_order_asked_for(
    seed: int, items: int, functions: int, classes: int
) -> None:
    rng = np.random.default_rng(seed)
    votes = any_votes(rng, items=items, functions=functions, classes=classes)
    chosen = rng.permutation(functions)[: rng.integers(0, functions + 1)].tolist()
    picked = VoteSummary.from_votes(votes, classes=classes).select(chosen)
    assert picked == VoteSummary.from_votes(votes[:, chosen], classes=classes)


def test_what_was_never_added_is_not_taken_out() -> None:
    a = VoteSummary.from_votes([[0, 0], [1, -1]], classes=2)
    other = VoteSummary.from_votes([[0, 1]], classes=2)
    with pytest.raises(InputError, match="below zero"):
        a - other
    with pytest.raises(InputError, match="below zero"):
        a - a - a


def test_rows_beyond_one_block_are_counted() -> None:
    rng = np.random.default_rng(5)
    votes = any_votes(rng, items=70_001, functions=3, classes=2)
    summary = VoteSummary.from_votes(votes, classes=2)
    both = (votes[:, 0] >= 0) & (votes[:, 2] >= 0)
    assert summary.items == 70_001
    assert summary.co_votes[0, 2] == both.sum()
    assert summary.agreements[0, 2] == (both & (votes[:, 0] == votes[:, 2])).sum()
    assert summary.counts[1].tolist() == [(votes[:, 1] == c).sum() for c in range(2)]


@pytest.mark.parametrize(
    ("votes", "classes", "error"),
    [
        pytest.param(np.zeros((2, 2)), 2, InputError, id="floats"),
        pytest.param(np.full((2, 2), 2), 2, InputError, id="a class too many"),
        pytest.param(np.full((2, 2), -2), 2, InputError, id="below abstaining"),
        pytest.param(np.full((2, 2), 300), 2, InputError, id="would wrap around in int8"),
        pytest.param(np.zeros(3, dtype=np.int8), 2, ShapeError, id="a column"),
        pytest.param(np.zeros((2, 2), dtype=np.int8), 1, InputError, id="one class"),
        pytest.param(np.zeros((2, 2), dtype=np.int8), 128, InputError, id="too many classes"),
    ],
)
def test_what_is_not_votes_is_refused(
    votes: NDArray[np.int8], classes: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        VoteSummary.from_votes(votes, classes=classes)


def test_summaries_of_other_functions_do_not_add() -> None:
    a = VoteSummary.empty(functions=2, classes=2)
    with pytest.raises(ShapeError):
        a + VoteSummary.empty(functions=3, classes=2)
    with pytest.raises(InputError):
        a.retire([2])
    with pytest.raises(InputError, match="twice"):
        a.select([1, 1])
    with pytest.raises(InputError):
        a.select([-1])
    with pytest.raises(ShapeError):
        VoteSummary.from_vector(a.to_vector()[:-1], functions=2, classes=2)
    with pytest.raises(InputError):
        VoteSummary.from_vector(a.to_vector().astype(float), functions=2, classes=2)
