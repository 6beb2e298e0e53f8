"""The ledger: what a device has given away so far, and the refusal when it is spent.

Rules:

- Durable first, then release: `charge` returns only after the store has taken the entry.
- A refusal leaves no trace: limits are checked before the store is touched.
- Entries are chained by hash, so one that is changed, moved or removed from the middle is noticed
  on opening. A cut tail is not: pin `head` elsewhere where the disk is not trusted.
- Integers only; sums of floats drift, and a NaN compares false with every limit.
- One ledger per store; within a process, charges from several threads queue up.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from types import MappingProxyType
from typing import Protocol

from fieldvote.errors import InputError, LedgerSpentError
from privacy.dp.chain import GENESIS, LedgerEntry, decode_entry, encode_entry

MAX_KIND_CHARS = 64
MAX_INTEGER = 2**53


class LedgerStore(Protocol):
    """Where entries live; the order of appending is the order of reading."""

    def append(self, entry: bytes) -> None:
        """Return only when the entry would survive a power cut; raise StoreError otherwise."""

    def entries(self) -> Iterator[bytes]:
        """Yield every entry, oldest first."""


class MemoryLedgerStore:
    """A store for rehearsals: forgets everything with the process."""

    def __init__(self) -> None:
        self._entries: list[bytes] = []

    def append(self, entry: bytes) -> None:
        """Keep the entry."""
        self._entries.append(entry)

    def entries(self) -> Iterator[bytes]:
        """Yield every entry, oldest first."""
        yield from tuple(self._entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a device may give away over its life.

    Attributes:
        candidates: How many items, redacted or not.
        size_bytes: How many bytes of any kind.
    """

    candidates: int
    size_bytes: int

    def __post_init__(self) -> None:
        _check_count("candidates", self.candidates)
        _check_count("size_bytes", self.size_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What was given away; adding two is adding their parts."""

    size_bytes: int = 0
    candidates: int = 0
    releases: int = 0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            size_bytes=self.size_bytes + other.size_bytes,
            candidates=self.candidates + other.candidates,
            releases=self.releases + other.releases,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals(Spent):
    """What was given away in all, and by kind.

    Attributes:
        by_kind: The parts, which add up to the whole.
    """

    by_kind: Mapping[str, Spent]


class Ledger:
    """An account that only grows, with limits.

    >>> from datetime import UTC
    >>> clock = lambda: datetime(2026, 1, 1, tzinfo=UTC)
    >>> ledger = Ledger(MemoryLedgerStore(), Limits(candidates=1, size_bytes=100), clock)
    >>> ledger.charge("candidates", size_bytes=60, candidates=1).sequence
    0
    >>> ledger.charge("summaries", size_bytes=41)
    Traceback (most recent call last):
    fieldvote.errors.LedgerSpentError: 41 bytes more would make 101, the limit is 100
    >>> ledger.spent.size_bytes, ledger.spent.by_kind["candidates"].candidates
    (60, 1)
    """

    def __init__(self, store: LedgerStore, limits: Limits, now: Callable[[], datetime]) -> None:
        """Open the store and check its chain.

        Args:
            store: Where entries live.
            limits: May be lower than what is spent; then nothing more leaves.
            now: The clock; its times carry a time zone.

        Raises:
            RefusalError: the chain is broken; a human must look before anything leaves.
        """
        self._store, self._limits, self._now = store, limits, now
        self._lock = Lock()
        self._stale = True
        self._head, self._sequence = GENESIS, 0
        self._by_kind: dict[str, Spent] = {}
        self._load()

    @property
    def spent(self) -> Totals:
        """What was given away so far."""
        whole = sum(self._by_kind.values(), start=Spent())
        return Totals(
            size_bytes=whole.size_bytes,
            candidates=whole.candidates,
            releases=whole.releases,
            by_kind=MappingProxyType(dict(self._by_kind)),
        )

    @property
    def head(self) -> bytes:
        """Digest of the last entry; 32 bytes, which stand for the whole history."""
        return self._head

    @property
    def limits(self) -> Limits:
        """What may be given away in all."""
        return self._limits

    def entries(self) -> tuple[LedgerEntry, ...]:
        """Return the history as stored, oldest first, its chain checked again.

        Raises:
            RefusalError: the chain is broken.
        """
        return tuple(self._read())

    def charge(self, kind: str, *, size_bytes: int, candidates: int = 0) -> LedgerEntry:
        """Write down that something is about to leave; only then may it leave.

        Args:
            kind: What leaves, as a word: "summaries", "candidates", "updates".
            size_bytes: How many bytes leave. Not negative.
            candidates: How many items leave. Not negative.

        Raises:
            LedgerSpentError: a limit would be exceeded; nothing is written.
            InputError: a number is negative or no integer, or kind is no word.
            StoreError: the store would not take it; nothing may leave.
        """
        _check_kind(kind)
        _check_count("size_bytes", size_bytes)
        _check_count("candidates", candidates)
        with self._lock:
            if self._stale:
                self._load()
            self._check_limits(size_bytes, candidates)
            entry = LedgerEntry(
                sequence=self._sequence,
                at=_aware(self._now()),
                kind=kind,
                size_bytes=size_bytes,
                candidates=candidates,
                previous=self._head,
            )
            # A store that fails may still have written: read it again before the next charge.
            self._stale = True
            self._store.append(encode_entry(entry))
            self._take(entry)
            self._stale = False
        return entry

    def _check_limits(self, size_bytes: int, candidates: int) -> None:
        """Refuse what would exceed a limit."""
        spent = self.spent
        for what, more, limit, so_far in (
            ("bytes", size_bytes, self._limits.size_bytes, spent.size_bytes),
            ("candidates", candidates, self._limits.candidates, spent.candidates),
        ):
            # A charge of nothing passes even where the limit was lowered below what is spent.
            if more and so_far + more > limit:
                raise LedgerSpentError(
                    f"{more} {what} more would make {so_far + more}, the limit is {limit}"
                )

    def _load(self) -> None:
        """Rebuild the totals from the store; on a broken chain the ledger keeps refusing."""
        self._stale = True
        self._head, self._sequence = GENESIS, 0
        self._by_kind = {}
        for entry in self._read():
            self._take(entry)
        self._stale = False

    def _read(self) -> Iterator[LedgerEntry]:
        """Yield the stored entries, each checked against the one before."""
        head = GENESIS
        for sequence, stored in enumerate(self._store.entries()):
            entry = decode_entry(stored, sequence=sequence, previous=head)
            head = entry.digest
            yield entry

    def _take(self, entry: LedgerEntry) -> None:
        """Count an entry that is in the store."""
        more = Spent(size_bytes=entry.size_bytes, candidates=entry.candidates, releases=1)
        self._by_kind[entry.kind] = self._by_kind.get(entry.kind, Spent()) + more
        self._head, self._sequence = entry.digest, entry.sequence + 1


def _check_count(name: str, value: int) -> None:
    """Refuse what is not a plain whole number; True would count as one byte."""
    if type(value) is not int or not 0 <= value <= MAX_INTEGER:
        raise InputError(f"{name} is a whole number from 0 to 2**53, got a {type(value).__name__}")


def _check_kind(kind: str) -> None:
    """Refuse a kind that is not a word; kinds are printed, and content must not slip into them."""
    if not isinstance(kind, str) or not kind.isidentifier() or len(kind) > MAX_KIND_CHARS:
        raise InputError(f"kind is a word of at most {MAX_KIND_CHARS} letters, like 'summaries'")


def _aware(at: datetime) -> datetime:
    """Refuse a clock without time zone: entries of a device that travels would not compare."""
    if at.tzinfo is None:
        raise InputError("the ledger's clock must return times with a time zone")
    return at
