"""Drift: quiet rounds stay quiet, changes are seen at once, and an alarm is raised once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.drift import (
    DriftRule,
    Watch,
    f_quantile,
    g_statistic,
    jensen_shannon,
    population_stability,
)

BINS = 10


def round_of(rng: np.random.Generator, shift: float, *, devices: int = 20) -> NDArray[np.int64]:
    """Confidences of one round: each device has its own habits, which rounds therefore share."""
    counts = np.zeros(BINS, dtype=np.int64)
    for _ in range(devices):
        own = rng.normal(0.0, 0.15)
        logits = rng.normal(1.0 + own - shift, 1.0, 60)
        shares = 1 / (1 + np.exp(-logits))
        counts += np.bincount((shares * BINS).astype(np.int64).clip(0, BINS - 1), minlength=BINS)
    return counts


def alarms(rounds: list[NDArray[np.int64]], rule: DriftRule) -> list[int]:
    watch, fired = Watch(reference=(0.0,) * BINS), list[int]()
    for number, counts in enumerate(rounds):
        watch = watch.saw(counts, rule)
        fired += [number] * watch.fired
    return fired


@pytest.mark.parametrize("seed", range(6))
def test_fifty_quiet_rounds_raise_at_most_one_alarm(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert len(alarms([round_of(rng, 0.0) for _ in range(50)], DriftRule())) <= 1


@pytest.mark.parametrize("seed", range(6))
def test_a_shift_is_seen_within_two_rounds_and_alarms_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rounds = [round_of(rng, 0.0) for _ in range(12)] + [round_of(rng, 0.8) for _ in range(6)]
    fired = alarms(rounds, DriftRule())
    assert len(fired) == 1
    assert fired[0] in (12, 13)


def test_an_alarm_ends_when_rounds_are_as_before_or_the_change_is_accepted() -> None:
    rng = np.random.default_rng(1)
    watch = Watch(reference=(0.0,) * BINS)
    for _ in range(8):
        watch = watch.saw(round_of(rng, 0.0), DriftRule())
    reference = watch.reference
    shifted = watch.saw(round_of(rng, 1.2), DriftRule())
    assert shifted.alarmed
    assert shifted.reference == reference  # what is unusual teaches nothing
    back = shifted
    for _ in range(2):
        assert back.alarmed
        back = back.saw(round_of(rng, 0.0), DriftRule())
    assert not back.alarmed
    accepted = shifted.accepted(round_of(rng, 1.2))
    assert not accepted.saw(round_of(rng, 1.2), DriftRule()).alarmed
    assert accepted.saw(round_of(rng, 0.0), DriftRule()).fired


def test_noise_on_sums_raises_no_alarm_where_the_rule_knows_of_it() -> None:
    rng = np.random.default_rng(2)
    sigma = 40.0
    rounds = [round_of(rng, 0.0, devices=200) for _ in range(40)]
    noisy = [counts + rng.normal(0, sigma, BINS).round().astype(np.int64) for counts in rounds]
    small = DriftRule(divergence=1e-5, noise_stddev=sigma)
    assert len(alarms(noisy, small)) <= 2


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32), bins=st.integers(2, 12))
def test_divergences_are_what_the_definitions_say(seed: int, bins: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(1, 90, bins), rng.integers(1, 90, bins)
    p, q = a / a.sum(), b / b.sum()
    middle = (p + q) / 2
    both = (p * np.log(p / middle)).sum() / 2 + (q * np.log(q / middle)).sum() / 2
    assert jensen_shannon(a, b) == pytest.approx(both, abs=1e-12)
    pooled = (a + b) / (a + b).sum()
    ratio = 2 * ((a * np.log(p / pooled)).sum() + (b * np.log(q / pooled)).sum())
    assert g_statistic(a, b) == pytest.approx(ratio, abs=1e-8)
    assert 0 <= jensen_shannon(a, b) <= np.log(2)
    assert population_stability(a, b) == pytest.approx(((q - p) * np.log(q / p)).sum(), abs=1e-2)


@pytest.mark.parametrize(
    ("probability", "degrees", "known", "exact"),
    [
        (0.95, 1, 10, 4.965), (0.95, 9, 30, 2.211), (0.99, 4, 20, 4.431), (0.999, 10, 60, 3.541),
        (0.999, 8, 200, 3.434),
    ],
)  # fmt: skip
def test_the_quantile_is_near_the_tables(
    probability: float, degrees: int, known: int, exact: float
) -> None:
    assert f_quantile(probability, degrees, known) == pytest.approx(exact, rel=0.03)


def test_an_empty_round_says_nothing_and_odd_input_is_refused() -> None:
    watch = Watch(reference=(5.0, 5.0), rounds=1)
    assert watch.saw(np.zeros(2), DriftRule()) == watch
    with pytest.raises(ShapeError):
        watch.saw(np.zeros(3), DriftRule())
    with pytest.raises(ShapeError):
        watch.accepted(np.zeros(3))
    with pytest.raises(InputError):
        watch.saw(np.array([np.nan, 1.0]), DriftRule())
    for rule in ({"divergence": 0.0}, {"odds": 1.0}, {"noise_stddev": -1.0}):
        with pytest.raises(InputError):
            DriftRule(**rule)
