import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from hypothesis import given
from hypothesis import strategies as st

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

ONE, TWO, THREE = DeviceId(1), DeviceId(2), DeviceId(3)


def client(answer: Callable[[int, object], RecordDict]) -> ClientApp:
    app = ClientApp()

    @app.query()
    def query(message: Message, context: Context) -> Message:
        body = message.content.config_records[RECORD][FIELD]
        return Message(answer(context.node_id, body), reply_to=message)

    return app


def ours(body: bytes | str) -> RecordDict:
    return RecordDict({RECORD: ConfigRecord({FIELD: body})})


def echo(node: int, body: object) -> RecordDict:
    assert isinstance(body, bytes)
    return ours(body + b" from %d" % node)


def grid_of(
    answer: Callable[[int, object], RecordDict] = echo, nodes: Iterable[int] = (1, 2, 3)
) -> InProcessGrid:
    return InProcessGrid(client_app=client(answer), nodes={node: {} for node in nodes})


@dataclass(slots=True)
class SlowGrid(InProcessGrid):
    """Hands nothing out until it was asked a few times; some replies never come."""

    patience: int = 3
    never: int = 0
    looks: int = 0

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        self.looks += 1
        if self.looks <= self.patience:
            return []
        wanted = [
            name for name in message_ids if self._waiting[name].metadata.dst_node_id != self.never
        ]
        return InProcessGrid.pull_messages(self, wanted)


def exchange(
    grid: InProcessGrid, *devices: DeviceId, deadline_s: float = 5.0
) -> dict[DeviceId, bytes]:
    asked = {device: b"to %d" % device for device in devices}
    return dict(GridTransport(grid).exchange(asked, deadline_s=deadline_s))


def test_each_device_gets_its_own_request_and_its_reply_comes_back_byte_by_byte() -> None:
    replies = exchange(grid_of(), ONE, THREE)
    assert replies == {1: b"to 1 from 1", 3: b"to 3 from 3"}
    every = bytes(range(256)) * 4
    came = GridTransport(grid_of(lambda _, body: ours(every))).exchange(
        {ONE: every}, deadline_s=1.0
    )
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
    assert 0.1 <= time.monotonic() - began < 2.0


def test_only_nodes_that_are_connected_are_devices_in_ascending_order() -> None:
    grid = grid_of(nodes=(9, 2**64 - 1, 4))
    # Flower's highest numbers are our negative ones: a database counts with a sign
    assert GridTransport(grid).devices() == (-1, 4, 9)
    grid.online.discard(4)
    assert GridTransport(grid).devices() == (-1, 9)


@given(st.integers(0, 2**64 - 1))
def test_every_node_there_can_be_is_reached_and_answers_under_one_device_id(node: int) -> None:
    grid = grid_of(nodes=(node,))
    [device] = GridTransport(grid).devices()
    assert -(2**63) <= device < 2**63
    came = GridTransport(grid).exchange({device: b"hi"}, deadline_s=1.0)
    assert came == {device: b"hi from %d" % node}


def test_the_server_app_lends_its_grid_to_the_driver() -> None:
    heard: list[object] = []

    def drive(transport: GridTransport, context: Context) -> None:
        heard.append(dict(transport.exchange({TWO: b"x"}, deadline_s=1.0)))
        heard.append(context.run_config)

    run_in_process(build_server_app(drive), grid_of())
    assert heard == [{2: b"x from 2"}, {}]


def test_a_run_without_a_settings_file_is_refused() -> None:
    context = Context(
        run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config={"config": ""}
    )
    with pytest.raises(SettingsError, match="no config"):
        drive_from_config(GridTransport(grid_of()), context)
