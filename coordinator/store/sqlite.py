"""The coordinator's memory: one SQLite file that survives a kill at any instruction.

A step of a round is one transaction: replies counted in, totals moved, events appended. Either all
of it is there after a crash, or none. Event and inbox tables only ever grow.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coordinator.store.rows import (
    KnownDevice,
    StoredCandidate,
    StoredOffer,
    message_name,
)
from fieldvote.errors import StoreError
from fieldvote.records import Answer, DeviceId

_SCHEMA = """
CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,   -- counts up within the stream; two writers cannot both win
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    at TEXT NOT NULL,
    UNIQUE (stream, version)
);
CREATE TABLE inbox (message TEXT PRIMARY KEY);      -- what was counted already
CREATE TABLE pending (          -- requests that change a device and have no counted reply yet
    message TEXT PRIMARY KEY, round INTEGER NOT NULL, phase TEXT NOT NULL,
    device INTEGER NOT NULL, request BLOB NOT NULL
);
CREATE TABLE total (name TEXT PRIMARY KEY, vector BLOB NOT NULL);   -- sums over devices
CREATE TABLE device (
    id INTEGER PRIMARY KEY, evaluates INTEGER NOT NULL, items INTEGER NOT NULL,
    signing_key BLOB NOT NULL, sealing_key BLOB NOT NULL,
    teaches INTEGER NOT NULL DEFAULT 0      -- whether answers were delivered to it
);
CREATE TABLE offer (
    round INTEGER NOT NULL, device INTEGER NOT NULL, item BLOB NOT NULL, arm INTEGER NOT NULL,
    score INTEGER NOT NULL, predicted INTEGER NOT NULL, sketch BLOB NOT NULL,
    granted INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (round, item)
);
CREATE TABLE candidate (        -- sealed; nothing here can be read without the desk's key
    item BLOB PRIMARY KEY, device INTEGER NOT NULL, round INTEGER NOT NULL, arm INTEGER NOT NULL,
    envelope BLOB NOT NULL
);
CREATE TABLE label (
    item BLOB PRIMARY KEY REFERENCES candidate, label INTEGER NOT NULL, price REAL NOT NULL,
    envelope BLOB NOT NULL,                 -- the answer, sealed for its device
    counted INTEGER,                        -- the round whose event tells of it
    sent INTEGER,                           -- the round whose request carries it to its device
    delivered INTEGER NOT NULL DEFAULT 0
);
PRAGMA user_version = 1;
"""


class Store:
    """One campaign's tables. Writes happen inside `transaction`."""

    def __init__(self, path: Path | None, now: Callable[[], datetime]) -> None:
        """Open the store in this file, made if absent; None keeps it in memory."""
        self._now = now
        with _storing():
            self._db = sqlite3.connect(
                path or ":memory:", isolation_level=None, check_same_thread=False
            )
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                self._db.executescript("BEGIN;" + _SCHEMA + "COMMIT;")
            elif version != 1:
                raise StoreError(f"this store has schema {version}; this program knows 1")

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything inside durable together, or not at all."""
        with _storing():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    # events

    def events(self, stream: str) -> list[tuple[str, str]]:
        """Return kind and body of every event of a stream, oldest first."""
        query = "SELECT kind, body FROM event WHERE stream = ? ORDER BY version"
        return [(row[0], row[1]) for row in self._rows(query, (stream,))]

    def append(self, stream: str, version: int, kind: str, body: str) -> None:
        """Append an event as this version of its stream; fails if somebody else was first."""
        self._db.execute(
            "INSERT INTO event (stream, version, kind, body, at) VALUES (?, ?, ?, ?, ?)",
            (stream, version, kind, body, self._now().isoformat()),
        )

    # what came in

    def admit(self, message: str) -> bool:
        """Return whether this message is new, and remember it."""
        done = self._db.execute("INSERT OR IGNORE INTO inbox VALUES (?)", (message,))
        self._db.execute("DELETE FROM pending WHERE message = ?", (message,))
        return done.rowcount == 1

    def expect(self, round_number: int, phase: str, device: DeviceId, request: bytes) -> None:
        """Keep a request until its reply is counted; the first of its name stays.

        Asked again with the same bytes, a device answers with the same bytes: so a reply that was
        lost on its way is not lost to the sums.
        """
        name = message_name(round_number, phase, device)
        self._db.execute(
            "INSERT OR IGNORE INTO pending SELECT ?1, ?2, ?3, ?4, ?5"
            " WHERE ?1 NOT IN (SELECT message FROM inbox)",
            (name, round_number, phase, device, request),
        )

    def expected(self, round_number: int, phase: str) -> dict[DeviceId, bytes]:
        """Return the requests of one exchange that have no counted reply, by device."""
        query = "SELECT device, request FROM pending WHERE round = ? AND phase = ? ORDER BY device"
        return {DeviceId(row[0]): bytes(row[1]) for row in self._rows(query, (round_number, phase))}

    def overdue(self, round_number: int) -> list[tuple[int, str]]:
        """Return round and phase of earlier exchanges that still miss a reply, oldest first."""
        query = "SELECT round, phase FROM pending WHERE round < ? GROUP BY 1, 2 ORDER BY min(rowid)"
        return [(row[0], row[1]) for row in self._rows(query, (round_number,))]

    def total(self, name: str) -> NDArray[np.int64] | None:
        """Return a sum over devices, None if nothing was added yet."""
        rows = self._rows("SELECT vector FROM total WHERE name = ?", (name,))
        return np.frombuffer(rows[0][0], dtype="<i8").astype(np.int64) if rows else None

    def add(self, name: str, vector: NDArray[np.int64]) -> None:
        """Add a vector to a sum."""
        so_far = self.total(name)
        if so_far is not None and so_far.shape != vector.shape:
            raise StoreError(f"{name} has {len(so_far)} entries, {len(vector)} were to be added")
        moved = vector if so_far is None else so_far + vector
        self._db.execute(
            "INSERT OR REPLACE INTO total VALUES (?, ?)", (name, moved.astype("<i8").tobytes())
        )

    def meet(self, device: KnownDevice) -> None:
        """Remember a device; the keys it came with first stay."""
        self._db.execute(
            "INSERT OR IGNORE INTO device VALUES (?, ?, ?, ?, ?, 0)",
            (
                device.id,
                int(device.evaluates),
                device.items,
                device.signing_key,
                device.sealing_key,
            ),
        )

    def devices(self) -> dict[DeviceId, KnownDevice]:
        """Return every device known, by id."""
        rows = self._rows("SELECT * FROM device ORDER BY id")
        return {
            DeviceId(row[0]): KnownDevice(
                id=DeviceId(row[0]),
                evaluates=bool(row[1]),
                items=row[2],
                signing_key=row[3],
                sealing_key=row[4],
                teaches=bool(row[5]),
            )
            for row in rows
        }

    def keep_offers(self, round_number: int, offers: Iterable[StoredOffer]) -> None:
        """Keep the offers of a round until it is selected from."""
        self._db.executemany(
            "INSERT OR IGNORE INTO offer VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
            [
                (round_number, o.device, o.item, o.arm, o.score, o.predicted, o.sketch)
                for o in offers
            ],
        )

    def offers(self, round_number: int, *, granted: bool = False) -> list[StoredOffer]:
        """Return a round's offers, or its granted ones, by item id, so that ties go by id."""
        query = (
            "SELECT device, item, arm, score, predicted, sketch FROM offer"
            " WHERE round = ? AND granted >= ? ORDER BY item"
        )
        return [
            StoredOffer(
                device=DeviceId(row[0]),
                item=row[1],
                arm=row[2],
                score=row[3],
                predicted=row[4],
                sketch=row[5],
            )
            for row in self._rows(query, (round_number, int(granted)))
        ]

    def grant(self, round_number: int, items: Iterable[bytes]) -> None:
        """Remember which offers of a round are asked for."""
        self._db.executemany(
            "UPDATE offer SET granted = 1 WHERE round = ? AND item = ?",
            [(round_number, item) for item in items],
        )

    # labels

    def keep_candidate(self, round_number: int, candidate: StoredCandidate) -> None:
        """Keep a sealed candidate; the first envelope stays."""
        self._db.execute(
            "INSERT OR IGNORE INTO candidate VALUES (?, ?, ?, ?, ?)",
            (candidate.item, candidate.device, round_number, candidate.arm, candidate.envelope),
        )

    def queue(self) -> list[StoredCandidate]:
        """Return candidates that wait for an answer, oldest round first."""
        query = (
            "SELECT item, device, arm, envelope FROM candidate"
            " WHERE item NOT IN (SELECT item FROM label) ORDER BY round, item"
        )
        return [
            StoredCandidate(item=row[0], device=DeviceId(row[1]), arm=row[2], envelope=row[3])
            for row in self._rows(query)
        ]

    def keep_label(self, answer: Answer, price: float, envelope: bytes) -> None:
        """Keep an answer, sealed for its device; the first stays."""
        self._db.execute(
            "INSERT OR IGNORE INTO label (item, label, price, envelope) VALUES (?, ?, ?, ?)",
            (answer.item, answer.label, price, envelope),
        )

    def count_labels(self, round_number: int) -> tuple[int, float]:
        """Count the answers no round has told of yet into this one. Return how many, and cost.

        An answer that came after its round's deadline counts in the round that finds it.
        """
        self._db.execute("UPDATE label SET counted = ? WHERE counted IS NULL", (round_number,))
        return self._priced("WHERE counted = ?", (round_number,))

    def undelivered(self) -> dict[DeviceId, list[tuple[bytes, bytes]]]:
        """Return the answers no request carries yet, by device: item and sealed answer."""
        query = (
            "SELECT candidate.device, label.item, label.envelope FROM label"
            " JOIN candidate USING (item) WHERE sent IS NULL ORDER BY label.item"
        )
        waiting: dict[DeviceId, list[tuple[bytes, bytes]]] = {}
        for row in self._rows(query):
            waiting.setdefault(DeviceId(row[0]), []).append((row[1], row[2]))
        return waiting

    def mark_sent(self, round_number: int, items: Iterable[bytes]) -> None:
        """Remember which round's request carries these answers."""
        self._db.executemany(
            "UPDATE label SET sent = ? WHERE item = ?", [(round_number, item) for item in items]
        )

    def sent(self, round_number: int) -> dict[DeviceId, list[bytes]]:
        """Return the items whose answers a round's requests carry, by device."""
        query = (
            "SELECT candidate.device, label.item FROM label JOIN candidate USING (item)"
            " WHERE sent = ? ORDER BY label.item"
        )
        carried: dict[DeviceId, list[bytes]] = {}
        for row in self._rows(query, (round_number,)):
            carried.setdefault(DeviceId(row[0]), []).append(row[1])
        return carried

    def mark_delivered(self, device: DeviceId, items: Iterable[bytes]) -> None:
        """Remember that a device has taken these answers, and teaches from now on."""
        self._db.execute("UPDATE device SET teaches = 1 WHERE id = ?", (device,))
        self._db.executemany(
            "UPDATE label SET delivered = 1 WHERE item = ?", [(item,) for item in items]
        )

    def labels(self) -> tuple[int, float]:
        """Return how many answers the campaign bought, and what they cost."""
        return self._priced("", ())

    def _priced(self, where: str, values: tuple[int, ...]) -> tuple[int, float]:
        query = f"SELECT count(*), coalesce(sum(price), 0) FROM label {where}"  # noqa: S608  # ours
        count, cost = self._rows(query, values)[0]
        return int(count), float(cost)

    def _rows(self, query: str, values: tuple[str | int | None, ...] = ()) -> list[sqlite3.Row]:
        """Return what a query finds."""
        with _storing():
            return self._db.execute(query, values).fetchall()


@contextmanager
def _storing() -> Iterator[None]:
    """Turn what SQLite says of the disk into our own words."""
    try:
        yield
    except sqlite3.Error as err:
        raise StoreError(
            f"the store could not be used: {err}; what was stored before is whole"
        ) from err
