"""The F1 threshold against trying them all, and the histogram it comes from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from strategies.labeling.thresholds import BINS, ScoreHistogram


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), items=st.integers(1, 60), cut=st.integers(0, 60))
def test_the_threshold_is_the_best_of_all_for_expected_f1(seed: int, items: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    scores = (rng.integers(0, BINS, items) + 0.5) / BINS
    both = ScoreHistogram.of(scores[:cut]) + ScoreHistogram.of(scores[cut:])
    assert np.array_equal(both.counts, ScoreHistogram.of(scores).counts)

    def f1(threshold: float) -> float:
        taken = scores >= threshold
        return float(2 * scores[taken].sum() / (taken.sum() + scores.sum()))

    assert f1(both.f1_threshold) == pytest.approx(max(f1(score) for score in scores))


def test_a_rare_class_is_found_that_a_half_would_miss() -> None:
    rng = np.random.default_rng(0)
    scores = rng.beta(0.3, 3.0, 20_000)
    truth = rng.random(20_000) < scores  # honest probabilities of a class of one in eleven

    def f1(threshold: float) -> float:
        found = scores >= threshold
        return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))

    threshold = ScoreHistogram.of(scores).f1_threshold
    assert threshold < 0.35
    assert f1(threshold) > f1(0.5) + 0.1


def test_what_is_not_scores_is_refused() -> None:
    for bad in ([1.1], [-0.1], [np.nan]):
        with pytest.raises(InputError):
            ScoreHistogram.of(bad)
    with pytest.raises(ShapeError):
        ScoreHistogram.of([[0.5]])
    with pytest.raises(ShapeError):
        ScoreHistogram(counts=np.zeros(3, dtype=np.int64))
