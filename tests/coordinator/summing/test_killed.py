"""A coordinator that dies anywhere in a sum, and devices that die between its legs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from coordinator.rounds.events import Trained
from coordinator.rounds.machine import Phase
from coordinator.store.campaign import Store, open_store
from edge.agent import Agent
from fieldvote.records import DeviceId
from tests.coordinator.rounds.campaign import Fleet, TurnedClock, totals_of
from tests.coordinator.rounds.crash import Fuse, FusedTransport, _watch
from tests.coordinator.summing.fleets import Secure, make_fleet
from tests.doubles.transport import MemoryTransport

_MOST_TURNS = 400


class Died(BaseException):
    """The process is gone; nothing catches this but the test."""


@dataclass(slots=True)
class Thrown(Fuse):
    """A fuse that throws: what was not committed is rolled back, as it is when a process ends."""

    def blow(self) -> None:
        """End here."""
        raise Died


def _to_the_end(campaign: Secure, until: Callable[[Secure], bool]) -> None:
    """Go on, as a coordinator that was just started does."""
    for _ in range(_MOST_TURNS):
        if until(campaign):
            return
        if campaign.scheduler.turn() is not None:
            campaign.clock.sleep(1.0)
    raise AssertionError("the round does not come to its end")


def _played(
    blows_at: int | None, until: Callable[[Secure], bool]
) -> tuple[tuple[object, ...], list[str]]:
    """Play until a round is so far, dying once at a point; return what it came to."""
    sites: list[str] = []
    fuse = Thrown(blows_at=blows_at, sites=sites)

    def through(network: MemoryTransport) -> FusedTransport:
        return FusedTransport(network, fuse)

    with TemporaryDirectory() as folder:
        campaign = Secure(
            make_fleet(training=11, held_out=1, items=4),
            through=through,
            store=_opened(Path(folder), fuse),
        )
        try:
            _to_the_end(campaign, until)
        except Died:
            campaign.store.close()
            campaign.store = _opened(Path(folder), fuse)
            campaign.start()
            _to_the_end(campaign, until)
        found = _outcome(campaign)
        campaign.close()
    return found, sites


def _opened(folder: Path, fuse: Fuse) -> Store:
    """Open the store, on a disk that is not waited for: the process dies, never the machine."""
    store = open_store(folder / "store.sqlite", now=TurnedClock().now)
    store.database._connection.exec_driver_sql("PRAGMA synchronous = OFF")
    _watch(store, fuse)
    return store


def _outcome(campaign: Secure) -> tuple[object, ...]:
    pools = campaign.fleet.pools.values()
    return (
        [type(event).__name__ for event in campaign.scheduler.events],
        [event.model for event in campaign.scheduler.events if isinstance(event, Trained)],
        totals_of(campaign.store),
        campaign.store.offers(1),
        [(pool.column("summed").tolist(), pool.column("anchored").tolist()) for pool in pools],
        dict(campaign.parts.inbox.dropped),
    )


def _surveyed(campaign: Secure) -> bool:
    return campaign.scheduler.state.phase is Phase.SELECTED


def _done(campaign: Secure) -> bool:
    return campaign.scheduler.state.phase is Phase.DONE


def _first_of_each(sites: list[str]) -> Iterator[int]:
    """Yield the first point of every site that is in a sum."""
    seen: set[str] = set()
    for place, site in enumerate(sites):
        if ("summing" in site or "asking" in site) and site not in seen:
            seen.add(site)
            yield place


def test_a_coordinator_killed_anywhere_in_a_survey_counts_it_once() -> None:
    undisturbed, sites = _played(None, _surveyed)
    places = list(_first_of_each(sites))
    assert len(places) > 10
    for place in places[1::4]:  # all of them each night, below
        found, _ = _played(place, _surveyed)
        assert found == undisturbed, sites[place]


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_a_coordinator_killed_anywhere_in_a_round_trains_the_same_head() -> None:
    undisturbed, sites = _played(None, _done)
    sums = [place for place, site in enumerate(sites) if "summing" in site]
    for place in {*_first_of_each(sites), *sums[:: max(len(sums) // 16, 1)]}:
        found, _ = _played(place, _done)
        assert found == undisturbed, sites[place]


def test_devices_that_are_started_anew_before_every_leg_make_the_same_sums() -> None:
    undisturbed, _ = _played(None, _surveyed)
    campaign = Secure(make_fleet(training=11, held_out=1, items=4))
    campaign.network.handlers = _forgetful(campaign.fleet)
    _to_the_end(campaign, _surveyed)
    assert _outcome(campaign) == undisturbed
    campaign.close()


def test_a_device_that_is_asked_every_leg_twice_says_the_same_twice() -> None:
    undisturbed, _ = _played(None, _surveyed)
    campaign = Secure(make_fleet(training=11, held_out=1, items=4))
    campaign.network.twice = True
    _to_the_end(campaign, _surveyed)
    assert _outcome(campaign) == undisturbed
    campaign.close()


def _forgetful(fleet: Fleet) -> dict[DeviceId, Callable[[bytes], bytes]]:
    """Return handlers that start their agent for every request, over the pool they left."""

    def handler(agent: Agent) -> Callable[[bytes], bytes]:
        parts = agent._parts
        return lambda request: Agent(parts).handle(request)

    return {device: handler(agent) for device, agent in fleet.agents.items()}


def test_the_legs_of_sums_do_not_push_other_requests_out_of_the_journal() -> None:
    campaign = Secure(make_fleet(training=11, held_out=1, items=4))
    campaign.run(1)
    journaled = [len(pool.rows("SELECT 1 FROM journal")) for pool in campaign.fleet.pools.values()]
    assert max(journaled) <= 6  # survey, collect, answers, and which head to serve
    campaign.close()
