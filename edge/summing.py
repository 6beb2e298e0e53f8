"""Answering under masks: a device's part in sums that nobody sees it in.

Rules it keeps, whatever a coordinator says:

- Keys are those of the fleet's directory, sizes reach the policy's floors, epochs only grow.
- Items are in a sum when their payload was masked, in the same transaction; what was never masked
  is added to a later sum.
- A payload is masked for one name in one epoch. Masked once, it is masked again only so.
- A sum is opened once: a keeper reveals nothing twice for one name, whichever devices are in it. So
  no two sums of one name are ever there to be subtracted.
- Where the policy says so, and it does unless told otherwise, a sum that lost a device after it was
  counted in is not confirmed: it begins anew, or not at all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from edge.answering import take_answers
from edge.entering import Change
from edge.holdings import Holdings
from edge.payload import Payload, payload_of
from edge.pool import Pool
from edge.private_door import without_sums
from edge.secure_means import SecureMeans
from fieldvote.errors import InputError, RefusalError, SealError
from fieldvote.portions import portions
from fieldvote.records import AnswersRequest, Reply, Request, decode, encode
from fieldvote.summed_fields import CHANGING, SUMMED, read_question
from fieldvote.sums import (
    ConfirmRequest,
    EpochRequest,
    MaskRequest,
    Roster,
    RosterReply,
    SummedReply,
    SummedRequest,
    UnmaskRequest,
)
from privacy.sealing import SealingKey
from privacy.secagg import Floors, Participant, check_roster, sign_epoch_key
from privacy.secagg.roster import device_number

_LEGS = (MaskRequest, ConfirmRequest, UnmaskRequest)
_SECRET, _SEAT, _SAID = "secure secret", "secure seat", "secure said "
_ROSTER, _EPOCH = "sums roster", "sums epoch"
_OPENED = "sum opened "  # and the name; kept for good


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """What leaves, and what goes with it.

    Attributes:
        reply: The reply.
        change: What the pool is to remember.
        carries: How many of its bytes are summaries, updates and so on; the rest is overhead.
    """

    reply: Reply
    change: Callable[[], None]
    carries: Mapping[str, int]


class SecureSums:
    """One device's part, request by request; everything it must not forget is in the pool."""

    def __init__(
        self, held: Holdings, answer: Callable[[Request], tuple[Reply, Callable[[], None]]]
    ) -> None:
        """Answer with what a device holds.

        Args:
            held: Its pool.
            answer: Answers an ordinary request, and says what that changes.
        """
        self._held, self._answer = held, answer
        self._pool, self._policy = held.parts.pool, held.parts.task.policy.cohort

    def recall(self, message: Request, request: bytes) -> bytes | None:
        """Return what was said to a leg, if it was the last of its kind.

        A sum has many legs: in the journal of requests they would push out what may be asked later.
        """
        kept = self._kept(_SAID + type(message).__name__)
        name = self._name(message, request)
        return kept[len(name) :] if kept is not None and kept.startswith(name) else None

    def remember(self, message: Request, request: bytes, reply: bytes) -> None:
        """Remember what was said to a leg; the caller holds the transaction."""
        name = self._name(message, request)
        self._keep(_SAID + type(message).__name__, name + reply)

    def _name(self, message: Request, request: bytes) -> bytes:
        """Return what a leg is known by; it says which round it is of, and not which epoch."""
        epoch = self._pool.note(_ROSTER) or b"" if isinstance(message, _LEGS) else b""
        return blake2b(request, digest_size=16, key=epoch).digest()

    def work(self, message: Request) -> Leaving:
        """Answer one message of a sum.

        Raises:
            RefusalError: a rule is broken.
        """
        means = self._held.parts.secure
        if means is None:
            raise RefusalError("no directory says which devices are real: no sums under masks")
        match message:
            case EpochRequest(epoch=number):
                return self._begin(means, number)
            case Roster():
                return self._enrol(means, message)
            case SummedRequest():
                return self._check_in(means, message)
            case MaskRequest():
                return self._mask(means, message)
            case ConfirmRequest():
                return self._confirm(message)
            case UnmaskRequest():
                return self._unmask(message)
            case _:
                raise RefusalError(f"{type(message).__name__} is no part of a sum")

    def _begin(self, means: SecureMeans, number: int) -> Leaving:
        """Make a key for an epoch."""
        if number <= (last := self._last_epoch()):
            raise RefusalError(f"epoch {number} after epoch {last}")
        secret = SealingKey.generate(means.entropy)
        key = sign_epoch_key(
            epoch=number,
            device=device_number(means.signer.public),
            exchange=secret.public,
            signer=means.signer,
        )
        kept = number.to_bytes(8, "little") + secret.to_bytes()
        return _leaving(key, lambda: self._keep(_SECRET, kept))

    def _enrol(self, means: SecureMeans, roster: Roster) -> Leaving:
        """Check a roster, and agree with those in it on keys."""
        kept = self._kept(_SECRET) or b""
        if kept[:8] != roster.epoch.to_bytes(8, "little", signed=True):
            raise RefusalError(f"this device made no key for epoch {roster.epoch}")
        epoch = check_roster(
            roster,
            directory=means.directory(),
            floors=Floors.of(self._policy),
            newer_than=self._last_epoch(),
        )
        participant = Participant.enrol(
            epoch,
            roster,
            device=device_number(means.signer.public),
            secret=SealingKey.from_bytes(kept[8:]),
        )

        def change() -> None:
            self._keep(_SEAT, participant.to_bytes())
            self._pool.keep_note(_ROSTER, epoch.digest)
            self._pool.keep_note(_EPOCH, b"%d" % roster.epoch)
            self._pool.update("DELETE FROM note WHERE name = ?", [(_SECRET,)])

        return _leaving(RosterReply(roster=epoch.digest, seat=participant.seat), change)

    def _check_in(self, means: SecureMeans, message: SummedRequest) -> Leaving:
        """Answer in the clear what is not summed, and check in to the sum of the rest."""
        question, name = read_question(message.question)
        deposit, participant = None, None
        if message.deposit is not None:
            self._check_unopened(name)
            participant = self._seated()
            deposit = participant.deposit(message.deposit, entropy=means.entropy)
        told = blake2b(message.question, digest_size=16).digest()
        blob, payload = self._pool.recall(told), Payload.of(self._pool)
        at_once: Callable[[], None] | None = None
        again = self._may_mask(payload, name, message)
        if blob is None or not again:
            reply, change = self._answered(question)
            without, made = payload_of(self._held, question, reply, change, name=name)
            if not again:
                payload = made
            if blob is None:
                at_once, blob = change.at_once, encode(without)
        summed = payload if deposit is not None else None

        def remember(clear: bytes = blob) -> None:
            if at_once is not None:
                at_once()
                if isinstance(question, CHANGING):
                    self._pool.remember(told, clear)
            if participant is not None and summed is not None:
                self._keep(_SEAT, participant.to_bytes())
                summed.keep(self._pool)

        clear = decode(blob, SUMMED[type(question)].reply)
        self._held.parts.outbox.check(clear)
        summed_reply = SummedReply(
            clear=blob,
            deposit=deposit if summed is not None else None,
            sections=summed.sections if summed is not None else (),
        )
        return Leaving(reply=summed_reply, change=remember, carries=portions(clear, blob))

    def _answered(self, question: Request) -> tuple[Reply, Change]:
        """Answer an ordinary request, with whatever earlier ones should have added to sums."""
        if isinstance(question, AnswersRequest):
            taken, remember = take_answers(self._held, question, owed=True)
            reply = without_sums(self._held.parts.task.policy.privacy, taken)
            self._held.parts.outbox.check(reply)
            return reply, remember
        reply, change = self._answer(question)
        return reply, change if isinstance(change, Change) else Change(pool=self._pool)

    def _may_mask(self, payload: Payload | None, name: bytes, message: SummedRequest) -> bool:
        """Return whether what was made before is what this sum is to have."""
        if payload is None or payload.name != name or message.deposit is None:
            return message.deposit is None  # in the clear nothing is masked, so nothing is made
        elsewhere = payload.roster not in (b"", message.deposit.roster)
        return payload.is_good(self._held) and not elsewhere

    def _mask(self, means: SecureMeans, message: MaskRequest) -> Leaving:
        """Mask the payload; from here on its items are in a sum."""
        participant, payload = self._seated(), Payload.of(self._pool)
        if payload is None or payload.name != message.about:
            raise RefusalError("a sum of something else than this device checked in for")
        self._check_unopened(payload.name)
        digest = participant.epoch.digest
        if payload.roster not in (b"", digest):
            raise RefusalError("these items were masked in another epoch, for this same sum")
        if not payload.is_good(self._held):
            raise RefusalError("some of these items entered another sum since the check-in")
        masked = participant.mask(message, payload.vector, entropy=means.entropy)

        def change() -> None:
            self._keep(_SEAT, participant.to_bytes())
            if not payload.roster:
                for each in payload.entering:
                    each.into(self._pool)
            payload.masked_under(digest).keep(self._pool)

        carries = {kind: n * message.word_bytes for kind, n in payload.carries.items()}
        return Leaving(reply=masked, change=change, carries=carries)

    def _confirm(self, message: ConfirmRequest) -> Leaving:
        """Sign the survivors towards the other keepers."""
        participant = self._seated()
        self._check_whole(participant, message.survivors)
        confirmation = participant.confirm(message)
        return _leaving(confirmation, lambda: self._keep(_SEAT, participant.to_bytes()))

    def _unmask(self, message: UnmaskRequest) -> Leaving:
        """Reveal what opens the sum, for this name once and never again."""
        participant, payload = self._seated(), Payload.of(self._pool)
        if payload is None or payload.roster != participant.epoch.digest:
            raise RefusalError("nothing of this device is masked in this epoch")
        self._check_unopened(payload.name)
        self._check_whole(participant, message.survivors)
        unmasking = participant.unmask(message)

        def change() -> None:
            self._keep(_SEAT, participant.to_bytes())
            self._pool.keep_note(_OPENED + payload.name.hex(), b"")

        return _leaving(unmasking, change)

    def _check_whole(self, participant: Participant, survivors: bytes) -> None:
        """Refuse a sum that has lost a device, unless the policy lets one."""
        if not self._policy.partial and participant.cohort != survivors:
            raise RefusalError(
                "a device was lost after it was counted in: begin this sum anew without it"
            )

    def _check_unopened(self, name: bytes) -> None:
        """Refuse a second sum of one name: the two would subtract to those they differ in."""
        if self._pool.note(_OPENED + name.hex()) is not None:
            raise RefusalError(
                "the sum that answers to this was opened already, and is never twice"
            )

    def _last_epoch(self) -> int:
        """Return the newest epoch this device took part in."""
        return int(self._pool.note(_EPOCH) or b"-1")

    def _participant(self) -> Participant | None:
        """Return this device's place in the epoch, None where it has none."""
        kept = self._kept(_SEAT)
        try:
            return None if kept is None else Participant.from_bytes(kept)
        except InputError:
            return None  # of an older program: the next epoch is joined anew

    def _seated(self) -> Participant:
        """Return this device's place in the epoch."""
        if (participant := self._participant()) is None:
            raise RefusalError("this device is in no epoch yet")
        return participant

    def _keep(self, name: str, value: bytes) -> None:
        """Keep a secret in the pool, locked where that is."""
        (locked,) = self._pool.locker.seal("note", name, [(name, value)])
        self._pool.keep_note(name, locked)

    def _kept(self, name: str) -> bytes | None:
        """Return a secret from the pool; None where there is none, or none that can be opened."""
        note = self._pool.note(name)
        try:
            return note and self._pool.locker.open("note", name, [(name, note)])[0]
        except SealError:
            return None  # from before the pool was locked: the next epoch is joined anew


def _leaving(reply: Reply, change: Callable[[], None]) -> Leaving:
    """Return a message that carries nothing but what keeps sums safe."""
    return Leaving(reply=reply, change=change, carries={})


def is_seated(pool: Pool) -> bool:
    """Return whether a device has taken part in an epoch of sums under masks."""
    return pool.note(_SEAT) is not None
