"""The coordinator's rounds at length: appending to a long stream, resuming, a thousand devices.

    python tests/benchmarks/rounds.py [--peers] [--quick] [--json]

One stream of a million events (five thousand with --quick): round after round as a campaign
really writes them, on SQLite with `synchronous=FULL` and, where it is installed, on PostgreSQL with
`fsync` on. Each append that is timed is a transaction of its own, waits for the disk, and comes at
the end of the full stream. Resuming opens the store anew, reads the newest kept state and the
events after it, as many as there can be, and folds them. Beside each append on SQLite stands a bare
INSERT and COMMIT into a table of one column, and what one write and fsync took at that moment: on a
busy machine it is the disk that is measured. Then a thousand devices (a hundred with --quick)
answer one exchange: their replies come fifty at a look, and are checked, added up and stored. There
is no other peer, with or without --peers: Flower keeps no state of a run to resume from.
"""

import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from _crowd import take_answers, take_surveys
from _table import Options, Row, run
from sqlalchemy import delete, insert

sys.path.insert(0, str(Path(__file__).parents[2]))  # a script sees its own folder only
from coordinator.rounds.campaign import (
    STREAM,
    CampaignState,
    dump_campaign,
    load_state,
    replay_campaign,
)
from coordinator.rounds.events import dump_event, load_event
from coordinator.rounds.scheduler import _SNAPSHOT_EVERY
from coordinator.store.campaign import Store, open_store
from coordinator.store.chain import ROOT, link
from coordinator.store.database import Values
from coordinator.store.schema import event, snapshot
from tests.coordinator.rounds.campaign import Campaign, settings_with
from tests.doubles.postgres import postgres_server

_EXCHANGES = 8  # gradient exchanges of a round, as many as the settings begin with
_APPENDS = 2 * _SNAPSHOT_EVERY - 1  # as far after a kept state as a campaign comes
_SPENT = "one write and fsync"
_BARE = "bare INSERT"


