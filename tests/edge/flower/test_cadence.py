"""How often a node looks, as bounds that hold for any draw."""

import random

from hypothesis import given
from hypothesis import strategies as st

from edge.flower.cadence import pause_s, retry_s


def drawn(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  # jitter


@given(st.floats(0, 19.99), st.integers())
def test_a_busy_node_looks_four_times_a_second(silence_s: float, seed: int) -> None:
    assert 0.2 < pause_s(silence_s, drawn(seed)) < 0.3


@given(st.floats(20, 1e6), st.integers())
def test_an_idle_node_looks_often_enough_to_keep_its_connection(silence: float, seed: int) -> None:
    assert 2.0 <= pause_s(silence, drawn(seed)) <= 4.0


@given(st.integers(1, 10_000), st.integers())
def test_a_failing_node_waits_longer_each_time_up_to_twenty_seconds(n: int, seed: int) -> None:
    rng = drawn(seed)
    assert 0.3 <= retry_s(1, rng) <= 0.5
    assert retry_s(n, rng) <= 20.0
    assert retry_s(max(n, 8), rng) >= 12.0


@given(st.floats(0, 60), st.integers(0, 99))
def test_a_slow_superlink_is_asked_less_often_and_still_before_it_hangs_up(
    look_s: float, seed: int
) -> None:
    waited_s = pause_s(1.0, drawn(seed), look_s=look_s)
    assert waited_s >= min(4 * look_s, 4.0)
    assert 0.2 < waited_s <= max(4.0, 0.3)
