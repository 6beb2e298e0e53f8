"""Scores that know the votes: what good functions add, and what bad ones cannot do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.acquisition import sketch
from strategies.acquisition.ranking import highest
from strategies.acquisition.uncertainty import margin_scores
from strategies.acquisition.vote_scores import (
    VoteWeights,
    function_reliability,
    most_moved,
    novelty,
    sketch_novelty,
    vote_scores,
    vote_trust,
)
from strategies.labeling.anchors import AnchorSummary

ITEMS, PICKS = 400, 40
WEIGHTS = st.builds(
    VoteWeights,
    label_entropy=st.floats(0, 3),
    disagreement=st.floats(0, 3),
    novelty=st.floats(0, 3),
)


def functions_of(
    kinds: list[str], labels: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Votes of functions that are right nine times in ten, guess, or are always wrong."""
    wrong = (labels + 1) % 3
    columns = {
        "good": lambda: np.where(rng.random(len(labels)) < 0.9, labels, wrong),
        "guess": lambda: rng.integers(0, 3, len(labels)),
        "wrong": lambda: wrong,
        "same": lambda: np.zeros(len(labels), dtype=np.int64),
    }
    votes = np.column_stack([columns[kind]() for kind in kinds])
    return np.where(rng.random(votes.shape) < 0.7, votes, -1)


def posterior_of(votes: NDArray[np.int64]) -> NDArray[np.float64]:
    """A label model that believes every function: shares of the votes, one more for each class."""
    counts = np.stack([(votes == c).sum(axis=1) for c in range(3)], axis=1) + 0.1
    return counts / counts.sum(axis=1, keepdims=True)


