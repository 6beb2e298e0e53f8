"""One sum over a cohort, from the check-in to what it comes to; the legs are in docs/guide.

::

    gather ─> epoch ─> check in ─> mask ─> confirm ─> (written down) ─> unmask ─> total
       ^                               └── lost a device: a new round ──┘
       └───────────────────────────────────┘

It is a generator that yields while it waits. Before it is written down nothing was revealed, so a
sum that is interrupted begins with another round: devices that masked what they have mask it again.
"""

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from coordinator.asking import Asker
from coordinator.summing_epoch import Epochs, Met
from coordinator.summing_state import ClearReply, KeptSum, KeptSums
from fieldvote.codec import MAX_MESSAGE_BYTES
from fieldvote.cohort_policy import CohortPolicy
from fieldvote.errors import FieldvoteError, InputError, RefusalError, UnavailableError
from fieldvote.records import DeviceId, Reply, Request, decode, encode
from fieldvote.summed_fields import SUMMED, Summed, as_told, put_in
from fieldvote.sums import (
    Confirmation,
    Deposit,
    DepositRequest,
    MaskedInput,
    SummedReply,
    SummedRequest,
    Unmasking,
)
from privacy.secagg import Layout, Section, Summation

Work: TypeAlias = Generator[None, None, KeptSum]
Message = TypeVar("Message", Deposit, MaskedInput, Confirmation, Unmasking)

_LEGS = 6  # of a window; each may take one such part of it
_AGAIN_S = 1.0  # before a sum is begun anew
_ATTEMPTS = 5  # at a sum in one epoch, once something was masked in it
_SPARE = 2  # keepers asked beyond those that are needed; the others only if these say nothing
_MOST_NUMBERS = MAX_MESSAGE_BYTES // 8
_OPENING = 5  # windows for which enough keepers may be there and not open a sum


