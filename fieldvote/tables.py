"""What commands print for people: names beside values, or rows under the names of their columns.

Programs ask for JSON instead. What is printed may change; what JSON says does not.
"""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence

import typer

Row = Mapping[str, object]

_GAP = "  "


def print_one(row: Row, as_json: bool) -> None:
    """Print names and values below each other; what is empty is none."""
    if as_json:
        typer.echo(json.dumps(row, indent=2))
        return
    for line in lines_of(row):
        typer.echo(line)


def print_table(rows: Sequence[Row], as_json: bool) -> None:
    """Print rows with a heading; where there are none, say so beside the output.

    On a terminal that is too narrow for them each row is printed as names and values instead.
    """
    if as_json:
        typer.echo(json.dumps(list(rows), indent=2))
        return
    if not rows:
        typer.echo("none yet", err=True)
        return
    for line in table_of(rows, columns=_columns()):
        typer.echo(line)


def lines_of(row: Row) -> list[str]:
    """Return a line for each name and its value.

    >>> lines_of({"round": 3, "waits_for": "", "until": None})
    ['round      3', 'waits for  none', 'until      none']
    """
    names = [_heading(name) for name in row]
    width = max(map(len, names), default=0)
    return [
        f"{name:<{width}}{_GAP}{_cell(value) or 'none'}"
        for name, value in zip(names, row.values(), strict=True)
    ]


def table_of(rows: Sequence[Row], *, columns: int | None = None) -> list[str]:
    """Return rows as lines, numbers to the right.

    Args:
        rows: What to show, one mapping a row; a name that one of them lacks is empty there.
        columns: The width there is; where it is not enough, each row becomes a block of lines.
            None: as wide as it gets.

    >>> table_of([{"round": 1, "phase": "done"}, {"round": 12, "phase": "paused"}])
    ['round  phase', '    1  done', '   12  paused']
    >>> table_of([{"round": 1, "phase": "done"}, {"round": 12, "phase": "paused"}], columns=12)
    ['round  1', 'phase  done', '', 'round  12', 'phase  paused']
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    numbers = [all(isinstance(row.get(name), int | float | None) for row in rows) for name in names]
    cells = [[_heading(name) for name in names]]
    cells += [[_cell(row.get(name)) for name in names] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    if columns is not None and sum(widths) + len(_GAP) * (len(widths) - 1) > columns:
        blocks = [["", *lines_of({n: v for n, v in row.items() if _cell(v)})] for row in rows]
        return [line for block in blocks for line in block][1:]
    return [
        _GAP.join(
            f"{cell:>{width}}" if right else f"{cell:<{width}}"
            for cell, width, right in zip(line, widths, numbers, strict=True)
        ).rstrip()
        for line in cells
    ]


def _heading(name: str) -> str:
    return name.replace("_", " ")


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def _columns() -> int | None:
    """Return how wide the terminal is; None where the output goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
