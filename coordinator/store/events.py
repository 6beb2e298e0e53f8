"""Streams of events, chained by their hashes, and the newest state of each."""

from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import bindparam, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert  # its ON CONFLICT is SQLite's too

from coordinator.store.chain import ROOT, link
from coordinator.store.database import Values
from coordinator.store.schema import event, snapshot
from coordinator.store.scope import CampaignTables, of
from fieldvote.errors import DataError, InputError, StoreError

BEGINNING = -1  # what the first event, version 0, comes after

_AFTER = (
    select(event.c.kind, event.c.body)
    .where(of(event, "stream"), event.c.version > bindparam("after"))
    .order_by(event.c.version)
)
_HISTORY = (
    select(event.c.kind, event.c.body, event.c.at)
    .where(of(event, "stream"))
    .order_by(event.c.version)
)
_HASH = select(event.c.hash).where(of(event, "stream", "version"))
_APPEND = insert(event)
_NEXT_STREAM = (
    select(event.c.stream)
    .where(of(event), event.c.stream > bindparam("after"))
    .order_by(event.c.stream)
    .limit(1)
)
_LAST = (
    select(event.c.version, event.c.hash)
    .where(of(event, "stream"))
    .order_by(event.c.version.desc())
    .limit(1)
)
_SNAPSHOT = select(snapshot).where(of(snapshot, "stream"))
_ADD_SNAPSHOT = upsert(snapshot)
_KEEP_SNAPSHOT = _ADD_SNAPSHOT.on_conflict_do_update(
    index_elements=["campaign", "stream"],
    set_={name: _ADD_SNAPSHOT.excluded[name] for name in ("version", "state", "digest")},
    where=_ADD_SNAPSHOT.excluded.version > snapshot.c.version,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """An event, and when it was stored."""

    kind: str
    body: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of a stream; kept elsewhere, it anchors all that came before.

    Attributes:
        campaign: Whose stream.
        stream: Its name.
        version: Of its last event.
        hash: Of its last event, in hexadecimal digits.
    """

    campaign: str
    stream: str
    version: int
    hash: str


class EventTables(CampaignTables):
    """What happened, and where it led."""

    def events(self, stream: str, *, after: int = BEGINNING) -> list[tuple[str, str]]:
        """Return kind and body of a stream's events, oldest first.

        Args:
            stream: Its name.
            after: Only events of a higher version than this, as `snapshot` says it.
        """
        rows = self._rows(_AFTER, the_stream=stream, after=after)
        return [(row["kind"], row["body"]) for row in rows]

    def history(self, stream: str) -> list[Happened]:
        """Return a stream's events with the time of each, oldest first."""
        rows = self._rows(_HISTORY, the_stream=stream)
        return [Happened(kind=row["kind"], body=row["body"], at=row["at"]) for row in rows]

    def append(self, stream: str, version: int, kind: str, body: str) -> None:
        """Append an event as this version of its stream.

        Raises:
            StoreError: somebody else was first, or the version before it is missing.
        """
        previous = self._hash(stream, version - 1) if version else ROOT
        if previous is None:
            raise StoreError(
                f"'{stream}' has no event {version - 1}, so {version} cannot follow;"
                " nothing was stored: load the stream, then go on"
            )
        at = self.database.now().isoformat()
        hashed = link(
            previous,
            campaign=self.campaign,
            stream=stream,
            version=version,
            kind=kind,
            body=body,
            at=at,
        )
        row: Values = {"stream": stream, "version": version, "kind": kind, "body": body}
        self._add(_APPEND, {**row, "at": at, "hash": hashed})

    def streams(self) -> tuple[str, ...]:
        """Return the names of all streams, in order."""
        found: list[str] = []
        while rows := self._rows(_NEXT_STREAM, after=found[-1] if found else ""):
            found.append(rows[0]["stream"])
        return tuple(found)

    def heads(self) -> tuple[Head, ...]:
        """Return the end of every stream, to be kept where the store's owner cannot write."""
        found = []
        for stream in self.streams():
            (row,) = self._rows(_LAST, the_stream=stream)
            found.append(
                Head(
                    campaign=self.campaign,
                    stream=stream,
                    version=row["version"],
                    hash=row["hash"].hex(),
                )
            )
        return tuple(found)

    def keep_snapshot(self, stream: str, version: int, state: bytes) -> None:
        """Keep the state after this version; an older one than is kept changes nothing.

        Raises:
            InputError: the stream has no such version.
        """
        if self._hash(stream, version) is None:
            raise InputError(f"'{stream}' has no event {version}, so no state after it")
        row: Values = {"stream": stream, "version": version, "state": state}
        self._add(_KEEP_SNAPSHOT, {**row, "digest": _digest(state)})

    def snapshot(self, stream: str) -> tuple[int, bytes] | None:
        """Return the newest kept state and the version it is after.

        Raises:
            DataError: it was changed on the disk; the events say the same.
        """
        rows = self._rows(_SNAPSHOT, the_stream=stream)
        if not rows:
            return None
        if _digest(rows[0]["state"]) != rows[0]["digest"]:
            raise DataError(
                f"the kept state of '{stream}' was changed on the disk; replay its events instead"
            )
        return rows[0]["version"], rows[0]["state"]

    def _hash(self, stream: str, version: int) -> bytes | None:
        """Return an event's hash, None where there is no such event."""
        rows = self._rows(_HASH, the_stream=stream, the_version=version)
        return rows[0]["hash"] if rows else None


def _digest(state: bytes) -> bytes:
    return sha256(state).digest()
