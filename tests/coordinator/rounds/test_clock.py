from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.rounds.clock import SteadyClock, after, is_over
from tests.coordinator.rounds.campaign import NOON


class Machine:
    """A time of day that may be set, and a stopwatch that may not."""

    def __init__(self) -> None:
        self.day = NOON
        self.elapsed_s = 1234.5
        self.slept: list[float] = []

    def clock(self) -> SteadyClock:
        """Return the clock of a process that starts now."""
        return SteadyClock(lambda: self.day, lambda: self.elapsed_s, self.slept.append)

    def go(self, seconds: float) -> None:
        """Let time pass."""
        self.day += timedelta(seconds=seconds)
        self.elapsed_s += seconds


STEPS = st.lists(
    st.tuples(st.floats(0, 1e5), st.floats(-1e6, 1e6)), max_size=8
)  # time that passes, and by how much the day is then set


@settings(deadline=None)
@given(STEPS)
def test_the_clock_of_a_process_goes_with_its_stopwatch_however_the_day_is_set(
    steps: list[tuple[float, float]],
) -> None:
    machine = Machine()
    clock = machine.clock()
    assert clock.now() == NOON
    passed, last = 0.0, clock.now()
    for seconds, set_by in steps:
        machine.go(seconds)
        machine.day += timedelta(seconds=set_by)
        passed += seconds
        assert clock.now() >= last
        last = clock.now()
        assert abs((last - NOON).total_seconds() - passed) < 1e-3


def test_a_process_that_starts_later_believes_the_day_it_finds() -> None:
    machine = Machine()
    machine.go(60)
    machine.day -= timedelta(hours=1)
    assert machine.clock().now() == NOON + timedelta(seconds=60) - timedelta(hours=1)


def test_to_sleep_is_left_to_whoever_can() -> None:
    machine = Machine()
    machine.clock().sleep(2.5)
    assert machine.slept == [2.5]


@pytest.mark.parametrize(
    ("left_s", "over"),
    [(-3600.0, True), (-0.001, True), (0.0, True), (0.001, False), (59.9, False), (60.0, False)],
)
def test_a_window_is_over_at_its_end_and_not_before(left_s: float, over: bool) -> None:
    assert is_over(after(NOON, left_s), NOON, 60.0) is over


@settings(deadline=None)
@given(st.floats(0.0, 1e6), st.floats(0.0, 1e6), st.floats(0.0, 1e7))
def test_a_window_lasts_as_long_as_it_was_given_and_never_longer_however_the_clock_was_set(
    window_s: float, passed_s: float, back_s: float
) -> None:
    until = after(NOON, window_s)
    now = NOON + timedelta(seconds=passed_s)
    assert is_over(until, now, window_s) is (now >= datetime.fromisoformat(until))
    # the clock was set back and a new process reads it: the window ends at once, or within its
    # own length
    back = now - timedelta(seconds=back_s)
    left_s = (datetime.fromisoformat(until) - back).total_seconds()
    assert is_over(until, back, window_s) is not (0 < left_s <= window_s + 1.0)


def test_a_time_in_an_event_is_read_back_with_its_zone() -> None:
    assert datetime.fromisoformat(after(NOON, 90)) == NOON + timedelta(seconds=90)
