"""Stopping, and what labels have brought."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.stopping import (
    StoppingRule,
    gain_of_counts,
    kappa,
    surely_reached,
)

RNG = np.random.default_rng


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), items=st.integers(1, 40), classes=st.integers(1, 4))
def test_kappa_is_one_for_the_same_and_symmetric(seed: int, items: int, classes: int) -> None:
    rng = RNG(seed)
    a, b = rng.integers(0, classes, items), rng.integers(0, classes, items)
    assert kappa(a, a, classes) == 1
    assert kappa(a, b, classes) == pytest.approx(kappa(b, a, classes))
    assert kappa(a, b, classes) <= 1


def test_independent_predictions_agree_by_chance_only() -> None:
    rng = RNG(0)
    assert abs(kappa(rng.integers(0, 3, 20_000), rng.integers(0, 3, 20_000), 3)) < 0.03


def test_stopping_waits_for_stability_and_for_certainty() -> None:
    rule = StoppingRule(agreement=0.95, rounds=2, uncertainty=0.2)
    assert not rule.says_stop([0.99], 0.1)
    assert not rule.says_stop([0.99, 0.80], 0.1)
    assert not rule.says_stop([0.2, 0.96, 0.97], 0.3)
    assert rule.says_stop([0.2, 0.96, 0.97], 0.1)


def counted(chosen: NDArray[np.bool_], drawn: NDArray[np.bool_]) -> dict[str, int]:
    """Count on which items only one of two heads is right."""
    better, worse = int((chosen & ~drawn).sum()), int((drawn & ~chosen).sum())
    return {"better": better, "worse": worse, "items": len(chosen)}


def test_the_interval_covers_the_gain_as_often_as_it_says() -> None:
    covered, runs, items, labels = 0, 200, 400, 250
    for seed in range(runs):
        rng = RNG(seed)
        chosen, random = rng.random(items) < 0.9, rng.random(items) < 0.8
        gain = gain_of_counts(**counted(chosen, random), labels=labels, rng=rng)
        covered += gain.low <= 0.1 * 1000 / labels <= gain.high
        assert gain.low <= gain.per_thousand <= gain.high
    # 190 of 200 are expected, with a standard deviation of 3
    assert covered >= 178


def test_the_gain_is_the_difference_of_two_accuracies_for_a_thousand_labels() -> None:
    rng = np.random.default_rng(3)
    chosen, drawn = rng.random(400) < 0.8, rng.random(400) < 0.6
    whole = gain_of_counts(**counted(chosen, drawn), labels=50, rng=np.random.default_rng(1))
    assert whole.per_thousand == pytest.approx((chosen.mean() - drawn.mean()) * 20)
    assert whole.low < whole.per_thousand < whole.high


def test_two_heads_that_agree_on_a_few_items_are_not_surely_alike() -> None:
    gain = gain_of_counts(better=0, worse=0, items=5, labels=10, rng=np.random.default_rng(0))
    assert gain.low < 0 < gain.high
    assert not gain.surely_below(0.01)


def test_a_target_is_reached_as_surely_as_the_interval_says() -> None:
    rng, truth, target = np.random.default_rng(4), 0.85, 0.85
    wrongly = sum(surely_reached(int(rng.binomial(300, truth)), 300, target) for _ in range(2000))
    assert wrongly <= 80  # 2.5 % of 2,000, and five standard errors
    assert surely_reached(300, 300, 0.98)
    assert not surely_reached(3, 3, 0.98)


@pytest.mark.parametrize(
    "counts",
    [
        {"better": 1, "worse": 1, "items": 1, "labels": 1},
        {"better": -1, "worse": 0, "items": 1, "labels": 1},
        {"better": 0, "worse": 0, "items": 0, "labels": 1},
        {"better": 0, "worse": 0, "items": 1, "labels": 0},
    ],
)
def test_counts_that_cannot_be_are_refused(counts: dict[str, int]) -> None:
    with pytest.raises(InputError):
        gain_of_counts(**counts, rng=np.random.default_rng(0))


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(InputError):
        kappa(np.array([2]), np.array([0]), 2)
    with pytest.raises(ShapeError):
        kappa(np.array([0, 1]), np.array([0]), 2)
    with pytest.raises(InputError):
        StoppingRule(rounds=0)
