"""Whether a database is what it was when it was written: chains, names, sums, and what must agree.

What a chain cannot tell by itself is that its tail was cut off, or that all of it was written
anew. Give it heads that were kept elsewhere, and it can.
"""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import RowMapping, Select, and_, case, func, select, text

from coordinator.store.chain import ROOT, link
from coordinator.store.database import Database
from coordinator.store.events import Head
from coordinator.store.schema import (
    LOCKED,
    TABLES,
    annotation,
    artifact,
    budget,
    budget_entry,
    candidate,
    event,
    inbox,
    label,
    pending,
    snapshot,
)
from fieldvote.errors import SealError

_EVENTS = select(event).order_by(event.c.campaign, event.c.stream, event.c.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a look at everything found.

    Attributes:
        events: How many events there are.
        streams: In how many streams.
        artifacts: How many artifacts.
        faults: What is wrong, a sentence each; empty where all is well.
    """

    events: int
    streams: int
    artifacts: int
    faults: tuple[str, ...]


def verify(database: Database, *, heads: Iterable[Head] = ()) -> Report:
    """Look at everything, at one moment, and say what is wrong.

    Args:
        database: What to look at; where it is inside a transaction, at what that sees.
        heads: Ends of streams that were kept elsewhere.
    """
    with nullcontext() if database.turn else database.snapshot():
        chains = _Chains(database)
        faults = [*_damage(database), *chains.faults, *_anchors(database, heads)]
        digests = [row["digest"] for row in database.rows(select(artifact.c.digest))]
        faults += [*_artifacts(database, digests), *_sealed(database), *_snapshots(database)]
        faults += [*_budgets(database), *_contradictions(database)]
    return Report(
        events=chains.events,
        streams=chains.streams,
        artifacts=len(digests),
        faults=tuple(faults),
    )


class _Chains:
    """One walk over every event; a stream that is broken is reported once, at its first break."""

    def __init__(self, database: Database) -> None:
        self.faults: list[str] = []
        self.events = self.streams = 0
        stream, version, hashed, broken = ("", ""), -1, ROOT, False
        for row in database.stream(_EVENTS):
            self.events += 1
            if (row["campaign"], row["stream"]) != stream:
                stream, version, hashed, broken = (row["campaign"], row["stream"]), -1, ROOT, False
                self.streams += 1
            if broken:
                continue
            named = f"campaign '{stream[0]}', stream '{stream[1]}'"
            if row["version"] != version + 1:
                broken = True
                self.faults.append(f"{named}: event {version + 1} is missing")
                continue
            facts = {name: row[name] for name in ("kind", "body", "at", "version")}
            version = row["version"]
            hashed = link(hashed, campaign=stream[0], stream=stream[1], **facts)
            if hashed != row["hash"]:
                broken = True
                self.faults.append(f"{named}: event {version} is not the one that was appended")


def _anchors(database: Database, heads: Iterable[Head]) -> Iterator[str]:
    """Compare with what was kept elsewhere."""
    for head in heads:
        found = database.rows(
            select(event.c.hash).where(
                event.c.campaign == head.campaign,
                event.c.stream == head.stream,
                event.c.version == head.version,
            )
        )
        named = f"campaign '{head.campaign}', stream '{head.stream}'"
        if not found:
            yield f"{named}: ends before event {head.version}, whose hash was kept elsewhere"
        elif found[0]["hash"].hex() != head.hash:
            yield f"{named}: event {head.version} has another hash than was kept elsewhere"


def _artifacts(database: Database, digests: Iterable[str]) -> Iterator[str]:
    """Compare artifacts with their names, one at a time: a model may be large."""
    for digest in digests:
        try:
            (row,) = database.rows(select(artifact).where(artifact.c.digest == digest))
        except SealError:
            row = None
        if row is None or sha256(row["blob"]).hexdigest() != digest:
            yield f"artifact {digest[:12]} is not what its name says"


def _sealed(database: Database) -> Iterator[str]:
    """Open every locked value but artifacts, which have names to be compared with."""
    for name, columns in LOCKED.items():
        if name == artifact.name:
            continue
        table = TABLES.tables[name]
        query = select(*table.primary_key.columns, *(table.c[column] for column in columns))
        try:
            for _ in database.stream(query):
                pass
        except SealError:
            yield f"table '{name}': a locked value was changed, cut short or moved"


def _snapshots(database: Database) -> Iterator[str]:
    """Compare kept states with their digests and their streams."""
    kept = snapshot.outerjoin(
        event,
        and_(*(snapshot.c[name] == event.c[name] for name in ("campaign", "stream", "version"))),
    )
    query = select(snapshot, event.c.hash).select_from(kept)
    try:
        rows = database.rows(query)
    except SealError:  # the table is reported already
        return
    for row in rows:
        named = f"campaign '{row['campaign']}', stream '{row['stream']}'"
        if row["hash"] is None:
            yield f"{named}: ends before event {row['version']}, after which a state was kept"
        if sha256(row["state"]).digest() != row["digest"]:
            yield f"{named}: the state kept after event {row['version']} was changed"


def _budgets(database: Database) -> Iterator[str]:
    """Compare the sums of a budget with its entries."""
    entry, open_ = budget_entry.c, budget_entry.c.spent.is_(None)
    sums = select(
        entry.campaign,
        entry.resource,
        func.sum(case((open_, entry.reserved), else_=0)).label("reserved"),
        func.coalesce(func.sum(entry.spent), 0).label("spent"),
    ).group_by(entry.campaign, entry.resource)
    entries = {
        _names(row): (int(row["reserved"]), int(row["spent"])) for row in database.rows(sums)
    }
    kept = {_names(row): (row["reserved"], row["spent"]) for row in database.rows(select(budget))}
    for names in sorted(entries.keys() | kept.keys()):
        if entries.get(names, (0, 0)) != kept.get(names, (0, 0)):
            yield f"campaign '{names[0]}': the budget of {names[1]} is not the sum of its entries"
    above = select(entry.campaign, entry.key).where(
        entry.spent > entry.reserved, entry.over.is_(False)
    )
    for row in database.rows(above):
        yield f"campaign '{row['campaign']}': '{row['key']}' was settled above its reservation"


def _names(row: RowMapping) -> tuple[str, str]:
    return row["campaign"], row["resource"]


def _contradictions(database: Database) -> Iterator[str]:
    """Look for rows that cannot both be true."""
    counted = pending.join(
        inbox, and_(inbox.c.campaign == pending.c.campaign, inbox.c.message == pending.c.message)
    )
    paired = label.outerjoin(
        candidate, and_(candidate.c.campaign == label.c.campaign, candidate.c.item == label.c.item)
    )
    unsaid = label.outerjoin(
        annotation,
        and_(annotation.c.campaign == label.c.campaign, annotation.c.item == label.c.item),
    )
    twice = select(label.c.campaign).group_by(label.c.campaign, label.c.item)
    checks: tuple[tuple[str, Select[str]], ...] = (
        (
            "a request waits for a reply that was counted",
            select(pending.c.campaign).select_from(counted),
        ),
        ("an item is answered twice", twice.having(func.count() > 1)),
        (
            "a label rests on no answer",
            select(label.c.campaign).select_from(unsaid).where(annotation.c.item.is_(None)),
        ),
        (
            "an answer belongs to no candidate",
            select(label.c.campaign).select_from(paired).where(candidate.c.item.is_(None)),
        ),
    )
    for sentence, query in checks:
        for row in database.rows(query.distinct()):
            yield f"campaign '{row['campaign']}': {sentence}"


def _damage(database: Database) -> Iterator[str]:
    """Ask SQLite whether its own pages are whole; a server looks after its own."""
    if not database.is_postgres:
        for row in database.rows(text("PRAGMA integrity_check")):
            if row["integrity_check"] != "ok":
                yield f"the file is damaged: {row['integrity_check']}"
