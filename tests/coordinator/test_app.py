import time
from threading import Thread

import pytest
from flwr.app import ConfigRecord, Context, RecordDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator import transport as seam
from coordinator.app import (
    FIELD,
    RECORD,
    GridTransport,
    build_server_app,
    drive_from_config,
)
from fieldvote.errors import SettingsError
from fieldvote.records import DeviceId
from simulations.engines.in_process import InProcessGrid, run_in_process
from tests.doubles.grids import LaneGrid, SlowGrid, client, echo, grid_of, lane_grid, ours

ONE, TWO, THREE = DeviceId(1), DeviceId(2), DeviceId(3)


def exchange(
    grid: InProcessGrid, *devices: DeviceId, deadline_s: float = 5.0
) -> dict[DeviceId, bytes]:
    asked = {device: b"to %d" % device for device in devices}
    return seam.exchange(GridTransport(grid), asked, deadline_s=deadline_s)


def test_each_device_gets_its_own_request_and_its_reply_comes_back_byte_by_byte() -> None:
    replies = exchange(grid_of(), ONE, THREE)
    assert replies == {1: b"to 1 from 1", 3: b"to 3 from 3"}
    every = bytes(range(256)) * 4
    transport = GridTransport(grid_of(lambda _, body: ours(every)))
    came = seam.exchange(transport, {ONE: every}, deadline_s=1.0)
    assert came == {ONE: every}


def test_a_device_that_is_away_or_fails_or_says_something_else_is_missing() -> None:
    def answer(node: int, body: object) -> RecordDict:
        strange: dict[int, RecordDict] = {
            2: RecordDict(),
            3: RecordDict({RECORD: ConfigRecord({"other": b"field"})}),
            4: ours("text, not bytes"),
            5: RecordDict({"other": ConfigRecord({FIELD: b"record"})}),
        }
        if node == 6:
            raise ValueError
        return strange.get(node) or echo(node, body) if node == 1 else strange[node]

    grid = grid_of(answer, range(1, 8))
    grid.online.discard(7)
    assert exchange(grid, *map(DeviceId, range(1, 8)), deadline_s=2.0) == {1: b"to 1 from 1"}


def test_an_exchange_with_nobody_is_over_at_once() -> None:
    assert exchange(grid_of()) == {}


def test_replies_that_take_their_time_are_waited_for() -> None:
    grid = SlowGrid(client_app=client(echo), nodes={1: {}, 2: {}}, patience=4)
    assert set(exchange(grid, ONE, TWO)) == {ONE, TWO}
    assert grid.looks == 5


def test_the_deadline_ends_the_wait_with_what_has_come() -> None:
    grid = SlowGrid(client_app=client(echo), nodes={1: {}, 2: {}}, patience=0, never=2)
    began = time.monotonic()
    assert exchange(grid, ONE, TWO, deadline_s=0.1) == {1: b"to 1 from 1"}
    assert 0.1 <= time.monotonic() - began < 4.0


def test_only_nodes_that_are_connected_are_devices_in_ascending_order() -> None:
    grid = grid_of(nodes=(9, 2**64 - 1, 4))
    # Flower's highest numbers are our negative ones: a database counts with a sign
    assert GridTransport(grid).devices() == (-1, 4, 9)
    grid.online.discard(4)
    assert GridTransport(grid).devices() == (-1, 9)


