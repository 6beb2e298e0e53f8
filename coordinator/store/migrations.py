"""What a database is, what it must become, and when to leave it alone.

An empty database gets every table. One of an earlier schema is brought forward, a step at a time,
in one transaction. Everything else, somebody else's database, a newer program's, one of the first
program's, is refused before anything is changed.
"""

from collections.abc import Callable, Sequence
from functools import cache

from sqlalchemy import Connection, Dialect, insert, inspect, select, update
from sqlalchemy.dialects import registry
from sqlalchemy.schema import CreateIndex, CreateTable

from coordinator.store.schema import TABLES, meta
from fieldvote.errors import StoreError

Migration = Callable[[Connection], None]

FIRST = 2  # schema 1 was the first program's: SQLite only, one campaign, no chain


def _answers_apart_from_labels(connection: Connection) -> None:
    """Keep what each person said beside what it came to; until here that was one and the same."""
    postgres = connection.dialect.name == "postgresql"
    binary, kind = ("BYTEA", "") if postgres else ("BLOB", " WITHOUT ROWID")
    for statement in (
        f"CREATE TABLE annotation (campaign TEXT NOT NULL, item {binary} NOT NULL,"
        " annotator TEXT NOT NULL, label BIGINT NOT NULL, expert BOOLEAN NOT NULL,"
        " price BIGINT NOT NULL, guideline TEXT NOT NULL, at TEXT NOT NULL, counted BIGINT,"
        " PRIMARY KEY (campaign, item, annotator),"
        f" FOREIGN KEY (campaign, item) REFERENCES candidate (campaign, item)){kind}",
        "INSERT INTO annotation SELECT campaign, item, 'unnamed', label, label <> label, price,"
        " '', '', counted FROM label",
        "ALTER TABLE label DROP COLUMN price",
        "ALTER TABLE label ADD COLUMN method TEXT NOT NULL DEFAULT 'one answer'",
        "ALTER TABLE label ADD COLUMN agreement BIGINT NOT NULL DEFAULT 1000000",
        "ALTER TABLE label ADD COLUMN at TEXT NOT NULL DEFAULT ''",
    ):
        connection.exec_driver_sql(statement)


def _envelopes_once(connection: Connection) -> None:
    """Remember which envelopes were here; until here the round's name was all there was."""
    postgres = connection.dialect.name == "postgresql"
    binary, kind = ("BYTEA", "") if postgres else ("BLOB", " WITHOUT ROWID")
    connection.exec_driver_sql(
        f"CREATE TABLE replay (campaign TEXT NOT NULL, device BIGINT NOT NULL, epoch {binary} NOT"
        f" NULL, seen {binary} NOT NULL, PRIMARY KEY (campaign, device, epoch)){kind}"
    )


MIGRATIONS: Sequence[Migration] = (_answers_apart_from_labels, _envelopes_once)
"""Entry n leads from schema FIRST + n to the next, and is never changed once released."""

SCHEMA = FIRST + len(MIGRATIONS)

_FIRST_PROGRAM = {"event", "inbox", "pending", "total", "device", "offer", "candidate", "label"}


def inspected(connection: Connection, *, newest: int = SCHEMA) -> int | None:
    """Return the schema of this database, None if it is empty; reads only.

    Raises:
        StoreError: it is not ours, or not for this program; one line says what to do.
    """
    # this before the tables: another program may be making them between the two looks
    version = _user_version(connection)
    tables = set(inspect(connection).get_table_names())
    if not tables and not version:
        return None
    if meta.name not in tables:
        if tables >= _FIRST_PROGRAM:
            raise StoreError(
                "this store was made by the first program (schema 1); it was left as it is: finish"
                " its campaign with that program, or begin a new one in another place"
            )
        raise StoreError(
            "this database is not fieldvote's; it was left as it is: name an empty one"
        )
    rows = connection.execute(select(meta.c.value).where(meta.c.name == "schema")).all()
    found = int(rows[0][0]) if rows and str(rows[0][0]).isdigit() else 0
    if found > newest:
        raise StoreError(
            f"this store has schema {found}, this program knows {newest}; it was left as it is:"
            " use the newer program"
        )
    if found < FIRST:
        raise StoreError(
            "this store does not say its schema; it was left as it is: restore a backup"
        )
    return found


def prepare(connection: Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Create or bring forward the tables; the caller holds the transaction.

    Raises:
        StoreError: see `inspected`.
    """
    if connection.dialect.name == "postgresql":
        # two coordinators may open an empty database at the same moment: one of them waits here
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7386118)")
    newest = FIRST + len(migrations)
    found = inspected(connection, newest=newest)
    if found == newest:
        return
    if found is None:
        for statement in _statements(connection.dialect.name):
            connection.exec_driver_sql(statement)
        connection.execute(insert(meta), {"name": "schema", "value": str(SCHEMA)})
        found = SCHEMA
    for step in migrations[found - FIRST :]:
        step(connection)
    connection.execute(update(meta).where(meta.c.name == "schema").values(value=str(newest)))
    if connection.dialect.name == "sqlite":
        # the first program looks here, and refuses what it does not know
        connection.exec_driver_sql(f"PRAGMA user_version = {newest}")


@cache
def _statements(dialect_name: str) -> tuple[str, ...]:
    """Return the statements that make every table and index of the newest schema."""
    dialect: Dialect = registry.load(dialect_name)()
    made: list[str] = []
    for table in TABLES.sorted_tables:
        made.append(str(CreateTable(table).compile(dialect=dialect)))
        made += [str(CreateIndex(index).compile(dialect=dialect)) for index in
                 sorted(table.indexes, key=lambda index: str(index.name))]  # fmt: skip
    return tuple(made)


def _user_version(connection: Connection) -> int:
    """Return the number an SQLite program leaves in the file's header; 0 on PostgreSQL."""
    if connection.dialect.name != "sqlite":
        return 0
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
