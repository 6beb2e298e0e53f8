"""The light node's round: look for a message, write it down, answer it, look again.

::

    pull ─> journal ─> record ─> journal ─> answer ─> journal ─> push ─> confirm ─> done

It resumes at whichever step the journal says, so it may be killed between any two. No app is asked
for and none is run; what answers is the agent in this process.
"""

import contextlib
import time
from collections.abc import Callable
from functools import partial
from threading import Event

from edge.flower.fleet import (
    ConfirmMessageReceivedRequest,
    Empty,
    Error,
    Metadata,
    Node,
    PullMessagesRequest,
    PullMessagesResponse,
    PullObjectRequest,
    PullObjectResponse,
    PushMessagesRequest,
    PushMessagesResponse,
    PushObjectRequest,
    PushObjectResponse,
)
from edge.flower.journal import Journal, Parcel
from edge.flower.objects import (
    CRASHED,
    REFUSED,
    Reply,
    make_reply,
    record_in,
    reply_metadata,
    request_in,
    unread_in,
)
from edge.flower.session import Session
from edge.flower.wire import FleetError
from fieldvote.errors import FieldvoteError, StoreError, UnavailableError, WireError

_OBJECT_WAIT_S = (0.05, 1.0)
_PUSHES = 3
_MESSAGE_TYPE = "query"


