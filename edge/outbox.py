"""The one door out of a device.

Whatever leaves is built or checked here, in this order: the policy says whether it may; an item is
redacted; a second, independent scan looks at what is left; the result is padded and sealed to the
labeling key; the ledger is charged and has written it down; only then are there bytes to send. A
hit in the second scan stops the item and is counted. The only other socket of this package is the
light node's (:mod:`edge.flower`), which carries what was released here and nothing else.

What an auditor finds in this file is all there is: six kinds of sums, offers without content,
sealed candidates that were asked for, and how much of a task or which head has arrived.
"""

import contextlib
import os
import socket
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from edge.items import TaskInput, rows_of, texts_of
from fieldvote.codec import MAX_MESSAGE_BYTES
from fieldvote.errors import (
    FieldvoteError,
    InternalError,
    LeakError,
    LedgerSpentError,
    RefusalError,
    UnavailableError,
)
from fieldvote.portions import portions
from fieldvote.records import (
    CANDIDATE_CONTEXT,
    CollectReply,
    MaskedItem,
    Reply,
    SealedItem,
    SurveyReply,
    encode,
)
from fieldvote.task import Task, TextInput
from privacy.dp import Ledger
from privacy.pii import FieldPolicy, KeptField, Redactor, Vocabulary, mask_fields, second_scan
from privacy.sealing import SigningKey, seal

