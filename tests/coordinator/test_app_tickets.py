"""The grid as a transport: requests pushed, and what their tickets bring."""

import time

import pytest
from flwr.app import RecordDict

from coordinator.app import GridTransport
from fieldvote.records import DeviceId
from tests.doubles.grids import SlowGrid, client, echo, grid_of, lane_grid, ours

ONE, TWO, THREE = DeviceId(1), DeviceId(2), DeviceId(3)


@pytest.fixture(autouse=True)
def _looks_come_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices in this process need no third of a second."""
    monkeypatch.setattr("coordinator.app._FIRST_LOOK_S", 0.02)
    monkeypatch.setattr("coordinator.app._NEXT_LOOK_S", 0.05)


def pulled(
    transport: GridTransport, tickets: dict[str, DeviceId], *, within_s: float = 5.0
) -> dict[DeviceId, bytes | None]:
    """Look until something came for every ticket, or so long."""
    found: dict[DeviceId, bytes | None] = {}
    end_s = time.monotonic() + within_s
    while len(found) < len(tickets) and time.monotonic() < end_s:
        for came in transport.pull(tuple(tickets), wait_s=0.1):
            assert tickets[came.ticket] == came.device
            assert came.device not in found
            found[came.device] = came.reply
    return found


@pytest.mark.parametrize("lanes", [0, 4])
def test_each_ticket_brings_one_reply_once_and_no_ticket_of_another(lanes: int) -> None:
    transport = GridTransport(lane_grid(3) if lanes else grid_of(), lanes=lanes)
    first = transport.push({ONE: b"first", TWO: b"first"}, ttl_s=5.0)
    second = transport.push({ONE: b"second", THREE: b"second"}, ttl_s=5.0)
    assert not set(first) & set(second)
    assert sorted(first.values()) == [ONE, TWO]
    assert pulled(transport, second) == {1: b"second from 1", 3: b"second from 3"}
    assert pulled(transport, first) == {1: b"first from 1", 2: b"first from 2"}
    assert transport.pull((*first, *second, "nobody's"), wait_s=0.0) == []


@pytest.mark.parametrize("lanes", [0, 4])
def test_a_look_without_tickets_is_over_at_once(lanes: int) -> None:
    transport = GridTransport(lane_grid(1) if lanes else grid_of(), lanes=lanes)
    began = time.monotonic()
    assert transport.pull((), wait_s=5.0) == []
    assert transport.push({}, ttl_s=1.0) == {}
    assert time.monotonic() - began < 4.0


@pytest.mark.parametrize("lanes", [0, 4])
def test_a_look_returns_as_soon_as_anything_came_and_no_later_than_it_may(lanes: int) -> None:
    never = SlowGrid(client_app=client(echo), nodes={1: {}, 2: {}}, patience=0, never=2)
    hangs = lane_grid(2)
    hangs.hanging = {2}
    transport = GridTransport(hangs if lanes else never, lanes=lanes)
    tickets = transport.push({ONE: b"x", TWO: b"x"}, ttl_s=5.0)
    began = time.monotonic()
    [came] = transport.pull(tuple(tickets), wait_s=5.0)
    assert (came.device, came.reply) == (ONE, b"x from 1")
    assert time.monotonic() - began < 4.0
    began = time.monotonic()
    assert transport.pull(tuple(tickets), wait_s=0.3) == []
    assert 0.2 <= time.monotonic() - began < 4.0
    hangs.over.set()


def test_who_failed_comes_back_without_a_body_and_is_waited_for_no_longer() -> None:
    def answer(node: int, body: object) -> RecordDict:
        if node == 2:
            raise ValueError
        return ours("text, not bytes") if node == 3 else echo(node, body)

    transport = GridTransport(grid_of(answer))
    tickets = transport.push({ONE: b"x", TWO: b"x", THREE: b"x"}, ttl_s=5.0)
    assert pulled(transport, tickets) == {1: b"x from 1", 2: None, 3: None}


def test_a_reply_from_another_node_than_was_asked_has_no_body() -> None:
    grid = lane_grid(2)
    grid.impostor = 2
    transport = GridTransport(grid, lanes=2)
    tickets = transport.push({ONE: b"x", TWO: b"x"}, ttl_s=5.0)
    assert pulled(transport, tickets) == {1: None, 2: b"x from 2"}


def test_what_a_hanging_look_finds_is_there_for_whoever_asks_next() -> None:
    grid = lane_grid(2)
    grid.hanging = {1}
    transport = GridTransport(grid, lanes=2)
    old = transport.push({ONE: b"old"}, ttl_s=5.0)
    assert pulled(transport, old, within_s=0.2) == {}
    grid.over.set()
    new = transport.push({TWO: b"new"}, ttl_s=5.0)
    assert pulled(transport, new) == {2: b"new from 2"}
    assert pulled(transport, old) == {1: b"old from 1"}


def test_a_request_whose_time_is_long_over_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordinator.app._KEPT_S", -10.0)
    transport = GridTransport(grid_of())
    old = transport.push({ONE: b"old"}, ttl_s=5.0)
    new = transport.push({TWO: b"new"}, ttl_s=60.0)
    assert pulled(transport, {**old, **new}, within_s=0.3) == {2: b"new from 2"}


def test_a_transport_apart_knows_nothing_of_the_tickets_of_the_rounds() -> None:
    rounds = GridTransport(grid_of())
    tickets = rounds.push({ONE: b"x"}, ttl_s=5.0)
    assert pulled(rounds.apart(), tickets, within_s=0.2) == {}
    assert pulled(rounds, tickets) == {1: b"x from 1"}


@pytest.mark.parametrize("lanes", [0, 4])
@pytest.mark.parametrize("between", [False, True], ids=["alone", "between looks for others"])
def test_who_looks_again_and_again_without_waiting_gets_what_has_come(
    lanes: int, between: bool
) -> None:
    transport = GridTransport(lane_grid(2) if lanes else grid_of(), lanes=lanes)
    late = transport.push({ONE: b"late"}, ttl_s=5.0)
    found: list[bytes | None] = []
    end_s = time.monotonic() + 3.0
    while not found and time.monotonic() < end_s:
        found = [came.reply for came in transport.pull(tuple(late), wait_s=0.0)]
        if between:
            others = transport.push({TWO: b"now"}, ttl_s=5.0)
            assert pulled(transport, others, within_s=1.0) == {2: b"now from 2"}
        time.sleep(0.01)
    assert found == [b"late from 1"]