def picks_with(
    kinds: list[str], seed: int, *, error: float = 0.05
) -> tuple[set[int], set[int], float]:
    """Picks with votes, picks without, and how far the former may stray."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, ITEMS + 120, p=[0.6, 0.3, 0.1])
    votes = functions_of(kinds, labels, rng)
    anchors = AnchorSummary.from_votes(votes[ITEMS:], labels[ITEMS:], classes=3)
    view = rng.dirichlet(np.ones(3), ITEMS)
    trust = vote_trust(votes[:ITEMS], function_reliability(anchors), calibration_error=error)
    weights = VoteWeights(label_entropy=0.5, disagreement=0.5, novelty=0.0)
    scores = vote_scores(view, posterior_of(votes[:ITEMS]), trust, weights=weights)
    plain = margin_scores(view)
    with_votes, without = highest(scores, PICKS), highest(plain, PICKS)
    moved = most_moved(trust, weights)
    assert plain[with_votes].min() >= plain[without].min() - moved - 1e-12
    return set(with_votes.tolist()), set(without.tolist()), moved


@pytest.mark.parametrize(
    "kinds", [["guess"] * 4, ["wrong"] * 3, ["same"], ["guess", "wrong", "same"]]
)
def test_functions_that_guess_or_are_wrong_do_not_move_the_selection(kinds: list[str]) -> None:
    kept = []
    for seed in range(40):
        chosen, plain, moved = picks_with(kinds, seed)
        kept.append(len(chosen & plain) / PICKS)
        if not moved:
            assert chosen == plain
    # of 160 guessing functions a few pass for a little better than chance, and count that little
    assert np.mean(kept) > 0.99
    assert min(kept) >= 0.8


def test_functions_that_know_something_do_move_it() -> None:
    kept = []
    for seed in range(10):
        chosen, plain, moved = picks_with(["good"] * 4, seed)
        assert moved > 0.3
        kept.append(len(chosen & plain) / PICKS)
    assert max(kept) < 0.9


def test_a_label_model_that_is_badly_calibrated_is_not_gone_by() -> None:
    chosen, plain, moved = picks_with(["good"] * 4, 1, error=0.5)
    assert chosen == plain
    assert not moved


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 5), WEIGHTS, st.integers(1, 20))
def test_whatever_the_votes_say_no_pick_is_much_more_certain_than_a_plain_one(
    seed: int, items: int, classes: int, weights: VoteWeights, picks: int
) -> None:
    rng = np.random.default_rng(seed)
    view, posterior = rng.dirichlet(np.ones(classes), (2, items))
    trust, new = rng.random((2, items)) * rng.random((2, 1))
    scores = vote_scores(view, posterior, trust, new, weights=weights)
    assert ((scores >= 0) & (scores <= 1)).all()
    plain, count = margin_scores(view), min(picks, items)
    last = np.sort(plain)[-count]
    assert plain[highest(scores, count)].min() >= last - most_moved(trust, weights) - 1e-9


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 5))
def test_weights_of_nothing_give_the_plain_score_to_the_bit(
    seed: int, items: int, classes: int
) -> None:
    rng = np.random.default_rng(seed)
    view, posterior = rng.dirichlet(np.ones(classes), (2, items))
    none = VoteWeights(label_entropy=0.0, disagreement=0.0, novelty=0.0)
    scores = vote_scores(view, posterior, rng.random(items), rng.random(items), weights=none)
    assert scores.tobytes() == margin_scores(view).tobytes()


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.integers(1, 20), st.integers(2, 5), WEIGHTS)
def test_the_score_is_its_formula_item_by_item(
    seed: int, items: int, classes: int, weights: VoteWeights
) -> None:
    rng = np.random.default_rng(seed)
    view, posterior = rng.dirichlet(np.ones(classes), (2, items))
    trust, new = rng.random((2, items))
    found = vote_scores(view, posterior, trust, new, weights=weights)
    for i in range(items):
        p, q = view[i], posterior[i]
        middle = (p + q) / 2
        apart = (p * np.log2(p / middle)).sum() / 2 + (q * np.log2(q / middle)).sum() / 2
        doubt = -(q * np.log(q)).sum() / np.log(classes)
        second, first = np.sort(p)[-2:]
        wanted = (
            1
            - (first - second)
            + trust[i] * (weights.label_entropy * doubt + weights.disagreement * apart)
        )
        wanted += weights.novelty * new[i]
        whole = 1 + weights.label_entropy + weights.disagreement + weights.novelty
        assert found[i] == pytest.approx(wanted / whole, abs=1e-12)


def test_a_guess_passes_for_knowledge_once_in_a_hundred() -> None:
    rng = np.random.default_rng(5)
    labels = rng.choice(3, 200, p=[0.7, 0.2, 0.1])
    votes = functions_of(["guess"] * 1_000 + ["same", "wrong", "good"], labels, rng)
    found = function_reliability(AnchorSummary.from_votes(votes, labels, classes=3))
    # 10 expected; 25 and more one time in 10,000
    assert (found[:1_000] > 0).sum() < 25
    assert found[1_000:1_002].tolist() == [0.0, 0.0]
    assert 0.4 < found[1_002] < 0.9


def test_without_anchors_no_function_is_gone_by() -> None:
    anchors = AnchorSummary.empty(functions=3, classes=2)
    assert function_reliability(anchors).tolist() == [0.0, 0.0, 0.0]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 5), st.integers(0, 6))
def test_novelty_is_the_angle_to_the_nearest(seed: int, items: int, width: int, known: int) -> None:
    rng = np.random.default_rng(seed)
    points, labeled = rng.standard_normal((items, width)), rng.standard_normal((known, width))
    for point, found in zip(points, novelty(points, labeled), strict=True):
        angles = [
            np.arccos(np.clip(point @ row / np.linalg.norm(point) / np.linalg.norm(row), -1, 1))
            for row in labeled
        ]
        assert found == pytest.approx(min([*angles, np.pi / 2]) / (np.pi / 2), abs=1e-6)


def test_sketches_tell_novelty_as_embeddings_do() -> None:
    rng = np.random.default_rng(8)
    centers = rng.standard_normal((30, 40))
    points = centers[rng.integers(0, 30, 200)] + 0.4 * rng.standard_normal((200, 40))
    labeled = centers[:10] + 0.4 * rng.standard_normal((10, 40))
    exact = novelty(points, labeled)
    rough = sketch_novelty(*(sketch(rows, bits=1024, seed=3) for rows in (points, labeled)))
    # a share of 1,024 coin flips strays by .016, in right angles by .031: five of them
    assert np.abs(exact - rough).max() < 0.155
    assert novelty(points, labeled[:0]).tolist() == [1.0] * 200
    assert sketch_novelty(sketch(points, bits=64, seed=3), np.zeros((0, 8), np.uint8)).min() == 1


def test_what_does_not_fit_together_is_refused() -> None:
    view, one = np.full((2, 3), 1 / 3), np.ones(2)
    weights = VoteWeights()
    for posterior, trust, new in ((view[:1], one, one), (view, one[:1], one), (view, one, one[:1])):
        with pytest.raises(ShapeError):
            vote_scores(view, posterior, trust, new, weights=weights)
    for trust, new in ((2 * one, one), (one, -one), (np.full(2, np.nan), one)):
        with pytest.raises(InputError):
            vote_scores(view, view, trust, new, weights=weights)
    for wrong_view in (np.full((2, 3), np.nan), np.full((2, 3), np.inf)):
        with pytest.raises(InputError):
            vote_scores(wrong_view, view, one, weights=weights)
        with pytest.raises(InputError):
            vote_scores(view, wrong_view, one, weights=weights)
        with pytest.raises(InputError):
            novelty(wrong_view, view)
    votes = np.zeros((2, 3), dtype=np.int64)
    with pytest.raises(ShapeError):
        vote_trust(votes, one, calibration_error=0.0)
    for reliability, error in ((np.full(3, 1.5), 0.0), (np.ones(3), -0.1), (np.ones(3), np.nan)):
        with pytest.raises(InputError):
            vote_trust(votes, reliability, calibration_error=error)
    for wrong in (-1.0, np.nan, np.inf):
        with pytest.raises(InputError):
            VoteWeights(novelty=wrong)
    with pytest.raises(ShapeError):
        novelty(np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(ShapeError):
        sketch_novelty(np.zeros((2, 8), np.uint8), np.zeros((2, 16), np.uint8))
