"""The coordinator's store at length: appending to a long stream, and resuming from it.

    python tests/benchmarks/rounds.py [--peers] [--quick] [--json]

One stream of a million events (a hundred thousand with --quick), on SQLite with
`synchronous=FULL` and, where it is installed, on PostgreSQL with `fsync` on. Each append that is
timed is a transaction of its own, waits for the disk, and comes at the end of the full stream.
Resuming opens the store anew, reads the newest kept state and the thousand events after it, and
folds them; without a kept state it reads and folds all of them. Beside each append stands what one
fsync took at that moment: on a busy machine it is the disk that is measured. There is no other
peer, with or without --peers: Flower keeps no state of a run to resume from.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from _table import Options, Row, run
from sqlalchemy import insert

sys.path.insert(0, str(Path(__file__).parents[2]))  # a script sees its own folder only
from coordinator.store.campaign import Store, open_store
from coordinator.store.chain import ROOT, link
from coordinator.store.database import Values
from coordinator.store.schema import event
from tests.doubles.postgres import postgres_server

_STREAM = "rounds"
_SINCE = 1000  # events after the newest kept state
_APPENDS = 400


def measure(options: Options) -> list[Row]:
    """Fill, append, resume; on what is installed."""
    size = 100_000 if options.quick else 1_000_000
    with tempfile.TemporaryDirectory(prefix="fieldvote-rounds-") as folder:
        rows = _measured("SQLite", Path(folder) / "store.sqlite", size)
    try:
        with postgres_server(durable=True) as server:
            rows += _measured("PostgreSQL", server.create("rounds"), size)
    except pytest.skip.Exception as reason:
        print(reason, file=sys.stderr)
    return rows


def _measured(name: str, place: Path | str, size: int) -> list[Row]:
    with closing(_opened(place)) as store:
        _fill(store, size)
        store.keep_snapshot(_STREAM, size - 1, json.dumps({"count": size}).encode())
        with store.transaction():
            for version in range(size, size + _SINCE - _APPENDS):
                store.append(_STREAM, version, "Surveyed", _body(version))
        seconds = _append(store, size + _SINCE - _APPENDS, _APPENDS)
    resumed = _timed_resume(place, size + _SINCE, snapshot=True)
    replayed = _timed_resume(place, size + _SINCE, snapshot=False)
    at = f"{name}, {size:,} events"
    appended = [
        _against_the_disk(f"append, {words}: {at}", seconds, share)
        for words, share in (("p50", 0.5), ("p95", 0.95))
    ]
    return [
        *appended,
        Row(what=f"resume: {at}", ours=resumed, unit="s", target="<= 2 s", met=resumed <= 2),
        Row(what=f"resume without a kept state: {at}", ours=replayed, unit="s"),
    ]


def _against_the_disk(what: str, seconds: list[tuple[float, float]], share: float) -> Row:
    """Return a quantile of appends beside that of bare fsyncs, both in milliseconds."""
    ours, disk = (float(np.quantile(each, share)) * 1000 for each in zip(*seconds, strict=True))
    target = ("<= 5 ms", ours <= 5) if "p95: SQLite" in what else (None, None)
    return Row(
        what=what, ours=ours, unit="ms", peer=disk, peer_name="fsync", ratio=disk / ours,
        target=target[0], met=target[1],
    )  # fmt: skip


def _opened(place: Path | str) -> Store:
    return open_store(place, now=lambda: datetime.now(UTC))


def _body(version: int) -> str:
    """Return what an event of a round is about as long as."""
    return json.dumps({"round": version // 8, "replies": 100, "offers": 1600, "version": version})


def _fill(store: Store, size: int) -> None:
    """Put a whole chain in, many rows at once."""
    previous, said = ROOT, {"campaign": store.campaign, "stream": _STREAM, "kind": "Surveyed"}
    at = datetime.now(UTC).isoformat()
    for start in range(0, size, 10_000):
        rows: list[Values] = []
        for version in range(start, min(start + 10_000, size)):
            body = _body(version)
            previous = link(previous, version=version, body=body, at=at, **said)
            rows.append({**said, "version": version, "body": body, "at": at, "hash": previous})
        with store.transaction():
            store.database.change(insert(event), rows)


def _append(store: Store, start: int, count: int) -> list[tuple[float, float]]:
    """Append events, each in a transaction of its own.

    Returns:
        The seconds of each, and of one write and fsync of a page right after it: what the disk
        takes at that moment, whoever else uses it.
    """
    seconds = []
    with tempfile.TemporaryFile(prefix="fieldvote-") as file:
        for version in range(start, start + count):
            began = time.perf_counter()
            store.append(_STREAM, version, "Surveyed", _body(version))
            appended = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            seconds.append((appended - began, time.perf_counter() - appended))
    return seconds


def _timed_resume(place: Path | str, expected: int, *, snapshot: bool) -> float:
    """Open the store and come to its state; return the seconds it took."""
    began = time.perf_counter()
    with closing(_opened(place)) as store:
        kept = store.snapshot(_STREAM) if snapshot else None
        version, state = (-1, b'{"count": 0}') if kept is None else kept
        count = _folded(json.loads(state)["count"], store.events(_STREAM, after=version))
    seconds = time.perf_counter() - began
    assert count == expected, f"resumed at {count}, not at {expected}"
    return seconds


def _folded(count: int, events: Iterable[tuple[str, str]]) -> int:
    """Return how many events there were: a state that every one of them moves."""
    for _, body in events:
        count = json.loads(body)["version"] + 1
    return count


if __name__ == "__main__":
    sys.exit(run("rounds", str(__doc__).splitlines()[0], measure))
