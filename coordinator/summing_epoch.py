"""Epochs of sums: the devices that agreed on keys, as the coordinator keeps them.

One epoch serves until somebody is to be in a sum who is not in it, or too few of its keepers are
asked, or it is old. Whom it holds and which rounds it had is written down before devices hear of
it: a round's number is given once.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass
from datetime import datetime

from coordinator.asking import Asker
from coordinator.store.campaign import Store
from fieldvote.codec import decode as decode_kept
from fieldvote.codec import encode as encode_kept
from fieldvote.cohort_policy import CohortPolicy
from fieldvote.errors import FieldvoteError, InputError, UnavailableError
from fieldvote.records import DeviceId, decode, encode
from fieldvote.summed_fields import COHORT
from fieldvote.sums import EpochKey, EpochRequest, Roster, RosterReply
from privacy.secagg import Epoch, Floors, Parameters, choose_parameters, make_roster
from privacy.secagg.presence import check_enough
from privacy.secagg.roster import check_epoch_key, device_number, epoch_of

MOST_ROUNDS = 256  # of one epoch: keys that are not old are lost to nobody for long
_NOTE, _ROUND = "secure epoch", "secure round"
_GONE = (0.34, 0.2, 0.1, 0.0)  # shares of an epoch that may be away, the most that goes
_NEARLY_ALL = 0.8  # asked of who is there: then the epoch is made of all who are


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """An epoch, and which device sits where.

    Attributes:
        roster: As it was sent.
        devices: By seat; COHORT where nobody came to sit.
    """

    roster: Roster
    devices: tuple[int, ...]

    @property
    def epoch(self) -> Epoch:
        """What follows from the roster."""
        return epoch_of(self.roster)

    @property
    def seats(self) -> dict[DeviceId, int]:
        """Seat by device."""
        return {DeviceId(d): seat for seat, d in enumerate(self.devices) if d != COHORT}

    def is_enough(self, devices: Collection[DeviceId]) -> bool:
        """Return whether these devices of the epoch can make a sum."""
        seats = self.seats
        try:
            check_enough(self.epoch, [seats[device] for device in devices if device in seats])
        except (UnavailableError, ValueError):
            return False
        return True


_KINDS: dict[int, type] = {1: Met}


class Epochs:
    """Makes epochs when they are needed.

    Attributes:
        standing: Why the last one could not be made, for people; empty where it was.
    """

    def __init__(
        self,
        asker: Asker,
        store: Store,
        policy: CohortPolicy,
        *,
        there: Callable[[], Mapping[DeviceId, bytes]],
        now: Callable[[], datetime],
    ) -> None:
        """Go on with the epoch that was written down last.

        Args:
            asker: Asks devices.
            store: Keeps the epoch.
            policy: The fleet's floors.
            there: Returns the Ed25519 keys of the devices that can be reached.
            now: The time; epochs are numbered by it.
        """
        self._asker, self._store, self._policy = asker, store, policy
        self._there, self._now = there, now
        kept = store.note(_NOTE)
        self._met = None if kept is None else decode_kept(b64decode(kept), _KINDS, (Met,))
        self._next = int(store.note(_ROUND) or 0)
        self._outside: set[DeviceId] = set()  # who refused to be in the newest epoch
        self._broken = False
        self.standing = ""

    def leave(self) -> None:
        """Make another epoch before the next sum: this one has too few left."""
        self._broken = True

    def next_round(self) -> int:
        """Return the number of the next round, given once."""
        number, self._next = self._next, self._next + 1
        self._store.keep_note(_ROUND, str(self._next))
        return number

    def meet(
        self, devices: Collection[DeviceId], *, patience_s: float
    ) -> Generator[None, None, Met | None]:
        """Return an epoch in which these devices make a sum; None if too few took part."""
        met = self._met
        fresh = met is not None and self._next < MOST_ROUNDS and not self._broken
        if met is not None and fresh:
            wanted = set(devices) - self._outside
            if wanted <= set(met.seats) and met.is_enough(wanted):
                return met
        there = self._there()
        asked = {device for device in devices if device in there}
        if len(asked) >= _NEARLY_ALL * len(there):
            asked = set(there)
        return (yield from self._convene({d: there[d] for d in sorted(asked)}, patience_s))

    def _convene(
        self, asked: Mapping[DeviceId, bytes], patience_s: float
    ) -> Generator[None, None, Met | None]:
        """Make an epoch of these devices."""
        least = self._policy.least_cohort
        if len(asked) < least:
            self.standing = f"{len(asked)} devices are there, {least} are needed for a sum"
            return None
        last = self._met.roster.epoch if self._met else -1
        number = max(last + 1, int(self._now().timestamp()))
        request = encode(EpochRequest(epoch=number))
        came = yield from self._asker.ask(dict.fromkeys(asked, request), patience_s=patience_s)
        keys = {device: _key(blob, number, asked[device]) for device, blob in came.items()}
        good = {key.device: (device, key) for device, key in keys.items() if key is not None}
        if len(good) < least:
            self.standing = (
                f"{len(good)} of {len(asked)} devices give a key for sums, {least} are needed: has"
                " each of them the fleet's directory?"
            )
            return None
        roster = make_roster(
            [key for _, key in good.values()],
            sizes=sizes_of(self._policy, len(good)),
            least_cohort=least,
            robust=not self._policy.quick,
        )
        blob = encode(roster)
        who = [good[key.device][0] for key in roster.keys]
        told = yield from self._asker.ask(dict.fromkeys(who, blob), patience_s=patience_s)
        digest = epoch_of(roster).digest
        seated = {device for device, reply in told.items() if _sits(reply, digest)}
        met = Met(
            roster=roster,
            devices=tuple(int(device if device in seated else COHORT) for device in who),
        )
        if not met.is_enough(seated):
            self.standing = (
                f"{len(seated)} of {len(good)} devices take a seat: each looks for all others in"
                " its directory, and holds the sum to its own floors"
            )
            return None
        self.standing = ""
        with self._store.transaction():
            self._store.keep_note(_NOTE, b64encode(encode_kept(met, _KINDS)).decode())
            self._store.keep_note(_ROUND, "0")
        self._met, self._next, self._broken = met, 0, False
        self._outside = set(asked) - seated
        return met


def sizes_of(policy: CohortPolicy, devices: int) -> Parameters:
    """Return the sizes of an epoch of so many devices, that goes on without as many as can be.

    Raises:
        InputError: no sizes keep what the policy asks for.
    """
    corrupt = Floors.of(policy).corrupt_of(devices)
    for share in _GONE:
        try:
            return choose_parameters(
                devices,
                corrupt=corrupt,
                gone=int(share * devices),
                least_sum=policy.least_sum,
                robust=not policy.quick,
            )
        except InputError as err:
            refused = err
    raise refused


def _key(blob: bytes, number: int, public: bytes) -> EpochKey | None:
    """Return a device's key, None if it is not its own."""
    try:
        key = decode(blob, EpochKey)
        check_epoch_key(key, number, {device_number(public): public})
    except FieldvoteError:
        return None
    return key


def _sits(blob: bytes, digest: bytes) -> bool:
    """Return whether a device has taken its seat."""
    try:
        return decode(blob, RosterReply).roster == digest
    except InputError:
        return False