class LightNode:
    """Carries requests to an agent, and its replies back."""

    def __init__(
        self,
        session: Session,
        journal: Journal,
        answer: Callable[[bytes], bytes],
        *,
        stop: Event,
        say: Callable[[str], None],
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Answer messages with this function until stop is set."""
        self._session = session
        self._journal = journal
        self._answer = answer
        self._stop = stop
        self._say = say
        self._now_s = now_s

    def run(self) -> None:
        """Join, and answer until stopped; nothing that fails ends it."""
        try:
            self._run()
        finally:
            # a call that was under way when we were told to stop may have opened the line anew
            self._session.hang_up()

    def _run(self) -> None:
        """Look for messages until stopped."""
        heard_s, failures = time.monotonic(), 0
        while not self._stop.is_set():
            try:
                began_s = time.monotonic()
                busy = self.turn()
                now_s = time.monotonic()
                heard_s = now_s if busy else heard_s
                failures = 0
                self._session.wait(now_s - heard_s, 0.0 if busy else now_s - began_s)
            except (UnavailableError, WireError) as err:
                failures += 1
                try:
                    self._session.retry_after(str(err), failures)
                except UnavailableError:
                    # stopped, or the disk that should remember the trouble is the trouble
                    self._stop.wait(_OBJECT_WAIT_S[1])

    def turn(self) -> bool:
        """Finish what is open, then take in at most one message; return whether there was any."""
        parcels = self._journal.open_parcels()
        if not parcels:
            self._receive()
            parcels = self._journal.open_parcels()
        for parcel in parcels:
            self._finish(parcel)
        return bool(parcels)

    def _receive(self) -> None:
        """Write down what the SuperLink has for us; it will not send it again."""
        (came,) = self._session.calls(
            "pull-messages", [lambda node: PullMessagesRequest(node=node)], PullMessagesResponse
        )
        for message, tree in zip(came.messages_list, came.message_object_trees, strict=False):
            self._journal.receive(message, tree)

    def _finish(self, parcel: Parcel) -> None:
        """Take a message from where it is to its answer, or drop it when nobody waits."""
        try:
            if parcel.metadata.created_at + parcel.metadata.ttl <= self._now_s():
                raise LookupError("its time is over")
            metadata, reply = parcel.reply_metadata, parcel.reply
            if metadata is None or reply is None:
                metadata, reply = self._answered(parcel)
            self._push(parcel, make_reply(metadata, reply))
        except FleetError as err:
            self._drop(parcel, f"its run is over (HTTP {err.status})")
        except LookupError as err:
            self._drop(parcel, str(err))
        else:
            self._confirm(parcel)
            self._journal.finish(parcel)

    def _confirm(self, parcel: Parcel) -> None:
        """Let the SuperLink forget the message's objects; nobody waits for this, so it is last.

        We answer as soon as the one object we read is there, while others may still be on their
        way: were they forgotten then, their upload would fail, and with it the sender's whole run.
        """
        with contextlib.suppress(FleetError, LookupError):
            for name in unread_in(parcel.tree):
                self._object(parcel, name)
            self._session.calls(
                "confirm-message-received",
                [
                    lambda node: ConfirmMessageReceivedRequest(
                        node=node, run_id=parcel.metadata.run_id, message_object_id=parcel.name
                    )
                ],
                Empty,
            )

    def _drop(self, parcel: Parcel, reason: str) -> None:
        """Forget a message."""
        self._journal.drop(parcel)
        self._say(f"message {parcel.name[:8]} dropped: {reason}")

    def _answered(self, parcel: Parcel) -> tuple[Metadata, bytes | Error]:
        """Return a message's reply and its address, both written down."""
        request = parcel.request
        reply: bytes | Error | None = None
        if request is None:
            try:
                request = self._fetched(parcel)
                self._journal.keep_request(parcel, request)
            except WireError as err:
                reply = _refusal(err)
        if request is not None:
            reply = self._reply(request)
        metadata = reply_metadata(parcel.metadata, self._now_s())
        if reply is None or metadata.ttl <= 0:
            raise LookupError("its time is over")
        self._journal.keep_reply(parcel, metadata, reply)
        return metadata, reply

    def _fetched(self, parcel: Parcel) -> bytes:
        """Return what a message carries.

        Raises:
            WireError: nothing of ours.
            LookupError: the message was withdrawn.
        """
        if parcel.metadata.message_type != _MESSAGE_TYPE:
            raise WireError(f"a message of type {parcel.metadata.message_type[:40]} is not ours")
        name = record_in(parcel.tree)
        return request_in(name, self._object(parcel, name))

    def _object(self, parcel: Parcel, name: str) -> bytes:
        """Return one object, which its sender may still be uploading."""
        wait_s = _OBJECT_WAIT_S[0]
        while True:
            (came,) = self._session.calls(
                "pull-object",
                [
                    lambda node: PullObjectRequest(
                        node=node, run_id=parcel.metadata.run_id, object_id=name
                    )
                ],
                PullObjectResponse,
            )
            if came.object_available:
                return came.object_content
            expires_s = parcel.metadata.created_at + parcel.metadata.ttl
            if not came.object_found or self._now_s() > expires_s:
                raise LookupError("its sender withdrew it")
            if self._stop.wait(wait_s):
                raise UnavailableError("the node is stopping")
            wait_s = min(2 * wait_s, _OBJECT_WAIT_S[1])

    def _reply(self, request: bytes) -> bytes | Error:
        """Return what the agent says; what it raises becomes the coordinator's to read."""
        try:
            return self._answer(request)
        except StoreError:
            raise  # our own disk: the request is not refused, it waits
        except FieldvoteError as err:
            return _refusal(err)
        except (
            Exception
        ) as err:  # one bad request must not end the node; the text may quote an item
            if self._stop.is_set():
                raise UnavailableError("the node is stopping") from err
            return Error(code=CRASHED, reason=f"unexpected {type(err).__name__}")

    def _push(self, parcel: Parcel, reply: Reply) -> None:
        """Send a reply; begin anew where the upload's session ended before we did."""
        for _ in range(_PUSHES):
            if self._pushed(parcel, reply):
                return
            self._stop.wait(_OBJECT_WAIT_S[0])
        raise LookupError("the SuperLink does not take its objects")

    def _pushed(self, parcel: Parcel, reply: Reply) -> bool:
        """Send a reply once; return whether every object was taken."""
        (wanted,) = self._session.calls(
            "push-messages",
            [
                lambda node: PushMessagesRequest(
                    node=node, messages_list=(reply.envelope,), message_object_trees=(reply.tree,)
                )
            ],
            PushMessagesResponse,
        )
        # in one go: a coordinator that looks before the last of them is there waits for a second
        taken = self._session.calls(
            "push-object",
            [
                partial(_part, parcel.metadata.run_id, wanted.session_id, name, content)
                for name, content in reply.contents
                if name in wanted.objects_to_push
            ],
            PushObjectResponse,
        )
        return all(each.stored for each in taken)


def _part(run_id: int, session: str, name: str, content: bytes, node: Node) -> PushObjectRequest:
    """Return the call that sends one object."""
    return PushObjectRequest(
        node=node, run_id=run_id, object_id=name, object_content=content, session_id=session
    )


def _refusal(err: FieldvoteError) -> Error:
    """Return an error of ours as it travels."""
    return Error(code=REFUSED, reason=f"{type(err).__name__}: {err}")
