"""The flower engine but for Flower and Ray: gateways in this process, reached by plain calls."""

import json
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coordinator.app import GridTransport
from coordinator.transport import Came, Transport, exchange
from edge.agent import Agent
from fieldvote.errors import InternalError, RefusalError, UnavailableError, WireError
from fieldvote.records import REQUESTS, DeviceId, HelloRequest, SurveyRequest
from fieldvote.records import decode as decode_record
from fieldvote.records import encode as encode_record
from simulations.engines import gateways
from simulations.engines.gateways import Gateway, GatewayTransport, gateway_of
from simulations.engines.in_process import LocalFleet
from simulations.engines.parcels import Replies, Requests, decode, encode, pack, unpack
from simulations.engines.seam import Account, Carry, T, Traffic
from simulations.population import Population, device_id, populate
from simulations.rehearsal import run
from simulations.report import Report
from simulations.scenario import Scenario
from tests.simulations.data_files import rows_file, text_file

MAY_DIFFER = ("engine", "wall_s", "client_rounds_per_s", "peak_rss_mb")
HELLO = encode_record(HelloRequest(campaign="rehearsed"))


class Calls:
    """A transport whose devices are functions; those that return nothing are gone."""

    def __init__(self, answers: Mapping[DeviceId, Callable[[bytes], bytes | None]]) -> None:
        self._answers = answers
        self.carried: list[Mapping[DeviceId, bytes]] = []

    def devices(self) -> tuple[DeviceId, ...]:
        return tuple(sorted(self._answers))

    def push(self, requests: Mapping[DeviceId, bytes], *, ttl_s: float) -> Mapping[str, DeviceId]:
        self.carried.append(requests)
        return {f"{len(self.carried)} {device}": device for device in requests}

    def pull(self, tickets: Collection[str], *, wait_s: float) -> list[Came]:
        came = []
        for ticket in tickets:
            number, device = ticket.split()
            request = self.carried[int(number) - 1][DeviceId(int(device))]
            reply = self._answers[DeviceId(int(device))](request)
            came.append(Came(ticket=ticket, device=DeviceId(int(device)), reply=reply))
        return came


def behind(population: Population, work: Callable[[Carry], T], count: int = 3) -> T:
    """An engine whose gateways are objects in this process."""
    homes = [
        Gateway(population.scenario, population.seed, place=place, gateways=count)
        for place in range(count)
    ]

    def carry(drive: Callable[[Transport], None]) -> Account:
        for home in homes:
            home.open()
        calls = Calls({DeviceId(place): home.answer for place, home in enumerate(homes)})
        drive(GatewayTransport(calls, calls.devices(), population.dataset.devices))
        return sum((home.account() for home in homes), start=Account())

    return work(carry)


def quick(file: Path, **changes: object) -> Scenario:
    made = replace(Scenario.for_data(file), rounds=2)
    inputs = replace(made.inputs, fourier=0)
    return replace(made, **{"inputs": inputs, **changes})  # type: ignore[arg-type]  # a table


def compared(report: Report) -> dict[str, object]:
    return {k: v for k, v in json.loads(report.to_json()).items() if k not in MAY_DIFFER}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rows_file(tmp_path_factory.mktemp("data") / "pumps.npz")


@pytest.mark.parametrize(("devices", "count"), [(1, 1), (7, 3), (10, 10), (1000, 7)])
def test_devices_are_shared_out_evenly_and_all_of_them(devices: int, count: int) -> None:
    shares = [[n for n in range(devices) if gateway_of(n, count) == g] for g in range(count)]
    assert sorted(n for share in shares for n in share) == list(range(devices))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.slow
