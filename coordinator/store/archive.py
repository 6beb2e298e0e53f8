"""Backup and restore: every table in one fresh SQLite file, whichever database it comes from.

Restored into another kind of database, it is also the way from SQLite to PostgreSQL and back. The
backup of a locked database is locked too: with a data key of its own, which the same key opens.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Table, insert, select, text

from coordinator.store.database import Database, Values
from coordinator.store.schema import TABLES, artifact, meta, snapshot, total
from coordinator.store.verify import Report, verify
from fieldvote.durable import sync_folder
from fieldvote.errors import DataError, InputError, SealError, StoreError
from privacy.sealing.at_rest import KeySource

_ROWS = 500  # at once
_LARGE = (artifact, snapshot, total)  # a row of these may fill memory by itself
_COPIED = [table for table in TABLES.sorted_tables if table is not meta]


def backup(database: Database, path: Path) -> None:
    """Write all of a database, as it is at one moment, into a new file.

    It is written beside its place, synced, and moved there: either it is whole, or not there.

    Raises:
        InputError: there is a file of this name already; it was left as it is.
        StoreError: the disk would not take it; no part of it is left.
    """
    if path.exists():
        raise InputError(f"{path}: is there already; name another file")
    beside = path.with_name(f"{path.name}.part")
    try:
        beside.unlink(missing_ok=True)
        with closing(Database.open(beside, now=database.now, custody=database.custody)) as copy:
            with database.snapshot(), copy.transaction():
                _copy(database, copy)
            # one file, with nothing beside it
            copy.rows(text("PRAGMA journal_mode = DELETE"))
        _settle(beside, path)
    except FileExistsError as err:
        raise InputError(f"{path}: is there already; name another file") from err
    except OSError as err:
        raise StoreError(f"{path}: cannot be written ({err.strerror}); it is not there") from err
    finally:
        for left in (beside, *(Path(f"{beside}{ending}") for ending in ("-wal", "-shm"))):
            left.unlink(missing_ok=True)


def restore(path: Path, database: Database, *, custody: KeySource | None = None) -> Report:
    """Read a backup into an empty database, and look at all of it before it becomes durable.

    Args:
        path: The backup.
        database: Where it goes.
        custody: Where the backup's key is; the database's own, if not given.

    Returns:
        What `verify` found: nothing wrong, or it would not be there.

    Raises:
        InputError: there is no such file, or the database is not empty; nothing was changed.
        DataError: the backup is not what it was when it was made; nothing was changed.
        StoreError: it is no backup of ours, or of a newer program; nothing was changed.
        SealError: it was locked by another key than the database is opened with.
    """
    with _opened(path, database, custody) as source, database.transaction(), source.snapshot():
        for table in _COPIED:
            if database.rows(select(table.primary_key.columns[0]).limit(1)):
                raise InputError(f"{database.place}: is not empty, '{table.name}' has rows;"
                                 " restore into an empty one")  # fmt: skip
        _copy(source, database)
        report = verify(database)
        if report.faults:
            raise DataError(f"{path}: is not whole, nothing was restored: {report.faults[0]}")
    return report


@contextmanager
def _opened(path: Path, database: Database, custody: KeySource | None) -> Iterator[Database]:
    """Open a copy of a backup: an older one can be brought forward, and the file stays as it is."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such backup")
    with TemporaryDirectory(prefix="fieldvote-restore-") as folder:
        copy = Path(folder) / path.name
        try:
            shutil.copyfile(path, copy)
        except OSError as err:
            raise StoreError(f"{path}: cannot be read ({err.strerror})") from err
        held = custody or database.custody
        try:
            opened = Database.open(copy, now=database.now, make=False, custody=held)
        except SealError as err:
            raise SealError(f"{path}: {err.__cause__ or err}; --key names another") from err
        except StoreError as err:  # it names our copy
            raise StoreError(str(err).replace(str(copy), str(path))) from err
        with closing(opened):
            yield opened


def _copy(source: Database, target: Database) -> None:
    """Copy every row of every table, parents before children."""
    for table in _COPIED:
        for rows in _portions(source, table):
            target.change(insert(table), rows)


def _portions(source: Database, table: Table) -> Iterator[list[Values]]:
    """Yield the rows of a table, in the order of its key."""
    query = select(table).order_by(*table.primary_key.columns)
    at_once = 1 if table in _LARGE else _ROWS
    portion: list[Values] = []
    for row in source.stream(query, at_once=at_once):
        portion.append(dict(row))
        if len(portion) == at_once:
            yield portion
            portion = []
    if portion:
        yield portion


def _settle(beside: Path, path: Path) -> None:
    """Sync a file and give it its name, which must be free."""
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    try:
        os.link(beside, path)  # unlike a rename, it never replaces what is there
    except FileExistsError:
        raise
    except OSError:  # a disk that knows no links, as memory cards do
        beside.rename(path)
    sync_folder(path.parent)