@dataclass(slots=True, eq=False)
class Gathered:
    """Whom one sum is made of.

    Attributes:
        question: What everybody is asked alike.
        name: Of the sum.
        blobs: What each device is asked.
        window_s: How long it may take.
        began: Whether devices were asked anything.
        epoch: The epoch in which devices masked something for it, if any did.
        failed: How often it was begun anew in that epoch.
        lost: Devices that checked in and then sent nothing; tried again when the rest is too few.
    """

    question: Request
    name: bytes
    window_s: float
    blobs: dict[DeviceId, bytes] = field(default_factory=dict)
    began: bool = False
    epoch: int = -1
    failed: int = 0
    lost: set[DeviceId] = field(default_factory=set)

    @property
    def summed(self) -> Summed:
        """What of the answers is summed."""
        return SUMMED[type(self.question)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cohort:
    """Devices that checked in with vectors of one shape."""

    sections: tuple[int, ...]
    clears: Mapping[DeviceId, bytes]
    deposits: Mapping[DeviceId, Deposit]


class Summer:
    """Makes sums."""

    def __init__(
        self,
        asker: Asker,
        epochs: Epochs,
        kept: KeptSums,
        policy: CohortPolicy,
        dropped: Callable[[str], None],
    ) -> None:
        """Take what sums are made with; dropped is told why something does not count."""
        self._asker, self._epochs, self._kept = asker, epochs, kept
        self._policy, self._dropped = policy, dropped

    def work(self, gathered: Gathered) -> Work:
        """Return what a sum came to."""
        kept = self._kept.get(gathered.name)
        if kept is not None:
            return kept if kept.is_over else (yield from self._opened(gathered, kept))
        patience_s = gathered.window_s / _LEGS
        while True:
            while len(gathered.blobs) < self._policy.least_cohort:
                yield
            gathered.began = True
            met = yield from self._epochs.meet(set(gathered.blobs), patience_s=patience_s)
            if met is not None:
                settled = yield from self._settled(gathered, met, patience_s)
                if settled is not None:
                    return (yield from self._opened(gathered, settled))
            # what was masked is kept for this one sum only: others wait while it is tried again
            gathered.began = met is not None and gathered.epoch == met.epoch.number
            yield
            yield from self._asker.pause(_AGAIN_S)

    def _settled(
        self, gathered: Gathered, met: Met, patience_s: float
    ) -> Generator[None, None, KeptSum | None]:
        """Return a round whose survivors are settled and confirmed; None to begin anew."""
        down, up, seats = self._asker.down, self._asker.up, met.seats
        asked = DepositRequest(roster=met.epoch.digest, round=self._epochs.next_round())
        able = set(gathered.blobs) & set(seats)
        if not met.is_enough(able - gathered.lost):
            gathered.lost = set()
        questions = {
            device: encode(SummedRequest(question=gathered.blobs[device], deposit=asked))
            for device in sorted(able - gathered.lost)
        }
        came = yield from self._asker.ask(questions, patience_s=patience_s)
        replies = {device: self._summed_reply(gathered, blob) for device, blob in came.items()}
        told = {device: reply for device, reply in replies.items() if reply is not None}
        cohort = self._cohort(gathered, told, seats)
        if cohort is None:
            self._fail(gathered, met)
            return None
        layout = _layout(gathered.summed, cohort.sections)
        round_ = Summation(
            met.epoch,
            number=asked.round,
            length=layout.length,
            bound=layout.bound,
            about=gathered.name,
        )
        self._add(cohort.deposits, round_.add_deposit)
        try:
            mask = encode(round_.mask_request())
            gathered.epoch = met.epoch.number
            masked = yield from self._asked(dict.fromkeys(cohort.deposits, mask), patience_s)
            self._add(self._read(masked, MaskedInput, seats), round_.add_input)
            survive = {DeviceId(met.devices[seat]) for seat in round_.survivors}
            gathered.lost |= set(cohort.deposits) - survive
            if len(round_.survivors) < len(cohort.deposits) and not self._policy.partial:
                raise UnavailableError("a device was lost after it was counted in")
            confirm = encode(round_.confirm_request())
        except UnavailableError as err:
            self._dropped(str(err))
            self._fail(gathered, met)
            return None
        if met.roster.robust:
            signed, rest = 0, list(round_.keepers)
            while rest and signed < met.roster.threshold:
                keepers, rest = _some(rest, met.roster.threshold - signed)
                asked_now = {DeviceId(met.devices[seat]): confirm for seat in keepers}
                words = yield from self._asked(asked_now, patience_s)
                signed += self._add(self._read(words, Confirmation, seats), round_.add_confirmation)
            if signed < met.roster.threshold:
                self._dropped("too few keepers confirmed who is in a sum")
                return None
        kept = KeptSum(
            serial=self._kept.next_serial(),
            name=gathered.name,
            met=met,
            summation=round_.to_bytes(),
            sections=cohort.sections,
            template=next(iter(cohort.clears.values())),
            clears=tuple(
                ClearReply(device=device, reply=reply.clear, summed=device in survive)
                for device, reply in sorted(told.items())
            ),
            down=self._asker.down - down,
            up=self._asker.up - up,
        )
        self._kept.keep(kept)
        return kept

    def _fail(self, gathered: Gathered, met: Met) -> None:
        """Have the next attempt in another epoch; later, if devices masked something in this one.

        What was masked in an epoch is masked again in that one only: who leaves it loses that.
        """
        gathered.failed += 1
        if gathered.epoch != met.epoch.number or gathered.failed > _ATTEMPTS:
            gathered.failed = 0
            self._epochs.leave()

    def _opened(self, gathered: Gathered, kept: KeptSum) -> Work:
        """Open a sum that was written down; what keepers revealed before is told again."""
        down, up, met = self._asker.down, self._asker.up, kept.met
        patience_s = gathered.window_s / _LEGS
        round_ = Summation.from_bytes(met.epoch, kept.summation)
        revealed, total, fault = 0, b"", ""
        rest = list(round_.confirmed or round_.keepers)
        tries = 0
        while tries < _OPENING * _LEGS:
            keepers, _ = _some(rest, met.roster.threshold - revealed)
            asked = {
                DeviceId(met.devices[seat]): encode(round_.unmask_request(seat)) for seat in keepers
            }
            words = yield from self._asked(asked, patience_s)
            pads = self._read(words, Unmasking, met.seats)
            revealed += self._add(pads, round_.add_unmasking)
            if revealed >= met.roster.threshold:
                break
            told = {message.seat for message in pads.values()}
            # whoever said nothing is asked again, after those who were not asked yet
            silent = [seat for seat in keepers if seat not in told]
            rest = [*(seat for seat in rest if seat not in keepers), *silent]
            # who is away may come back with what opens it; who is there and says nothing may not
            tries += len(self._asker.here() & set(asked)) >= met.roster.threshold - revealed
            yield from self._asker.pause(patience_s)
        try:
            values = round_.total()
            layout = _layout(gathered.summed, kept.sections)
            parts = layout.split(values, devices=len(round_.survivors))
            template = decode(kept.template, gathered.summed.reply)
            total = encode(as_told(put_in(template, parts)))
        except (RefusalError, UnavailableError, InputError) as err:
            fault = f"a sum cannot be opened: {err}"
            self._dropped(fault)
        over = kept.over(
            total=total, fault=fault, down=self._asker.down - down, up=self._asker.up - up
        )
        self._kept.keep(over)
        return over

    def _asked(
        self, requests: Mapping[DeviceId, bytes], patience_s: float
    ) -> Generator[None, None, dict[DeviceId, bytes]]:
        """Ask for one leg; whoever is there and says nothing is asked once more."""
        came = yield from self._asker.ask(requests, patience_s=patience_s)
        there = self._asker.here()
        silent = {d: blob for d, blob in requests.items() if d not in came and d in there}
        if silent:
            came |= yield from self._asker.ask(silent, patience_s=patience_s)
        return came

    def _summed_reply(self, gathered: Gathered, blob: bytes) -> SummedReply | None:
        """Return what a device said at its check-in, if it can be read."""
        try:
            reply = decode(blob, SummedReply)
            decode(reply.clear, gathered.summed.reply)
        except InputError:
            self._dropped("not a reply")
            return None
        return reply

    def _cohort(
        self,
        gathered: Gathered,
        told: Mapping[DeviceId, SummedReply],
        seats: Mapping[DeviceId, int],
    ) -> _Cohort | None:
        """Return those who can be added up: most of them, vectors of one shape, of one task."""
        groups: dict[tuple[tuple[int, ...], str], list[DeviceId]] = {}
        fields = len(gathered.summed.bounds)
        for device, reply in sorted(told.items()):
            deposit = reply.deposit
            if deposit is None or deposit.seat != seats[device] or len(reply.sections) != fields:
                continue
            clear: Reply = decode(reply.clear, gathered.summed.reply)
            groups.setdefault((reply.sections, getattr(clear, "task", "")), []).append(device)
        if not groups:
            return None
        most = Counter({kind: len(devices) for kind, devices in groups.items()})
        (kind, _), *_ = most.most_common(1)
        if min(kind[0]) < 0 or not 0 < sum(kind[0]) <= _MOST_NUMBERS:
            return None
        members = groups[kind]
        return _Cohort(
            sections=kind[0],
            clears={device: told[device].clear for device in members},
            deposits={d: it for d in members if (it := told[d].deposit) is not None},
        )

    def _read(
        self, replies: Mapping[DeviceId, bytes], kind: type[Message], seats: Mapping[DeviceId, int]
    ) -> dict[DeviceId, Message]:
        """Return the messages that are what they must be, each from its own seat."""
        found = {}
        for device, blob in sorted(replies.items()):
            try:
                message = decode(blob, kind)
            except InputError:
                self._dropped("not a reply")
                continue
            if message.seat == seats[device]:
                found[device] = message
        return found

    def _add(self, messages: Mapping[DeviceId, Message], add: Callable[[Message], None]) -> int:
        """Add messages to a round; return how many it took."""
        taken = 0
        for message in messages.values():
            try:
                add(message)
                taken += 1
            except FieldvoteError:
                self._dropped("does not fit")
        return taken


def _some(keepers: Sequence[int], needed: int) -> tuple[list[int], list[int]]:
    """Return whom to ask first, a few more than are needed, and the rest."""
    count = needed + max(_SPARE, needed // 8)
    return list(keepers[:count]), list(keepers[count:])


def _layout(summed: Summed, sections: tuple[int, ...]) -> Layout:
    """Return what lies where in the vector."""
    named = zip(summed.bounds.items(), sections, strict=True)
    return Layout(
        tuple(Section(name=name, length=length, bound=bound) for (name, bound), length in named)
    )
