"""Tables of labels as files: a row per label, with where it came from beside it.

`.jsonl` needs nothing and holds a JSON object per line; `.parquet` is for data tools and needs the
extra `parquet`. Both keep the columns, their order and their types.
"""

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from io import BytesIO
from pathlib import Path
from types import ModuleType

from coordinator.labels.vote_files import replace_file
from fieldvote.errors import DataError, InputError, MissingExtraError

LabelRow = Mapping[str, str | int | float | None]

PROVENANCE = ("trace", "class", "source", "method", "schema", "model")
"""Columns without which a label cannot be traced: its item, what it says, who says so and how, by
which version of the task, and which model learned from it. More columns are welcome."""
VERSION_KEY, VERSION = b"fieldvote.labels", b"1"


def write_labels(rows: Sequence[LabelRow], path: Path) -> None:
    """Write a table of labels; what was at path is replaced in one step.

    Args:
        rows: Such as coordinator.labels.provenance.list_labels returns. Every row has the same
            columns, PROVENANCE among them; an entry is text, a number, or None.
        path: A `.jsonl` or a `.parquet`.

    Raises:
        InputError: Another suffix, or rows that are no such table.
        MissingExtraError: Parquet is asked for and pyarrow is not installed.
        StoreError: The disk would not take it.
    """
    _checked(rows, path.name)
    if path.suffix == ".jsonl":
        lines = (json.dumps(dict(row), ensure_ascii=False, allow_nan=False) for row in rows)
        replace_file(path, "".join(f"{line}\n" for line in lines).encode())
    elif path.suffix == ".parquet":
        replace_file(path, _parquet(rows))
    else:
        raise InputError(f"a table of labels ends in .jsonl or .parquet; got {path.name}")


def read_labels(path: Path) -> list[LabelRow]:
    """Return the rows that write_labels wrote.

    Raises:
        InputError: Another suffix.
        DataError: There is no such file, or it is not such a table.
        MissingExtraError: It is Parquet and pyarrow is not installed.
    """
    if path.suffix not in {".jsonl", ".parquet"}:
        raise InputError(f"a table of labels ends in .jsonl or .parquet; got {path.name}")
    if not path.exists():
        raise DataError(f"{path}: no such file")
    try:
        rows = _read_lines(path) if path.suffix == ".jsonl" else _read_parquet(path)
        _checked(rows, path.name)
    except (ValueError, OSError, RecursionError, InputError) as err:
        if isinstance(err, DataError):
            raise
        # a ValueError's text may quote a line; our own names columns only
        why = str(err) if isinstance(err, InputError) else type(err).__name__
        raise DataError(f"{path.name} is not a table of labels: {why}") from err
    return rows


def _checked(rows: Sequence[LabelRow], name: str) -> None:
    """Refuse what is not a table with provenance."""
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise InputError(f"row {number} of {name} is not a mapping of columns")
        missing = [column for column in PROVENANCE if column not in row]
        if missing:
            raise InputError(f"row {number} of {name} lacks {', '.join(missing)}")
        if list(row) != list(rows[0]):
            raise InputError(f"row {number} of {name} has other columns than the first")
        for column, entry in row.items():
            if not isinstance(entry, str | int | float | None) or isinstance(entry, bool):
                raise InputError(
                    f"{column} of row {number} of {name} is {type(entry).__name__}, "
                    "expected text, a number or nothing"
                )
            if isinstance(entry, float) and not abs(entry) < float("inf"):
                raise InputError(f"{column} of row {number} of {name} is not a finite number")


def _read_lines(path: Path) -> list[LabelRow]:
    """Return the objects, one per line."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def _arrow() -> tuple[ModuleType, ModuleType]:
    """Return pyarrow and its Parquet part.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        # lazy, and by name: 40 MB that nothing else here needs, and no types to check against
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as err:
        raise MissingExtraError("a table of labels as Parquet", "parquet") from err


def _parquet(rows: Sequence[LabelRow]) -> bytes:
    """Return the table as Parquet."""
    pyarrow, parquet = _arrow()
    columns = list(rows[0]) if rows else list(PROVENANCE)
    try:
        table = pyarrow.table({name: [row[name] for row in rows] for name in columns})
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError) as err:
        raise InputError("a column of labels mixes text and numbers, or overflows") from err
    table = table.replace_schema_metadata({VERSION_KEY: VERSION})
    buffer = BytesIO()
    parquet.write_table(table, buffer)
    return buffer.getvalue()


def _read_parquet(path: Path) -> list[LabelRow]:
    """Return the rows of a Parquet file of ours."""
    _, parquet = _arrow()
    table = parquet.read_table(path)
    if (table.schema.metadata or {}).get(VERSION_KEY) != VERSION:
        raise DataError(f"{path.name} was not written as a table of labels, version 1")
    rows: list[LabelRow] = table.to_pylist()
    return rows
