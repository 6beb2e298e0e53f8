"""Sums that are being opened, and what the last ones came to: written down, so none is lost.

A keeper reveals what opens a sum once. So the sum as it stands is written down before any is asked,
and what it came to in its place: whoever asks again for the same is told from here.
"""

from base64 import b64decode, b64encode
from dataclasses import dataclass, replace

from coordinator.store.campaign import Store
from coordinator.summing_epoch import Met
from fieldvote.codec import decode, encode
from fieldvote.records import DeviceId

_SLOTS = 16  # more than there are exchanges at a time
_NOTE = "secure sum "


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearReply:
    """What a device said beside the sum.

    Attributes:
        device: Which.
        reply: The reply, without what is summed.
        summed: Whether the device is in the sum.
    """

    device: int
    reply: bytes
    summed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSum:
    """A sum whose survivors are settled.

    Attributes:
        serial: Grows from sum to sum.
        name: Which sum.
        met: The epoch it is made in.
        summation: The round, see privacy.secagg; empty once it is opened.
        sections: How many numbers each summed field has.
        template: A reply of a device in it, in the clear.
        clears: What the devices said beside it.
        total: The reply of the cohort; empty before it is opened, and if it never can be.
        down: Bytes that were sent for it.
        up: Bytes that were received for it.
        fault: Why it never can be opened.
    """

    serial: int
    name: bytes
    met: Met
    summation: bytes
    sections: tuple[int, ...]
    template: bytes
    clears: tuple[ClearReply, ...]
    total: bytes = b""
    down: int = 0
    up: int = 0
    fault: str = ""

    @property
    def is_over(self) -> bool:
        """Whether it was opened, or given up."""
        return not self.summation

    def replies(self, *, changing: bool) -> dict[DeviceId, bytes]:
        """Return the replies that count: of devices in the sum, and any that change a device."""
        return {
            DeviceId(each.device): each.reply for each in self.clears if changing or each.summed
        }

    def over(self, *, total: bytes, fault: str, down: int, up: int) -> "KeptSum":
        """Return what is remembered of it once it is opened, or given up."""
        return replace(
            self,
            summation=b"",
            total=total,
            fault=fault,
            down=self.down + down,
            up=self.up + up,
        )


_KINDS: dict[int, type] = {1: KeptSum}


class KeptSums:
    """The last sums of a campaign."""

    def __init__(self, store: Store) -> None:
        """Read what was written down."""
        self._store = store
        notes = [store.note(f"{_NOTE}{slot}") for slot in range(_SLOTS)]
        found = [decode(b64decode(note), _KINDS, (KeptSum,)) for note in notes if note]
        self._sums = {each.name: each for each in found}
        self._serial = max((each.serial for each in found), default=0)

    def get(self, name: bytes) -> KeptSum | None:
        """Return a sum by its name, None if it is not one of the last."""
        return self._sums.get(name)

    def next_serial(self) -> int:
        """Return the place of a new sum among all."""
        return self._serial + 1

    def keep(self, kept: KeptSum) -> None:
        """Write a sum down, in place of the oldest, or of what was written of it before."""
        slot = kept.serial % _SLOTS
        note = b64encode(encode(kept, _KINDS)).decode()
        self._store.keep_note(f"{_NOTE}{slot}", note)
        self._sums = {
            name: each for name, each in self._sums.items() if each.serial % _SLOTS != slot
        } | {kept.name: kept}
        self._serial = max(self._serial, kept.serial)