_FRAME = struct.Struct(">I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Who candidates are sealed to, and in which context.

    Attributes:
        labeling_key: Public X25519 key of the labeling desk.
        context: What binds an envelope to this task.
    """

    labeling_key: bytes
    context: bytes


class Outbox:
    """Builds, checks, charges; holds the only key that signs what leaves."""

    def __init__(
        self,
        task: Task,
        *,
        ledger: Ledger,
        redactor: Redactor,
        vocabulary: Vocabulary,
        signer: SigningKey,
        recipient: Recipient,
    ) -> None:
        """Take the policy from the task."""
        self._policy = task.policy
        self._fields = FieldPolicy(
            keep=tuple(KeptField(name, decimals) for name, decimals in task.policy.candidates.keep)
        )
        self._input: TaskInput = task.input
        self._ledger = ledger
        self._redactor = redactor
        self._vocabulary = vocabulary
        self._signer = signer
        self._recipient = recipient
        self.incidents: Counter[str] = Counter(second_scan=0)

    @property
    def ledger(self) -> Ledger:
        """What this device has given away."""
        return self._ledger

    @property
    def signing_key(self) -> bytes:
        """Public half of the key that signs envelopes."""
        return self._signer.public

    def release(self, reply: Reply) -> bytes:
        """Return the bytes of a reply, charged to the ledger.

        Raises:
            RefusalError: the policy does not let this reply out.
            LedgerSpentError: the device has given away all it may.
        """
        if isinstance(reply, SurveyReply) and len(reply.offers) > self._policy.limits.offers:
            raise RefusalError(
                f"{len(reply.offers)} offers, the policy allows {self._policy.limits.offers}"
            )
        blob = encode(reply)
        sizes = portions(reply, blob)
        if isinstance(reply, CollectReply):
            # the envelopes were charged one by one as they were sealed
            sizes["candidates"] -= sum(len(candidate.envelope) for candidate in reply.sealed)
        self._afford(sum(sizes.values()))
        for kind, size in sizes.items():
            if size:
                self._ledger.charge(kind, size_bytes=size)
        return blob

    def _afford(self, size_bytes: int) -> None:
        """Refuse a reply that does not fit as a whole before any part of it is charged."""
        spent, limit = self._ledger.spent.size_bytes, self._ledger.limits.size_bytes
        if spent + size_bytes > limit:
            raise LedgerSpentError(
                f"{size_bytes} bytes more would make {spent + size_bytes}, the limit is {limit}"
            )

    def ship(self, item: bytes, payload: bytes) -> SealedItem:
        """Return one granted item redacted, scanned and sealed, or the reason why it stays.

        Args:
            item: The offer's id.
            payload: What the pool holds; it does not leave this call unmasked.
        """
        try:
            masked = self.mask(item, payload)
            envelope = seal(
                encode(masked),
                recipient=self._recipient.labeling_key,
                context=CANDIDATE_CONTEXT + self._recipient.context + item,
                signer=self._signer,
            )
            self._ledger.charge("candidates", size_bytes=len(envelope), candidates=1)
        except RefusalError as err:
            return SealedItem(item=item, envelope=b"", refusal=type(err).__name__)
        return SealedItem(item=item, envelope=envelope, refusal="")

    def mask(self, item: bytes, payload: bytes) -> MaskedItem:
        """Return what an annotator would see of this item.

        Raises:
            LeakError: the second scan found personal data in what the redactor let through.
        """
        if isinstance(self._input, TextInput):
            text = self._redactor.redact(texts_of([payload])[0]).text
            self._scan(text)
            return MaskedItem(item=item, text=text, names=(), values=())
        row = rows_of([payload], len(self._input.fields))[0]
        kept = mask_fields(self._input.fields, row, self._fields)
        return MaskedItem(
            item=item,
            text="",
            names=tuple(name for name, _ in kept),
            values=tuple("" if value is None else repr(value) for _, value in kept),
        )

    def _scan(self, text: str) -> None:
        """Stop what the redactor should have stopped."""
        hits = second_scan(text, self._vocabulary)
        if hits:
            self.incidents["second_scan"] += 1
            kinds = ", ".join(sorted({hit.kind for hit in hits}))
            raise LeakError(f"the second scan found {len(hits)} places ({kinds}); the item stays")


def serve(path: Path, handle: Callable[[bytes], bytes], stop: Event) -> None:
    """Answer requests on a Unix socket until stop is set.

    The socket is 0600 and the peer must have our own user id, so that no other user of the machine
    can ask on the coordinator's behalf. One request at a time: a pool has one writer.

    Args:
        path: Where to listen; a stale socket there is replaced, anything else is refused.
        handle: Request bytes to reply bytes.
        stop: Set from a signal handler or another thread.
    """
    if path.exists() and not path.is_socket():
        raise UnavailableError(f"{path.name} is in the way: it is no socket")
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        old_mask = os.umask(0o177)
        try:
            listener.bind(str(path))
        except OSError as err:
            raise UnavailableError(f"cannot listen on {path.name}: {err.strerror or err}") from err
        finally:
            os.umask(old_mask)
        listener.listen(8)
        listener.settimeout(0.2)
        try:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    peer, _ = listener.accept()
                    with peer:
                        _answer(peer, handle)
        finally:
            path.unlink(missing_ok=True)


def ask(path: Path, request: bytes, timeout_s: float = 60.0) -> bytes:
    """Send one request to the agent that listens here, and return its reply.

    Raises:
        UnavailableError: no agent answers; retry.
        RefusalError: the agent refused, with its reason.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(timeout_s)
            peer.connect(str(path))
            _send(peer, request)
            frame = _receive(peer)
    except OSError as err:
        raise UnavailableError(
            f"no agent answers on {path.name}: is 'fieldvote edge run' up?"
        ) from err
    if frame[:1] == b"\x00":
        return frame[1:]
    raise RefusalError(frame[1:].decode("utf-8", errors="replace"))


def _answer(peer: socket.socket, handle: Callable[[bytes], bytes]) -> None:
    """Serve one connection; an error of ours travels back as its sentence, never its content."""
    peer.settimeout(60.0)
    if _peer_uid(peer) != os.getuid():
        return
    try:
        request = _receive(peer)
    except RefusalError as err:
        frame = b"\x01" + str(err).encode()
    except OSError:
        return
    else:
        frame = _frame(handle, request)
    with contextlib.suppress(OSError):
        _send(peer, frame)


def _frame(handle: Callable[[bytes], bytes], request: bytes) -> bytes:
    """Return the reply or the error that travels back."""
    try:
        return b"\x00" + handle(request)
    except FieldvoteError as err:
        return b"\x01" + str(err).encode()
    except Exception as err:  # one bad request must not end the agent; the text may quote an item
        return b"\x01" + str(InternalError(f"unexpected {type(err).__name__}")).encode()


def _peer_uid(peer: socket.socket) -> int:
    """Return the user id of the process at the other end."""
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


def _send(peer: socket.socket, body: bytes) -> None:
    peer.sendall(_FRAME.pack(len(body)) + body)


def _receive(peer: socket.socket) -> bytes:
    """Read one frame; a length past the limit is refused before anything is read."""
    (size,) = _FRAME.unpack(_exactly(peer, _FRAME.size))
    if size > MAX_MESSAGE_BYTES + 1:
        raise RefusalError(f"a frame of {size} bytes passes the limit")
    return _exactly(peer, size)


def _exactly(peer: socket.socket, size: int) -> bytes:
    """Read this many bytes or fail."""
    out = bytearray()
    while len(out) < size:
        part = peer.recv(min(size - len(out), 1 << 20))
        if not part:
            raise ConnectionError("the other end hung up")
        out += part
    return bytes(out)
