"""Sums with noise on them: the fit knows how much, and falls back to majority where it drowns."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fieldvote.errors import InputError
from strategies.labeling import LabelModel, VoteSummary, majority_vote
from tests.strategies.labeling.made_votes import known_votes


def noisy(total: VoteSummary, sigma: float, seed: int) -> VoteSummary:
    """Put rounded Gaussian noise on every number but the items."""
    rng = np.random.default_rng(seed)

    def symmetric(counts: NDArray[np.int64]) -> NDArray[np.int64]:
        noise = np.triu(np.rint(rng.normal(0, sigma, counts.shape)).astype(np.int64), 1)
        return counts + noise + noise.T

    return VoteSummary(
        items=total.items,
        counts=total.counts + np.rint(rng.normal(0, sigma, total.counts.shape)).astype(np.int64),
        co_votes=symmetric(total.co_votes),
        agreements=symmetric(total.agreements),
    )


def accuracies(
    votes: NDArray[np.int8], labels: NDArray[np.int64], classes: int, sigma: float
) -> tuple[float, float, float]:
    """Return the worst of three noisy fits, the fit without noise, and the majority, in percent."""
    total = VoteSummary.from_votes(votes, classes=classes)

    def right(model: LabelModel) -> float:
        return float(100 * (model.predict(votes).argmax(axis=1) == labels).mean())

    fits = [LabelModel.fit(noisy(total, sigma, seed), noise=sigma) for seed in range(3)]
    voted = majority_vote(votes, classes)[np.arange(len(votes)), labels].mean()
    return min(right(fit) for fit in fits), right(LabelModel.fit(total)), float(100 * voted)


@pytest.mark.parametrize(
    ("items", "functions", "classes", "copies", "abstain", "flips"),
    [
        (10_000, 20, 4, 0, 0.5, 0.0),
        (100_000, 20, 4, 0, 0.8, 0.0),
        (10_000, 20, 2, 8, 0.5, 0.05),
        (20_000, 20, 2, 8, 0.5, 0.2),
    ],
)
def test_noise_of_thirty_costs_at_most_half_a_point(
    items: int, functions: int, classes: int, copies: int, abstain: float, flips: float
) -> None:
    known = known_votes(
        3,
        items=items,
        functions=functions,
        classes=classes,
        copies=copies,
        abstain=abstain,
        flips=flips,
    )
    worst, bare, _ = accuracies(known.votes, known.labels, classes, 30.0)
    assert worst >= bare - 0.5


def matched_pairs(seed: int, items: int) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Three answers an item from 170 workers, a class of 12 %: hardly a pair stands out."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(items) < 0.12).astype(np.int64)
    skill = rng.uniform(0.6, 0.99, 170)
    activity = rng.dirichlet(np.full(170, 0.6)) + 1e-6
    who = np.array([rng.choice(170, 3, replace=False, p=activity / activity.sum())
                    for _ in range(items)])  # fmt: skip # a column of draws
    right = rng.random(who.shape) < skill[who]
    votes = np.full((items, 170), -1, dtype=np.int8)
    votes[np.arange(items)[:, None], who] = np.where(right, labels[:, None], 1 - labels[:, None])
    return votes, labels


def few_dense(seed: int, items: int) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Six good functions that share hard items, as on video frames."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, items)
    hard = (rng.random(items) < 0.12)[:, None]
    right = rng.random((items, 6)) < np.where(hard, 0.35, np.linspace(0.8, 0.95, 6))
    votes = np.where(right, labels[:, None], 1 - labels[:, None])
    return np.where(rng.random(votes.shape) < 0.15, -1, votes).astype(np.int8), labels


@pytest.mark.parametrize("sigma", [10.0, 30.0, 100.0, 300.0])
@pytest.mark.parametrize("made", [matched_pairs, few_dense])
def test_under_any_noise_majority_is_at_most_a_point_and_a_half_ahead(
    made: object, sigma: float
) -> None:
    votes, labels = made(4, 6_000)  # type: ignore[operator]  # a table of two makers
    worst, _, voted = accuracies(votes, labels, 2, sigma)
    assert worst >= voted - 1.5


def test_what_noise_drowns_is_a_majority_vote() -> None:
    known = known_votes(5, items=500, functions=9, classes=3)
    total = noisy(VoteSummary.from_votes(known.votes, classes=3), 1000.0, 0)
    model = LabelModel.fit(total, noise=1000.0)
    predicted, voted = model.predict(known.votes), majority_vote(known.votes, 3)
    sure = voted.max(axis=1) > 0.99
    assert np.array_equal(predicted[sure].argmax(axis=1), voted[sure].argmax(axis=1))


def test_knowing_the_noise_is_better_than_taking_it_for_votes() -> None:
    known = known_votes(6, items=4_000, functions=15, classes=4, abstain=0.7)
    total = noisy(VoteSummary.from_votes(known.votes, classes=4), 60.0, 1)
    told, blind = LabelModel.fit(total, noise=60.0), LabelModel.fit(total)

    def right(model: LabelModel) -> float:
        return float((model.predict(known.votes).argmax(axis=1) == known.labels).mean())

    assert right(told) > right(blind) + 0.01


def test_no_noise_is_no_change_and_nonsense_is_refused() -> None:
    known = known_votes(7, items=500, functions=5, classes=2)
    total = VoteSummary.from_votes(known.votes, classes=2)
    silent = LabelModel.fit(total, noise=0.0).to_vector()
    assert np.array_equal(silent, LabelModel.fit(total).to_vector())
    for nonsense in (-1.0, np.inf, np.nan):
        with pytest.raises(InputError):
            LabelModel.fit(total, noise=nonsense)
