"""Entries of the ledger and the chain that holds them together.

An entry is stored as its digest (32 bytes) followed by its body, the msgpack list `[sequence,
microseconds since 1970, kind, size_bytes, candidates, task, micro_rho, subject, previous digest]`.
The digest covers the body, the body names the digest before it. Where task, micro-rho and subject
are all empty they are left out: so were entries written before there were any, whose digests stand.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import msgpack

from fieldvote.errors import RefusalError

DIGEST_BYTES = 32
MAX_ENTRY_BYTES = 1024
DOMAIN = b"fieldvote ledger 1"
GENESIS = sha256(DOMAIN + b" genesis").digest()
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One release, written down before it happened.

    Attributes:
        sequence: Counts from 0.
        at: When, with time zone.
        kind: What left.
        size_bytes: How many bytes left.
        candidates: How many items left.
        task: Whom it left for; "" for no task in particular.
        micro_rho: Millionths of rho that its noise costs; 0 for what left without noise.
        subject: Digest of what was summed, where that may be released but once; else empty.
        previous: Digest of the entry before.
        digest: Hash over all of the above; follows from them.
    """

    sequence: int
    at: datetime
    kind: str
    size_bytes: int
    candidates: int
    task: str = ""
    micro_rho: int = 0
    subject: bytes = b""
    previous: bytes
    digest: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", sha256(DOMAIN + _body(self)).digest())


def encode_entry(entry: LedgerEntry) -> bytes:
    """Return the entry as it is stored."""
    return entry.digest + _body(entry)


def decode_entry(stored: bytes, *, sequence: int, previous: bytes) -> LedgerEntry:
    """Read one stored entry that must have this place in the chain.

    Raises:
        RefusalError: it was changed, moved, or an entry before it is gone.
    """
    broken = RefusalError(f"ledger entry {sequence} breaks the chain; nothing leaves this device")
    if not DIGEST_BYTES < len(stored) <= MAX_ENTRY_BYTES:
        raise broken
    try:
        number, micros, kind, size_bytes, candidates, *noised, before = msgpack.unpackb(
            stored[DIGEST_BYTES:], max_array_len=9, max_map_len=0
        )
        task, micro_rho, subject = noised or ("", 0, b"")
        entry = LedgerEntry(
            sequence=number,
            at=EPOCH + micros * MICROSECOND,
            kind=kind,
            size_bytes=size_bytes,
            candidates=candidates,
            task=task,
            micro_rho=micro_rho,
            subject=subject,
            previous=before,
        )
        same = encode_entry(entry) == stored
    except (ValueError, TypeError, OverflowError, msgpack.exceptions.UnpackException) as err:
        raise broken from err
    counts = (entry.sequence, entry.size_bytes, entry.candidates, entry.micro_rho)
    # A negative amount would give back what is gone.
    if not same or any(type(count) is not int or count < 0 for count in counts):
        raise broken
    if entry.sequence != sequence or entry.previous != previous:
        raise broken
    if not (isinstance(kind, str) and isinstance(task, str) and isinstance(subject, bytes)):
        raise broken
    return entry


def _body(entry: LedgerEntry) -> bytes:
    """Return the bytes under the digest."""
    noised = [entry.task, entry.micro_rho, entry.subject]
    packed: bytes = msgpack.packb(
        [
            entry.sequence,
            (entry.at - EPOCH) // MICROSECOND,
            entry.kind,
            entry.size_bytes,
            entry.candidates,
            *(noised if any(noised) else ()),
            entry.previous,
        ]
    )
    return packed
