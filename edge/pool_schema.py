"""The tables of a device's database, as they came to be: entry n leads from version n to n + 1."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from fieldvote.errors import StoreError

SCHEMAS = (
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
    """
-- what may be done with an item: 0 nothing, 1 summed, 2 shown too; see fieldvote.rights
ALTER TABLE item ADD COLUMN rights INTEGER NOT NULL DEFAULT 2;
PRAGMA user_version = 4;
""",
    """
CREATE TABLE replay (                   -- which envelopes were here; see privacy.sealing.replay
    sender BLOB NOT NULL,               -- public key of a desk
    epoch BLOB NOT NULL,
    window BLOB NOT NULL,
    PRIMARY KEY (sender, epoch)
) WITHOUT ROWID;
PRAGMA user_version = 5;
""",
    """
-- drawn when an item comes to a pool that is bounded, and says nothing of it; see edge.keeper
ALTER TABLE item ADD COLUMN lot INTEGER;
PRAGMA user_version = 6;
""",
)
"""Schema after schema: a file is brought from its version to the last when it is opened."""


def prepare(db: sqlite3.Connection) -> None:
    """Set a file up as we need it, and make the tables it does not have yet.

    Raises:
        StoreError: a newer program made it.
    """
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    # what is deleted is overwritten, else it would stay readable in the file's free pages
    db.execute("PRAGMA secure_delete = ON")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(SCHEMAS):
        raise StoreError(f"this pool has schema {version}; this program knows {len(SCHEMAS)}")
    for schema in SCHEMAS[version:]:
        db.executescript("BEGIN IMMEDIATE;" + schema + "COMMIT;")


def clean(db: sqlite3.Connection) -> None:
    """Leave nothing of what was deleted in the write-ahead log, and give back a half-empty file."""
    free, every = (
        db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_count")
    )
    if 2 * free > every:
        # on a full disk, or while another connection writes, it is left to the next time
        with suppress(sqlite3.OperationalError):
            db.execute("VACUUM")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def storing() -> Iterator[None]:
    """Turn what SQLite says of the disk into our own words."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except (sqlite3.Error, OSError) as err:
        raise StoreError(f"the pool cannot be used: {err}; nothing was changed") from err
