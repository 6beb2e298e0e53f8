"""Functions of one class each: hedged, levelled, and silent items guessed from what they miss."""

import numpy as np
import pytest
from numpy.typing import NDArray

from strategies.labeling import AnchorSummary, LabelModel, VoteSummary, log_loss, majority_vote
from strategies.labeling.one_class import hedged_accuracies, unvoted_prior


def keyword_votes(
    seed: int, *, items: int, functions: int, balance: tuple[float, ...], precision: float
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    classes = len(balance)
    labels = rng.choice(classes, items, p=balance)
    votes = np.full((items, functions), -1, dtype=np.int8)
    for j in range(functions):
        c = j % classes
        hit = 0.3
        stray = hit * balance[c] * (1 - precision) / precision / (1 - balance[c])
        votes[rng.random(items) < np.where(labels == c, hit, stray), j] = c
    return votes, labels


def test_items_without_votes_go_to_the_class_whose_functions_miss_most() -> None:
    votes, labels = keyword_votes(
        1, items=20_000, functions=8, balance=(0.15, 0.85), precision=0.95
    )
    votes[:, [1, 3, 5, 7]] = np.where(
        np.random.default_rng(0).random((20_000, 4)) < 0.4, votes[:, [1, 3, 5, 7]], -1
    )
    total = VoteSummary.from_votes(votes, classes=2)
    prior = LabelModel.fit(total).prior
    silent = (votes < 0).all(axis=1)
    assert prior[1] > 0.6
    assert (labels[silent] == 1).mean() > 0.6
    assert np.array_equal(LabelModel.fit(total).predict(votes[silent][:1])[0], prior)


def test_a_class_whose_functions_never_meet_leaves_silence_undecided() -> None:
    votes, _ = keyword_votes(2, items=5_000, functions=4, balance=(0.3, 0.7), precision=0.9)
    votes[:, [1, 3]] = -1  # nobody speaks for class 1
    assert LabelModel.fit(VoteSummary.from_votes(votes, classes=2)).prior.tolist() == [0.5, 0.5]


def test_the_count_of_silent_items_is_lincolns() -> None:
    votes = np.full((100, 4), -1)
    votes[:40, 0], votes[20:60, 1] = 0, 0  # 40 and 40, 20 both: 80 items
    votes[60:80, 2], votes[60:100, 3] = 1, 1  # 20 and 40, 20 both: 40 items
    prior = unvoted_prior(VoteSummary.from_votes(votes, classes=2), np.arange(4))
    assert prior == pytest.approx([0.8 * 2 / 3 + 0.1, 0.8 / 3 + 0.1])


def test_confidence_follows_how_often_functions_conflict() -> None:
    losses = []
    for precision in (0.5, 0.9):
        votes, labels = keyword_votes(
            3, items=8_000, functions=12, balance=(0.25,) * 4, precision=precision
        )
        model = LabelModel.fit(VoteSummary.from_votes(votes, classes=4))
        single = model.predict([[0] + [-1] * 11])[0, 0]
        losses.append(log_loss(model.predict(votes), labels))
        assert abs(single - precision) < 0.2
    assert losses[0] > losses[1] + 0.2


def test_no_class_overrules_two_votes_for_another_with_one() -> None:
    accuracies = np.array([0.51] * 6 + [0.99] * 6)
    votes = np.full((100, 12), -1)
    votes[:50, :6], votes[50:, 6:] = 0, 1
    total = VoteSummary.from_votes(votes, classes=2)
    out = hedged_accuracies(accuracies, np.ones(12), total, np.arange(12))
    odds = np.log(out / (1 - out))
    assert odds[6] > odds[0] > 0
    assert odds[6] < 1.501 * odds[0]


def test_answers_bring_one_class_functions_to_their_precision_and_no_answers_change_nothing() -> (
    None
):
    votes, labels = keyword_votes(
        4, items=6_000, functions=20, balance=(0.4, 0.3, 0.2, 0.1), precision=0.6
    )
    total = VoteSummary.from_votes(votes, classes=4)
    bare = LabelModel.fit(total)
    none = LabelModel.fit(total, AnchorSummary.empty(functions=20, classes=4))
    assert np.abs(bare.predict(votes) - none.predict(votes)).max() < 1e-12
    anchors = AnchorSummary.from_votes(votes[:2_000], labels[:2_000], classes=4)
    told = LabelModel.fit(total, anchors)
    assert np.abs(told.accuracies - 0.6).max() < 0.1
    assert log_loss(told.predict(votes), labels) < log_loss(bare.predict(votes), labels)


@pytest.mark.parametrize("seed", range(5))
def test_with_fifty_answers_heavy_conflict_is_no_worse_than_a_tie_broken_majority(
    seed: int,
) -> None:
    balance = np.exp(-0.25 * np.arange(10))
    votes, labels = keyword_votes(
        seed, items=6_000, functions=26, balance=tuple(balance / balance.sum()), precision=0.4
    )
    anchors = AnchorSummary.from_votes(votes[:50], labels[:50], classes=10)
    told = LabelModel.fit(VoteSummary.from_votes(votes, classes=10), anchors).predict(votes)
    ties = majority_vote(votes, 10) + 1e-3 * anchors.items / anchors.items.sum()
    right = (told.argmax(axis=1) == labels).mean()
    assert right > (ties.argmax(axis=1) == labels).mean() - 0.002