def measure(options: Options) -> list[Row]:
    """Fill, append, resume, on what is installed; then let the devices answer."""
    size = 5_000 if options.quick else 1_000_000
    with tempfile.TemporaryDirectory(prefix="fieldvote-rounds-") as name:
        folder, life = Path(name), Life()
        rows = [Row(what="events appended per round", ours=float(life.length), unit="events")]
        rows += _on_sqlite(folder, life, size)
        rows += [_replayed(folder / "replayed.sqlite", life, size // 10)]
        rows += _exchanged(folder, 100 if options.quick else 1_000)
    try:
        with postgres_server(durable=True) as server:
            rows += _on_postgres(server.create("rounds"), life, size)
    except pytest.skip.Exception as reason:
        print(reason, file=sys.stderr)
    return rows


class Life:
    """A campaign's events, round after round: the second round of a real one, again and again."""

    def __init__(self) -> None:
        with closing(Campaign(settings_with(exchanges=_EXCHANGES))) as campaign:
            campaign.run(2)
            events = [dump_event(e) for e in campaign.scheduler.events if e.round == 2]
        self._events = [(kind, body.replace('"round":2', '"round":%d')) for kind, body in events]
        self.length = len(events)

    def events(self, start: int = 0) -> Iterator[tuple[str, str]]:
        """Yield kind and body of every event, from this version on."""
        number, place = divmod(start, self.length)
        while True:
            for kind, body in self._events[place:]:
                yield kind, body % (number + 1)
            number, place = number + 1, 0

    def state(self, size: int) -> CampaignState:
        """Return where the first so many events lead, from the rounds that are remembered."""
        before = max(size // self.length - 40, 0)
        rows = islice(self.events(before * self.length), size - before * self.length)
        return replay_campaign((load_event(*row) for row in rows), CampaignState(last=before))


def _on_sqlite(folder: Path, life: Life, size: int) -> list[Row]:
    place, at = folder / "store.sqlite", f"SQLite, {size:,} events"
    with closing(sqlite3.connect(folder / "bare.sqlite", isolation_level=None)) as bare:
        for pragma in ("journal_mode = WAL", "synchronous = FULL"):
            bare.execute(f"PRAGMA {pragma}")
        bare.execute("CREATE TABLE bare (body TEXT)")
        appended, inserted, spent = _long_life(place, life, size, bare)
    rows = []
    for words, share in (("p50", 0.5), ("p95", 0.95)):
        ours, peer = _quantile(appended, share), _quantile(inserted, share)
        target = ("<= 5 ms", ours <= 5) if words == "p95" else (None, None)
        rows.append(
            Row(
                what=f"append, {words}: {at}", ours=ours, unit="ms", peer=peer, peer_name=_BARE,
                ratio=peer / ours, target=target[0], met=target[1],
            )
        )  # fmt: skip
    disk = [
        Row(what=f"{_SPENT}, {words}", ours=_quantile(spent, share), unit="ms")
        for words, share in (("p50", 0.5), ("p95", 0.95))
    ]
    return [*rows, *disk, _resumed(place, life, size, at)]


def _on_postgres(place: str, life: Life, size: int) -> list[Row]:
    at = f"PostgreSQL, {size:,} events"
    appended, _, spent = _long_life(place, life, size, None)
    rows = []
    for words, share in (("p50", 0.5), ("p95", 0.95)):
        ours, disk = _quantile(appended, share), _quantile(spent, share)
        rows.append(
            Row(
                what=f"append, {words}: {at}", ours=ours, unit="ms", peer=disk, peer_name="fsync",
                ratio=disk / ours,
            )
        )  # fmt: skip
    return [*rows, _resumed(place, life, size, at)]


def _quantile(seconds: list[float], share: float) -> float:
    """Return a quantile in milliseconds."""
    return float(np.quantile(seconds, share)) * 1000


def _opened(place: Path | str) -> Store:
    return open_store(place, now=lambda: datetime.now(UTC))


def _long_life(
    place: Path | str, life: Life, size: int, bare: sqlite3.Connection | None
) -> tuple[list[float], list[float], list[float]]:
    """Fill a store, and append to it as a campaign does, each event in a transaction of its own.

    Returns:
        The seconds of each append; of a bare INSERT of the same body right after it; and of one
        write and fsync of a page after that: what the disk takes at that moment, whoever else
        uses it.
    """
    seconds: tuple[list[float], list[float], list[float]] = ([], [], [])
    with closing(_opened(place)) as store, tempfile.TemporaryFile(prefix="fieldvote-") as file:
        _fill(store, life, size)
        for version, row in enumerate(islice(life.events(size), _APPENDS), size):
            began = time.perf_counter()
            store.append(STREAM, version, *row)
            appended = time.perf_counter()
            if bare is not None:
                bare.execute("INSERT INTO bare VALUES (?)", (row[1],))  # commits by itself
            inserted = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            done = time.perf_counter()
            for each, took in zip(
                seconds, (appended - began, inserted - appended, done - inserted), strict=True
            ):
                each.append(took)
            if version + 1 == size + _SNAPSHOT_EVERY:
                _keep(store, life, version + 1)
    return seconds


def _fill(store: Store, life: Life, size: int) -> None:
    """Put a whole chain in, many rows at once."""
    previous, said = ROOT, {"campaign": store.campaign, "stream": STREAM}
    at = datetime.now(UTC).isoformat()
    events = life.events()
    for start in range(0, size, 10_000):
        rows: list[Values] = []
        for version in range(start, min(start + 10_000, size)):
            kind, body = next(events)
            previous = link(previous, version=version, kind=kind, body=body, at=at, **said)
            rows.append(
                {**said, "kind": kind, "version": version, "body": body, "at": at, "hash": previous}
            )
        with store.transaction():
            store.database.change(insert(event), rows)


def _keep(store: Store, life: Life, size: int) -> None:
    """Keep the state after so many events, as the scheduler does now and then."""
    store.keep_snapshot(STREAM, size - 1, dump_campaign(life.state(size)))


def _resumed(place: Path | str, life: Life, size: int, at: str) -> Row:
    """Open the store as a coordinator that was just started does, and come to its state."""
    began = time.perf_counter()
    with closing(_opened(place)) as store:
        version, state = load_state(store)
    seconds = time.perf_counter() - began
    assert version == size + _APPENDS
    assert (state.last, state.newest) == (life.state(version).last, life.state(version).newest)
    what = f"resume: {at}, {_APPENDS - _SNAPSHOT_EVERY} after the kept state"
    return Row(what=what, ours=seconds, unit="s", target="<= 2 s", met=seconds <= 2)


def _replayed(place: Path, life: Life, size: int) -> Row:
    """Come to the state of a shorter stream whose kept state is gone."""
    with closing(_opened(place)) as store:
        _fill(store, life, size)
        with store.transaction():
            store.database.change(delete(snapshot))
        began = time.perf_counter()
        version, state = load_state(store)
        seconds = time.perf_counter() - began
    assert (version, state.newest) == (size, life.state(size).newest)
    return Row(what=f"resume without a kept state: SQLite, {size:,} events", ours=seconds, unit="s")


def _exchanged(folder: Path, devices: int) -> list[Row]:
    """Let a crowd answer a survey, and then take its answers."""
    surveys = take_surveys(folder / "surveys.sqlite", devices)
    answers = take_answers(folder / "answers.sqlite", devices)
    return [
        Row(what=f"{devices:,} devices' surveys taken in one exchange", ours=surveys, unit="s"),
        Row(
            what=f"{devices:,} devices' answers taken in one exchange", ours=answers, unit="s",
            target="<= 5 s", met=answers <= 5,
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(run("rounds", str(__doc__).splitlines()[0], measure))
