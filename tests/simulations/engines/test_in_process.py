from collections.abc import Callable

import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from simulations.engines.in_process import (
    CLIENT_APP_RAISED,
    NODE_UNAVAILABLE,
    InProcessGrid,
    run_in_process,
)

NODES = {7: {"name": "seven"}, 8: {"name": "eight"}}


def answering(work: Callable[[Message, Context], Message]) -> ClientApp:
    app = ClientApp()
    app.query()(work)
    return app


def echo(message: Message, _context: Context) -> Message:
    return Message(message.content, reply_to=message)


def request(grid: Grid, node: int, body: bytes = b"hello") -> Message:
    return grid.create_message(RecordDict({"r": ConfigRecord({"body": body})}), "query", node, "")


def ask(grid: Grid, *messages: Message) -> list[Message]:
    return list(grid.send_and_receive(messages))


def body_of(message: Message) -> object:
    return message.content.config_records["r"]["body"]


def test_a_reply_carries_what_the_client_app_answered_and_whom_it_is_from() -> None:
    grid = InProcessGrid(client_app=answering(echo), nodes=NODES)
    names = list(grid.push_messages([request(grid, 8, b"a"), request(grid, 7, b"b")]))
    replies = list(grid.pull_messages(names))
    assert [(m.metadata.src_node_id, body_of(m)) for m in replies] == [(8, b"a"), (7, b"b")]
    assert [m.metadata.reply_to_message_id for m in replies] == names
    assert list(grid.pull_messages(names)) == []


def test_a_client_that_changes_its_request_does_not_change_the_servers() -> None:
    kept: list[Message] = []

    def spoil(message: Message, _context: Context) -> Message:
        message.content.config_records["r"]["body"] = b"spoiled"
        message.content["more"] = ConfigRecord({"x": 1})
        kept.append(message)
        return Message(RecordDict({"r": ConfigRecord({"body": b"fine"})}), reply_to=message)

    grid = InProcessGrid(client_app=answering(spoil), nodes=NODES)
    sent = request(grid, 7)
    [reply] = ask(grid, sent)
    assert body_of(sent) == b"hello"
    assert set(sent.content) == {"r"}
    assert kept[0].content is not sent.content
    # nor does a server that changes the reply reach into the client
    reply.content.config_records["r"]["body"] = b"changed"
    assert body_of(kept[0]) == b"spoiled"


def test_a_reply_that_is_the_request_itself_comes_back_as_a_copy() -> None:
    grid = InProcessGrid(client_app=answering(echo), nodes=NODES)
    sent = request(grid, 7)
    [reply] = ask(grid, sent)
    assert reply.content is not sent.content
    assert body_of(reply) == body_of(sent)


def test_each_node_has_a_context_of_its_own_that_lasts() -> None:
    def count(message: Message, context: Context) -> Message:
        state = context.state.config_records.setdefault("n", ConfigRecord({"n": 0}))
        state["n"] = int(str(state["n"])) + 1
        name = str(context.node_config["name"])
        said = f"{context.node_id} {name} {int(str(state['n']))}"
        return Message(RecordDict({"r": ConfigRecord({"body": said.encode()})}), reply_to=message)

    grid = InProcessGrid(client_app=answering(count), nodes=NODES)
    said = [body_of(m) for n in (7, 8, 7) for m in ask(grid, request(grid, n))]
    assert said == [b"7 seven 1", b"8 eight 1", b"7 seven 2"]


def test_every_byte_that_is_counted_up_was_tapped() -> None:
    tapped: list[tuple[int, bytes]] = []

    def arrays(message: Message, context: Context) -> Message:
        if context.node_id == 8:
            raise ValueError
        content = RecordDict(
            {"r": ConfigRecord({"body": b"planted in config"}), "a": ArrayRecord({"w": _array()})}
        )
        return Message(content, reply_to=message)

    grid = InProcessGrid(
        client_app=answering(arrays), nodes=NODES, tap=lambda node, b: tapped.append((node, b))
    )
    for _ in range(3):
        ask(grid, request(grid, 7), request(grid, 8))
    assert grid.traffic.up == sum(len(blob) for _, blob in tapped)
    assert grid.traffic.replies == 6
    assert {node for node, _ in tapped} == {7, 8}
    wire = b"".join(blob for _, blob in tapped)
    assert wire.count(b"planted in config") == 3
    assert b"planted in array" in wire
    assert grid.traffic.down > 6 * len(b"hello")


def _array() -> Array:
    return Array(dtype="uint8", shape=(16,), stype="raw", data=b"planted in array")


def test_the_tap_sees_nothing_that_goes_down() -> None:
    tapped: list[bytes] = []
    done = answering(lambda message, _: Message(RecordDict(), reply_to=message))
    grid = InProcessGrid(client_app=done, nodes=NODES, tap=lambda _, blob: tapped.append(blob))
    ask(grid, request(grid, 7, b"a secret of the server"))
    assert b"a secret of the server" not in b"".join(tapped)


def test_a_larger_message_is_counted_larger_both_ways() -> None:
    grid = InProcessGrid(client_app=answering(echo), nodes=NODES)
    ask(grid, request(grid, 7, bytes(10)))
    small = grid.traffic.up, grid.traffic.down
    ask(grid, request(grid, 7, bytes(1010)))
    for before, after in zip(small, (grid.traffic.up, grid.traffic.down), strict=True):
        assert 1000 <= (after - before) - before <= 1010


def test_two_runs_count_the_same_bytes() -> None:
    counted = []
    for _ in range(2):
        grid = InProcessGrid(client_app=answering(echo), nodes=NODES)
        for body in (b"", b"x" * 300, bytes(5000)):
            ask(grid, request(grid, 7, body), request(grid, 8, body))
        counted.append((grid.traffic.up, grid.traffic.down, grid.traffic.replies))
    assert counted[0] == counted[1]


def test_a_node_that_is_offline_gives_an_error_and_costs_nothing() -> None:
    grid = InProcessGrid(client_app=answering(echo), nodes=NODES)
    grid.online.discard(8)
    assert list(grid.get_node_ids()) == [7]
    assert [node.node_id for node in grid.get_nodes()] == [7]
    here, gone = ask(grid, request(grid, 7), request(grid, 8))
    assert not here.has_error()
    assert (gone.error.code, gone.metadata.src_node_id) == (NODE_UNAVAILABLE, 8)
    assert grid.traffic.replies == 1
    grid.online.add(8)
    assert not ask(grid, request(grid, 8))[0].has_error()


@pytest.mark.parametrize("fault", [ValueError("a name: Omar"), KeyError("x"), RuntimeError()])
def test_an_app_that_raises_gives_an_error_that_says_no_more_than_its_kind(
    fault: Exception,
) -> None:
    tapped: list[bytes] = []

    def fail(_message: Message, _context: Context) -> Message:
        raise fault

    grid = InProcessGrid(
        client_app=answering(fail), nodes=NODES, tap=lambda _, blob: tapped.append(blob)
    )
    [reply] = ask(grid, request(grid, 7))
    assert reply.error.code == CLIENT_APP_RAISED
    assert b"Omar" not in b"".join(tapped)
    assert grid.traffic.up == sum(map(len, tapped))


def test_a_server_app_runs_to_its_end_over_the_grid() -> None:
    heard: list[object] = []
    server = ServerApp()

    @server.main()
    def main(grid: Grid, _context: Context) -> None:
        heard.extend(body_of(reply) for reply in ask(grid, request(grid, 7, b"ping")))

    run_in_process(server, InProcessGrid(client_app=answering(echo), nodes=NODES))
    assert heard == [b"ping"]
