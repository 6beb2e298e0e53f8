"""The device's private pool: items, the answers people gave, and the journal of what was sent.

One SQLite file, written through one connection. Given a key, the items and what was made of them
are locked in it; see :mod:`edge.locked`. Nothing in it ever leaves except through
:mod:`edge.outbox`. A reply that changed the pool is journaled in the same transaction, so a request
that arrives twice is answered with the same bytes and counted once.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.locked import LOCKED, Locker
from edge.pool_columns import KeptColumns
from edge.pool_schema import clean, prepare, storing
from fieldvote.errors import InputError, SealError
from fieldvote.rights import Rights
from privacy.sealing.at_rest import DataKey, KeySource, unwrapped

ID_BYTES = 16
PURGED = ("sums of ", "sums in ", "released ", "secure ", "kept ")
"""How notes begin that tell of items: a purge deletes them; see the files that keep them."""
_DATA_KEY, _LEFTOVERS = "data key", "data key leftovers"
_POSITIONS = "kept positions"  # the next one, where the last item there was may be gone
_JOURNAL_LENGTH = 64  # requests answered again from memory; a coordinator repeats only its latest


class Pool:
    """Items and what became of them.

    Positions are numbers in the order of arrival: an item keeps its own, and where one was let go
    there is none. Places count the items there are, from 0, and move up when one is let go.
    """

    def __init__(self, path: Path | None, *, custody: KeySource | None = None) -> None:
        """Open the pool in this file, made if absent; None keeps it in memory.

        Args:
            path: The file.
            custody: Where its key is. A pool that was not locked yet is locked now. Without one,
                what is written is readable to whoever has the file.

        Raises:
            StoreError: the file cannot be used.
            SealError: it is locked, and not by this key.
            InputError: the key is not where it should be.
        """
        self.locker = Locker()
        self.columns = KeptColumns(self.rows, shared=path is not None)
        self._secret: bytes | str | None = None
        with storing():
            if path is not None:
                # whoever can read this file has every item; SQLite's own side files follow its mode
                path.touch(mode=0o600)
            self._db = sqlite3.connect(
                path or ":memory:", isolation_level=None, check_same_thread=False
            )
            try:
                prepare(self._db)
                self._unlock(custody)
            except BaseException:
                self._db.close()
                raise

    def _unlock(self, custody: KeySource | None) -> None:
        """Take the data key up, made at the first time."""
        wrapped = self.note(_DATA_KEY)
        if custody is None:
            if wrapped is not None:
                raise SealError("this pool is locked: open it with its key")
            return
        if wrapped is None:
            self._lock(custody)
        else:
            found = unwrapped(wrapped, custody.secrets(make=False), os.urandom)
            self.locker.key, self._secret = found
        if self.note(_LEFTOVERS) is not None:
            # free pages and the log hold what was written before the pool was locked
            self._db.execute("VACUUM")
            self.clean_up()
            self.update("DELETE FROM note WHERE name = ?", [(_LEFTOVERS,)])

    def _lock(self, custody: KeySource) -> None:
        """Make a data key, and lock with it whatever is here, all or nothing."""
        secret = next(iter(custody.secrets(make=True)))
        locker = Locker(DataKey.generate(os.urandom))
        with self.changing():
            self.rewrap(secret, key=locker.key)
            self.keep_note(_LEFTOVERS, b"")
            for table, (name, columns) in LOCKED.items():
                for column in columns:
                    query = f"SELECT {name}, {column} FROM {table} WHERE {column} IS NOT NULL"  # noqa: S608  # our own names
                    change = f"UPDATE {table} SET {column} = ? WHERE {name} = ?"  # noqa: S608  # our own names
                    for row, value in self.rows(query):
                        self.update(change, [(*locker.seal(table, column, [(row, value)]), row)])
        self.locker.key = locker.key

    @property
    def secret(self) -> bytes | str:
        """What opened the pool.

        Raises:
            InputError: it is not locked.
        """
        if self._secret is None:
            raise InputError("this pool is not locked, so no key opens it")
        return self._secret

    def rewrap(self, secret: bytes | str, *, key: DataKey | None = None) -> None:
        """Let another secret open the pool from now on, and no item be written anew.

        Args:
            secret: A wrapping key, or a passphrase.
            key: What it opens; the data key there is, if not given.

        Raises:
            InputError: the pool is not locked.
        """
        key = key or self.locker.key
        if key is None:
            raise InputError("this pool is not locked, so there is no key to wrap")
        self.keep_note(_DATA_KEY, key.wrapped(secret))
        self._secret = secret

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Make every change inside all or nothing."""
        if self._db.in_transaction:
            yield
            return
        with storing():
            self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            with storing():
                self._db.execute("COMMIT")
        except BaseException:
            # on a full disk SQLite may have ended the transaction itself
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self.columns.changed()
            raise

    def __len__(self) -> int:
        """Return how many items there are."""
        return self.columns.count()

    def add(
        self,
        ids: Sequence[bytes],
        payloads: Sequence[bytes],
        gold: Sequence[int] | None = None,
        rights: Sequence[Rights] | None = None,
        lots: Sequence[int] | None = None,
    ) -> None:
        """Add items at the end.

        Args:
            ids: Random ids, 16 bytes each.
            payloads: What each item is.
            gold: Known classes, for a device that only evaluates.
            rights: What may be done with each; everything if not given. With an item of no rights
                nothing may be done, so it is refused.
            lots: What was drawn for each, in a pool that is bounded.

        Raises:
            InputError: an id is there already or is none, or the lengths differ.
        """
        if len(ids) != len(payloads) or (gold is not None and len(gold) != len(ids)):
            raise InputError(f"{len(ids)} ids for {len(payloads)} items")
        if any(len(item) != ID_BYTES for item in ids):
            raise InputError(f"an id has {ID_BYTES} bytes")
        given = [Rights.SHIP] * len(ids) if rights is None else list(rights)
        if len(given) != len(ids) or Rights.NONE in given:
            raise InputError("an item without rights is not kept")
        classes: Sequence[int | None] = gold if gold is not None else [None] * len(ids)
        drawn: Sequence[int | None] = lots if lots is not None else [None] * len(ids)
        levels = [each.level for each in given]
        locked = self.locker.seal("item", "payload", zip(ids, payloads, strict=True))
        with self.changing(), storing():
            places = range(start := self.next_position, start + len(ids))
            rows = zip(places, ids, locked, classes, levels, drawn, strict=True)
            try:
                self._db.executemany(
                    "INSERT INTO item (position, id, payload, gold, rights, lot)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    rows,
                )
            except sqlite3.IntegrityError as err:
                raise InputError("an item with this id is in the pool already") from err
            finally:
                self.columns.changed()

    @property
    def next_position(self) -> int:
        """The position of the next item that comes; it was never another's."""
        last = int(self.rows("SELECT coalesce(max(position), -1) FROM item")[0][0])
        return max(last + 1, int(self.note(_POSITIONS) or b"0"))

    def let_go(self, places: NDArray[np.int64]) -> None:
        """Delete the items at these places; the caller holds the transaction and all that moves.

        What was given away stays on the ledger; their positions are nobody's.
        """
        self.keep_note(_POSITIONS, b"%d" % self.next_position)
        positions = self.column("position")[places].tolist()
        self.update("DELETE FROM item WHERE position = ?", [(each,) for each in positions])

    def ids(self) -> list[bytes]:
        """Return every id by place."""
        return [row[0] for row in self.rows("SELECT id FROM item ORDER BY position")]

    def payloads(self, start: int = 0, count: int = -1) -> list[bytes]:
        """Return payloads by place, every one, or from a place on so many at most.

        Raises:
            SealError: one was changed or moved on the disk.
        """
        query = "SELECT id, payload FROM item ORDER BY position LIMIT ? OFFSET ?"
        return self.locker.open("item", "payload", self.rows(query, count, start))

    def payload(self, place: int) -> bytes:
        """Return one payload.

        Raises:
            InputError: there is no such place.
            SealError: it was changed or moved on the disk.
        """
        found = self.payloads(place, 1) if place >= 0 else []
        if not found:
            raise InputError(f"the pool has {len(self)} items, none at {place}")
        return found[0]

    def column(self, name: str) -> NDArray[np.int64]:
        """Return gold, arm, answer, answered_in, summed, anchored, rights, lot or position.

        By place, -1 if unknown, and not to be written to. Shape (n,).
        """
        return self.columns.get(name)

    def mark_shipped(self, place: int, arm: int) -> None:
        """Remember that this item was shipped, and why."""
        at = int(self.column("position")[place])
        self.update("UPDATE item SET arm = ? WHERE position = ?", [(arm, at)])

    def answer(self, place: int, label: int, round_number: int) -> None:
        """Remember what a person said of this item; the first answer stays."""
        said = (label, round_number, int(self.column("position")[place]))
        query = "UPDATE item SET answer = ?, answered_in = ? WHERE position = ? AND answer IS NULL"
        self.update(query, [said])

    def recall(self, request: bytes) -> bytes | None:
        """Return the reply this request got before, if it is still remembered."""
        rows = self.rows("SELECT request, reply FROM journal WHERE request = ?", request)
        return self.locker.open("journal", "reply", rows)[0] if rows else None

    def remember(self, request: bytes, reply: bytes) -> None:
        """Journal the reply to a request; the oldest are forgotten."""
        (locked,) = self.locker.seal("journal", "reply", [(request, reply)])
        self._write("INSERT INTO journal VALUES (?, ?)", [(request, locked)])
        self._write(
            "DELETE FROM journal WHERE rowid <= (SELECT max(rowid) FROM journal) - ?",
            [(_JOURNAL_LENGTH,)],
        )

    def note(self, name: str) -> bytes | None:
        """Return a small value kept under this name."""
        rows = self.rows("SELECT value FROM note WHERE name = ?", name)
        return bytes(rows[0][0]) if rows else None

    def keep_note(self, name: str, value: bytes) -> None:
        """Keep a small value under this name."""
        self._write("INSERT OR REPLACE INTO note VALUES (?, ?)", [(name, value)])

    def window(self, sender: bytes, epoch: bytes) -> bytes | None:
        """Return what was seen of a sender's envelopes, None for nothing."""
        query = "SELECT window FROM replay WHERE sender = ? AND epoch = ?"
        rows = self.rows(query, sender, epoch)
        return bytes(rows[0][0]) if rows else None

    def keep_window(self, sender: bytes, epoch: bytes, window: bytes) -> None:
        """Keep what was seen of a sender's envelopes."""
        self._write("INSERT OR REPLACE INTO replay VALUES (?, ?, ?)", [(sender, epoch, window)])

    def purge(self) -> int:
        """Delete every item and every answer; what was given away stays on the ledger.

        A locked pool goes on with another data key: what a disk still holds of the old rows, in
        blocks it no longer shows, nothing opens any more.

        Returns:
            How many items were deleted.
        """
        count = len(self)
        with self.changing():
            self.update("DELETE FROM item", [()])
            self.update("DELETE FROM journal", [()])
            self.update("DELETE FROM parcel", [()])
            for notes in PURGED:
                self.update("DELETE FROM note WHERE name LIKE ?", [(notes + "%",)])
            fresh = DataKey.generate(os.urandom) if self._secret is not None else None
            if self._secret is not None:
                self.rewrap(self._secret, key=fresh)
        self.locker.key = fresh
        self.clean_up()
        return count

    def clean_up(self) -> None:
        """Leave nothing on the disk of what was deleted, nor much of the room that it took."""
        with storing():
            clean(self._db)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return what a query finds."""
        with storing():
            return self._db.execute(query, values).fetchall()

    def update(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Run a statement for each of these rows, all or none."""
        try:
            self._write(statement, rows)
        finally:
            self.columns.changed()

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Run a statement that changes no item for each of these rows, all or none."""
        with self.changing(), storing():
            self._db.executemany(statement, rows)

    # the ledger's store: durable before it returns, as privacy.dp.LedgerStore asks

    def append(self, entry: bytes) -> None:
        """Write one ledger entry down."""
        with storing():
            # one statement is a transaction of its own where there is none
            self._db.execute("INSERT INTO ledger (entry) VALUES (?)", (entry,))

    def entries(self) -> Iterator[bytes]:
        """Yield every ledger entry, oldest first."""
        return iter([bytes(row[0]) for row in self.rows("SELECT entry FROM ledger ORDER BY seq")])
