"""Calibration from votes alone and from answers: integers, whoever holds the rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from strategies.labeling import LabelModel, VoteSummary, fit_across, log_loss
from strategies.labeling.grid_losses import LEAST_PROBABILITY, UNIT, GridLosses
from strategies.labeling.leave_one_out import DAMPINGS, leave_one_out, one_item_in, with_damping
from strategies.labeling.temperature import TEMPERATURES, temperature_losses, with_temperature
from tests.strategies.labeling.made_votes import any_votes, known_votes, shard


def crowd_of_the_same_mind(
    seed: int, *, items: int, shared: float
) -> tuple[np.ndarray, np.ndarray]:
    """Twelve workers who on a share of the items all fall for the same wrong answer."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, items)
    tempting = (labels + rng.integers(1, 4, items)) % 4
    hard = (rng.random(items) < shared)[:, None]
    right = rng.random((items, 12)) < np.where(hard, 0.4, 0.85)
    votes = np.where(right, labels[:, None], tempting[:, None])
    return np.where(rng.random(votes.shape) < 0.2, -1, votes).astype(np.int8), labels


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 2**32),
    items=st.integers(0, 200),
    functions=st.integers(0, 6),
    classes=st.integers(2, 5),
    pieces=st.integers(1, 9),
    one_in=st.integers(1, 4),
)
def test_losses_are_the_same_bits_however_the_rows_are_dealt(
    seed: int, items: int, functions: int, classes: int, pieces: int, one_in: int
) -> None:
    rng = np.random.default_rng(seed)
    votes = any_votes(rng, items=items, functions=functions, classes=classes)
    labels = rng.integers(0, classes, items)
    copies = np.triu(rng.random((functions, functions)) < 0.2, 1)
    copies = copies | copies.T
    model = LabelModel.fit(VoteSummary.from_votes(votes, classes=classes))
    foretold = leave_one_out(model, votes, copies=copies, one_in=one_in)
    answered = temperature_losses(model, votes, labels)
    owner = rng.integers(0, pieces, items)
    parts = [
        leave_one_out(model, votes[owner == p], copies=copies, one_in=one_in) for p in range(pieces)
    ]
    total = sum(parts, start=GridLosses.none(len(DAMPINGS)))
    assert np.array_equal(total.to_vector(), foretold.to_vector())
    told = [temperature_losses(model, votes[owner == p], labels[owner == p]) for p in range(pieces)]
    both = sum(told, start=GridLosses.none(len(TEMPERATURES)))
    assert np.array_equal(both.to_vector(), answered.to_vector())
    vector = foretold.to_vector()
    copy = GridLosses.from_vector(vector, points=len(DAMPINGS))
    assert np.array_equal(copy.to_vector(), vector)


def test_each_vote_is_foretold_from_the_others_that_are_not_its_copies() -> None:
    rng = np.random.default_rng(1)
    known = known_votes(1, items=300, functions=5, classes=3)
    model = LabelModel.fit(VoteSummary.from_votes(known.votes, classes=3))
    votes = any_votes(rng, items=30, functions=5, classes=3)
    copies = np.zeros((5, 5), dtype=np.bool_)
    copies[0, 1] = copies[1, 0] = True
    expected, count = np.zeros(len(DAMPINGS)), 0
    for row in votes:
        for j, said in enumerate(row):
            others = [o for o in range(5) if o != j and row[o] >= 0 and not copies[j, o]]
            if said < 0 or not others:
                continue
            count += 1
            logits = np.log(model.balance)
            for o in others:
                logits = logits + model.weights[o] * np.log(model.tables[o, row[o]])
            heard = sum(model.weights[o] for o in others)
            for at, damping in enumerate(DAMPINGS):
                scaled = logits / (1 + damping * max(heard - 1, 0.0))
                p = np.exp(scaled - scaled.max())
                given_p = float(p / p.sum() @ model.tables[j, said])
                expected[at] -= np.log(max(given_p, LEAST_PROBABILITY))
    losses = leave_one_out(model, votes, copies=copies)
    assert losses.count == count
    assert np.abs(losses.nats - expected).max() < count / UNIT + 1e-5


def test_shared_errors_are_damped_and_independent_ones_are_not() -> None:
    votes, labels = crowd_of_the_same_mind(2, items=3_000, shared=0.4)
    damped = fit_across([votes], classes=4)
    assert damped.damping >= 0.2
    naive = with_damping(damped, GridLosses(count=1, losses=np.arange(len(DAMPINGS))))
    assert naive.damping == 0
    assert log_loss(damped.predict(votes), labels) < log_loss(naive.predict(votes), labels) - 0.05
    sure = known_votes(3, items=6_000, functions=12, classes=2, abstain=0.3)
    assert fit_across([sure.votes], classes=2).damping == 0


def test_damping_and_temperature_never_change_which_class_is_first() -> None:
    known = known_votes(4, items=2_000, functions=9, classes=3)
    model = LabelModel.fit(VoteSummary.from_votes(known.votes, classes=3))
    first = model.predict(known.votes).argmax(axis=1)
    for point in range(len(DAMPINGS)):
        losses = GridLosses(count=1, losses=(np.arange(len(DAMPINGS)) != point).astype(np.int64))
        changed = with_damping(model, losses).predict(known.votes)
        assert np.array_equal(changed.argmax(axis=1), first)
    cold = GridLosses(count=9, losses=np.arange(len(TEMPERATURES)) * 9 * UNIT)
    assert with_temperature(model, cold).temperature < 0.5
    assert np.array_equal(with_temperature(model, cold).predict(known.votes).argmax(axis=1), first)


def test_fifty_answers_cool_a_model_that_is_too_sure() -> None:
    votes, labels = crowd_of_the_same_mind(5, items=2_000, shared=0.5)
    model = LabelModel.fit(VoteSummary.from_votes(votes, classes=4))
    told = with_temperature(model, temperature_losses(model, votes[:50], labels[:50]))
    assert told.temperature < 0.8
    before = log_loss(model.predict(votes[50:]), labels[50:])
    assert log_loss(told.predict(votes[50:]), labels[50:]) < before - 0.05
    nothing = temperature_losses(model, votes[:0], labels[:0])
    assert with_temperature(model, nothing).temperature == 1.0


def test_a_draw_of_items_depends_on_their_votes_alone_and_has_its_size() -> None:
    known = known_votes(6, items=20_000, functions=15, classes=3, abstain=0.3)
    model = LabelModel.fit(VoteSummary.from_votes(known.votes, classes=3))
    copies = np.zeros((15, 15), dtype=np.bool_)
    whole = leave_one_out(model, known.votes, copies=copies)
    drawn = leave_one_out(model, known.votes, copies=copies, one_in=10)
    assert abs(drawn.count / whole.count - 0.1) < 0.01
    assert one_item_in(0) == 1
    dealt = shard(np.random.default_rng(0), known.votes, 20)
    parts = [leave_one_out(model, d, copies=copies, one_in=10) for d in dealt]
    total = sum(parts, start=GridLosses.none(len(DAMPINGS)))
    assert np.array_equal(total.to_vector(), drawn.to_vector())


def test_what_is_not_losses_is_refused() -> None:
    with pytest.raises(ShapeError):
        GridLosses.from_vector(np.zeros(3, dtype=np.int64), points=9)
    with pytest.raises(InputError):
        GridLosses.from_vector(np.zeros(10), points=9)
    with pytest.raises(ShapeError):
        GridLosses.none(3) + GridLosses.none(4)
