from datetime import datetime, timedelta, timezone

import pytest

from coordinator.store.promises import Owed, Timer
from fieldvote.errors import InputError
from tests.coordinator.store.places import NOON, Place

HOUR = timedelta(hours=1)


def test_a_timer_goes_off_once(place: Place) -> None:
    store = place.store()
    store.set_timer("deadline", NOON)
    assert store.due_timers(NOON - timedelta(microseconds=1)) == []
    assert store.due_timers(NOON) == [Timer(key="deadline", due_at=NOON)]
    assert store.fire_timer("deadline")
    assert not store.fire_timer("deadline")
    assert not store.fire_timer("another")
    assert store.due_timers(NOON + HOUR) == store.timers() == []
    store.set_timer("deadline", NOON + HOUR)  # as a step that is taken again would
    assert store.timers() == []


def test_a_timer_can_be_moved_until_it_goes_off(place: Place) -> None:
    store = place.store()
    store.set_timer("b", NOON)
    store.set_timer("a", NOON)
    store.set_timer("b", NOON - HOUR)
    assert [timer.key for timer in store.timers()] == ["b", "a"]


def test_a_clock_that_goes_back_an_hour_makes_no_timer_go_off_twice(place: Place) -> None:
    store = place.store()
    store.set_timer("a", NOON)
    assert store.fire_timer("a")
    store.set_timer("b", NOON)
    assert store.due_timers(NOON - HOUR) == []
    assert [timer.key for timer in store.due_timers(NOON)] == ["b"]


def test_a_time_is_one_moment_whatever_the_zone_it_was_said_in(place: Place) -> None:
    store, east = place.store(), timezone(timedelta(hours=5, minutes=30))
    store.set_timer("a", NOON.astimezone(east) + timedelta(microseconds=7))
    assert store.timers()[0].due_at == NOON + timedelta(microseconds=7)
    with pytest.raises(InputError, match="time zone"):
        store.set_timer("b", datetime(2026, 1, 1))  # that is the point


def test_an_effect_is_owed_once_until_it_is_settled(place: Place) -> None:
    store = place.store()
    assert store.owe("2", "email", b"first")
    assert not store.owe("2", "email", b"second")
    assert store.owe("1", "page", b"")
    second = Owed(key="1", kind="page", body=b"")
    assert store.owed() == [Owed(key="2", kind="email", body=b"first"), second]
    store.settle("2")
    store.settle("2")
    assert store.owed() == [second]
    assert not store.owe("2", "email", b"again")
    assert store.owed() == [second]
    with pytest.raises(InputError, match="nothing is owed as '9'"):
        store.settle("9")
