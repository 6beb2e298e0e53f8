"""The ledger: what a device has given away so far, and the refusal when it is spent.

Rules:

- Durable first, then release: `charge` returns only after the store has taken the entry, and
  `release`, the only way to noise something, draws its noise after that. A device that dies in
  between has paid for nothing; it never has given something away unpaid.
- A refusal leaves no trace: limits are checked before the store is touched.
- What has a subject is released once: the same pool noised twice would cost twice and tell no
  more than it did with less noise.
- Every limit holds: the device's own in all, the task's for what leaves for a task, and the share
  of the kind where privacy is divided. Who names a task without limits is refused.
- Entries are chained by hash, so one that is changed, moved or removed from the middle is noticed
  on opening. A cut tail is not: pin `head` elsewhere where the disk is not trusted.
- Integers only; sums of floats drift, and a NaN compares false with every limit.
- One ledger per store; within a process, charges from several threads queue up.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from threading import Lock
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, RefusalError
from privacy.dp.amounts import whole
from privacy.dp.chain import DIGEST_BYTES, GENESIS, LedgerEntry, decode_entry, encode_entry
from privacy.dp.mechanisms import Noise, add_share, check_values
from privacy.dp.spending import Limits, Spent, Totals

__all__ = ["Ledger", "LedgerStore", "Limits", "MemoryLedgerStore", "Spent", "Totals"]

MAX_KIND_CHARS = 64
MAX_TASK_CHARS = 128
_NOTHING = Spent()


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

    def __init__(
        self,
        store: LedgerStore,
        limits: Limits,
        now: Callable[[], datetime],
        *,
        tasks: Mapping[str, Limits] | None = None,
    ) -> None:
        """Open the store and check its chain.

        Args:
            store: Where entries live.
            limits: In all. May be lower than what is spent; then nothing more leaves.
            now: The clock; its times carry a time zone.
            tasks: The limits of each task by its name, beside those in all.

        Raises:
            RefusalError: the chain is broken; a human must look before anything leaves.
        """
        self._store, self._limits, self._now = store, limits, now
        self._tasks = MappingProxyType(dict(tasks or {}))
        self._lock = Lock()
        self._stale = True
        self._head, self._sequence = GENESIS, 0
        # by task and kind; None stands for any
        self._spent: dict[tuple[str | None, str | None], Spent] = {}
        self._released: set[tuple[str, str, bytes]] = set()
        self._load()

    @property
    def spent(self) -> Totals:
        """What was given away so far."""
        total = self._sum()
        tasks, kinds = zip(*self._spent, strict=True) if self._spent else ((), ())
        return Totals(
            size_bytes=total.size_bytes,
            candidates=total.candidates,
            micro_rho=total.micro_rho,
            releases=total.releases,
            by_kind=MappingProxyType(
                {kind: self._sum(kind=kind) for kind in kinds if kind is not None}
            ),
            by_task=MappingProxyType(
                {task: self._sum(task=task) for task in tasks if task is not None}
            ),
        )

    @property
    def head(self) -> bytes:
        """Digest of the last entry; 32 bytes, which stand for the whole history."""
        return self._head

    @property
    def limits(self) -> Limits:
        """What may be given away in all."""
        return self._limits

    @property
    def tasks(self) -> Mapping[str, Limits]:
        """What may be given away for each task."""
        return self._tasks

    def entries(self) -> tuple[LedgerEntry, ...]:
        """Return the history as stored, oldest first, its chain checked again.

        Raises:
            RefusalError: the chain is broken.
        """
        return tuple(self._read())

    def charge(
        self, kind: str, *, size_bytes: int, candidates: int = 0, task: str = ""
    ) -> LedgerEntry:
        """Write down that something is about to leave; only then may it leave.

        Args:
            kind: What leaves, as a word: "summaries", "candidates", "updates".
            size_bytes: How many bytes leave. Not negative.
            candidates: How many items leave. Not negative.
            task: Whom it leaves for; "" for no task in particular.

        Raises:
            LedgerSpentError: a limit would be exceeded; nothing is written.
            RefusalError: the task has no limits here.
            InputError: a number is negative or no integer, or kind is no word.
            StoreError: the store would not take it; nothing may leave.
        """
        return self._charge(kind, task, Spent(size_bytes=size_bytes, candidates=candidates))

    def release(
        self,
        kind: str,
        values: NDArray[np.int64],
        *,
        noise: Noise,
        l2_squared: int,
        entropy: Callable[[int], bytes],
        task: str = "",
        subject: bytes = b"",
        size_bytes: int = 0,
        apart: bool = False,
    ) -> NDArray[np.int64]:
        """Pay for a noised vector, then noise it and return it; the only way to noise something.

        Args:
            kind: What leaves: "training", "summaries", "evaluation".
            values: What this device adds to the sum. Shape (length,), int64.
            noise: What noise the sum holds at least; this device adds one share of it.
            l2_squared: Squared length by which one unit, a record or a device, moves the values.
                Whoever calls vouches for it: it is what the guarantee is about.
            entropy: The system's, but for rehearsals.
            task: Whom it leaves for; "" for no task in particular.
            subject: Digest of what was summed, where that may be released once only; a crash after
                it was paid for uses it up too. Empty where it may be released again and again.
            size_bytes: How many bytes leave, where they are not charged apart.
            apart: Whether no unit moves two releases of this kind for this task: together they tell
                of it what the dearest does, so only what this one costs beyond those before is
                charged. Whoever calls vouches for it.

        Returns:
            New values. Shape (length,), int64. To send them again costs nothing, to ask for them
            again costs as much again, as the noise is new.

        Raises:
            LedgerSpentError: a limit would be exceeded; nothing is written, no noise drawn.
            RefusalError: the task has no limits here, or the subject was released before.
            InputError, ShapeError: an argument is not what it must be.
            StoreError: the store would not take the entry; nothing is noised.
        """
        check_values(values)
        cost = noise.micro_rho(l2_squared=l2_squared, length=len(values))
        more = Spent(size_bytes=size_bytes, micro_rho=cost)
        self._charge(kind, task, more, subject=subject, apart=apart)
        return add_share(values, noise, entropy)

    def _charge(
        self, kind: str, task: str, more: Spent, *, subject: bytes = b"", apart: bool = False
    ) -> LedgerEntry:
        """Check, write down, and only then count."""
        _check_words(kind, task)
        if not isinstance(subject, bytes) or len(subject) > DIGEST_BYTES:
            raise InputError(f"a subject is a digest of at most {DIGEST_BYTES} bytes")
        for name in ("size_bytes", "candidates", "micro_rho"):
            whole(name, getattr(more, name))
        with self._lock:
            if self._stale:
                self._load()
            if subject and (task, kind, subject) in self._released:
                raise RefusalError(
                    f"{kind} of this pool were released already; there is one release per change"
                )
            if apart:
                paid = self._sum(task=task, kind=kind).micro_rho
                more = replace(more, micro_rho=max(more.micro_rho - paid, 0))
            self._check_limits(kind, task, more)
            entry = LedgerEntry(
                sequence=self._sequence,
                at=_aware(self._now()),
                kind=kind,
                size_bytes=more.size_bytes,
                candidates=more.candidates,
                task=task,
                micro_rho=more.micro_rho,
                subject=subject,
                previous=self._head,
            )
            # A store that fails may still have written: read it again before the next charge.
            self._stale = True
            self._store.append(encode_entry(entry))
            self._take(entry)
            self._stale = False
        return entry

    def _check_limits(self, kind: str, task: str, more: Spent) -> None:
        """Refuse what would exceed a limit."""
        self._limits.check(self._sum(), more)
        self._limits.check_kind(kind, self._sum(kind=kind), more)
        if task:
            if task not in self._tasks:
                raise RefusalError(
                    "this task has no limits on this device, so nothing leaves for it"
                )
            limits = self._tasks[task]
            limits.check(self._sum(task=task), more, of="the task")
            limits.check_kind(kind, self._sum(task=task, kind=kind), more, of="the task")

    def _sum(self, *, task: str | None = None, kind: str | None = None) -> Spent:
        """Return what was spent for this task and on this kind; None stands for any."""
        return self._spent.get((task, kind), _NOTHING)

    def _load(self) -> None:
        """Rebuild the totals from the store; on a broken chain the ledger keeps refusing."""
        self._stale = True
        self._head, self._sequence = GENESIS, 0
        self._spent = {}
        self._released = set()
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
        more = Spent(
            size_bytes=entry.size_bytes,
            candidates=entry.candidates,
            micro_rho=entry.micro_rho,
            releases=1,
        )
        for task in (entry.task, None):
            for kind in (entry.kind, None):
                self._spent[task, kind] = self._sum(task=task, kind=kind) + more
        self._released.add((entry.task, entry.kind, entry.subject))
        self._head, self._sequence = entry.digest, entry.sequence + 1


def _check_words(kind: str, task: str) -> None:
    """Refuse what is not a word; both are printed, and content must not slip into them."""
    if not isinstance(kind, str) or not kind.isidentifier() or len(kind) > MAX_KIND_CHARS:
        raise InputError(f"kind is a word of at most {MAX_KIND_CHARS} letters, like 'summaries'")
    if not isinstance(task, str) or not (task.isprintable() and len(task) <= MAX_TASK_CHARS):
        raise InputError(f"task is a printable name of at most {MAX_TASK_CHARS} characters")


def _aware(at: datetime) -> datetime:
    """Refuse a clock without time zone: entries of a device that travels would not compare."""
    if at.tzinfo is None:
        raise InputError("the ledger's clock must return times with a time zone")
    return at
