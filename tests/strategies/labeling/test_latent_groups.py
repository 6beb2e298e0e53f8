"""Copies that differ in many votes: told from the honest by the voice they follow."""

import numpy as np
import pytest

from strategies.labeling import AnchorSummary, LabelModel, VoteSummary, majority_vote
from strategies.labeling.latent_groups import find_copies_of_one, split_rays
from strategies.labeling.one_shot import fit_one_shot
from strategies.labeling.rank_one import Pairs
from tests.strategies.labeling.made_votes import KnownVotes, known_votes


def pairs_of(known: KnownVotes, classes: int) -> Pairs:
    return Pairs.of(VoteSummary.from_votes(known.votes, classes=classes))


def accuracy(model: LabelModel, known: KnownVotes) -> float:
    return float((model.predict(known.votes).argmax(axis=1) == known.labels).mean())


def majority_accuracy(known: KnownVotes, classes: int) -> float:
    voted = majority_vote(known.votes, classes)
    return float(voted[np.arange(len(voted)), known.labels].mean())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("flips", [0.05, 0.2, 0.3])
@pytest.mark.parametrize(
    ("items", "classes", "copies", "abstain"),
    [(20_000, 2, 8, 0.5), (2_000, 2, 6, 0.5), (20_000, 4, 6, 0.7)],
)
def test_noisy_copies_never_cost_the_label(
    seed: int, flips: float, items: int, classes: int, copies: int, abstain: float
) -> None:
    known = known_votes(
        seed + 50,
        items=items,
        functions=20,
        classes=classes,
        copies=copies,
        abstain=abstain,
        flips=flips,
    )
    group = find_copies_of_one(pairs_of(known, classes))
    assert group is not None
    assert np.flatnonzero(group).tolist() == known.clique
    model = LabelModel.fit(VoteSummary.from_votes(known.votes, classes=classes))
    assert accuracy(model, known) > known.oracle_accuracy(classes) - 0.03
    assert accuracy(model, known) > majority_accuracy(known, classes) + 0.03


@pytest.mark.parametrize("flips", [0.05, 0.2])
def test_copies_whose_original_is_not_there_are_the_clear_minority(flips: float) -> None:
    known = known_votes(3, items=20_000, functions=20, classes=2, copies=7, flips=flips)
    votes = np.delete(known.votes, known.worst, axis=1)
    group = find_copies_of_one(Pairs.of(VoteSummary.from_votes(votes, classes=2)))
    assert group is not None
    assert np.flatnonzero(group).tolist() == list(range(12, 19))


@pytest.mark.parametrize("seed", range(8))
def test_independent_functions_lie_on_one_ray(seed: int) -> None:
    known = known_votes(seed, items=4_000, functions=15, classes=2)
    assert split_rays(pairs_of(known, 2)) is None


def test_a_function_that_is_nearly_always_right_is_not_an_original() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 20_000)
    right = rng.random((20_000, 12)) < np.array([0.99] + [0.7] * 11)
    votes = np.where(right, labels[:, None], 1 - labels[:, None]).astype(np.int8)
    total = VoteSummary.from_votes(votes, classes=2)
    assert find_copies_of_one(Pairs.of(total)) is None
    assert LabelModel.fit(total).accuracies[0] > 0.95


def test_too_few_or_silent_functions_have_no_rays() -> None:
    for functions in (0, 1, 2, 6):
        votes = np.zeros((100, functions), dtype=np.int8)
        assert split_rays(Pairs.of(VoteSummary.from_votes(votes, classes=2))) is None
    silent = np.full((100, 20), -1)
    assert split_rays(Pairs.of(VoteSummary.from_votes(silent, classes=2))) is None


def test_where_votes_cannot_tell_human_answers_choose_who_copies_whom() -> None:
    # two camps of eight that each follow a voice of their own: a mirror image of itself
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 20_000)
    other = np.where(rng.random(20_000) < 0.55, labels, 1 - labels)
    voice = np.repeat(np.stack([labels, other], axis=1), 8, axis=1)
    kept = rng.random(voice.shape) < np.tile(np.linspace(0.65, 0.85, 8), 2)
    votes = np.where(kept, voice, 1 - voice).astype(np.int8)
    for truth, honest, copied in (
        (labels, range(8), range(8, 16)),
        (other, range(8, 16), range(8)),
    ):
        anchors = AnchorSummary.from_votes(votes[:50], truth[:50], classes=2)
        fit = fit_one_shot(VoteSummary.from_votes(votes, classes=2), anchors)
        assert min(fit.accuracies[list(honest)]) > max(fit.accuracies[list(copied)])
        assert (fit.weights[list(honest)] == 1).all()
        assert fit.weights[list(copied)].max() < 0.5
