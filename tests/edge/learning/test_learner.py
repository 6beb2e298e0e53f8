"""What a device teaches: exact sums over the lessons, whatever order or split they come in."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.learning.learner import Learner, head_of, representation_key, representation_of
from edge.learning.lessons import Beliefs, Known, Lessons, certainty, what_teaches
from fieldvote.errors import ShapeError
from fieldvote.heads import HeadModel
from fieldvote.rng import stream
from strategies.aggregation.sketch import projection
from strategies.labeling import LabelModel, VoteSummary
from strategies.representation import Moments
from tests.doubles.agents import model_from

CLASSES, FUNCTIONS, ITEMS = 3, 4, 30
EMBEDDINGS = stream(2, "e").normal(size=(ITEMS, 5)).astype(np.float32)
LABELS = stream(2, "y").integers(0, CLASSES, ITEMS)
VOTES = stream(2, "v").integers(-1, CLASSES, (ITEMS, FUNCTIONS)).astype(np.int8)
MODEL = model_from(Moments.from_embeddings(EMBEDDINGS.astype(np.float64)), classes=CLASSES)
LABEL_MODEL = LabelModel.fit(VoteSummary.from_votes(VOTES, classes=CLASSES))
PLACES = st.lists(st.integers(0, ITEMS - 1), unique=True)


def trained(seed: int, model: HeadModel = MODEL) -> HeadModel:
    weights = stream(seed, "w").integers(-(1 << 20), 1 << 20, len(model.weights))
    return replace(model, weights=weights)


def lessons(
    answered: list[int], voted: list[int] | None = None, vote_weight: float = 0.0
) -> Lessons:
    """Return what answers to some items, and votes on some of the others, teach."""
    answers, votes = np.full(ITEMS, -1), np.full_like(VOTES, -1)
    answers[answered] = LABELS[answered]
    votes[voted or []] = VOTES[voted or []]
    known = Known(
        answers=answers,
        free=np.ones(ITEMS, dtype=np.bool_),
        votes=votes,
        ranks=np.arange(ITEMS),
        classes=CLASSES,
    )
    return what_teaches(known, Beliefs(label_model=LABEL_MODEL, vote_weight=vote_weight)).lessons


def by_hand(
    model: HeadModel, answered: list[int], voted: list[int], vote_weight: float
) -> tuple[NDArray[np.float64], float, float]:
    """Return gradient, loss and weight by the textbook, in floats."""
    representation = representation_of(model)
    embeddings = EMBEDDINGS.astype(np.float64)
    inputs = representation.inputs(embeddings, representation.centre(embeddings)) * 2.0**-9
    alone = [place for place in voted if place not in answered and (VOTES[place] >= 0).any()]
    soft = LABEL_MODEL.predict(VOTES[alone])
    targets = np.concatenate([np.eye(CLASSES)[LABELS[answered]], soft])
    share = (soft.max(axis=1) - 1 / CLASSES) / (1 - 1 / CLASSES)
    weight = np.concatenate([np.ones(len(answered)), vote_weight * share])
    taught = inputs[np.array([*answered, *alone], dtype=np.int64)]
    logits = taught @ head_of(model).values
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    loss = float(-(weight[:, None] * targets * logs).sum())
    return taught.T @ (weight[:, None] * (np.exp(logs) - targets)), loss, float(weight.sum())


@settings(deadline=None, max_examples=40)
@given(PLACES, PLACES, st.sampled_from([0.1, 0.5, 2.0]), st.integers(0, 9))
def test_a_gradient_is_the_textbooks(
    answered: list[int], voted: list[int], vote_weight: float, seed: int
) -> None:
    learner = Learner(EMBEDDINGS, classes=CLASSES)
    rows = lessons(answered, voted, vote_weight)
    model = trained(seed)
    sums = learner.gradient(model, rows)
    gradient, loss, weight = by_hand(model, answered, voted, vote_weight)
    assert np.allclose(sums.gradient_values, gradient, atol=0.05)
    assert sums.loss_nats == pytest.approx(loss, abs=0.05)
    assert sums.total_weight == pytest.approx(weight, abs=0.02)


@settings(deadline=None, max_examples=40)
@given(PLACES, st.integers(0, ITEMS), st.integers(0, 9))
def test_the_sum_over_any_split_has_the_same_bits(places: list[int], cut: int, seed: int) -> None:
    learner, model = Learner(EMBEDDINGS, classes=CLASSES), trained(seed)
    parts = [lessons(part, part, 0.5) for part in (places[:cut], places[cut:])]
    one, other = (learner.gradient(model, part) for part in parts)
    whole = learner.gradient(model, lessons(places[::-1], places, 0.5))
    assert np.array_equal((one + other).to_vector(), whole.to_vector())
    grams = [learner.labeled_sums(model, part.positions) for part in parts]
    gram = learner.labeled_sums(model, np.array(places, dtype=np.int64))
    assert np.array_equal((grams[0] + grams[1]).to_vector(), gram.to_vector())


def test_the_seed_of_the_model_names_the_sketch() -> None:
    wide = stream(3, "e").normal(size=(ITEMS, 20)).astype(np.float32)
    model = model_from(Moments.from_embeddings(wide.astype(np.float64)), classes=CLASSES)
    places = np.arange(ITEMS)
    ours = Learner(wide, classes=CLASSES).labeled_sums(model, places)
    theirs = Learner(wide, classes=CLASSES).labeled_sums(replace(model, seed=99), places)
    assert ours.total_weight == theirs.total_weight == ITEMS
    for sums, seed in ((ours, model.seed), (theirs, 99)):
        core = projection(21, seed=seed).T @ sums.sketch
        assert np.array_equal(core, core.T)
    assert not np.array_equal(ours.sketch, theirs.sketch)


@settings(deadline=None, max_examples=20)
@given(PLACES, PLACES)
def test_votes_without_weight_or_label_model_teach_nothing(
    answered: list[int], voted: list[int]
) -> None:
    learner = Learner(EMBEDDINGS, classes=CLASSES)
    plain = learner.gradient(MODEL, lessons(answered)).to_vector()
    unweighted = learner.gradient(MODEL, lessons(answered, voted, 0.0))
    assert np.array_equal(plain, unweighted.to_vector())


def test_local_epochs_lower_the_loss() -> None:
    learner, rows = Learner(EMBEDDINGS, classes=CLASSES), lessons(list(range(ITEMS)))
    before = learner.gradient(MODEL, rows).loss_nats
    local = learner.train(MODEL, rows, epochs=20, l2_per_item=0.0)
    after = replace(MODEL, weights=(local.product // local.weight).ravel())
    assert local.weight == ITEMS
    assert learner.gradient(after, rows).loss_nats < before


def test_a_new_representation_makes_new_inputs_and_the_old_ones_come_back() -> None:
    learner = Learner(EMBEDDINGS, classes=CLASSES)
    other = replace(trained(1), mean=MODEL.mean + 1.0)
    first = learner.probabilities(trained(1))
    second = learner.probabilities(other)
    assert not np.allclose(first, second)
    assert np.array_equal(first, learner.probabilities(trained(1)))
    fresh = Learner(EMBEDDINGS, classes=CLASSES).probabilities(other)
    assert np.array_equal(second, fresh)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mean", np.ones(5)),
        ("scale", np.full(5, 3.0)),
        ("gain", 0.5),
        ("clip", 1.0),
        ("recentre", 0.25),
        ("fourier", 7),
        ("bandwidth", 2.5),
        ("amplitude", 0.5),
        ("seed", 99),
    ],
)
def test_the_key_of_a_representation_tells_every_field_apart(name: str, value: object) -> None:
    changed = replace(MODEL, **{name: value})  # type: ignore[arg-type]  # the table has one of each
    assert representation_key(changed) != representation_key(MODEL)
    assert representation_key(trained(3)) == representation_key(MODEL)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 50))
def test_probabilities_are_rows_that_sum_to_one(seed: int) -> None:
    view = Learner(EMBEDDINGS, classes=CLASSES).probabilities(trained(seed))
    assert view.shape == (ITEMS, CLASSES)
    assert np.allclose(view.sum(axis=1), 1, atol=1e-6)
    assert (view >= 0).all()


def test_a_head_of_other_classes_or_a_broken_matrix_is_refused() -> None:
    learner = Learner(EMBEDDINGS, classes=CLASSES)
    with pytest.raises(ShapeError, match="head has shape"):
        learner.probabilities(replace(MODEL, classes=2))
    for classes, count in ((0, 18), (3, 17)):
        broken = replace(MODEL, classes=classes, weights=np.zeros(count, dtype=np.int64))
        with pytest.raises(ShapeError, match="head weights"):
            head_of(broken)


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 6), st.integers(0, 50))
def test_certainty_goes_from_uniform_to_certain(classes: int, seed: int) -> None:
    rows = stream(seed, "c").dirichlet(np.ones(classes), 10)
    shares = certainty(rows)
    assert ((shares >= 0) & (shares <= 1)).all()
    assert np.array_equal(np.argsort(shares), np.argsort(rows.max(axis=1)))
    assert certainty(np.full((1, classes), 1 / classes))[0] == pytest.approx(0)
    assert certainty(np.eye(classes)[:1])[0] == 1
