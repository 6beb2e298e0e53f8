from itertools import pairwise

import pytest

from coordinator.pulse import Pulse


class Watch:
    """A pulse whose clock is set by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.said: list[str] = []
        self.pulse = Pulse(self.said.append, lambda: self.now_s)


def test_what_happens_is_said_at_once() -> None:
    watch = Watch()
    watch.pulse("one")
    watch.pulse("two")
    assert watch.said == ["one", "two"]


@pytest.mark.parametrize("step_s", [0.4, 2.0, 29.0])
def test_a_long_wait_is_told_of_when_it_begins_and_every_half_minute(step_s: float) -> None:
    watch, times = Watch(), []
    while watch.now_s < 300:
        before = len(watch.said)
        watch.pulse.waiting("for people", about="people")
        times += [watch.now_s] * (len(watch.said) - before)
        watch.now_s += step_s
    gaps = [after - before for before, after in pairwise(times)]
    assert times[0] == 0.0
    assert all(30.0 <= gap < 30.0 + step_s for gap in gaps)


def test_a_wait_that_is_over_soon_is_not_told_of() -> None:
    watch = Watch()
    for _ in range(10):
        watch.now_s += 2.9
        watch.pulse.waiting("for replies")
    assert watch.said == []
    watch.now_s += 1.1
    watch.pulse.waiting("for replies")
    assert watch.said == ["for replies"]


def test_a_wait_after_something_else_happened_begins_anew() -> None:
    watch = Watch()
    watch.pulse.waiting("for people", about="people")
    watch.pulse("answered")
    watch.pulse.waiting("for people again", about="people")
    assert watch.said == ["for people", "answered", "for people again"]


def test_looking_for_replies_in_between_does_not_repeat_a_wait_for_devices() -> None:
    watch = Watch()
    for _ in range(10):
        watch.now_s += 2.0
        watch.pulse.waiting("1 of 2 devices", about="devices")
        watch.pulse.waiting("0 of 1 replies")
    assert watch.said == ["1 of 2 devices"]


def test_what_happens_beside_the_campaign_does_not_begin_a_wait_anew() -> None:
    watch = Watch()
    for _ in range(5):
        watch.pulse.waiting("for people", about="people")
        watch.pulse.aside("elsewhere")
        watch.now_s += 2
    assert watch.said.count("for people") == 1
    assert watch.said.count("elsewhere") == 5
