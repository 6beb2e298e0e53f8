"""The roster of an epoch: each device signs its key, and everybody checks every signature.

The directory, which device has which Ed25519 key, comes to a device with its signed policy and
never from the coordinator. So a coordinator can leave devices out of a roster but not put a key of
its own in, neither for a partner nor for a ghost that only fills a cohort. Where the fleet has an
authority that signs rosters, it cannot try many rosters until the graph pleases it either.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from fieldvote.errors import InputError, RefusalError, SignatureError
from fieldvote.sums import EpochKey, Roster
from privacy.sealing.keys import KEY_BYTES, SigningKey, verify
from privacy.secagg.floors import Floors
from privacy.secagg.graph import Graph, check_sizes, derive_graph
from privacy.secagg.parameters import MAX_DEVICES, Parameters

_KEY = b"fieldvote secagg key 1"
_ROSTER = b"fieldvote secagg roster 1"
_DEVICE = b"fieldvote secagg device 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """What everybody knows of an epoch; its graph follows from it.

    Attributes:
        number: Which epoch.
        digest: Of the roster.
        devices: How many seats.
        sizes: Partners, keepers and thresholds.
        least_cohort: Fewest devices in a sum.
        robust: Whether survivor sets are confirmed.
    """

    number: int
    digest: bytes
    devices: int
    sizes: Parameters
    least_cohort: int
    robust: bool

    def graph(self) -> Graph:
        """Derive who masks with whom and who keeps shares."""
        return derive_graph(self.digest, devices=self.devices, sizes=self.sizes)


def device_number(public: bytes) -> int:
    """Return what a device is called in rosters: 63 bits of a hash of its Ed25519 public key.

    It follows from the key alone, so nobody gives numbers out and nobody can change one.

    >>> device_number(bytes(32)) == device_number(bytes(32)) != device_number(bytes(31) + b"1")
    True
    """
    return int.from_bytes(sha256(_DEVICE + public).digest()[:8], "little") >> 1


def sign_epoch_key(*, epoch: int, device: int, exchange: bytes, signer: SigningKey) -> EpochKey:
    """Return a device's exchange key for an epoch, signed by the device."""
    unsigned = EpochKey(epoch=epoch, device=device, exchange=exchange, signature=b"")
    return replace(unsigned, signature=signer.sign(_key_body(unsigned)))


def make_roster(
    keys: Sequence[EpochKey],
    *,
    sizes: Parameters,
    least_cohort: int,
    robust: bool = True,
    authority: SigningKey | None = None,
) -> Roster:
    """Return the roster of these devices.

    Args:
        keys: One for each device, all of one epoch, in any order.
        sizes: As chosen by choose_parameters.
        least_cohort: Fewest devices in a sum.
        robust: Whether survivor sets are confirmed.
        authority: Who signs rosters in this fleet, if anybody does.

    Raises:
        InputError: there is no key.
    """
    if not keys:
        raise InputError("a roster without devices")
    roster = Roster(
        epoch=keys[0].epoch,
        robust=robust,
        degree=sizes.degree,
        least_partners=sizes.least_partners,
        keepers=sizes.keepers,
        threshold=sizes.threshold,
        least_cohort=least_cohort,
        keys=tuple(sorted(keys, key=lambda key: key.device)),
        signature=b"",
    )
    if authority is None:
        return roster
    return replace(roster, signature=authority.sign(roster_digest(roster)))


def roster_digest(roster: Roster) -> bytes:
    """Return the digest over all of a roster but its signature."""
    numbers = (
        roster.epoch,
        int(roster.robust),
        roster.degree,
        roster.least_partners,
        roster.keepers,
        roster.threshold,
        roster.least_cohort,
        len(roster.keys),
    )
    body = b"".join(number.to_bytes(8, "little", signed=True) for number in numbers)
    digest = sha256(_ROSTER + body)
    for key in roster.keys:
        digest.update(_key_body(key))
    return digest.digest()


def check_roster(
    roster: Roster,
    *,
    directory: Mapping[int, bytes],
    floors: Floors,
    newer_than: int,
    authority: bytes | None = None,
) -> Epoch:
    """Return the epoch of a roster in which a device with these floors may take part.

    Args:
        roster: As it came from the coordinator.
        directory: Ed25519 public key by device id, from the fleet's signed policy.
        floors: The device's own.
        newer_than: The last epoch this device took part in, or -1.
        authority: Ed25519 public key that must have signed the roster, if the policy names one.

    Raises:
        SignatureError: a key is not its device's, or the roster not the authority's.
        RefusalError: an old epoch, a key or a device twice, or sizes below a floor.
    """
    if roster.epoch <= newer_than:
        raise RefusalError(f"epoch {roster.epoch} after epoch {newer_than}")
    if not 2 <= len(roster.keys) <= MAX_DEVICES:
        raise RefusalError(f"a roster of {len(roster.keys)} devices")
    ids = [key.device for key in roster.keys]
    exchanges = {key.exchange for key in roster.keys}
    if ids != sorted(set(ids)) or len(exchanges) != len(ids):
        raise RefusalError("a device or a key is in the roster twice, or out of order")
    for key in roster.keys:
        check_epoch_key(key, roster.epoch, directory)
    epoch = epoch_of(roster)
    if authority is not None:
        verify(roster.signature, epoch.digest, public=authority)
    floors.check(
        devices=epoch.devices,
        sizes=epoch.sizes,
        least_cohort=epoch.least_cohort,
        robust=epoch.robust,
    )
    return epoch


def epoch_of(roster: Roster) -> Epoch:
    """Return what follows from a roster, for whoever made it; others check it first.

    Raises:
        RefusalError: its sizes contradict each other.
    """
    return Epoch(
        number=roster.epoch,
        digest=roster_digest(roster),
        devices=len(roster.keys),
        sizes=_sizes(roster),
        least_cohort=roster.least_cohort,
        robust=roster.robust,
    )


def check_epoch_key(key: EpochKey, epoch: int, directory: Mapping[int, bytes]) -> None:
    """Check that a key is of this epoch and signed by its device.

    Raises:
        RefusalError: it is of another epoch.
        SignatureError: it is not its device's, or its device is nobody.
    """
    if key.epoch != epoch:
        raise RefusalError(f"device {key.device} signed its key for epoch {key.epoch}")
    if key.device not in directory or len(key.exchange) != KEY_BYTES:
        raise SignatureError(f"device {key.device} is not in the directory, or has no such key")
    try:
        verify(key.signature, _key_body(key), public=directory[key.device])
    except SignatureError as err:
        raise SignatureError(f"the key of device {key.device} is not signed by it") from err


def _sizes(roster: Roster) -> Parameters:
    """Return the sizes a roster proposes, of which a graph can be made."""
    try:
        sizes = Parameters(
            degree=roster.degree,
            least_partners=roster.least_partners,
            keepers=roster.keepers,
            threshold=roster.threshold,
        )
        check_sizes(len(roster.keys), sizes)
    except InputError as err:
        raise RefusalError(f"the roster's sizes contradict each other: {err}") from err
    return sizes


def _key_body(key: EpochKey) -> bytes:
    """Return what a device signs."""
    numbers = (
        key.epoch.to_bytes(8, "little", signed=True),
        key.device.to_bytes(8, "little", signed=True),
    )
    return _KEY + b"".join(numbers) + key.exchange
