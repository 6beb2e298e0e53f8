"""What every benchmark prints: one table, or one JSON object, of rows with the same columns."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass

from fieldvote.errors import FieldvoteError


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured line.

    Attributes:
        what: What was measured.
        ours: Our figure.
        unit: Of both figures.
        peer: The peer's figure from the same run, None where it did not run.
        peer_name: Who the peer is.
        ratio: How many times better ours is; above 1 is better.
        target: What it should be, in words.
        met: Whether it is; None where the row has no target or its peer did not run.
    """

    what: str
    ours: float
    unit: str
    peer: float | None = None
    peer_name: str | None = None
    ratio: float | None = None
    target: str | None = None
    met: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for on the command line."""

    peers: bool
    quick: bool


def run(name: str, about: str, measure: Callable[[Options], list[Row]]) -> int:
    """Parse the command line, measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--peers", action="store_true", help="run the peers beside ours")
    parser.add_argument("--quick", action="store_true", help="fewer repeats and smaller sizes")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args()
    try:
        rows = measure(Options(peers=chosen.peers, quick=chosen.quick))
    except FieldvoteError as err:
        print(err, file=sys.stderr)
        return err.exit_code
    if chosen.json:
        print(json.dumps({"name": name, "rows": [asdict(row) for row in rows]}))
        return 0
    width = max(len(row.what) for row in rows)
    for row in rows:
        print(_line(row, width))
    return 0


def _line(row: Row, width: int) -> str:
    """Return a row as text."""
    peer = "" if row.peer is None else f"{row.peer_name} {row.peer:.4g}"
    verdict = {True: "met", False: "MISSED", None: ""}[row.met]
    line = f"{row.what:<{width}}  {row.ours:>9.4g} {row.unit:<9} {peer:<18}"
    return f"{line} {row.target or '':<16} {verdict}".rstrip()
