"""A transport over which sums come as sums: what devices add is seen of a whole cohort only.

Whoever asks over it asks as ever. A question whose answer is summed goes to one more address,
COHORT, from which the sums of all come back in one reply; the devices' own replies come back with
it, without them. In between are the legs of a sum under masks. One is made at a time, in the order
they were asked for: a device has one round open.
"""

from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from coordinator.asking import Asker
from coordinator.store.campaign import Store
from coordinator.summing_epoch import Epochs
from coordinator.summing_state import KeptSum, KeptSums
from coordinator.summing_sum import Gathered, Summer, Work
from coordinator.transport import Came, Transport
from fieldvote.codec import kind_number
from fieldvote.cohort_policy import CohortPolicy
from fieldvote.errors import (
    FencedError,
    FieldvoteError,
    InputError,
    RefusalError,
    StoreError,
)
from fieldvote.records import KINDS, DeviceId, Request, decode, encode
from fieldvote.summed_fields import CHANGING, COHORT, SUMMED, common, nothing_of, read_question
from fieldvote.sums import SummedReply, SummedRequest

_KEPT_WINDOWS = 4  # for which a ticket is good; whoever wants it later asks again


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ticket:
    """Somebody waits for what becomes of one request.

    Attributes:
        device: Whom it went to.
        name: Of its sum.
        question: What was asked.
        until: How long it is good.
        late: Whether its exchange is closed.
    """

    device: DeviceId
    name: bytes
    question: Request
    until: datetime
    late: bool


@dataclass(slots=True, eq=False)
class _Sum:
    """A sum that is asked for."""

    gathered: Gathered
    work: Work
    until: datetime


