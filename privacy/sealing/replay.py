"""An envelope counts once: numbers on the sender's side, a sliding window on the receiver's.

A sender draws an **epoch** of 128 random bits each time its program starts, and counts its
envelopes within it, for each recipient from 0. So no number is ever used twice, and nothing has to
be durable before it is used: after a crash, or with a pool restored from last week's backup, the
epoch is another one. A counter on disk would go back with the disk.

A receiver keeps one window per sender and epoch: the highest number it has seen, and which of the
last `WIDTH` it has. Lower ones are refused unseen, as in IPsec (RFC 4303, section 3.4.3). It keeps
every window, because an old epoch's envelope is as good as a new one's to a thief. That is at most
one row for each envelope it took, and envelopes are few: candidates that were asked for, answers.
A window is stored in the transaction that stores what the envelope brought, so both are there after
a crash, or neither.
"""

import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from fieldvote.errors import SealError, StoreError
from privacy.sealing.context import EPOCH_BYTES, MOST

WIDTH = 1024  # an envelope may come after so many that were sealed later
_HIGHEST = struct.Struct(">Q")
_STATE_BYTES = _HIGHEST.size + WIDTH // 8


@dataclass(frozen=True, slots=True)
class Window:
    """What was seen of one sender's epoch.

    Attributes:
        highest: The highest number seen; -1 for none.
        seen: Bit n tells whether highest - n was seen; bits 0 to WIDTH - 1.
    """

    highest: int = -1
    seen: int = 0

    def admit(self, sequence: int) -> "Window":
        """Return the window after this number.

        Raises:
            SealError: it was seen before, or is older than the window.

        >>> once = Window().admit(5)
        >>> once.admit(3).highest
        5
        >>> once.admit(5)
        Traceback (most recent call last):
        fieldvote.errors.SealError: envelope 5 of this epoch was here before
        """
        if not 0 <= sequence <= MOST:
            raise SealError(f"{sequence} is no number of an envelope")
        if sequence > self.highest:
            ahead = min(sequence - self.highest, WIDTH)
            return Window(sequence, (self.seen << ahead | 1) & (1 << WIDTH) - 1)
        behind = self.highest - sequence
        if behind >= WIDTH:
            raise SealError(f"envelope {sequence} of this epoch is too old to tell it from a copy")
        if self.seen >> behind & 1:
            raise SealError(f"envelope {sequence} of this epoch was here before")
        return Window(self.highest, self.seen | 1 << behind)

    def to_bytes(self) -> bytes:
        """Return the window as it is stored.

        Raises:
            SealError: it has seen nothing.
        """
        if self.highest < 0:
            raise SealError("a window that has seen nothing is not stored")
        return _HIGHEST.pack(self.highest) + self.seen.to_bytes(WIDTH // 8, "big")

    @staticmethod
    def from_bytes(blob: bytes | None) -> "Window":
        """Undo to_bytes; nothing stored is nothing seen.

        Raises:
            StoreError: the stored window was changed.
        """
        if blob is None:
            return Window()
        seen = int.from_bytes(blob[_HIGHEST.size :], "big")
        if len(blob) != _STATE_BYTES or not seen & 1:
            # read as empty, it would let every old envelope in again
            raise StoreError("a stored replay window is damaged; restore a backup")
        return Window(_HIGHEST.unpack(blob[: _HIGHEST.size])[0], seen)


class Numbering:
    """Numbers one sender's envelopes from its start to its end.

    >>> numbers = Numbering(bytes)
    >>> [numbers.next(b"ann")[1], numbers.next(b"ann")[1], numbers.next(b"bob")[1]]
    [0, 1, 0]
    """

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        """Draw the epoch."""
        self._epoch = entropy(EPOCH_BYTES)
        self._next: Counter[bytes] = Counter()

    def next(self, recipient: bytes) -> tuple[bytes, int]:
        """Return the epoch and the number of the next envelope to this recipient."""
        number = self._next[recipient]
        self._next[recipient] += 1
        return self._epoch, number
