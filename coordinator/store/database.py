"""One connection to SQLite or PostgreSQL, and the one way to change anything through it.

A transaction is durable as a whole, or not there at all, and a failed statement dooms the one it
was part of: PostgreSQL would, so SQLite does too, and no caller can tell them apart.

PostgreSQL runs at READ COMMITTED, and a campaign's writer first locks the campaign's row: so
writers of a campaign follow each other, as writers of an SQLite file do, and each statement sees
what the one before left. SERIALIZABLE would fail steps that did nothing wrong, to be run again by
callers who hold a `with` block and cannot.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from threading import RLock
from typing import TypeVar

from sqlalchemy import Connection, Engine, Executable, RowMapping, create_engine, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from coordinator.store.locked import Lock
from coordinator.store.locked import Value as Value
from coordinator.store.locked import Values as Values
from coordinator.store.locking import erase_leftovers, keep_key, kept_key, lock_all, take_turn
from coordinator.store.migrations import FIRST, MIGRATIONS, Migration, inspected, prepare
from coordinator.store.schema import meta
from coordinator.store.troubles import is_lost, trouble
from fieldvote.errors import InputError, InternalError, MissingExtraError, SealError, StoreError
from privacy.sealing.at_rest import DataKey, Held, KeySource, unwrapped

Found = TypeVar("Found")

_WAIT_S = 10.0
_IDLE_S = 60  # a leader that hangs inside a transaction is thrown out, so that another can lead


class Database:
    """An open database. Threads may share it: each waits for the other's transaction."""

    def __init__(self, engine: Engine, place: str, now: Callable[[], datetime]) -> None:
        """Take the one connection; see `open`."""
        self.now = now
        self.place = place
        self.is_postgres = engine.dialect.name == "postgresql"
        self._engine = engine
        self._lock = RLock()
        self._locked = Lock()
        self._secret: bytes | str | None = None
        self._turns = 0
        self._inside = False
        self._writes = False
        self._doomed = False
        try:
            self._connection: Connection = engine.connect()
        except SQLAlchemyError as err:
            raise trouble(err, place) from err

    @staticmethod
    def open(
        place: Path | str | None,
        *,
        now: Callable[[], datetime],
        make: bool = True,
        wait_s: float = _WAIT_S,
        migrations: Sequence[Migration] = MIGRATIONS,
        custody: KeySource | None = None,
    ) -> "Database":
        """Open a database, and make its tables or bring them forward.

        Args:
            place: An SQLite file, a URL that begins with postgresql://, or None for memory.
            now: The clock that events are stamped by.
            make: Whether an empty place becomes a store; else it is refused.
            wait_s: How long to wait for another writer.
            migrations: The steps from schema to schema.
            custody: Where the key is. A store that was not locked yet is locked now. Without one,
                what is written is readable to whoever has the disk.

        Raises:
            InputError: place is neither.
            MissingExtraError: PostgreSQL's driver is not installed.
            StoreError: it cannot be used, or is not ours; then it was left as it is.
            SealError: it is locked, and not by this key.
        """
        engine, name = (
            _postgres(place, wait_s) if isinstance(place, str) else _sqlite(place, wait_s)
        )
        database = Database(engine, name, now)
        try:
            database._make_ready(migrations, make=make)
            database._unlock(custody)
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Let go of the connection; closing twice is fine."""
        with suppress(SQLAlchemyError):
            self._connection.close()
        self._engine.dispose()

    @property
    def turn(self) -> int:
        """The number of the transaction this thread is inside, 0 outside of any."""
        with self._lock:
            return self._turns if self._inside else 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything inside durable together, or not at all; it does not nest."""
        begin = "BEGIN ISOLATION LEVEL READ COMMITTED" if self.is_postgres else "BEGIN IMMEDIATE"
        with self._began(begin, writes=True):
            yield
            if self._doomed:
                # PostgreSQL would answer this COMMIT with a silent ROLLBACK
                raise StoreError(
                    f"{self.place}: a statement of this step had failed, so nothing of it was"
                    " stored; what was stored before is whole; take the step again"
                )
            try:
                self._connection.exec_driver_sql("COMMIT")
            except SQLAlchemyError as err:
                raise trouble(err, self.place, committing=True) from err

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let everything inside read one and the same moment; nothing can be written."""
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY" if self.is_postgres else "BEGIN"
        with self._began(begin, writes=False):
            self.rows(select(meta))  # the moment is that of the first look, so look now
            yield
            self._undo()

    def rows(self, statement: Executable, values: Values | None = None) -> Sequence[RowMapping]:
        """Return what a query finds; outside of a transaction, what is durable now."""
        found = self._run(
            lambda: self._connection.execute(statement, values or {}).mappings().all()
        )
        return self._locked.rows(statement, found, values or {})

    def stream(self, statement: Executable, *, at_once: int = 1000) -> Iterator[RowMapping]:
        """Yield what a query finds, so many rows at once; the caller is inside a transaction."""
        found = self._run(
            lambda: self._connection.execute(statement, execution_options={"yield_per": at_once})
        )
        try:
            for some in found.mappings().partitions(at_once):
                yield from self._locked.rows(statement, some, {})
        except SQLAlchemyError as err:
            raise self._failed(err) from err
        finally:
            found.close()

    def change(self, statement: Executable, values: Values | Sequence[Values] | None = None) -> int:
        """Change rows, inside a transaction; return how many. No values at all change none."""
        if not self.turn or not self._writes:
            raise InternalError("a change outside of a transaction that writes")
        if values is not None and not values:
            return 0
        if values is not None:
            if isinstance(values, Mapping):
                (values,) = self._locked.values(statement, [values])
            else:
                values = self._locked.values(statement, values)
        counted = {"preserve_rowcount": True}  # of inserts too
        return self._run(
            lambda: (
                self._connection.execute(
                    statement, values or {}, execution_options=counted
                ).rowcount
            )
        )

    @property
    def secret(self) -> bytes | str:
        """What opened the database.

        Raises:
            InputError: it is not locked.
        """
        if self._secret is None:
            raise InputError(f"{self.place}: is not locked, so no key opens it")
        return self._secret

    @property
    def custody(self) -> KeySource | None:
        """What opens this database, for a copy of it; None where it is not locked."""
        return None if self._secret is None else Held(self._secret)

    def rewrap(self, secret: bytes | str) -> None:
        """Let another secret open the database from now on; no row is written anew.

        Raises:
            InputError: it is not locked.
        """
        if self._locked.key is None:
            raise InputError(f"{self.place}: is not locked, so there is no key to wrap")
        with self.transaction():
            keep_key(self, self._locked.key.wrapped(secret))
        self._secret = secret

    def vacuum(self) -> None:
        """Write an SQLite file anew, without what was deleted from it; outside of transactions."""
        self._run(lambda: self._connection.exec_driver_sql("VACUUM"))

    def _unlock(self, custody: KeySource | None) -> None:
        """Take the data key up, made at the first time."""
        wrapped = kept_key(self)
        if custody is None:
            if wrapped is not None:
                raise SealError(f"{self.place}: is locked; open it with its key, see [custody]")
            return
        if wrapped is None:
            with self.transaction():
                take_turn(self)  # two coordinators may be here at the same moment
                if kept_key(self) is None:
                    self._secret = next(iter(custody.secrets(make=True)))
                    key = DataKey.generate(os.urandom)
                    keep_key(self, key.wrapped(self._secret))
                    lock_all(self, key)
            wrapped = kept_key(self) or b""
        try:
            self._locked.key, self._secret = unwrapped(
                wrapped, custody.secrets(make=False), os.urandom
            )
        except SealError as err:
            raise SealError(f"{self.place}: {err}") from err
        erase_leftovers(self)

    @contextmanager
    def _began(self, begin: str, *, writes: bool) -> Iterator[None]:
        """Begin, and whatever happens leave no transaction behind."""
        with self._lock:
            if self._inside:
                raise InternalError("transactions do not nest")
            self._run(lambda: self._connection.exec_driver_sql(begin))
            self._turns += 1
            self._inside, self._writes, self._doomed = True, writes, False
            try:
                yield
            except BaseException:
                self._undo()
                raise
            finally:
                self._inside = False

    def _undo(self) -> None:
        """End the transaction; where it ended itself, as on a full disk, there is nothing to do."""
        with suppress(SQLAlchemyError):
            self._connection.exec_driver_sql("ROLLBACK")
        if self._connection.invalidated:
            self._connection.rollback()  # lets the next statement connect anew

    def _run(self, work: Callable[[], Found]) -> Found:
        """Do one piece of work. A connection that was lost while idle is made anew, once."""
        with self._lock:
            if self._inside and self._doomed:
                raise StoreError(
                    f"{self.place}: a statement of this step failed before; take the step again"
                )
            try:
                return work()
            except SQLAlchemyError as err:
                if self._inside or not is_lost(err):
                    raise self._failed(err) from err
                self._connection.rollback()
            try:
                return work()
            except SQLAlchemyError as err:
                raise self._failed(err) from err

    def _failed(self, err: SQLAlchemyError) -> StoreError:
        """Doom the transaction, and return the error in our words."""
        self._doomed = True
        if not self._inside and self._connection.invalidated:
            self._connection.rollback()
        return trouble(err, self.place)

    def _make_ready(self, migrations: Sequence[Migration], *, make: bool) -> None:
        """Look first, then change: what is not ours stays as it is to the byte."""
        try:
            found = inspected(self._connection, newest=FIRST + len(migrations))
            if found is None and not make:
                raise StoreError(f"{self.place}: there is no store in it; it was left as it is")
            if not self.is_postgres:
                self._connection.exec_driver_sql("PRAGMA journal_mode = WAL")
                # a step that was said to be durable survives the loss of power too
                self._connection.exec_driver_sql("PRAGMA synchronous = FULL")
                self._connection.exec_driver_sql("PRAGMA foreign_keys = ON")
                # what is deleted is overwritten, else it stays readable in the file's free pages
                self._connection.exec_driver_sql("PRAGMA secure_delete = ON")
            if found != FIRST + len(migrations):
                with self.transaction():
                    prepare(self._connection, migrations)
        except SQLAlchemyError as err:
            raise trouble(err, self.place) from err


def _sqlite(path: Path | None, wait_s: float) -> tuple[Engine, str]:
    """Return an engine for a file, or for memory, and what it is called."""
    engine = create_engine(
        URL.create("sqlite", database=None if path is None else str(path)),
        isolation_level="AUTOCOMMIT",  # we say BEGIN and COMMIT ourselves
        poolclass=NullPool,
        connect_args={"check_same_thread": False, "timeout": wait_s},
        hide_parameters=True,
    )
    return engine, "the store in memory" if path is None else str(path)


def _postgres(url: str, wait_s: float) -> tuple[Engine, str]:
    """Return an engine for a server's database, and its name without the password."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = URL.create("unreadable")
    if parsed.drivername != "postgresql":
        # the URL itself may hold a password, so it is not repeated
        raise InputError("the store: expected a path, or postgresql://user@host/database")
    options = {
        "lock_timeout": f"{round(wait_s * 1000)}ms",
        "idle_in_transaction_session_timeout": f"{_IDLE_S}s",
        "synchronous_commit": "on",  # whatever the server's default: durable means durable
    }
    try:
        engine = create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            isolation_level="AUTOCOMMIT",
            poolclass=NullPool,
            connect_args={
                "application_name": "fieldvote",
                "connect_timeout": max(2, round(wait_s)),
                "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
            },
            hide_parameters=True,
        )
    except ImportError as err:
        raise MissingExtraError("a store on PostgreSQL", "postgres") from err
    return engine, parsed.set(query={}).render_as_string(hide_password=True)
