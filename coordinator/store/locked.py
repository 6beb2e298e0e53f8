"""The columns that are locked on the disk, and the one place where they are locked and opened.

Every statement of the store goes through `Database`, which asks here. What is locked says the
schema: columns that hold bytes from devices, or what was made of them. A value is bound to its
table, its column and the key of its row; so a statement that reads such a column must read, or be
given, that key: one that does not is a bug, and fails the first time it is run.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import Column, Executable, RowMapping, Select, Table
from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.sql.dml import Insert, Update

from coordinator.store.schema import LOCKED
from fieldvote.errors import InternalError
from privacy.sealing.at_rest import DataKey, place

Value = int | str | bytes | bool | None
Values = Mapping[str, Value]
_KNOWN_STATEMENTS = 1024  # the store's own are about a hundred
_GIVEN = "the_"  # how a value is called that finds a row; see coordinator.store.scope.of


@dataclass(frozen=True, slots=True)
class _Locked:
    """One locked column of a statement's result.

    Attributes:
        at: Where it stands in a row.
        table: Whose column.
        column: Which.
        key: Where each part of the row's key stands, or what it is called among the values.
    """

    at: int
    table: str
    column: str
    key: tuple[int | str, ...]


class Lock:
    """Locks what is written and opens what is read; without a key both stay as they are."""

    def __init__(self, key: DataKey | None = None) -> None:
        """Take the database's data key."""
        self.key = key

    def values(self, statement: Executable, rows: Sequence[Values]) -> Sequence[Values]:
        """Return the values of an insert or an update as they are stored."""
        if self.key is None or not isinstance(statement, Insert | Update):
            return rows
        table = statement.table
        columns = LOCKED.get(table.name, ()) if isinstance(table, Table) else ()
        if not columns or not rows or not any(column in rows[0] for column in columns):
            return rows
        assert isinstance(table, Table)  # noqa: S101  # for the type checker: it has columns
        names = tuple(column.name for column in table.primary_key.columns)
        return [self._locked(table.name, columns, names, row) for row in rows]

    def _locked(
        self, table: str, columns: Iterable[str], names: Iterable[str], row: Values
    ) -> Values:
        """Return one row with its columns locked."""
        assert self.key is not None  # noqa: S101  # the caller has looked
        key = [_part(row.get(name, row.get(_GIVEN + name)), table) for name in names]
        locked = dict(row)
        for column in columns:
            value = row.get(column)
            if isinstance(value, bytes):
                locked[column] = self.key.seal(value, place(table, column, *key))
        return locked

    def rows(
        self, statement: Executable, found: Sequence[RowMapping], values: Values
    ) -> Sequence[RowMapping]:
        """Return the rows of a query with their locked columns opened.

        Raises:
            SealError: a value was changed, cut short or moved on the disk.
        """
        if self.key is None or not found or not isinstance(statement, Select):
            return found
        columns = _locked_columns(statement)
        if not columns:
            return found
        opened = [self._opened(columns, [row[name] for name in row], values) for row in found]
        names = SimpleResultMetaData([str(name) for name in found[0]])
        result: IteratorResult[tuple[Value, ...]] = IteratorResult(names, iter(opened))
        return result.mappings().all()

    def _opened(
        self, columns: Iterable[_Locked], row: Sequence[Value], values: Values
    ) -> tuple[Value, ...]:
        """Return one row with its columns opened."""
        assert self.key is not None  # noqa: S101  # the caller has looked
        out = list(row)
        for locked in columns:
            value = row[locked.at]
            if value is None:  # the other side of an outer join
                continue
            key = [
                _part(row[part] if isinstance(part, int) else values.get(part), locked.table)
                for part in locked.key
            ]
            where = place(locked.table, locked.column, *key)
            out[locked.at] = self.key.open(bytes(value), where)  # type: ignore[arg-type]  # locked columns hold bytes
        return tuple(out)


@lru_cache(maxsize=_KNOWN_STATEMENTS)
def _locked_columns(statement: Select[tuple[Value, ...]]) -> tuple[_Locked, ...]:
    """Return the locked columns a query reads, and where it finds the keys of their rows."""
    selected = list(statement.selected_columns)
    places: dict[tuple[str, str], int] = {}
    for at, column in enumerate(selected):
        if isinstance(column, Column) and isinstance(column.table, Table):
            places.setdefault((column.table.name, column.name), at)
    found = []
    for (table, name), at in places.items():
        if name not in LOCKED.get(table, ()):
            continue
        column = selected[at]
        assert isinstance(column, Column)  # noqa: S101  # only such were put in
        assert isinstance(column.table, Table)  # noqa: S101  # as above
        keys = [part.name for part in column.table.primary_key.columns]
        where = tuple(places.get((table, part), _GIVEN + part) for part in keys)
        found.append(_Locked(at, table, name, where))
    return tuple(found)


def _part(value: Value, table: str) -> bytes | str | int:
    """Return one part of a row's key."""
    if value is None:
        raise InternalError(f"a statement about '{table}' does not say which row it reads")
    return bytes(value) if isinstance(value, memoryview) else value
