"""Whether a gate would pay, from counts that add up; and counts that travel as they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.governance.confidence import DepthRule
from strategies.governance.pseudo_labels import PseudoLabelCounts
from strategies.governance.tiers import (
    LEAST_ANSWERS,
    ConfidenceCounts,
    gate_pays,
    tiers_by_share,
)
from strategies.labeling.thresholds import BINS, ScoreHistogram

K = 3


def counts_of(seed: int, items: int, answers: int) -> ConfidenceCounts:
    rng = np.random.default_rng(seed)
    return ConfidenceCounts.of(
        rng.dirichlet(np.ones(K), items),
        answered=rng.dirichlet(np.ones(K), answers),
        labels=rng.integers(0, K, answers),
    )


def two_kinds(
    *, sure: tuple[int, int, int], doubtful: tuple[int, int, int]
) -> tuple[ConfidenceCounts, DepthRule]:
    """Return items, answers and right ones at 0.95 and at 0.5, and tiers between the two."""
    columns = np.zeros((3, BINS), dtype=np.int64)
    columns[:, 950], columns[:, 500] = sure, doubtful
    voted, answered, right = columns
    rule = DepthRule(high=0.9, middle=0.0)
    return ConfidenceCounts(voted=voted, answered=answered, right=right), rule


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 99), st.integers(0, 40), st.integers(0, 40))
def test_counts_add_up_and_travel_as_they_are(seed: int, items: int, answers: int) -> None:
    one, other = counts_of(seed, items, answers), counts_of(seed + 1, 7, 3)
    both = one + other
    assert (both.voted.sum(), both.answered.sum()) == (items + 7, answers + 3)
    again = ConfidenceCounts.from_vector(both.to_vector())
    assert np.array_equal(again.to_vector(), one.to_vector() + other.to_vector())


def test_right_labels_are_counted_where_the_likeliest_class_is_the_answer() -> None:
    p = np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0.0, 0.0, 1.0]])
    told = ConfidenceCounts.of(p[:1], answered=p, labels=[0, 1, 2])
    assert (told.answered[700], told.right[700]) == (2, 1)
    assert (told.answered[BINS - 1], told.right[BINS - 1]) == (1, 1)
    assert told.voted[700] == told.voted.sum() == 1


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 1000), st.integers(1, 1000), st.floats(0.0, 1.0), st.floats(0.0, 1.0),
    st.integers(2, 6),
)  # fmt: skip
def test_a_gate_pays_where_the_sure_alone_estimate_a_mean_better_than_all_do(
    sure: int, doubtful: int, good: float, bad: float, classes: int
) -> None:
    many = 1_000_000
    total, rule = two_kinds(
        sure=(sure, many, int(good * many)), doubtful=(doubtful, many, int(bad * many))
    )
    # an estimate of a mean from labels that carry s of it: its distance from nothing in errors
    s, t = (max((classes * int(a * many) / many - 1) / (classes - 1), 0.0) for a in (good, bad))
    alone = s * np.sqrt(sure)
    all_ = (s * sure + t * doubtful) / np.sqrt(sure + doubtful)
    if abs(alone - all_) > 1e-6:
        assert gate_pays(total, rule, classes=classes) == (alone > all_)


@pytest.mark.parametrize(("right", "pays"), [(75, False), (71, False), (70, True), (50, True)])
def test_with_halves_a_gate_pays_below_four_tenths_of_the_signal(right: int, pays: bool) -> None:
    # of two classes: 100 of 100 right say 1, 71 say 0.42, 70 say 0.4
    total, rule = two_kinds(sure=(500, 100, 100), doubtful=(500, 100, right))
    assert gate_pays(total, rule, classes=2) == pays


@pytest.mark.parametrize(
    ("sure", "doubtful"),
    [
        ((500, LEAST_ANSWERS - 1, 9), (500, 100, 0)),
        ((500, 100, 100), (500, LEAST_ANSWERS - 1, 0)),
        ((0, 100, 100), (500, 100, 0)),
        ((500, 100, 100), (0, 100, 0)),
        ((500, 100, 30), (500, 100, 30)),
    ],
)
def test_where_too_little_is_known_or_there_is_nothing_to_gate_none_pays(
    sure: tuple[int, int, int], doubtful: tuple[int, int, int]
) -> None:
    total, rule = two_kinds(sure=sure, doubtful=doubtful)
    assert not gate_pays(total, rule, classes=2)


def test_tiers_and_their_gate_are_cut_at_the_same_bin() -> None:
    rng = np.random.default_rng(3)
    for seed in range(50):
        total = counts_of(seed, int(rng.integers(1, 300)), 50)
        rule = tiers_by_share(ScoreHistogram(counts=total.voted), DepthRule(high=0.0, middle=0.0))
        cut = round(rule.high * BINS)
        assert total.voted[cut:].sum() >= total.voted.sum() / 2


WRONG: dict[str, NDArray[np.int64]] = {
    "too short": np.zeros(3 * BINS - 1, dtype=np.int64),
    "more right than answered": np.repeat([0, 0, 1], BINS),
    "below nothing": np.repeat([0, 1, -1], BINS),
}


@pytest.mark.parametrize("what", list(WRONG))
def test_numbers_that_are_no_counts_are_refused(what: str) -> None:
    with pytest.raises((InputError, ShapeError)):
        ConfidenceCounts.from_vector(WRONG[what].astype(np.int64))


def test_answers_and_probabilities_of_other_lengths_are_refused() -> None:
    with pytest.raises(ShapeError, match="labels"):
        ConfidenceCounts.of(np.eye(2), answered=np.eye(2), labels=[0])


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 99), st.integers(0, 60))
def test_pseudo_label_counts_travel_as_they_are(seed: int, items: int) -> None:
    rng = np.random.default_rng(seed)
    counts = PseudoLabelCounts.of(rng.dirichlet(np.ones(K), items), rng.integers(0, K, items))
    again = PseudoLabelCounts.from_vector(counts.to_vector(), classes=K)
    assert np.array_equal(again.said, counts.said)
    assert np.array_equal(again.right, counts.right)
    with pytest.raises(ShapeError):
        PseudoLabelCounts.from_vector(counts.to_vector()[1:], classes=K)
