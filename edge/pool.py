"""The device's private pool: items, the answers people gave, and the journal of what was sent.

One SQLite file, written through one connection. Nothing in it ever leaves except through
:mod:`edge.outbox`. A reply that changed the pool is journaled in the same transaction, so a request
that arrives twice is answered with the same bytes and counted once.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, StoreError

_SCHEMAS = (
    """
CREATE TABLE item (
    position INTEGER PRIMARY KEY,       -- order of arrival, from 0
    id BLOB NOT NULL UNIQUE,            -- random, 16 bytes; the only name an item has outside
    payload BLOB NOT NULL,              -- text in UTF-8, or one row of doubles
    gold INTEGER,                       -- class known from the start; evaluation devices only
    arm INTEGER,                        -- how it was picked, once shipped
    answer INTEGER,                     -- class a person gave
    answered_in INTEGER,                -- round of that answer
    summed INTEGER NOT NULL DEFAULT 0   -- whether it has entered a released sum; see schema 3
);
CREATE TABLE journal (request BLOB PRIMARY KEY, reply BLOB NOT NULL);
CREATE TABLE ledger (seq INTEGER PRIMARY KEY, entry BLOB NOT NULL);
CREATE TABLE note (name TEXT PRIMARY KEY, value BLOB NOT NULL);
PRAGMA user_version = 1;
""",
    """
CREATE TABLE parcel (                   -- messages of a Flower fleet; see edge.flower.journal
    seq INTEGER PRIMARY KEY,            -- order of arrival
    id TEXT NOT NULL UNIQUE,            -- what the SuperLink calls the message
    head BLOB NOT NULL,                 -- its address, and the names of its objects
    request BLOB,                       -- what it carries, once fetched and until answered
    reply_head BLOB,                    -- the reply's address and error, once there is one
    reply BLOB,                         -- what the reply carries
    done INTEGER NOT NULL DEFAULT 0     -- whether the reply was pushed
);
PRAGMA user_version = 2;
""",
    """
