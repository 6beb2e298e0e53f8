"""The Flower door: bytes in, bytes out, and every refusal an error reply."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict

from edge.app import FIELD, RECORD, REFUSED, build_client_app, socket_door
from edge.asking import ask
from fieldvote.errors import LedgerSpentError, SettingsError, UnavailableError
from simulations.engines.in_process import CLIENT_APP_RAISED, InProcessGrid
from tests.doubles.sockets import serving, short_folder


@pytest.fixture
def place() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder / "agent.sock"


def exchange(handle: Callable[[bytes], bytes], content: RecordDict, *, node: int = 7) -> Message:
    """Send one message to a node whose device answers so."""
    grid = InProcessGrid(client_app=build_client_app(lambda _: handle), nodes={node: {}})
    message = grid.create_message(content, "query", node, "1")
    (reply,) = grid.send_and_receive([message])
    return reply


def carrying(request: object) -> RecordDict:
    return RecordDict({RECORD: ConfigRecord({FIELD: request})})  # type: ignore[dict-item]  # wrong types are sent on purpose


@pytest.mark.parametrize("request_", [b"", b"\x00\xff", bytes(range(256)) * 1000])
def test_bytes_are_forwarded_and_come_back_untouched(request_: bytes) -> None:
    reply = exchange(lambda given: given[::-1] + b"!", carrying(request_))
    assert not reply.has_error()
    assert reply.content.config_records[RECORD][FIELD] == request_[::-1] + b"!"


def test_a_refusal_of_ours_is_an_error_reply_with_its_sentence() -> None:
    def refuse(_: bytes) -> bytes:
        raise LedgerSpentError("3 bytes more would make 101, the limit is 100")

    reply = exchange(refuse, carrying(b"x"))
    assert reply.error.code == REFUSED
    assert reply.error.reason == ("LedgerSpentError: 3 bytes more would make 101, the limit is 100")


def test_a_bug_does_not_tell_what_it_was_about() -> None:
    def fail(_: bytes) -> bytes:
        raise ValueError("the text of an item")

    reply = exchange(fail, carrying(b"x"))
    assert reply.error.code == CLIENT_APP_RAISED
    assert "text of an item" not in (reply.error.reason or "")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (carrying("text"), "str, not bytes"),
        (carrying(3), "int, not bytes"),
        (RecordDict(), "NoneType, not bytes"),
        (RecordDict({RECORD: ConfigRecord({"other": b"x"})}), "NoneType, not bytes"),
        (RecordDict({"other": ConfigRecord({FIELD: b"x"})}), "NoneType, not bytes"),
    ],
)
def test_a_message_that_carries_no_bytes_never_reaches_the_device(
    content: RecordDict, said: str
) -> None:
    asked: list[bytes] = []

    def remember(request: bytes) -> bytes:
        asked.append(request)
        return b""

    reply = exchange(remember, content)
    assert reply.error.code == REFUSED
    assert said in (reply.error.reason or "")
    assert asked == []


def context(**config: str | int) -> Context:
    return Context(run_id=1, node_id=7, node_config=dict(config), state=RecordDict(), run_config={})


def test_the_door_of_a_node_is_the_socket_its_configuration_names(place: Path) -> None:
    with serving(place, lambda request: b"agent:" + request):
        assert socket_door(context(socket=str(place)))(b"x") == ask(place, b"x") == b"agent:x"
    with pytest.raises(UnavailableError, match="no agent answers"):
        socket_door(context(socket=str(place)))(b"x")


@pytest.mark.parametrize("config", [{}, {"socket": ""}, {"socket": 3}])
def test_a_node_without_a_socket_says_how_to_name_one(config: dict[str, str | int]) -> None:
    with pytest.raises(SettingsError, match="--node-config"):
        socket_door(context(**config))
