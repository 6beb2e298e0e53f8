"""One message through the light node, and what happens when anything at all goes wrong."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flwr.app import ConfigRecord, RecordDict

from edge.flower.journal import Journal
from edge.flower.node import LightNode
from edge.flower.objects import CRASHED, REFUSED
from edge.flower.session import Session
from fieldvote.errors import LedgerSpentError, StoreError, UnavailableError
from tests.doubles.superlink import RefusedError, SuperLinkDouble, listening
from tests.edge.flower.devices import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    link = SuperLinkDouble()
    with listening(link):
        made = Rig(tmp_path, link)
        _, session, journal = made.open()
        session.join()
        journal.close()
        yield made


def body(rig: Rig, name: str) -> bytes:
    reply = rig.link.reply_to(name)
    assert reply is not None
    found = reply.content.config_records["fieldvote"]["message"]
    assert isinstance(found, bytes)
    return found


@pytest.mark.parametrize("request_", [b"", b"\x00\xff", bytes(range(256)) * 4000])
def test_bytes_come_in_and_the_answer_goes_back_untouched(rig: Rig, request_: bytes) -> None:
    name = rig.link.send(request_)
    node, _, journal = rig.open()
    assert node.turn()
    assert body(rig, name) == b"re:" + request_
    assert journal.open_parcels() == []
    assert not node.turn()


def test_no_app_is_asked_for(rig: Rig) -> None:
    rig.link.send(b"x")
    rig.open()[0].turn()
    assert rig.link.calls == [
        "activate-node",
        "register-node",
        "activate-node",
        "send-node-heartbeat",
        "pull-messages",
        "pull-object",
        "push-messages",
        "push-object",
        "push-object",
        "push-object",
        "pull-object",
        "pull-object",
        "confirm-message-received",
    ]


def test_a_part_that_is_still_being_uploaded_is_waited_for(rig: Rig) -> None:
    name = rig.link.send(b"x", late=3)
    rig.open()[0].turn()
    assert body(rig, name) == b"re:x"
    # three times too early, once in time, and once for each of the parts around it
    assert rig.link.calls.count("pull-object") == 4 + 2 * 4


def test_nothing_is_forgotten_before_its_sender_has_uploaded_all_of_it(rig: Rig) -> None:
    name = rig.link.send(b"x")
    rig.link.uploading[name] = 5
    rig.open()[0].turn()
    assert body(rig, name) == b"re:x"
    first, last = rig.link.calls.index("push-messages"), len(rig.link.calls) - 1
    # the answer did not wait for it, the SuperLink's leave to forget did
    assert rig.link.uploading[name] < 0
    assert rig.link.calls.index("confirm-message-received") == last
    assert rig.link.calls[first:last].count("pull-object") == 1 + 6


def test_a_message_whose_sender_never_uploads_all_of_it_is_answered_and_left(rig: Rig) -> None:
    name = rig.link.send(b"x", ttl=0.5)
    rig.link.uploading[name] = 1000
    node, _, journal = rig.open()
    node.turn()
    assert body(rig, name) == b"re:x"
    assert journal.open_parcels() == []
    assert "confirm-message-received" not in rig.link.calls


def test_a_refusal_of_ours_travels_as_an_error_and_a_bug_without_its_text(rig: Rig) -> None:
    def refuse(_: bytes) -> bytes:
        raise LedgerSpentError("the limit is 100")

    def fail(_: bytes) -> bytes:
        raise ValueError("the text of an item")

    expected = [(REFUSED, "LedgerSpentError: the limit is 100"), (CRASHED, "unexpected ValueError")]
    for answer, (code, reason) in zip((refuse, fail), expected, strict=True):
        rig.answer = answer
        name = rig.link.send(b"x")
        rig.open()[0].turn()
        reply = rig.link.reply_to(name)
        assert reply is not None
        assert (reply.error.code, reply.error.reason) == (code, reason)


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (RecordDict({"fieldvote": ConfigRecord({"message": "text"})}), "query", "not bytes"),
        (RecordDict({"fieldvote": ConfigRecord({"other": b"x"})}), "query", "not bytes"),
        (RecordDict(), "query", "one record"),
        (RecordDict({"a": ConfigRecord(), "b": ConfigRecord({"c": 1})}), "query", "one record"),
        (RecordDict({"fieldvote": ConfigRecord({"message": b"x"})}), "train", "type train"),
    ],
)
def test_what_is_no_message_of_ours_is_refused_before_the_agent(
    rig: Rig, content: RecordDict, kind: str, said: str
) -> None:
    asked: list[bytes] = []
    rig.answer = lambda request: asked.append(request) or b""  # type: ignore[func-returns-value]  # a list that remembers
    name = rig.link.send(None, content=content, kind=kind)
    rig.open()[0].turn()
    reply = rig.link.reply_to(name)
    assert reply is not None
    assert reply.error.code == REFUSED
    assert said in (reply.error.reason or "")
    assert asked == []


def test_a_message_of_a_run_that_is_over_is_dropped_and_the_node_goes_on(rig: Rig) -> None:
    rig.link.send(b"x")
    rig.link.run_over = True
    node, _, journal = rig.open()
    node.turn()
    assert "its run is over (HTTP 403)" in rig.said[-1]
    assert journal.open_parcels() == []
    rig.link.run_over = False
    name = rig.link.send(b"y")
    node.turn()
    assert body(rig, name) == b"re:y"


def test_a_message_whose_time_is_over_never_reaches_the_agent(rig: Rig) -> None:
    asked: list[bytes] = []
    rig.answer = lambda request: asked.append(request) or b""  # type: ignore[func-returns-value]  # a list that remembers
    rig.link.send(b"x", ttl=0.0001)
    rig.open()[0].turn()
    assert asked == []
    assert "its time is over" in rig.said[-1]


def test_a_message_that_was_withdrawn_is_dropped(rig: Rig) -> None:
    rig.link.send(b"x")
    rig.link.objects.clear()
    rig.open()[0].turn()
    assert "withdrew" in rig.said[-1]


def test_a_message_that_comes_twice_is_answered_with_the_same_bytes_once_made(rig: Rig) -> None:
    made: list[bytes] = []

    def count(_: bytes) -> bytes:
        made.append(b"%d" % len(made))
        return made[-1]

    rig.answer = count
    name = rig.link.send(b"x")
    slim, tree = rig.link.waiting[0]
    rig.open()[0].turn()
    first = rig.link.answers[name].metadata.message_id
    rig.link.waiting.append((slim, tree))
    rig.link.answers.clear()
    rig.open()[0].turn()
    assert rig.link.answers[name].metadata.message_id == first
    assert made == [b"0"]


def test_a_part_that_was_not_taken_makes_the_reply_start_over(rig: Rig) -> None:
    name = rig.link.send(b"x")
    rig.link.faults["push-object"] = [None, RefusedError(0, 0)]  # the second answer is lost
    rig.open()[0].turn()
    assert body(rig, name) == b"re:x"


@pytest.mark.parametrize("status", [0, 500, 502, 503])
@pytest.mark.parametrize("call", ["pull-messages", "pull-object", "push-messages", "push-object"])
def test_a_call_that_fails_in_passing_is_made_again(rig: Rig, call: str, status: int) -> None:
    name = rig.link.send(b"x")
    rig.link.faults[call] = [RefusedError(status, 0)]
    rig.open()[0].turn()
    assert body(rig, name) == b"re:x"


def test_a_node_that_is_not_known_any_more_joins_again_and_goes_on(rig: Rig) -> None:
    node, session, _ = rig.open()
    node.turn()
    rig.link.nodes.clear()
    rig.link.online.clear()
    assert not node.turn()
    assert session.node.node_id in rig.link.online
    assert any("joining again" in line for line in rig.said)
    name = rig.link.send(b"x")
    node.turn()
    assert body(rig, name) == b"re:x"


class Crash(BaseException):
    """The process is gone at this very line."""


JOURNAL = ("receive", "keep_request", "keep_reply", "finish")


def crash_at(step: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the process die before or after the step-th effect; return the effects as they come."""
    seen: list[str] = []

    def fatal(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def wrapped(self: object, *arguments: object) -> object:
            label = str(arguments[0]) if name == "calls" else name
            for when in ("before", "after"):
                seen.append(f"{when} {label}")
                if len(seen) == step:
                    raise Crash
                if when == "before":
                    result = real(self, *arguments)
            return result

        return wrapped

    for kind, names in ((Journal, JOURNAL), (Session, ("calls",)), (LightNode, ("_reply",))):
        for name in names:
            monkeypatch.setattr(kind, name, fatal(name, getattr(kind, name)))
    return seen


def test_a_crash_at_any_step_loses_nothing_and_answers_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, step, crashed = [], 0, True
    while crashed:
        step += 1
        folder = tmp_path / str(step)
        folder.mkdir()
        link = SuperLinkDouble()
        with listening(link), monkeypatch.context() as patch:
            rig = Rig(folder, link)
            made: list[bytes] = []
            rig.answer = lambda request, made=made: made.append(request) or b"re:" + request  # type: ignore[misc]  # a list that remembers
            _, session, journal = rig.open()
            session.join()
            journal.close()
            name = link.send(b"x")
            seen = crash_at(step, patch)
            crashed = False
            node, session, journal = rig.open()
            try:
                while node.turn():
                    pass
            except Crash:
                crashed = True
                journal.close()
                died = seen[-1]
                patch.undo()
                node, session, journal = rig.open()
                session.join()
                while node.turn():
                    pass
            assert journal.open_parcels() == []
            journal.close()
            if link.reply_to(name) is None:
                lost.append(died)
                continue
            assert body(rig, name) == b"re:x"
            assert len(link.answers) == 1
            assert len(made) == (2 if died in AGAIN else 1) if crashed else len(made) == 1
    # a SuperLink hands a message out once: what dies with it in hand has never had it
    assert lost == ["after pull-messages", "before receive"]
    assert step > 20


# the agent makes up for these by a journal of its own; a second answer is never sent
AGAIN = ("after _reply", "before keep_reply")


def test_a_full_disk_stops_nothing_for_good(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    name = rig.link.send(b"x")
    node, _, _ = rig.open()
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise StoreError("disk full")

        patch.setattr(Journal, "keep_reply", full)
        with pytest.raises(StoreError):
            node.turn()
        assert rig.link.reply_to(name) is None
    node.turn()
    assert body(rig, name) == b"re:x"


def test_a_node_that_is_stopped_in_the_middle_leaves_the_rest_to_the_next(rig: Rig) -> None:
    name = rig.link.send(b"x")

    def stop_here(request: bytes) -> bytes:
        rig.stop.set()
        rig.link.faults["push-messages"] = [RefusedError(503, 0)]
        return b"re:" + request

    rig.answer = stop_here
    with pytest.raises(UnavailableError, match="stopping"):
        rig.open()[0].turn()
    rig.stop.clear()
    rig.answer = lambda _: b"never asked again"
    rig.open()[0].turn()
    assert body(rig, name) == b"re:x"
