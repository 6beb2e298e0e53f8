"""Stopping, and what labels have brought."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from strategies.stopping import StoppingRule, gain_per_thousand, kappa

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


def test_the_interval_covers_the_gain_as_often_as_it_says() -> None:
    covered, runs, items, labels = 0, 200, 400, 250
    for seed in range(runs):
        rng = RNG(seed)
        chosen, random = rng.random(items) < 0.9, rng.random(items) < 0.8
        gain = gain_per_thousand(chosen, random, labels=labels, rng=rng)
        covered += gain.low <= 0.1 * 1000 / labels <= gain.high
        assert gain.low <= gain.per_thousand <= gain.high
    # 190 of 200 are expected, with a standard deviation of 3
    assert covered >= 178


def test_what_makes_no_sense_is_refused() -> None:
    right = np.ones(3, dtype=bool)
    with pytest.raises(ShapeError):
        gain_per_thousand(right, right[:2], labels=1, rng=RNG(0))
    with pytest.raises(InputError):
        gain_per_thousand(right, right, labels=0, rng=RNG(0))
    with pytest.raises(InputError):
        gain_per_thousand(right[:0], right[:0], labels=1, rng=RNG(0))
    with pytest.raises(InputError):
        kappa(np.array([2]), np.array([0]), 2)
    with pytest.raises(ShapeError):
        kappa(np.array([0, 1]), np.array([0]), 2)
    with pytest.raises(InputError):
        StoppingRule(rounds=0)
