"""Servers that step by the mean move: against the paper's formulas, written out once more."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from fieldvote.rng import stream
from strategies.aggregation.adaptive import SERVERS, ServerRates, advance, begin
from strategies.aggregation.deep_update import PARAMETER_FRACTION, DeepUpdate

UNIT = float(1 << PARAMETER_FRACTION)
RATES = ServerRates(rate=0.3, beta1=0.8, beta2=0.95, tau=0.01)


def by_hand(server: str, moves: list[np.ndarray], rates: ServerRates) -> np.ndarray:
    """Reddi et al. 2021, algorithm 2, number by number."""
    at = np.zeros(len(moves[0]))
    for place in range(len(at)):
        x, m, v = 0.0, 0.0, rates.tau**2
        for move in moves:
            delta = float(move[place])
            if server == "averaging":
                x += rates.rate * delta
                continue
            if server == "momentum":
                m = rates.beta1 * m + delta
                x += rates.rate * m
                continue
            m = rates.beta1 * m + (1 - rates.beta1) * delta
            if server == "adagrad":
                v = v + delta**2
            elif server == "adam":
                v = rates.beta2 * v + (1 - rates.beta2) * delta**2
            else:
                v = v - (1 - rates.beta2) * delta**2 * np.sign(v - delta**2)
            x += rates.rate * m / (np.sqrt(v) + rates.tau)
        at[place] = x
    return at


@pytest.mark.parametrize("server", sorted(SERVERS))
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), steps=st.integers(1, 6))
def test_every_server_does_what_its_formula_says(server: str, seed: int, steps: int) -> None:
    rng = stream(seed, "moves")
    products = [rng.integers(-(1 << 22), 1 << 22, 7) for _ in range(steps)]
    state = begin(np.zeros(7, np.int64), RATES)
    for product in products:
        update = DeepUpdate(product=product, items=4)
        state = advance(state, update, server=server, rates=RATES)
    expected = by_hand(server, [product / 4 / UNIT for product in products], RATES)
    np.testing.assert_allclose(state.point / UNIT, expected, atol=(steps + 1) / UNIT)


def test_averaging_at_rate_one_is_the_weighted_mean_of_what_devices_have() -> None:
    before = np.array([100, -50], np.int64)
    after = {3: np.array([160, -50]), 1: np.array([100, -10])}
    total = DeepUpdate.empty(2)
    for items, there in after.items():
        total = total + DeepUpdate(product=(there - before) * items, items=items)
    rates = ServerRates()
    point = advance(begin(before, rates), total, server="averaging", rates=rates).point
    assert point.tolist() == [(160 * 3 + 100) / 4, (-50 * 3 - 10) / 4]


@pytest.mark.parametrize("server", sorted(SERVERS))
def test_where_nobody_trained_nothing_moves(server: str) -> None:
    state = begin(np.array([5, 6]), RATES)
    assert advance(state, DeepUpdate.empty(2), server=server, rates=RATES) is state


@pytest.mark.parametrize("server", ["adagrad", "adam", "yogi"])
def test_an_adaptive_server_steps_alike_where_moves_are_small_and_where_they_are_large(
    server: str,
) -> None:
    rates = ServerRates(rate=0.1, tau=1e-6)
    state = begin(np.zeros(2, np.int64), rates)
    for _ in range(50):
        update = DeepUpdate(product=np.array([1 << 14, 1 << 20]), items=1)
        state = advance(state, update, server=server, rates=rates)
    assert 0.5 < state.point[0] / state.point[1] <= 1.01


def test_a_server_nobody_knows_and_a_sum_of_another_network_are_refused() -> None:
    state = begin(np.zeros(2, np.int64), RATES)
    with pytest.raises(InputError, match="did you mean 'adam'"):
        advance(state, DeepUpdate(product=np.ones(2, int), items=1), server="adan", rates=RATES)
    with pytest.raises(ShapeError):
        advance(state, DeepUpdate(product=np.ones(3, int), items=1), server="adam", rates=RATES)


@pytest.mark.parametrize(
    "said", [{"rate": 0.0}, {"rate": np.inf}, {"beta1": 1.0}, {"beta2": -0.1}, {"tau": 0.0}]
)
def test_rates_that_never_arrive_are_refused(said: dict[str, float]) -> None:
    with pytest.raises(InputError):
        ServerRates(**said)