@pytest.fixture(autouse=True)
def _looks_come_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices in this process need no third of a second."""
    monkeypatch.setattr("coordinator.app._FIRST_LOOK_S", 0.02)
    monkeypatch.setattr("coordinator.app._NEXT_LOOK_S", 0.05)


def exchange_in_lanes(
    grid: LaneGrid, *, lanes: int = 4, deadline_s: float = 5.0
) -> tuple[dict[DeviceId, bytes], float]:
    """Ask every node. Return the replies, and how long it took."""
    asked = {DeviceId(node): b"to %d" % node for node in grid.nodes}
    began = time.monotonic()
    transport = GridTransport(grid, lanes=lanes)
    replies = seam.exchange(transport, asked, deadline_s=deadline_s)
    return replies, time.monotonic() - began


def test_replies_pulled_in_lanes_are_those_pulled_here() -> None:
    grid = lane_grid(40)
    replies, _ = exchange_in_lanes(grid)
    assert replies == exchange(grid_of(nodes=range(1, 41)), *map(DeviceId, range(1, 41)))
    assert grid.most_at_once <= 4
    assert grid.pushes == [16, 16, 8]


def test_a_device_that_died_while_uploading_holds_up_no_other() -> None:
    grid = lane_grid(12)
    grid.hanging = {3}
    replies, took_s = exchange_in_lanes(grid, deadline_s=2.0)
    grid.over.set()
    assert set(replies) == set(range(1, 13)) - {3}
    assert 2.0 <= took_s < 6.0


def test_more_dead_devices_than_lanes_hold_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordinator.app._HANGS_S", 0.1)
    grid = lane_grid(12)
    grid.hanging = set(range(1, 9))
    replies, took_s = exchange_in_lanes(grid, lanes=2, deadline_s=3.0)
    grid.over.set()
    assert set(replies) == {9, 10, 11, 12}
    assert took_s < 6.0


def test_a_late_reply_of_an_earlier_exchange_is_not_taken_for_this_one() -> None:
    grid = lane_grid(2)
    grid.hanging = {1}
    transport = GridTransport(grid, lanes=2)
    first = seam.exchange(transport, {ONE: b"old", TWO: b"old"}, deadline_s=0.5)
    grid.hanging = set()
    grid.over.set()  # the pull that hung brings its reply now
    second = seam.exchange(transport, {ONE: b"new", TWO: b"new"}, deadline_s=5.0)
    assert (first, second) == ({2: b"old from 2"}, {1: b"new from 1", 2: b"new from 2"})


def test_a_reply_to_another_message_is_dropped() -> None:
    other = lane_grid(1)
    [name] = other.push_messages([GridTransport._message(ONE, b"other", 1.0)])
    grid = lane_grid(1)
    grid.foreign = list(other.pull_messages([name]))
    for message in grid.foreign:
        message.metadata.__dict__["_reply_to_message_id"] = "nobody asked"
    assert exchange_in_lanes(grid)[0] == {1: b"to 1 from 1"}


def test_a_reply_in_the_name_of_another_device_is_dropped() -> None:
    grid = lane_grid(2)
    grid.impostor = 2
    assert exchange_in_lanes(grid)[0] == {2: b"to 2 from 2"}


def test_a_device_flower_did_not_take_a_message_for_is_missing() -> None:
    grid = lane_grid(3)
    grid.refused = {2}
    replies, took_s = exchange_in_lanes(grid)
    assert set(replies) == {1, 3}
    assert took_s < 2.0


def test_a_grid_that_fails_ends_the_exchange_with_what_it_says() -> None:
    grid = lane_grid(3)
    grid.broken = True
    with pytest.raises(ConnectionError, match="the run is over"):
        exchange_in_lanes(grid)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_every_node_there_can_be_is_reached_and_answers_under_one_device_id(node: int) -> None:
    grid = grid_of(nodes=(node,))
    [device] = GridTransport(grid).devices()
    assert -(2**63) <= device < 2**63
    came = seam.exchange(GridTransport(grid), {device: b"hi"}, deadline_s=1.0)
    assert came == {device: b"hi from %d" % node}


def test_the_server_app_lends_its_grid_to_the_driver() -> None:
    heard: list[object] = []

    def drive(transport: GridTransport, context: Context) -> None:
        heard.append(seam.exchange(transport, {TWO: b"x"}, deadline_s=1.0))
        heard.append(context.run_config)

    run_in_process(build_server_app(drive), grid_of())
    assert heard == [{2: b"x from 2"}, {}]


def test_a_run_without_a_settings_file_is_refused() -> None:
    context = Context(
        run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config={"config": ""}
    )
    with pytest.raises(SettingsError, match="no config"):
        drive_from_config(GridTransport(grid_of()), context)


def test_an_exchange_apart_does_not_mix_with_the_rounds() -> None:
    grid = lane_grid(8)
    rounds = GridTransport(grid, lanes=4)
    apart = rounds.apart()
    grid.hanging = {8}
    came: list[dict[DeviceId, bytes]] = []

    def deliver() -> None:
        came.append(seam.exchange(apart, {DeviceId(8): b"piece"}, deadline_s=5.0))

    thread = Thread(target=deliver)
    thread.start()
    others = [DeviceId(node) for node in range(1, 8)]
    for number in range(3):
        asked = dict.fromkeys(others, b"%d" % number)
        began = time.monotonic()
        replies = seam.exchange(rounds, asked, deadline_s=5.0)
        assert replies == {node: b"%d from %d" % (number, node) for node in others}
        assert time.monotonic() - began < 4.0
    grid.over.set()
    thread.join()
    assert came == [{DeviceId(8): b"piece from 8"}]
