"""An explanation adds up to the prediction it explains."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from strategies.labeling import AnchorSummary, LabelModel, VoteSummary, fit_across
from strategies.labeling.evidence import UNIFORM_SHARE
from strategies.labeling.explanation import explain
from tests.strategies.labeling.made_votes import known_votes


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 99), classes=st.integers(2, 5), functions=st.integers(1, 9),
    anchored=st.booleans(),
)  # fmt: skip
def test_what_each_vote_says_adds_up_to_the_prediction(
    seed: int, classes: int, functions: int, anchored: bool
) -> None:
    rng = np.random.default_rng(seed)
    votes = rng.integers(-1, classes, size=(400, functions)).astype(np.int8)
    labels = rng.integers(0, classes, size=400)
    anchors = AnchorSummary.from_votes(votes[:60], labels[:60], classes=classes)
    model = fit_across([votes], classes=classes, anchors=anchors if anchored else None)
    for row in votes[:20]:
        told = explain(model, row)
        assert np.array_equal(told.probabilities, model.predict(row[None])[0])
        assert len(told.contributions) == (row >= 0).sum()
        if not told.contributions:
            assert np.array_equal(told.probabilities, told.before)
            continue
        logits = told.prior_nats + sum(each.nats for each in told.contributions)
        sure = np.exp(logits - logits.max())
        sure /= sure.sum()
        spread = (1 - UNIFORM_SHARE) * sure + UNIFORM_SHARE / classes
        assert np.allclose(spread, told.probabilities, atol=1e-6)
        likeliest = int(told.probabilities.argmax())
        said = [each.nats[likeliest] for each in told.contributions]
        assert said == sorted(said, reverse=True)


def test_a_copy_says_less_than_an_original() -> None:
    known = known_votes(5, items=4000, functions=9, classes=2, copies=3)
    model = fit_across([known.votes], classes=2)
    told = explain(model, np.zeros(9, dtype=np.int8))
    weight = {each.function: each.weight for each in told.contributions}
    assert all(weight[j] == model.weights[j] < 0.5 for j in known.clique)
    assert all(weight[j] > 0.9 for j in range(known.originals) if j not in known.clique)


@pytest.mark.parametrize("votes", [[0], [0, 1, 5], [[0, 1, 0]]])
def test_votes_that_are_not_one_item_s_are_refused(votes: list[int]) -> None:
    model = fit_across([np.zeros((30, 3), dtype=np.int8)], classes=2)
    with pytest.raises((InputError, ShapeError)):
        explain(model, votes)


def test_a_model_of_nobody_explains_with_its_prior() -> None:
    told = explain(LabelModel.fit(VoteSummary.empty(functions=2, classes=3)), [-1, -1])
    assert told.contributions == ()
    assert np.allclose(told.probabilities, 1 / 3)
