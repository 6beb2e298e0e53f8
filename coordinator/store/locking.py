"""Locking a database that was not, and the data key's own row; see privacy.sealing.at_rest."""

from typing import TYPE_CHECKING

from sqlalchemy import Table, and_, bindparam, delete, select, text, update
from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT is spelled as SQLite's

from coordinator.store.locked import Lock, Values
from coordinator.store.schema import LOCKED, TABLES, meta
from privacy.sealing.at_rest import DataKey

if TYPE_CHECKING:
    from coordinator.store.database import Database

_DATA_KEY, _LEFTOVERS = "data key", "data key leftovers"
_FIND = select(meta.c.value).where(meta.c.name == bindparam("the_name"))
_ADD = insert(meta)
_KEEP = _ADD.on_conflict_do_update(index_elements=["name"], set_={"value": _ADD.excluded.value})
_DROP = delete(meta).where(meta.c.name == bindparam("the_name"))


def kept_key(database: "Database") -> bytes | None:
    """Return the wrapped data key, None where nothing is locked."""
    rows = database.rows(_FIND, {"the_name": _DATA_KEY})
    return bytes.fromhex(rows[0]["value"]) if rows else None


def keep_key(database: "Database", wrapped: bytes) -> None:
    """Keep the wrapped data key; the caller holds the transaction."""
    database.change(_KEEP, {"name": _DATA_KEY, "value": wrapped.hex()})


def take_turn(database: "Database") -> None:
    """Keep another program from locking the same database, until the transaction ends."""
    if database.is_postgres:
        # SQLite's BEGIN IMMEDIATE does so already; the number is that of `migrations.prepare`
        database.rows(text("SELECT pg_advisory_xact_lock(7386118)"))


def lock_all(database: "Database", key: DataKey) -> None:
    """Lock every value that should be; the caller holds the transaction."""
    for name, columns in LOCKED.items():
        table = TABLES.tables[name]
        for row in database.rows(select(*table.primary_key.columns)):
            _lock_row(database, table, columns, {f"the_{k}": v for k, v in row.items()}, key)
    database.change(_KEEP, {"name": _LEFTOVERS, "value": ""})


def _lock_row(
    database: "Database", table: Table, columns: tuple[str, ...], name: Values, key: DataKey
) -> None:
    """Lock one row: a large one is in memory by itself."""
    is_it = and_(*(column == bindparam(f"the_{column.name}") for column in table.primary_key))
    chosen = [table.c[column] for column in columns]
    (plain,) = database.rows(select(*table.primary_key.columns, *chosen).where(is_it), name)
    (locked,) = Lock(key).values(
        update(table), [{**name, **{column: plain[column] for column in columns}}]
    )
    database.change(update(table).where(is_it), locked)


def erase_leftovers(database: "Database") -> None:
    """Overwrite what was readable before the database was locked, once.

    On PostgreSQL dead rows stay on the disk until VACUUM FULL, and in its log: that is its owner's
    to do, and docs/guide/custody.md says so.
    """
    if not database.rows(_FIND, {"the_name": _LEFTOVERS}):
        return
    if not database.is_postgres:
        database.rows(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        database.vacuum()
        database.rows(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    with database.transaction():
        database.change(_DROP, {"the_name": _LEFTOVERS})
