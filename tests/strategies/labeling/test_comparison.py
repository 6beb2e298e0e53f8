"""Model against majority on answered items: sums, their interval, and the rule."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from strategies.labeling import LabelModel, PairedComparison, VoteSummary, majority_vote
from strategies.labeling.comparison import NORMAL_95, UNIT
from tests.strategies.labeling.made_votes import any_votes


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32), items=st.integers(0, 60), pieces=st.integers(1, 6))
def test_sums_are_the_same_however_answers_are_dealt_and_what_counting_gives(
    seed: int, items: int, pieces: int
) -> None:
    rng = np.random.default_rng(seed)
    votes = any_votes(rng, items=items, functions=5, classes=3)
    labels = rng.integers(0, 3, items)
    model = LabelModel.fit(VoteSummary.from_votes(votes, classes=3))
    whole = PairedComparison.from_votes(model, votes, labels)
    owner = rng.integers(0, pieces, items)
    parts = [
        PairedComparison.from_votes(model, votes[owner == p], labels[owner == p])
        for p in range(pieces)
    ]
    assert sum(parts, start=PairedComparison.none()) == whole
    assert PairedComparison.from_vector(whole.to_vector()) == whole
    voted = majority_vote(votes, 3)[np.arange(items), labels].sum()
    assert abs(whole.majority / UNIT - voted) < 1e-4
    if items >= 10:
        p = model.predict(votes)
        first = p >= p.max(axis=1, keepdims=True) - 1e-12
        ours = first[np.arange(items), labels] / first.sum(axis=1)
        apart = ours - majority_vote(votes, 3)[np.arange(items), labels]
        half = NORMAL_95 * apart.std() / np.sqrt(items - 1)
        expected = (apart.mean() - half, apart.mean() + half)
        assert whole.interval == pytest.approx(expected, abs=1e-3)


def test_majority_is_used_only_where_it_is_surely_better() -> None:
    def judged(items: int, model: float, majority: float, apart: float) -> bool:
        return PairedComparison(
            items=items,
            model=round(model * items * UNIT),
            majority=round(majority * items * UNIT),
            squares=round(apart * items * UNIT),
        ).majority_is_better

    assert judged(400, 0.70, 0.78, 0.2)
    assert not judged(40, 0.70, 0.78, 0.2)  # the same, on too few answers
    assert not judged(400, 0.78, 0.70, 0.2)
    assert not judged(400, 0.75, 0.75, 0.0)
    assert not judged(5, 0.0, 1.0, 1.0)
    assert not PairedComparison.none().majority_is_better


def test_a_model_of_turned_functions_loses_to_majority() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 600)
    votes = np.where(rng.random((600, 7)) < 0.7, labels[:, None], 1 - labels[:, None])
    good = LabelModel.fit(VoteSummary.from_votes(votes, classes=2))
    turned = LabelModel.from_vector(good.to_vector())
    turned.mixed_tables[:] = turned.mixed_tables[:, ::-1]
    assert not PairedComparison.from_votes(good, votes, labels).majority_is_better
    assert PairedComparison.from_votes(turned, votes, labels).majority_is_better


def test_what_is_not_a_comparison_is_refused() -> None:
    model = LabelModel.fit(VoteSummary.from_votes(np.zeros((4, 3), dtype=np.int8), classes=2))
    with pytest.raises(ShapeError):
        PairedComparison.from_votes(model, [[0, 0]], [0])
    with pytest.raises(InputError):
        PairedComparison.from_votes(model, [[0, 0, 0]], [2])
    with pytest.raises(ShapeError):
        PairedComparison.from_vector(np.zeros(3, dtype=np.int64))
    with pytest.raises(InputError):
        PairedComparison.from_vector(np.zeros(4))
