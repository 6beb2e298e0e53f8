"""What an envelope is for and where it belongs: one value, one byte form, bound in two places.

A context has two halves. The **scope** is what both ends know before anything is opened; the opener
names its own, so an envelope of another task, device, item or purpose does not open. The **marks**
are what the opener cannot know beforehand, or must accept many of: they travel in the clear header.
Both halves are under the signature and in HPKE's `info`.

Which field is compared, and where:

==========  ======  ============================================================================
purpose     scope   always: a candidate is never read as an answer
family      scope   always: digest of all of a task but its functions, its policy among it. So an
                    envelope that waited while functions were released opens, one of a task with
                    another policy or model does not
device      scope   always: its public signing key
item        scope   always; empty for answers, which name their item inside
round       marks   by the coordinator's inbox, which knows which round it asked for
policy      marks   by the inbox, against the task's own
task        marks   by the inbox, against the releases it knows; else told, so that a person can see
                    which functions a device ran
epoch and   marks   by the receiver's replay window; see privacy.sealing.replay
sequence
==========  ======  ============================================================================
"""

import struct
from dataclasses import dataclass
from enum import Enum

from fieldvote.errors import InputError, SealError

VERSION = 2
EPOCH_BYTES = 16
DIGEST_BYTES = 32
_MARKS = struct.Struct(f">QQ{EPOCH_BYTES}s{DIGEST_BYTES}s{DIGEST_BYTES}s")
MARKS_BYTES = _MARKS.size
MOST = 2**63 - 1  # what a database keeps as a whole number


class Purpose(Enum):
    """What an envelope is for."""

    CANDIDATE = b"candidate"
    ANSWER = b"answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What both ends know: the opener's must be the sealer's.

    Attributes:
        purpose: What the envelope is for.
        family: Digest of the task's family.
        device: Public signing key of the device whose item it is about.
        item: Which item; empty where it stands inside.
    """

    purpose: Purpose
    family: str
    device: bytes
    item: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What travels in the header, for everybody to read and nobody to change.

    Attributes:
        epoch: Drawn by the sender each time it starts. 16 bytes.
        sequence: Counts the sender's envelopes to one recipient within the epoch, from 0.
        round: The round that asked.
        task: SHA-256 of the task that was installed, functions and all. 32 bytes.
        policy: SHA-256 of the policy the sender kept to. 32 bytes.
    """

    epoch: bytes
    sequence: int
    round: int = 0
    task: bytes = bytes(DIGEST_BYTES)
    policy: bytes = bytes(DIGEST_BYTES)

    def __post_init__(self) -> None:
        """Refuse what has no place in a header."""
        sizes = (len(self.epoch), len(self.task), len(self.policy))
        if sizes != (EPOCH_BYTES, DIGEST_BYTES, DIGEST_BYTES):
            raise InputError(f"marks have {EPOCH_BYTES}, {DIGEST_BYTES} and {DIGEST_BYTES} bytes,"
                             f" got {sizes}")  # fmt: skip
        if not (0 <= self.sequence <= MOST and 0 <= self.round <= MOST):
            raise InputError(f"round {self.round} or sequence {self.sequence} is out of range")

    def to_bytes(self) -> bytes:
        """Return the marks as they stand in the header; always of one length."""
        return _MARKS.pack(self.round, self.sequence, self.epoch, self.task, self.policy)

    @staticmethod
    def from_bytes(blob: bytes) -> "Marks":
        """Undo to_bytes.

        Raises:
            SealError: these are no marks.
        """
        try:
            number, sequence, epoch, task, policy = _MARKS.unpack(blob)
            return Marks(epoch=epoch, sequence=sequence, round=number, task=task, policy=policy)
        except (struct.error, InputError) as err:
            raise SealError("the envelope's header holds no marks of ours") from err


def context_bytes(scope: Scope, marks: Marks) -> bytes:
    """Return the one byte form of a context: each part goes in with its length.

    >>> marks = Marks(epoch=bytes(16), sequence=0)
    >>> one = Scope(purpose=Purpose.CANDIDATE, family="ab", device=b"c")
    >>> two = Scope(purpose=Purpose.CANDIDATE, family="a", device=b"bc")
    >>> context_bytes(one, marks) == context_bytes(two, marks)
    False
    """
    parts = (
        scope.purpose.value,
        scope.family.encode(),
        scope.device,
        scope.item,
        marks.to_bytes(),
    )
    framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return b"fieldvote context" + bytes([VERSION]) + framed
