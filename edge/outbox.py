"""The one door out of a device.

Whatever leaves is built or checked here. An item goes through all of this, in this order:

1. *Policy*: the rights it came with and the policy say whether it may be shown (`mask`).
2. *Redact*: a text by the policy's mode, a row by the policy's rule for each field (`_masked`).
3. *Scan*: other code looks at what is left; a hit stops the item and is counted (`_scan`).
4. *Pad and seal*: to the labeling key, so that whoever carries it reads nothing (`ship`).
5. *Charge*: the ledger has it on the disk before there are bytes to send (`ship`, `release`).
6. *Send*: the reply to who asked, over this file's socket (`serve`), or over the light node's
   (:mod:`edge.flower`), which carries what was released here and nothing else.

What cannot be masked stays too: an item leaves only if every step has said yes. What an auditor
finds in this file is all there is: sums, offers without content, sealed candidates that were asked
for, and how much of a task or which head has arrived. Where the policy hides records, sums are
charged for and noised here (`release_noised`), and no other leaves (`check`).
"""

import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event

from edge.asking import peer_uid, receive, send
from edge.incidents import Incidents
from edge.items import TaskInput, rows_of, texts_of
from edge.private_door import check_leaving
from edge.spending import account_in
from fieldvote.codec import IntVector
from fieldvote.errors import (
    FieldvoteError,
    InternalError,
    LeakError,
    LedgerSpentError,
    RefusalError,
    UnavailableError,
)
from fieldvote.policy import RedactionMode
from fieldvote.portions import portions
from fieldvote.records import (
    CollectReply,
    MaskedItem,
    Reply,
    SealedItem,
    SurveyReply,
    encode,
)
from fieldvote.rights import Rights
from fieldvote.task import Task, TextInput
from privacy.dp import Ledger
from privacy.dp.mechanisms import NoisePlan
from privacy.pii import (
    FieldPolicy,
    Redactor,
    Vocabulary,
    mask_fields,
    second_scan,
    structured_scan,
)
from privacy.pii.field_scan import field_scan
from privacy.pii.fields import show_fields
from privacy.sealing import SigningKey, seal
from privacy.sealing.context import Marks, Purpose, Scope
from privacy.sealing.replay import Numbering
from privacy.sealing.rotation import DatedKey, newest_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Who candidates are sealed to.

    Attributes:
        labeling_keys: Public X25519 keys of the labeling desk and when each is good; the newest
            that is good is sealed to.
        now: Tells which are.
    """

    labeling_keys: tuple[DatedKey, ...]
    now: Callable[[], datetime]


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
        incidents: Incidents | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Take the policy from the task.

        Args:
            task: What is installed.
            ledger: Where everything that leaves is charged.
            redactor: Masks texts, by the policy's mode.
            vocabulary: What the second scan of strict mode knows.
            signer: Signs envelopes.
            recipient: Who may open them.
            incidents: Where stopped items are counted; in memory if not given.
            entropy: What noise is made of, in fields and in sums; only a rehearsal gives another
                than the system's.
        """
        self._policy = task.policy
        self._fields = FieldPolicy.of(task.policy.candidates)
        self._entropy = entropy
        self._input: TaskInput = task.input
        self._ledger = ledger
        self._account = account_in(ledger, task)
        self._redactor = redactor
        self._vocabulary = vocabulary
        self._signer = signer
        self._recipient = recipient
        self._family = task.family
        self._task = bytes.fromhex(task.digest)
        self._policy_digest = bytes.fromhex(task.policy_digest)
        self._numbers = Numbering(os.urandom)
        self.incidents = Incidents() if incidents is None else incidents

    @property
    def ledger(self) -> Ledger:
        """What this device has given away."""
        return self._ledger

    @property
    def signing_key(self) -> bytes:
        """Public half of the key that signs envelopes."""
        return self._signer.public

    def check(self, reply: Reply) -> None:
        """Return if the policy lets a reply out, on its own or inside another.

        Raises:
            RefusalError: it does not.
        """
        if isinstance(reply, SurveyReply) and len(reply.offers) > self._policy.limits.offers:
            raise RefusalError(
                f"{len(reply.offers)} offers, the policy allows {self._policy.limits.offers}"
            )
        check_leaving(self._policy.privacy, reply)

    def release(self, reply: Reply, *, carries: Mapping[str, int] | None = None) -> bytes:
        """Return the bytes of a reply, charged to the ledger.

        Args:
            reply: What leaves.
            carries: How many of its bytes are summaries, updates and so on, where that cannot be
                seen: under masks, or in a reply inside it.

        Raises:
            RefusalError: the policy does not let this reply out.
            LedgerSpentError: the device has given away all it may.
        """
        self.check(reply)
        blob = encode(reply)
        sizes = portions(reply, blob)
        for kind, size in (carries or {}).items():
            if kind != "overhead":
                sizes[kind] += size
                sizes["overhead"] -= size
        if isinstance(reply, CollectReply):
            # the envelopes were charged one by one as they were sealed
            sizes["candidates"] -= sum(len(candidate.envelope) for candidate in reply.sealed)
        self._afford(sum(sizes.values()))
        for kind, size in sizes.items():
            if size:
                self._ledger.charge(kind, size_bytes=size, task=self._account)
        return blob

    def release_noised(
        self, kind: str, values: IntVector, plan: NoisePlan, *, subject: bytes, apart: bool = False
    ) -> IntVector:
        """Return a sum with this device's noise, once the ledger has it (privacy.dp.Ledger)."""
        return self._ledger.release(
            kind,
            values,
            noise=plan.noise,
            l2_squared=plan.l2_squared,
            entropy=self._entropy,
            task=self._account,
            subject=subject,
            apart=apart,
        )

    def _afford(self, size_bytes: int) -> None:
        """Refuse a reply that does not fit as a whole before any part of it is charged."""
        spent, limit = self._ledger.spent.size_bytes, self._ledger.limits.size_bytes
        if spent + size_bytes > limit:
            raise LedgerSpentError(
                f"{size_bytes} bytes more would make {spent + size_bytes}, the limit is {limit}"
            )

    def ship(
        self, item: bytes, payload: bytes, *, rights: Rights, round_number: int = 0
    ) -> SealedItem:
        """Return one granted item redacted, scanned and sealed, or the reason why it stays.

        Args:
            item: The offer's id.
            payload: What the pool holds; it does not leave this call unmasked.
            rights: What may be done with it.
            round_number: The round that asks for it.
        """
        try:
            masked = self.mask(item, payload, rights)
            recipient = newest_key(self._recipient.labeling_keys, self._recipient.now())
            epoch, sequence = self._numbers.next(recipient)
            envelope = seal(
                encode(masked),
                recipient=recipient,
                scope=self._scope(item),
                marks=Marks(
                    epoch=epoch,
                    sequence=sequence,
                    round=round_number,
                    task=self._task,
                    policy=self._policy_digest,
                ),
                signer=self._signer,
            )
            self._ledger.charge(
                "candidates", size_bytes=len(envelope), candidates=1, task=self._account
            )
        except RefusalError as err:
            return SealedItem(item=item, envelope=b"", refusal=type(err).__name__)
        return SealedItem(item=item, envelope=envelope, refusal="")

    def _scope(self, item: bytes) -> Scope:
        """Return what binds an envelope to this task, this device and this item."""
        return Scope(
            purpose=Purpose.CANDIDATE, family=self._family, device=self._signer.public, item=item
        )

    def mask(self, item: bytes, payload: bytes, rights: Rights = Rights.SHIP) -> MaskedItem:
        """Return what an annotator would see of this item.

        Raises:
            RefusalError: the item may not be shown.
            LeakError: it cannot be masked, or the second scan found what should have been.
        """
        if not rights.may_be_shown:
            raise RefusalError(f"the item's rights are '{rights.value}': it is shown to nobody")
        try:
            masked = self._masked(item, payload)
            hits = self._scan(masked)
        except Exception as err:  # what a masking says of its failure may quote the item
            self.incidents["masking"] += 1
            raise LeakError(f"it cannot be masked ({type(err).__name__}); the item stays") from None
        if hits:
            self.incidents["second_scan"] += 1
            raise LeakError(f"the second scan found {', '.join(sorted(hits))}; the item stays")
        return masked

    def _masked(self, item: bytes, payload: bytes) -> MaskedItem:
        """Redact one item."""
        if isinstance(self._input, TextInput):
            text = self._redactor.redact(texts_of([payload])[0]).text
            return MaskedItem(item=item, text=text, names=(), values=())
        row = rows_of([payload], len(self._input.fields))[0]
        kept = mask_fields(self._input.fields, row, self._fields, self._entropy)
        shown = show_fields(kept, self._fields)
        return MaskedItem(
            item=item,
            text="",
            names=tuple(name for name, _ in shown),
            values=tuple(value for _, value in shown),
        )

    def _scan(self, masked: MaskedItem) -> set[str]:
        """Return which rules are broken by what redaction let through."""
        rows = tuple(zip(masked.names, masked.values, strict=True))
        kinds = {rule for _, rule in field_scan(rows, self._fields.leaving)}
        if self._policy.candidates.redaction is RedactionMode.STRICT:
            kinds |= {hit.kind for hit in second_scan(masked.text, self._vocabulary)}
        else:
            # where unknown words may go, only what has a form of its own can be asked for
            kinds |= {hit.kind for hit in structured_scan(masked.text)}
        return kinds


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


def _answer(peer: socket.socket, handle: Callable[[bytes], bytes]) -> None:
    """Serve one connection; an error of ours travels back as its sentence, never its content."""
    peer.settimeout(60.0)
    if peer_uid(peer) != os.getuid():
        return
    try:
        request = receive(peer)
    except RefusalError as err:
        frame = b"\x01" + str(err).encode()
    except OSError:
        return
    else:
        frame = _frame(handle, request)
    with contextlib.suppress(OSError):
        send(peer, frame)


def _frame(handle: Callable[[bytes], bytes], request: bytes) -> bytes:
    """Return the reply or the error that travels back."""
    try:
        return b"\x00" + handle(request)
    except FieldvoteError as err:
        return b"\x01" + str(err).encode()
    except Exception as err:  # one bad request must not end the agent; the text may quote an item
        return b"\x01" + str(InternalError(f"unexpected {type(err).__name__}")).encode()