def test_a_rehearsal_behind_gateways_is_the_one_in_process(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = run(quick(table), seed=3)
    monkeypatch.setattr("simulations.rehearsal._engine", lambda _name: behind)
    assert compared(run(quick(table), seed=3)) == compared(plain)
    # parcels too small for two: every device's request and reply goes alone
    monkeypatch.setattr("simulations.engines.parcels.MOST_BYTES", 1)
    monkeypatch.setattr(gateways, "MOST_BYTES", 1)
    assert compared(run(quick(table), seed=3)) == compared(plain)


@pytest.mark.slow
def test_leaks_behind_gateways_are_counted_as_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attack: some devices tell an item in the reason of a refusal, which no annotator sees."""
    honest = Agent.handle

    def telling(self: Agent, request: bytes) -> bytes:
        first = self._parts.pool.payloads()[0]
        if len(first) % 2 and isinstance(decode_record(request, *REQUESTS), SurveyRequest):
            raise RefusalError(b" ".join(self._parts.pool.payloads()).decode())
        return honest(self, request)

    monkeypatch.setattr(Agent, "handle", telling)
    scenario = replace(
        Scenario.load("messages"),
        rounds=1, devices=8, text_width=32, exchanges=2, functions="", vote_weight=0.0,
    )  # fmt: skip
    plain = run(scenario, seed=1)
    assert plain.pii_planted > plain.pii_leaked > 0
    monkeypatch.setattr("simulations.rehearsal._engine", lambda _name: behind)
    assert compared(run(scenario, seed=1)) == compared(plain)


@pytest.fixture
def population(tmp_path: Path) -> Population:
    return populate(quick(text_file(tmp_path / "notes.npz", devices=5), text_width=32), 1)


def test_gateways_together_are_one_fleet(population: Population) -> None:
    everyone = {device_id(n): HELLO for n in range(5)}
    with closing(LocalFleet(population, range(5))) as fleet:
        direct = exchange(GridTransport(fleet.grid), everyone, deadline_s=1.0)
        whole = fleet.account()
    replies: list[Mapping[DeviceId, bytes]] = []

    def ask(carry: Carry) -> Account:
        return carry(lambda t: replies.append(exchange(t, everyone, deadline_s=1.0)))

    account = behind(population, ask, 2)
    assert replies == [direct]
    assert (account.traffic, account.spent) == (whole.traffic, whole.spent)
    assert sum(map(len, account.sent)) == account.traffic.up
    assert account.workers_mb > 0


def test_a_device_that_refuses_is_missing_and_the_others_are_not(population: Population) -> None:
    home = Gateway(population.scenario, 1, place=0, gateways=1)
    home.open()
    asked = [(device_id(0), HELLO), (device_id(1), b"no request"), (DeviceId(5), HELLO)]
    found = decode(home.answer(encode(pack(asked))), Replies)
    assert (found.devices.tolist(), found.done) == ([device_id(0)], 3)
    with pytest.raises(WireError):
        home.answer(b"no parcel")
    home.close()


def test_every_campaign_finds_its_devices_new(population: Population) -> None:
    home = Gateway(population.scenario, 1, place=0, gateways=2)
    accounts = []
    for _ in range(2):
        home.open()
        home.answer(encode(pack([(device_id(0), HELLO)])))
        accounts.append(home.account())
    assert accounts[0].spent == accounts[1].spent
    assert accounts[0].traffic == accounts[1].traffic
    with pytest.raises(InternalError, match="not opened"):
        home.answer(encode(pack([(device_id(0), HELLO)])))


def echo(parcel: bytes) -> bytes:
    asked = unpack(decode(parcel, Requests))
    return encode(
        Replies(
            devices=np.array([device for device, _ in asked]),
            bodies=tuple(body for _, body in asked),
            done=len(asked),
        )
    )


def test_one_message_goes_to_each_gateway_with_its_own_devices() -> None:
    calls = Calls({DeviceId(70): echo, DeviceId(71): echo})
    transport = GatewayTransport(calls, (DeviceId(70), DeviceId(71)), 5)
    assert transport.devices() == tuple(device_id(n) for n in range(5))
    requests = {device_id(n): bytes([n]) for n in (4, 1, 2)}
    assert exchange(transport, requests, deadline_s=1.0) == requests
    [carried] = calls.carried
    sent = {int(g): [d for d, _ in unpack(decode(b, Requests))] for g, b in carried.items()}
    assert sent == {70: [device_id(4), device_id(2)], 71: [device_id(1)]}
    assert exchange(transport, {}, deadline_s=1.0) == {}
    assert exchange(transport, {DeviceId(5): b"a stranger"}, deadline_s=1.0) == {}


def test_devices_a_gateway_did_not_get_to_are_asked_again_and_no_other() -> None:
    worked_on: list[int] = []

    def one_at_a_time(parcel: bytes) -> bytes:
        device, body = unpack(decode(parcel, Requests))[0]
        worked_on.append(device)
        return encode(Replies(devices=np.array([device]), bodies=(body,), done=1))

    transport = GatewayTransport(Calls({DeviceId(70): one_at_a_time}), (DeviceId(70),), 4)
    requests = {device_id(n): bytes([n]) for n in range(4)}
    assert exchange(transport, requests, deadline_s=1.0) == requests
    assert worked_on == list(requests)


def test_a_gateway_that_is_gone_stops_the_rehearsal_instead_of_changing_it() -> None:
    calls = Calls({DeviceId(70): echo, DeviceId(71): lambda _parcel: None})
    transport = GatewayTransport(calls, calls.devices(), 2)
    with pytest.raises(UnavailableError, match="gateway"):
        exchange(transport, {device_id(0): b"", device_id(1): b""}, deadline_s=1.0)


def test_replies_for_devices_nobody_asked_are_not_taken() -> None:
    def inventing(_parcel: bytes) -> bytes:
        return encode(
            Replies(devices=np.array([device_id(0), device_id(1)]), bodies=(b"a", b"b"), done=1)
        )

    transport = GatewayTransport(Calls({DeviceId(70): inventing}), (DeviceId(70),), 2)
    assert exchange(transport, {device_id(0): b"?"}, deadline_s=1.0) == {device_id(0): b"a"}


def test_a_gateway_that_does_nothing_is_noticed() -> None:
    idle = encode(Replies(devices=np.array([], dtype=np.int64), bodies=(), done=0))
    transport = GatewayTransport(Calls({DeviceId(70): lambda _p: idle}), (DeviceId(70),), 1)
    with pytest.raises(InternalError, match="none"):
        exchange(transport, {device_id(0): b"?"}, deadline_s=1.0)


def test_accounts_add_up_part_by_part() -> None:
    one = Account(
        traffic=Traffic(up=1, down=2, replies=3), spent={"offers": 4}, candidates=5, sent=(b"a",),
        workers_mb=6,
    )  # fmt: skip
    two = Account(
        traffic=Traffic(up=10, down=20, replies=30), spent={"offers": 40, "updates": 1},
        candidates=50, sent=(b"b",), workers_mb=60,
    )  # fmt: skip
    both = one + two
    assert both.traffic == Traffic(up=11, down=22, replies=33)
    assert both.spent == {"offers": 44, "updates": 1}
    assert (both.candidates, both.sent, both.workers_mb) == (55, (b"a", b"b"), 66)
    assert Account() + one == one