class Summing:
    """Reaches devices, and adds up under masks what they answer.

    Attributes:
        dropped: How many messages of sums did not count, by reason.
    """

    def __init__(
        self,
        transport: Transport,
        store: Store,
        policy: CohortPolicy,
        *,
        now: Callable[[], datetime],
        admits: Callable[[DeviceId], bool] = lambda _: True,
    ) -> None:
        """Sum over this transport.

        Args:
            transport: Reaches the devices.
            store: Knows their keys, and keeps what must survive.
            policy: The fleet's floors.
            now: The time.
            admits: Returns whether a device is one of the fleet's. Others would spoil a roster:
                whoever checks it refuses it as a whole.
        """
        self._inner, self._store, self.policy, self._now = transport, store, policy, now
        self._admits = admits
        self.dropped: Counter[str] = Counter()
        self._asker = Asker(transport, now)
        self._kept = KeptSums(store)
        self._epochs = Epochs(self._asker, store, policy, there=self._there, now=now)
        self._summer = Summer(
            self._asker, self._epochs, self._kept, policy, lambda why: self.dropped.update([why])
        )
        self._sums: dict[bytes, _Sum] = {}
        self._queue: deque[bytes] = deque()
        self._faults: dict[bytes, FieldvoteError] = {}
        self._tickets: dict[str, _Ticket] = {}
        self._alone: dict[str, DeviceId] = {}  # asked in the clear for what is beside a sum
        self._count = 0

    @property
    def standing(self) -> str:
        """Why no sum can be made now, for people; empty where nothing is known to be wrong."""
        return self._epochs.standing

    def devices(self) -> tuple[DeviceId, ...]:
        """Return who can be reached now, in ascending order."""
        return self._inner.devices()

    def with_cohort(self, requests: Mapping[DeviceId, bytes]) -> dict[DeviceId, bytes]:
        """Return requests with the one that asks for their sums, if they are of that kind."""
        found = next((_summed(blob) for blob in requests.values()), None)
        return dict(requests) if found is None else {COHORT: encode(common(found[0])), **requests}

    def too_few(self, requests: Mapping[DeviceId, bytes]) -> str:
        """Return why no sum can be made of these devices; nothing if one can."""
        asked, least = len(requests), self.policy.least_cohort
        if not 0 < asked < least or COHORT not in self.with_cohort(requests):
            return ""
        return f"{asked} devices are there, {least} are needed for a sum"

    def push(self, requests: Mapping[DeviceId, bytes], *, ttl_s: float) -> Mapping[str, DeviceId]:
        """Send each device its request; what is summed waits until it is."""
        return self._push(requests, ttl_s, late=False)

    def pull(self, tickets: Collection[str], *, wait_s: float) -> Sequence[Came]:
        """Return what came for these tickets; wait at most so long for any."""
        now = self._now()
        self._tickets = {name: it for name, it in self._tickets.items() if it.until >= now}
        mine = [ticket for ticket in tickets if ticket in self._tickets]
        others = [ticket for ticket in tickets if ticket not in self._tickets]
        self._asker.wait_s = 0.0 if others else wait_s
        self._drive()
        came = [each for ticket in mine if (each := self._told(ticket)) is not None]
        if others:
            left_s = 0.0 if came or mine else wait_s
            came += [self._clear(each) for each in self._inner.pull(others, wait_s=left_s)]
        return came

    def late(self) -> Transport:
        """Return this for whoever asks again after an exchange was closed.

        Sums that are under way are waited for. Where there is none any more, devices answer what
        is beside it, and the cohort answers that nothing was added.
        """
        return _Late(self)

    def _push(
        self, requests: Mapping[DeviceId, bytes], ttl_s: float, *, late: bool
    ) -> dict[str, DeviceId]:
        """Take requests; those that are summed join their sum."""
        plain, tickets = dict[DeviceId, bytes](), dict[str, DeviceId]()
        for device, blob in requests.items():
            found = _summed(blob)
            if found is None:
                plain[device] = blob
                continue
            question, name = found
            if late and device != COHORT and not self._is_told(name, device):
                inner = SummedRequest(question=blob, deposit=None)
                sent = self._inner.push({device: encode(inner)}, ttl_s=ttl_s)
                self._alone |= sent
                tickets |= sent
                continue
            self._join(name, question, device, blob, ttl_s, late=late)
            self._count += 1
            ticket = f"sum {self._count:08d}"
            until = self._now() + timedelta(seconds=_KEPT_WINDOWS * ttl_s)
            self._tickets[ticket] = _Ticket(
                device=device, name=name, question=question, until=until, late=late
            )
            tickets[ticket] = device
        return tickets | dict(self._inner.push(plain, ttl_s=ttl_s)) if plain else tickets

    def _is_told(self, name: bytes, device: DeviceId) -> bool:
        """Return whether a sum that is made, or was, brings a device's reply with it."""
        kept = self._kept.get(name)
        if kept is not None:
            return device in kept.replies(changing=True)
        under_way = self._sums.get(name)
        return under_way is not None and device in under_way.gathered.blobs

    def _join(
        self,
        name: bytes,
        question: Request,
        device: DeviceId,
        blob: bytes,
        ttl_s: float,
        *,
        late: bool,
    ) -> None:
        """Let a device be in a sum; the first one begins it."""
        kept, found = self._kept.get(name), self._sums.get(name)
        if kept is not None and kept.is_over:
            return
        until = self._now() + timedelta(seconds=_KEPT_WINDOWS * ttl_s)
        if found is None:
            if late and kept is None:
                return  # nobody gathers for it any more
            gathered = Gathered(question=common(question), name=name, window_s=ttl_s)
            found = _Sum(gathered=gathered, work=self._summer.work(gathered), until=until)
            self._sums[name] = found
            self._queue.append(name)
        found.until = until
        if device != COHORT:
            found.gathered.blobs[device] = blob

    def _drive(self) -> None:
        """Take the first sum as far as it goes; one that cannot begin lets the next one."""
        now = self._now()
        for name in list(self._queue):
            if self._sums[name].until < now and self._kept.get(name) is None:
                self._drop(name)
        for _ in range(len(self._queue)):
            name = self._queue[0]
            try:
                next(self._sums[name].work)
            except StopIteration:
                self._drop(name)
                continue
            except (StoreError, FencedError):
                self._drop(name)
                raise  # nothing can be written down: the step is taken again
            except FieldvoteError as err:
                self._drop(name)
                self._faults[name] = err  # for whoever asked for this one
                continue
            if self._sums[name].gathered.began:
                return
            self._queue.rotate(-1)

    def _drop(self, name: bytes) -> None:
        """Let go of a sum that is over, or that nobody waits for."""
        del self._sums[name]
        self._queue.remove(name)

    def _told(self, ticket: str) -> Came | None:
        """Return what became of a request, None while its sum is made.

        Raises:
            FieldvoteError: it never can be made.
        """
        it = self._tickets[ticket]
        kept = self._kept.get(it.name)
        if it.name in self._sums and not (kept and kept.is_over):
            return None
        del self._tickets[ticket]
        came = Came(ticket=ticket, device=it.device, reply=None)
        if it.name in self._faults and not it.late:
            raise self._faults.pop(it.name)
        if kept is not None:
            return self._part(came, it, kept)
        if it.late and it.device == COHORT and isinstance(it.question, CHANGING):
            return replace(came, reply=encode(nothing_of(it.question)))
        return came

    def _part(self, came: Came, it: _Ticket, kept: KeptSum) -> Came:
        """Return the part of a sum that one address is told.

        Raises:
            RefusalError: it never can be opened.
        """
        changing = isinstance(it.question, CHANGING)
        if it.device != COHORT:
            return replace(came, reply=kept.replies(changing=changing).get(it.device))
        if kept.fault and not it.late:
            raise RefusalError(kept.fault)  # a person should look at who spoilt it
        total = kept.total or encode(nothing_of(it.question))
        return replace(came, reply=total, down=kept.down, up=kept.up)

    def _clear(self, came: Came) -> Came:
        """Return a reply that came outside of a sum as the reply inside it."""
        if self._alone.pop(came.ticket, None) is None or came.reply is None:
            return came
        try:
            reply = decode(came.reply, SummedReply).clear
        except InputError:
            self.dropped["not a reply"] += 1
            return Came(ticket=came.ticket, device=came.device, reply=None)
        return Came(ticket=came.ticket, device=came.device, reply=reply)

    def _there(self) -> dict[DeviceId, bytes]:
        """Return the keys of the devices that were met and can be reached."""
        known = self._store.devices()
        return {
            device: known[device].signing_key
            for device in self._inner.devices()
            if device in known and self._admits(device)
        }


class _Late:
    """Reaches devices on behalf of exchanges that are closed."""

    def __init__(self, summing: Summing) -> None:
        """Ask over the same devices."""
        self._summing = summing

    def devices(self) -> tuple[DeviceId, ...]:
        """Return who can be reached now."""
        return self._summing.devices()

    def push(self, requests: Mapping[DeviceId, bytes], *, ttl_s: float) -> Mapping[str, DeviceId]:
        """Send each device its request."""
        return self._summing._push(requests, ttl_s, late=True)

    def pull(self, tickets: Collection[str], *, wait_s: float) -> Sequence[Came]:
        """Return what came for these tickets."""
        return self._summing.pull(tickets, wait_s=wait_s)


def _summed(blob: bytes) -> tuple[Request, bytes] | None:
    """Return a question and the name of its sum, None where the answer is no sum."""
    return read_question(blob) if KINDS.get(kind_number(blob)) in SUMMED else None
