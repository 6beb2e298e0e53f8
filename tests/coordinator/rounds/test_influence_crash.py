"""A coordinator that dies while it asks who taught a head: nothing lost, nothing counted twice."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from coordinator.governance_settings import InfluenceSettings, RetentionSettings
from coordinator.rounds.events import Closed, Evaluated
from coordinator.rounds.scheduler import Scheduler
from fieldvote.traces import TraceRequest
from tests.coordinator.rounds.campaign import Campaign, settings_with
from tests.doubles.transport import MemoryTransport

SETTINGS = settings_with(
    exchanges=2,
    influence=InfluenceSettings(curvature_exchanges=1),
    retention=RetentionSettings(measure="always", hold=1.0),
)
LEGS = 5  # of the second round: fates, behaviours, curvature, functions, fisher


class Died(BaseException):
    """What ends a process here; no step of ours may swallow it."""


def found(campaign: Campaign) -> list[Evaluated]:
    return campaign.events(Evaluated)


@pytest.fixture(scope="module")
def whole() -> Iterator[Campaign]:
    """Yield a campaign of two rounds that nothing happened to."""
    with closing(Campaign(SETTINGS)) as campaign:
        campaign.run(2)
        yield campaign


def dying(network: MemoryTransport, at: int) -> Callable[[], None]:
    """Let whoever pulls replies for the so-manyth time die; return what ends that."""
    pull, pulled = MemoryTransport.pull, 0

    def mortal(self: MemoryTransport, *args: object, **named: object) -> object:
        nonlocal pulled
        pulled += 1
        came = pull(self, *args, **named)  # type: ignore[arg-type]  # handed on
        if pulled == at:
            raise Died
        return came

    network.__class__.pull = mortal  # type: ignore[method-assign, assignment]  # put back below
    return lambda: setattr(MemoryTransport, "pull", pull)


def test_there_is_a_leg_for_every_question(whole: Campaign) -> None:
    legs = [e for e in whole.events(Closed) if e.exchange == "influence" and e.round == 2]
    assert [e.leg for e in legs] == list(range(LEGS))
    assert all(e.sums for e in legs)


@pytest.mark.parametrize("leg", range(LEGS))
def test_a_round_goes_on_at_the_leg_it_had_reached(whole: Campaign, leg: int) -> None:
    with closing(Campaign(SETTINGS)) as campaign:
        campaign.run(1)
        scheduler = campaign.started(rounds=2)
        while not _is_at(scheduler.events, leg):
            if scheduler.turn() is not None:
                campaign.clock.sleep(1.0)
        heal = dying(campaign.network, at=1)
        try:
            with pytest.raises(Died):
                _turn_on(scheduler)
        finally:
            heal()
        after = campaign.started(rounds=2)
        while not after.finished:
            if after.turn() is not None:
                campaign.clock.sleep(1.0)
        assert after.events[-1] == whole.scheduler.events[-1]
        assert found(campaign) == found(whole)
        asked = [e for e in campaign.events(Closed) if e.exchange == "influence"]
        assert asked == [e for e in whole.events(Closed) if e.exchange == "influence"]


def _turn_on(scheduler: Scheduler) -> None:
    """Turn until something ends it."""
    for _ in range(20):
        scheduler.turn()


def _is_at(events: tuple[object, ...], leg: int) -> bool:
    """Return whether the second round is at a leg: asked, and not closed."""
    ours = [
        e for e in events
        if getattr(e, "round", 0) == 2 and getattr(e, "exchange", "") == "influence"
    ]  # fmt: skip
    return bool(ours) and not isinstance(ours[-1], Closed) and getattr(ours[-1], "leg", -1) == leg


def test_devices_that_never_answer_make_no_round_wait() -> None:
    with closing(Campaign(SETTINGS)) as campaign:
        campaign.network.silent = {(d, TraceRequest) for d in campaign.fleet.agents}
        scheduler = campaign.started(rounds=1)
        for _ in range(2000):
            if scheduler.finished:
                break
            if scheduler.turn() is not None:
                campaign.clock.sleep(5.0)
        assert scheduler.finished
        [event] = campaign.events(Evaluated)
        assert event.trace
        assert sum(event.held_out) == 10
