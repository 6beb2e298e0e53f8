"""Asking devices leg by leg: who is waited for, and who is not any more."""

from collections.abc import Callable

import pytest

from coordinator.asking import Asker, Replies
from fieldvote.records import DeviceId, HelloRequest, encode
from tests.coordinator.rounds.campaign import TurnedClock
from tests.doubles.transport import MemoryTransport

ASKED = encode(HelloRequest(campaign="c"))
PATIENCE_S = 20.0
ONE, TWO = DeviceId(1), DeviceId(2)


def waited(
    network: MemoryTransport, happens: Callable[[float], None] = lambda _: None
) -> tuple[Replies, float]:
    """Return what both devices say, and how long that was waited for; each look takes 0.4 s."""
    clock = TurnedClock()
    begun = clock.now()
    leg = Asker(network, clock.now).ask({ONE: ASKED, TWO: ASKED}, patience_s=PATIENCE_S)
    while True:
        try:
            next(leg)
        except StopIteration as done:
            return done.value, (clock.now() - begun).total_seconds()
        clock.sleep(0.4)
        happens((clock.now() - begun).total_seconds())


@pytest.fixture
def network() -> MemoryTransport:
    """Two devices, of which the second takes what it is asked and says nothing."""
    made = MemoryTransport({ONE: lambda _: b"one", TWO: lambda _: b"two"})
    made.late = {(TWO, HelloRequest)}
    return made


def test_who_is_there_and_silent_is_waited_for_to_the_end(network: MemoryTransport) -> None:
    came, seconds = waited(network)
    assert came == {ONE: b"one"}
    assert seconds >= PATIENCE_S


def test_who_has_left_since_it_was_asked_is_not(network: MemoryTransport) -> None:
    came, seconds = waited(network, lambda now_s: network.away.add(TWO) if now_s > 3 else None)
    assert came == {ONE: b"one"}
    assert 4 < seconds < 7


def test_a_moment_in_which_nobody_is_to_be_seen_ends_nothing(network: MemoryTransport) -> None:
    def flicker(now_s: float) -> None:
        network.away = {ONE, TWO} if 3 < now_s < 4.5 else set()

    assert waited(network, flicker)[1] >= PATIENCE_S


def test_who_was_away_from_the_start_is_asked_when_it_is_back() -> None:
    network = MemoryTransport({ONE: lambda _: b"one", TWO: lambda _: b"two"}, away={TWO})
    came, seconds = waited(network, lambda now_s: network.away.clear() if now_s > 8 else None)
    assert came == {ONE: b"one", TWO: b"two"}
    assert 8 < seconds < 10
