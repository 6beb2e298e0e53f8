"""Where a test keeps its store, and a bit of everything to put into it."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import numpy as np
from sqlalchemy import select

from coordinator.store.budget import Resource
from coordinator.store.campaign import Store
from coordinator.store.database import Database
from coordinator.store.rows import (
    Annotation,
    KnownDevice,
    StoredCandidate,
    StoredLabel,
    StoredOffer,
)
from coordinator.store.schema import TABLES
from fieldvote.records import ARM_CHOSEN, DeviceId

ROOT = Path(__file__).parents[3]
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Place:
    """A file or a server's database; whatever is opened here is closed after the test."""

    def __init__(self, where: Path | str, stack: ExitStack) -> None:
        self.where = where
        self._stack = stack
        self._shared: Database | None = None
        self._campaigns = count()

    @property
    def is_postgres(self) -> bool:
        return isinstance(self.where, str)

    def database(self, *, wait_s: float = 10.0) -> Database:
        """Open it once more."""
        opened = Database.open(self.where, now=lambda: NOON, wait_s=wait_s)
        self._stack.callback(opened.close)
        return opened

    def store(self, campaign: str = "first", *, wait_s: float = 10.0) -> Store:
        """Open a campaign over a connection of its own."""
        return Store(self.database(wait_s=wait_s), campaign)

    def fresh_campaign(self) -> Store:
        """Return a campaign nobody wrote to: one database serves all examples of a law."""
        if self._shared is None:
            self._shared = self.database()
        return Store(self._shared, f"campaign {next(self._campaigns)}")

    def tamper(self, statement: str, *, unchecked: bool = False) -> None:
        """Change it behind the program's back; on a server, past its foreign keys if asked."""
        if isinstance(self.where, str):
            import psycopg

            with psycopg.connect(self.where, autocommit=True) as connection:
                if unchecked:
                    connection.execute("SET session_replication_role = replica")
                connection.execute(statement.encode())
        else:
            with closing(sqlite3.connect(self.where, isolation_level=None)) as file:
                file.execute(statement)


def everything(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, without what tells that a campaign was ever written to."""
    return {
        table.name: [
            tuple(row.values())
            for row in database.rows(select(table).order_by(*table.primary_key.columns))
        ]
        for table in TABLES.sorted_tables
        if table.name != "campaign"
    }


def device(number: int, **changes: bytes | bool) -> KnownDevice:
    known = {"signing_key": b"s" * 32, "sealing_key": b"e" * 32, "evaluates": False, **changes}
    return KnownDevice(id=DeviceId(number), items=5, **known)  # type: ignore[arg-type]  # a table


def offer(item: bytes, number: int = 1, score: int = 1) -> StoredOffer:
    return StoredOffer(
        device=DeviceId(number),
        item=item,
        arm=ARM_CHOSEN,
        score=score,
        predicted=0,
        sketch=bytes(8),
    )


def candidate(item: bytes, envelope: bytes = b"sealed", number: int = 1) -> StoredCandidate:
    return StoredCandidate(item=item, device=DeviceId(number), arm=0, envelope=envelope)


def label_it(store: Store, item: bytes, label: int, price: float, envelope: bytes) -> None:
    """Let somebody answer, and that be the label."""
    store.keep_annotation(Annotation(item=item, annotator="ann", label=label, price=price))
    store.keep_label(StoredLabel(item=item, label=label, envelope=envelope))


def write_a_bit_of_everything(store: Store, number: int) -> None:
    """Write at least one row to every table but the lease's; number is 0, 1, ..."""
    item = bytes([number]) * 16
    store.append("rounds", number, "Kind", "{}")
    store.append(f"stream {number}", 0, "Kind", "{}")
    store.keep_snapshot("rounds", number, b"state")
    store.admit(f"message {number}")
    store.expect_all(number, "survey", {DeviceId(number): b"request"})
    store.add("votes", np.array([1, 2]))
    store.meet(device(number))
    store.admit_envelope(DeviceId(number), bytes(16), number)
    store.keep_offers(1, [offer(item)])
    store.grant(1, [item])
    store.keep_candidate(1, candidate(item))
    label_it(store, item, 1, 0.5, b"to you")
    store.count_labels(number)
    store.mark_delivered(DeviceId(number), [item])
    store.owe(f"effect {number}", "email", b"body")
    store.reserve(f"round {number}", Resource.MONEY, 100, 10_000)
    store.settle_budget(f"round {number}", 70)
    store.reserve(f"next {number}", Resource.MONEY, 30, 10_000)
    store.keep_artifact(b"model %d" % number)
    store.keep_note("task", f"digest {number}")


@contextmanager
def nobody() -> Iterator[None]:
    """Be somebody who may not write, where we are root, whom no permission stops."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)