-- from here on `summed` is the number of a note that says which sums an item is in; 0 is none, and
-- 1 is what earlier programs wrote: those of the task's functions
ALTER TABLE item ADD COLUMN anchored INTEGER NOT NULL DEFAULT 0;  -- the same for sums of answers
UPDATE item SET anchored = 1 WHERE answer IS NOT NULL;
PRAGMA user_version = 3;
""",
)
"""Schema after schema: a file is brought from its version to the last when it is opened."""

ID_BYTES = 16
PURGED = ("sums of ", "sums in ", "released ")
"""How notes begin that tell of items: a purge deletes them; see edge.sums."""
_JOURNAL_LENGTH = 64  # requests answered again from memory; a coordinator repeats only its latest


class Pool:
    """Items and what became of them.

    Positions are stable: item number i keeps its number for as long as the pool lives.
    """

    def __init__(self, path: Path | None) -> None:
        """Open the pool in this file, made if absent; None keeps it in memory."""
        with _storing():
            if path is not None:
                # whoever can read this file has every item; SQLite's own side files follow its mode
                path.touch(mode=0o600)
            self._db = sqlite3.connect(
                path or ":memory:", isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    def _prepare(self) -> None:
        """Set the file up as we need it, and make the tables it does not have yet."""
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        # what is purged is overwritten, else it would stay readable in the file's free pages
        self._db.execute("PRAGMA secure_delete = ON")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > len(_SCHEMAS):
            raise StoreError(f"this pool has schema {version}; this program knows {len(_SCHEMAS)}")
        for schema in _SCHEMAS[version:]:
            self._db.executescript("BEGIN IMMEDIATE;" + schema + "COMMIT;")

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Make every change inside all or nothing."""
        if self._db.in_transaction:
            yield
            return
        with _storing():
            self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            with _storing():
                self._db.execute("COMMIT")
        except BaseException:
            # on a full disk SQLite may have ended the transaction itself
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def __len__(self) -> int:
        """Return how many items there are."""
        return int(self.rows("SELECT count(*) FROM item")[0][0])

    def add(
        self, ids: Sequence[bytes], payloads: Sequence[bytes], gold: Sequence[int] | None = None
    ) -> None:
        """Add items at the end.

        Args:
            ids: Random ids, 16 bytes each.
            payloads: What each item is.
            gold: Known classes, for a device that only evaluates.

        Raises:
            InputError: an id is there already or is none, or the lengths differ.
        """
        if len(ids) != len(payloads) or (gold is not None and len(gold) != len(ids)):
            raise InputError(f"{len(ids)} ids for {len(payloads)} items")
        if any(len(item) != ID_BYTES for item in ids):
            raise InputError(f"an id has {ID_BYTES} bytes")
        classes: Sequence[int | None] = gold if gold is not None else [None] * len(ids)
        start = len(self)
        rows = zip(range(start, start + len(ids)), ids, payloads, classes, strict=True)
        with self.changing(), _storing():
            try:
                self._db.executemany(
                    "INSERT INTO item (position, id, payload, gold) VALUES (?, ?, ?, ?)", rows
                )
            except sqlite3.IntegrityError as err:
                raise InputError("an item with this id is in the pool already") from err

    def ids(self) -> list[bytes]:
        """Return every id by position."""
        return [row[0] for row in self.rows("SELECT id FROM item ORDER BY position")]

    def payloads(self) -> list[bytes]:
        """Return every payload by position."""
        return [row[0] for row in self.rows("SELECT payload FROM item ORDER BY position")]

    def column(self, name: str) -> NDArray[np.int64]:
        """Return gold, arm, answer, answered_in, summed or anchored by position, -1 if unknown."""
        if name not in {"gold", "arm", "answer", "answered_in", "summed", "anchored"}:
            raise InputError(f"no column {name}")
        query = f"SELECT coalesce({name}, -1) FROM item ORDER BY position"  # noqa: S608  # checked
        return np.array([row[0] for row in self.rows(query)], dtype=np.int64)

    def mark_shipped(self, position: int, arm: int) -> None:
        """Remember that this item was shipped, and why."""
        self.update("UPDATE item SET arm = ? WHERE position = ?", [(arm, position)])

    def answer(self, position: int, label: int, round_number: int) -> None:
        """Remember what a person said of this item; the first answer stays."""
        self.update(
            "UPDATE item SET answer = ?, answered_in = ? WHERE position = ? AND answer IS NULL",
            [(label, round_number, position)],
        )

    def recall(self, request: bytes) -> bytes | None:
        """Return the reply this request got before, if it is still remembered."""
        rows = self.rows("SELECT reply FROM journal WHERE request = ?", request)
        return bytes(rows[0][0]) if rows else None

    def remember(self, request: bytes, reply: bytes) -> None:
        """Journal the reply to a request; the oldest are forgotten."""
        self.update("INSERT INTO journal VALUES (?, ?)", [(request, reply)])
        self.update(
            "DELETE FROM journal WHERE rowid <= (SELECT max(rowid) FROM journal) - ?",
            [(_JOURNAL_LENGTH,)],
        )

    def note(self, name: str) -> bytes | None:
        """Return a small value kept under this name."""
        rows = self.rows("SELECT value FROM note WHERE name = ?", name)
        return bytes(rows[0][0]) if rows else None

    def keep_note(self, name: str, value: bytes) -> None:
        """Keep a small value under this name."""
        self.update("INSERT OR REPLACE INTO note VALUES (?, ?)", [(name, value)])

    def purge(self) -> int:
        """Delete every item and every answer; what was given away stays on the ledger.

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
        with _storing():
            # the write-ahead log holds copies of what was deleted
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return count

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return what a query finds."""
        with _storing():
            return self._db.execute(query, values).fetchall()

    def update(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Run a statement for each of these rows, all or none."""
        with self.changing(), _storing():
            self._db.executemany(statement, rows)

    # the ledger's store: durable before it returns, as privacy.dp.LedgerStore asks

    def append(self, entry: bytes) -> None:
        """Write one ledger entry down."""
        self.update("INSERT INTO ledger (entry) VALUES (?)", [(entry,)])

    def entries(self) -> Iterator[bytes]:
        """Yield every ledger entry, oldest first."""
        return iter([bytes(row[0]) for row in self.rows("SELECT entry FROM ledger ORDER BY seq")])


@contextmanager
def _storing() -> Iterator[None]:
    """Turn what SQLite says of the disk into our own words."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except (sqlite3.Error, OSError) as err:
        raise StoreError(f"the pool cannot be used: {err}; nothing was changed") from err
