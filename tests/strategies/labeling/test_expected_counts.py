"""The federated refinement: the same bits however the votes are spread over devices."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.labeling import AnchorSummary, LabelModel, VoteSummary, fit_across
from strategies.labeling.expected_counts import UNIT, ExpectedCounts, expected_counts
from strategies.labeling.incidence import Incidence
from tests.strategies.labeling.made_votes import KnownVotes, any_votes, known_votes, shard


def one_class_votes(seed: int) -> KnownVotes:
    """The made-up votes with every function silenced but for one class."""
    known = known_votes(seed, items=3_000, functions=12, classes=3, abstain=0.4)
    votes = known.votes.copy()
    votes[votes != np.arange(12) % 3] = -1
    return KnownVotes(
        votes=votes, labels=known.labels, accuracies=known.accuracies, worst=0, copies=0
    )


def parameters(shards: Sequence[NDArray[np.int8]], known: KnownVotes, **kw: int) -> bytes:
    anchors = AnchorSummary.from_votes(known.votes[:40], known.labels[:40], classes=3)
    return fit_across(shards, classes=3, anchors=anchors, **kw).to_vector().tobytes()


@pytest.mark.parametrize("pieces", [1, 7, 30, 200])
@pytest.mark.parametrize("one_class", [False, True])
def test_any_sharding_gives_the_same_bits(pieces: int, one_class: bool) -> None:
    known = (
        one_class_votes(1)
        if one_class
        else known_votes(1, items=3_000, functions=12, classes=3, copies=3)
    )
    whole = parameters([known.votes], known, rounds=3)
    for seed in range(4 if pieces < 30 else 2):
        dealt = shard(np.random.default_rng([seed, pieces]), known.votes, pieces)
        assert parameters(dealt, known, rounds=3) == whole


def test_more_rows_than_a_block_give_the_same_bits_too() -> None:
    known = known_votes(5, items=20_000, functions=7, classes=3)
    whole = parameters([known.votes], known, rounds=2)
    for seed, pieces in ((0, 2), (1, 3), (2, 40)):
        dealt = shard(np.random.default_rng(seed), known.votes, pieces)
        assert parameters(dealt, known, rounds=2) == whole


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    items=st.integers(0, 300),
    functions=st.integers(0, 6),
    classes=st.integers(2, 9),
    pieces=st.integers(1, 20),
)
def test_expected_counts_add_up_however_the_rows_are_dealt(
    seed: int, items: int, functions: int, classes: int, pieces: int
) -> None:
    rng = np.random.default_rng(seed)
    votes = any_votes(rng, items=items, functions=functions, classes=classes)
    model = fit_across([votes], classes=classes, rounds=1)
    whole = expected_counts(model, votes)
    parts = [expected_counts(model, dealt) for dealt in shard(rng, votes, pieces)]
    total = sum(parts[1:], start=parts[0])
    assert np.array_equal(total.to_vector(), whole.to_vector())
    copy = ExpectedCounts.from_vector(whole.to_vector(), model=model)
    assert np.array_equal(copy.tables, whole.tables)
    assert np.array_equal(copy.right, whole.right)


def test_expected_counts_are_the_rounded_probabilities_summed() -> None:
    rng = np.random.default_rng(4)
    known = known_votes(2, items=400, functions=6, classes=3)
    model = fit_across([known.votes], classes=3, rounds=2)
    votes = any_votes(rng, items=50, functions=6, classes=3)
    log_tables = np.log(model.tables) * model.weights[:, None, None]
    tables = np.zeros((6, 3, 3))
    per_class = np.zeros(3)
    for row in votes:
        logits = np.log(model.balance) + sum(
            (log_tables[j, v] for j, v in enumerate(row) if v >= 0), start=np.zeros(3)
        )
        sure = np.exp(logits - logits.max())
        sure /= sure.sum()
        per_class += sure * (row >= 0).any()
        for j, v in enumerate(row):
            if v >= 0:
                tables[j, v] += sure
    counts = expected_counts(model, votes)
    assert np.abs(counts.tables / UNIT - tables[model.mixed]).max() < 50 / UNIT
    assert np.abs(counts.right / UNIT - np.trace(tables, axis1=1, axis2=2)).max() < 150 / UNIT
    assert np.abs(counts.classes / UNIT - per_class).max() < 50 / UNIT


def test_no_rounds_are_the_one_shot_fit() -> None:
    known = known_votes(3, items=900, functions=8, classes=3)
    dealt = shard(np.random.default_rng(0), known.votes, 4)
    anchors = AnchorSummary.from_votes(known.votes[:40], known.labels[:40], classes=3)
    total = VoteSummary.from_votes(known.votes, classes=3)
    for given_anchors in (None, anchors):
        across = fit_across(dealt, classes=3, rounds=0, anchors=given_anchors)
        one_shot = LabelModel.fit(total, given_anchors)
        assert np.array_equal(across.to_vector(), one_shot.to_vector())


def test_rounds_learn_confusions_and_the_class_balance() -> None:
    rng = np.random.default_rng(7)
    labels = (rng.random(8_000) < 0.25).astype(np.int64)
    right = rng.random((8_000, 8)) < np.where(labels == 0, 0.9, 0.65)[:, None]
    votes = np.where(right, labels[:, None], 1 - labels[:, None]).astype(np.int8)
    one_shot = fit_across([votes], classes=2, rounds=0)
    refined = fit_across([votes], classes=2, rounds=20)
    assert abs(refined.prior[1] - 0.25) < 0.03
    assert np.abs(refined.tables[:, 0, 0] - 0.9).max() < 0.03
    assert np.abs(refined.tables[:, 1, 1] - 0.65).max() < 0.06

    def accuracy(model: LabelModel) -> float:
        return float((model.predict(votes).argmax(axis=1) == labels).mean())

    assert accuracy(refined) > accuracy(one_shot)


def test_rounds_lift_a_function_that_is_worse_than_chance_off_the_floor() -> None:
    rng = np.random.default_rng(8)
    labels = rng.integers(0, 2, 6_000)
    right = rng.random((6_000, 8)) < np.array([0.3] + [0.75] * 7)
    votes = np.where(right, labels[:, None], 1 - labels[:, None]).astype(np.int8)
    assert fit_across([votes], classes=2, rounds=0).tables[0, 0, 0] > 0.5
    assert abs(fit_across([votes], classes=2, rounds=20).tables[0, 0, 0] - 0.3) < 0.05


def test_devices_without_items_and_fleets_without_items_are_fine() -> None:
    nothing = np.zeros((0, 4), dtype=np.int8)
    model = fit_across([nothing, nothing], classes=3)
    assert np.allclose(model.predict(np.full((2, 4), -1)), 1 / 3)
    nobody = fit_across([np.zeros((5, 0), dtype=np.int8)], classes=2)
    assert np.allclose(nobody.predict(np.zeros((2, 0), dtype=np.int8)), 0.5)


def test_what_cannot_be_fitted_is_refused() -> None:
    votes = np.zeros((3, 2), dtype=np.int8)
    with pytest.raises(InputError):
        fit_across([], classes=2)
    with pytest.raises(InputError):
        fit_across([votes], classes=2, rounds=-1)
    with pytest.raises(ShapeError):
        fit_across([votes, votes[:, :1]], classes=2)
    with pytest.raises(ShapeError):
        fit_across([votes], classes=2, anchors=AnchorSummary.empty(functions=3, classes=2))
    model = fit_across([votes], classes=2)
    with pytest.raises(ShapeError):
        ExpectedCounts.from_vector(np.zeros(3, dtype=np.int64), model=model)


@pytest.mark.parametrize("pieces", [10, 100, 1_000])
def test_up_to_a_thousand_shards_fit_the_same_bits(pieces: int) -> None:
    known = known_votes(9, items=2_500, functions=8, classes=3, copies=2)
    dealt = shard(np.random.default_rng(pieces), known.votes, pieces)
    assert parameters(dealt, known, rounds=1) == parameters([known.votes], known, rounds=1)


def test_every_item_with_a_vote_counts_once_whatever_is_rounded() -> None:
    votes = any_votes(np.random.default_rng(6), items=3_000, functions=5, classes=7)
    model = fit_across([votes], classes=7, rounds=1)
    counts = expected_counts(model, votes)
    assert counts.classes.sum() == UNIT * (votes >= 0).any(axis=1).sum()
    assert (counts.classes >= 0).all()
    assert (counts.tables >= 0).all()
    given_votes = [[(votes[:, j] == v).sum() for v in range(7)] for j in model.mixed]
    assert np.array_equal(counts.tables.sum(axis=2), UNIT * np.reshape(given_votes, (-1, 7)))


def test_votes_laid_out_once_give_the_same_counts() -> None:
    votes = any_votes(np.random.default_rng(7), items=900, functions=8, classes=3)
    model = fit_across([votes], classes=3, rounds=1)
    whole = expected_counts(model, votes).to_vector()
    for size in (0, 1, 3):
        laid = Incidence.of(votes, 3, pattern_functions=size)
        assert np.array_equal(expected_counts(model, laid).to_vector(), whole)
    with pytest.raises(ShapeError):
        expected_counts(model, Incidence.of(votes[:, :7], 3))
