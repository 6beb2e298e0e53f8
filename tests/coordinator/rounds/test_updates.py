"""Devices that run another task: handed over to be updated, and left alone meanwhile."""

from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass, field, replace

from coordinator.rounds.campaign import CampaignState
from coordinator.rounds.planning import Planner
from coordinator.store.campaign import open_store
from fieldvote.records import DeviceId, HelloReply, HelloRequest, decode, encode
from tests.coordinator.rounds.campaign import NOON, make_fleet, make_parts

ONE, TWO = DeviceId(1), DeviceId(2)


@dataclass(slots=True)
class Workshop:
    """Takes devices in, and does nothing with them."""

    taken: list[Collection[DeviceId]] = field(default_factory=list)
    holds: set[DeviceId] = field(default_factory=set)

    def bring(self, devices: Collection[DeviceId]) -> None:
        self.taken.append(list(devices))
        self.holds.update(devices)

    def held(self) -> Collection[DeviceId]:
        return self.holds


def devices_met(planner: Planner) -> int:
    """Let a round be planned, and return how many devices it is for."""
    return len(planner.plan(CampaignState()).devices)


def test_who_runs_another_task_is_updated_not_asked_again_and_met_in_the_end() -> None:
    with closing(make_fleet()) as fleet, closing(open_store(None, now=lambda: NOON)) as store:
        network, workshop = fleet.transport(), Workshop()
        handlers = dict(network.handlers)

        def outdated(request: bytes) -> bytes:
            reply = decode(handlers[TWO](request), HelloReply)
            return encode(replace(reply, task="0" * 64))

        network.handlers = {**handlers, TWO: outdated}
        planner = Planner(make_parts(store, network), None, quorum=1, updates=workshop)
        assert devices_met(planner) == 2
        assert workshop.taken == [[TWO]]
        asked = len(network.replies)
        assert devices_met(planner) == 2
        assert len(network.replies) == asked

        network.handlers, workshop.holds = handlers, set()
        assert devices_met(planner) == 3
        assert network.replies[asked:] == [
            (HelloRequest, TWO, handlers[TWO](encode(HelloRequest(campaign="c"))))
        ]
        assert workshop.taken == [[TWO], []]


def test_without_updates_such_a_device_is_asked_again_each_time() -> None:
    with closing(make_fleet()) as fleet, closing(open_store(None, now=lambda: NOON)) as store:
        network = fleet.transport()
        network.corrupt = {
            ONE: lambda blob: encode(replace(decode(blob, HelloReply), task="0" * 64))
        }
        planner = Planner(make_parts(store, network), None, quorum=1)
        assert (devices_met(planner), devices_met(planner)) == (2, 2)
        assert [device for _, device, _ in network.replies].count(ONE) == 2
