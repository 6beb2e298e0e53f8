"""The one-shot label model: what it learns, what it predicts, what it does with little."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.labeling import AnchorSummary, LabelModel, VoteSummary, majority_vote
from strategies.labeling.model import coin_tables
from tests.strategies.labeling.made_votes import any_votes, known_votes


def fitted(votes: object, classes: int) -> LabelModel:
    return LabelModel.fit(VoteSummary.from_votes(np.asarray(votes), classes=classes))


def test_accuracies_of_independent_functions_are_recovered_without_labels() -> None:
    known = known_votes(1, items=20_000, functions=10, classes=3)
    model = fitted(known.votes, 3)
    assert np.abs(model.accuracies - known.accuracies).max() < 0.03
    assert (model.weights == 1).all()


def test_better_functions_count_for_more_than_a_majority() -> None:
    known = known_votes(2, items=20_000, functions=9, classes=2, abstain=0.0)
    sure = fitted(known.votes, 2).predict(known.votes).argmax(axis=1) == known.labels
    voted = majority_vote(known.votes, 2).argmax(axis=1) == known.labels
    assert sure.mean() > voted.mean() + 0.005


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("items", "functions", "classes", "copies", "abstain"),
    [(20_000, 20, 2, 8, 0.5), (2_000, 20, 2, 6, 0.5), (20_000, 20, 4, 6, 0.7)],
)
def test_a_large_clique_of_copies_gets_one_voice(
    seed: int, items: int, functions: int, classes: int, copies: int, abstain: float
) -> None:
    known = known_votes(
        seed, items=items, functions=functions, classes=classes, copies=copies, abstain=abstain
    )
    model = fitted(known.votes, classes)
    right = (model.predict(known.votes).argmax(axis=1) == known.labels).mean()
    voted = (majority_vote(known.votes, classes).argmax(axis=1) == known.labels).mean()
    assert right > known.oracle_accuracy(classes) - 0.01
    assert right > voted + 0.05
    copied = np.isin(np.arange(functions), known.clique)
    assert model.weights[copied].max() < 1.5 / len(known.clique)
    assert (model.weights[~copied] == 1).all()


@pytest.mark.parametrize("seed", range(5))
def test_no_copies_are_seen_where_there_are_none(seed: int) -> None:
    known = known_votes(seed, items=4_000, functions=15, classes=2)
    assert (fitted(known.votes, 2).weights == 1).all()


def test_one_class_functions_that_speak_together_for_one_class_share_a_voice() -> None:
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 4, 4_000)
    votes = np.full((4_000, 7), -1, dtype=np.int8)
    for j in range(7):
        speaks = rng.random(4_000) < np.where(labels == j % 4, 0.3, 0.05)
        votes[speaks, j] = j % 4
    model = fitted(votes, 4)
    assert model.mixed.size == 0
    # excess agreement of 1 halves both voices, of which half is believed on a scale of logs
    assert np.allclose(model.weights[[0, 1, 2, 4, 5, 6]], 0.5**0.5)
    assert model.weights[3] == 1  # the only one that speaks for class 3


def test_rows_are_distributions_and_do_not_depend_on_their_neighbours() -> None:
    rng = np.random.default_rng(6)
    known = known_votes(3, items=3_000, functions=12, classes=4)
    model = fitted(known.votes, 4)
    votes = any_votes(rng, items=9_000, functions=12, classes=4)
    whole = model.predict(votes)
    assert whole.dtype == np.float64
    assert np.abs(whole.sum(axis=1) - 1).max() < 1e-12
    assert (whole > 0).all()
    for size in (1, 2, 3, 7, 63, 1_000):
        picked = rng.permutation(len(votes))[:size]
        assert np.array_equal(model.predict(votes[picked]), whole[picked])


def test_the_order_of_functions_does_not_matter() -> None:
    known = known_votes(8, items=3_000, functions=9, classes=3, copies=2)
    order = np.random.default_rng(0).permutation(9)
    straight = fitted(known.votes, 3).predict(known.votes)
    shuffled = fitted(known.votes[:, order], 3).predict(known.votes[:, order])
    assert np.abs(straight - shuffled).max() < 1e-3


@pytest.mark.parametrize("anchored", [False, True])
def test_a_model_survives_the_wire_to_the_last_bit(anchored: bool) -> None:
    rng = np.random.default_rng(9)
    known = known_votes(9, items=2_000, functions=6, classes=3)
    votes = known.votes.copy()
    votes[votes[:, 2] != 1, 2] = -1  # one of them is a one-class function
    anchors = AnchorSummary.from_votes(votes[:30], known.labels[:30], classes=3)
    total = VoteSummary.from_votes(votes, classes=3)
    model = LabelModel.fit(total, anchors if anchored else None)
    vector = model.to_vector()
    assert (vector.dtype, vector.ndim) == (np.float64, 1)
    copy = LabelModel.from_vector(vector)
    fresh = any_votes(rng, items=500, functions=6, classes=3)
    assert np.array_equal(copy.predict(fresh), model.predict(fresh))
    assert np.array_equal(copy.to_vector(), vector)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda v: v[:2], id="nothing but a header"),
        pytest.param(lambda v: v[:-1], id="one short"),
        pytest.param(lambda v: np.append(v, 0.0), id="one over"),
        pytest.param(lambda v: np.where(np.arange(len(v)) == 5, np.nan, v), id="nan"),
        pytest.param(lambda v: np.where(np.arange(len(v)) == 0, -1.0, v), id="-1 functions"),
        pytest.param(lambda v: np.where(np.arange(len(v)) == 0, 1e9, v), id="1e9 functions"),
        pytest.param(lambda v: np.where(np.arange(len(v)) == 1, 2.5, v), id="2.5 classes"),
        pytest.param(lambda v: v[None], id="a matrix"),
    ],
)
def test_a_vector_that_is_not_a_model_is_refused(spoil: object) -> None:
    vector = fitted(known_votes(0, items=200, functions=4, classes=2).votes, 2).to_vector()
    with pytest.raises(InputError):
        LabelModel.from_vector(spoil(vector))  # type: ignore[operator]  # a table of lambdas


@pytest.mark.parametrize(
    ("votes", "classes", "rows", "expected"),
    [
        pytest.param(np.zeros((0, 3), np.int8), 2, [[-1, -1, -1]], 0.5, id="no items at all"),
        pytest.param(np.zeros((0, 0), np.int8), 4, np.zeros((1, 0), np.int8), 0.25, id="no one"),
        pytest.param(np.full((5, 2), -1), 2, [[-1, -1]], 0.5, id="all abstain"),
        pytest.param(np.zeros((50, 3), np.int8), 2, [[-1, -1, -1]], 0.5, id="no vote in a row"),
    ],
)
def test_without_votes_there_is_only_the_prior(
    votes: NDArray[np.int8], classes: int, rows: NDArray[np.int8], expected: float
) -> None:
    predicted = fitted(votes, classes).predict(np.asarray(rows, dtype=np.int8))
    assert predicted.shape == (1, classes)
    assert np.allclose(predicted, expected)


@pytest.mark.parametrize(
    ("votes", "row", "low", "high"),
    [
        pytest.param([[0]] * 9 + [[1]] * 9, [0], 0.65, 0.72, id="one mixed function"),
        pytest.param([[0]] * 50, [0], 0.65, 0.75, id="one one-class function"),
        pytest.param([[0, 0], [1, 1]] * 40, [0, 0], 0.65, 0.98, id="two are one"),
        pytest.param([[0, 0], [1, 1], [0, 0], [0, 1]] * 40, [0, 0], 0.8, 0.98, id="two agree"),
        pytest.param([[0, 0], [1, 1], [0, 0], [0, 1]] * 40, [0, 1], 0.4, 0.6, id="two contradict"),
        pytest.param([[0, 0, 0]] * 50, [0, 0, 0], 0.9, 0.98, id="only one class is ever seen"),
        pytest.param([[0] * 6, [1] * 6] * 500, [0] * 6, 0.9, 0.98, id="all are alike"),
    ],
)
def test_a_little_evidence_gives_a_little_confidence(
    votes: object, row: list[int], low: float, high: float
) -> None:
    assert low <= fitted(votes, 2).predict([row])[0, 0] <= high


def test_anchors_teach_which_one_class_functions_to_trust() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, 2_000)
    votes = np.full((2_000, 4), -1, dtype=np.int8)
    for j, precision in enumerate((0.95, 0.5, 0.95, 0.5)):
        speaks = (rng.random(2_000) < 0.3) & (
            rng.random(2_000) < np.where(labels == j % 2, precision, 1 - precision)
        )
        votes[speaks, j] = j % 2
    total = VoteSummary.from_votes(votes, classes=2)
    anchors = AnchorSummary.from_votes(votes[:400], labels[:400], classes=2)
    model = LabelModel.fit(total, anchors)
    assert min(model.accuracies[[0, 2]]) > max(model.accuracies[[1, 3]]) + 0.1
    assert 0.52 <= model.accuracies.min() <= model.accuracies.max() <= 0.97


def test_anchors_teach_confusions_of_mixed_functions_and_the_prior() -> None:
    rng = np.random.default_rng(3)
    labels = (rng.random(6_000) < 0.2).astype(np.int64)
    # right on class 0 nine times in ten, on class 1 six times
    right = rng.random((6_000, 5)) < np.where(labels == 0, 0.9, 0.6)[:, None]
    votes = np.where(right, labels[:, None], 1 - labels[:, None]).astype(np.int8)
    total = VoteSummary.from_votes(votes, classes=2)
    anchors = AnchorSummary.from_votes(votes[:1000], labels[:1000], classes=2)
    model = LabelModel.fit(total, anchors)
    assert np.abs(model.tables[:, 0, 0] - 0.9).max() < 0.05
    assert np.abs(model.tables[:, 1, 1] - 0.6).max() < 0.1
    assert abs(model.prior[1] - 0.2) < 0.04
    assert np.allclose(model.predict(np.full((1, 5), -1))[0], model.prior)


def test_no_anchors_change_nothing_about_mixed_functions() -> None:
    known = known_votes(5, items=1_000, functions=6, classes=2)
    total = VoteSummary.from_votes(known.votes, classes=2)
    bare = LabelModel.fit(total)
    none = LabelModel.fit(total, AnchorSummary.empty(functions=6, classes=2))
    assert np.allclose(none.predict(known.votes), bare.predict(known.votes))


def test_votes_and_anchors_of_other_functions_are_refused() -> None:
    model = fitted(np.zeros((9, 3), dtype=np.int8), 2)
    with pytest.raises(ShapeError):
        model.predict(np.zeros((1, 2), dtype=np.int8))
    with pytest.raises(InputError):
        model.predict(np.full((1, 3), 2))
    with pytest.raises(ShapeError):
        LabelModel.fit(
            VoteSummary.empty(functions=3, classes=2),
            AnchorSummary.empty(functions=2, classes=2),
        )


def test_coin_tables_are_distributions_over_votes() -> None:
    tables = coin_tables(np.array([0.4, 0.9]), 4)
    assert np.allclose(tables.sum(axis=1), 1)
    assert np.allclose(tables[:, 2, 2], [0.4, 0.9])
