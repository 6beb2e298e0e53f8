"""What a participant must not forget between legs, as a value and as bytes.

The bytes hold keys: chain keys of rounds to come, and the open round's keys. They do not hold keys
of rounds that are over, nor the self-mask's secret, which nobody needs twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import msgpack

from fieldvote.errors import InputError
from privacy.secagg.masks import SEED_BYTES
from privacy.secagg.parameters import MAX_DEVICES, Parameters
from privacy.secagg.roster import Epoch

_VERSION = 1


class Leg(IntEnum):
    """The last leg a device answered in its open round."""

    DEPOSITED = 1
    MASKED = 2
    CONFIRMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRound:
    """A round that is under way.

    Attributes:
        number: Which round.
        leg: The last leg answered.
        keys: The round's key by peer's seat.
        cohort: Bitmap the input was masked towards; empty before.
        digest: Of the cohort; empty before.
        survivors: Bitmap that was confirmed; empty before.
    """

    number: int
    leg: Leg
    keys: Mapping[int, bytes]
    cohort: bytes = b""
    digest: bytes = b""
    survivors: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantState:
    """One device in one epoch.

    Attributes:
        epoch: The epoch.
        seat: The device's seat.
        chains: Chain key of the next round by peer's seat.
        next_round: The least number a new round may have.
        open: The round under way, if any.
    """

    epoch: Epoch
    seat: int
    chains: Mapping[int, bytes]
    next_round: int
    open: OpenRound | None

    def to_bytes(self) -> bytes:
        """Return the state as bytes; a secret."""
        epoch, sizes, opened = self.epoch, self.epoch.sizes, self.open
        packed: bytes = msgpack.packb(
            [
                _VERSION,
                [epoch.number, epoch.digest, epoch.devices, epoch.least_cohort, epoch.robust],
                [sizes.degree, sizes.least_partners, sizes.keepers, sizes.threshold],
                self.seat,
                self.next_round,
                list(self.chains),
                b"".join(self.chains.values()),
                opened
                and [
                    opened.number,
                    int(opened.leg),
                    b"".join(opened.keys.values()),
                    opened.cohort,
                    opened.digest,
                    opened.survivors,
                ],
            ]
        )
        return packed

    @classmethod
    def from_bytes(cls, blob: bytes) -> Self:
        """Read back what to_bytes wrote.

        Raises:
            InputError: these bytes are no such state; the device must be enrolled anew.
        """
        try:
            version, plan, sizes, seat, next_round, peers, chains, opened = msgpack.unpackb(blob)
            if version != _VERSION:
                raise ValueError("another version")
            number, digest, devices, least_cohort, robust = plan
            degree, least_partners, keepers, threshold = sizes
            counts = [number, devices, least_cohort, seat, next_round, *sizes, *peers]
            if any(type(count) is not int or not 0 <= count < 2**63 for count in counts):
                raise ValueError("not counts")
            if type(digest) is not bytes or type(robust) is not bool or devices > MAX_DEVICES:
                raise ValueError("not an epoch")
            return cls(
                epoch=Epoch(
                    number=number,
                    digest=digest,
                    devices=devices,
                    sizes=Parameters(
                        degree=degree,
                        least_partners=least_partners,
                        keepers=keepers,
                        threshold=threshold,
                    ),
                    least_cohort=least_cohort,
                    robust=robust,
                ),
                seat=seat,
                chains=_keys(peers, chains),
                next_round=next_round,
                open=opened and _open_round(peers, opened),
            )
        except (ValueError, TypeError, msgpack.UnpackException) as err:
            raise InputError(f"{len(blob)} bytes that are no state of a participant") from err


def _open_round(peers: list[int], parts: list[object]) -> OpenRound:
    """Read an open round."""
    number, leg, keys, cohort, digest, survivors = parts
    if not (isinstance(number, int) and isinstance(leg, int)):
        raise ValueError("not a round")
    if not (isinstance(cohort, bytes) and isinstance(digest, bytes)):
        raise ValueError("not a cohort")
    if not (isinstance(survivors, bytes) and isinstance(keys, bytes)):
        raise ValueError("not survivors")
    return OpenRound(
        number=number,
        leg=Leg(leg),
        keys=_keys(peers, keys),
        cohort=cohort,
        digest=digest,
        survivors=survivors,
    )


def _keys(peers: list[int], joined: bytes) -> dict[int, bytes]:
    """Cut joined keys apart again."""
    if len(joined) != SEED_BYTES * len(peers):
        raise ValueError("not as many keys as peers")
    return {
        peer: joined[SEED_BYTES * place : SEED_BYTES * (place + 1)]
        for place, peer in enumerate(peers)
    }
