"""The node's memory in the device's own database: messages on their way, and who we are.

A message is written down before the SuperLink is told that we have it, and its reply before the
first byte of it is sent. So after a crash at any point each message is finished by the next start,
and answered once: what was answered already is answered again with the same bytes.

The journal has a connection of its own, since the agent's belongs to whoever is answering.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

from edge.flower.fleet import Error, Message, Metadata, ObjectTree, PullMessagesResponse
from edge.flower.protobuf import decode, encode
from edge.locked import Locker
from fieldvote.errors import StoreError

STATE = "flower state"
_NODE = "flower node"
_KEPT = 8  # answered messages; their replies are sent again should a SuperLink ask twice


class NodeState(Enum):
    """Where a node stands with its SuperLink."""

    NEVER = "never joined"
    ONLINE = "online"
    RETRYING = "retrying"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """What `fieldvote edge status` says of the node."""

    state: NodeState = NodeState.NEVER
    reason: str = ""
    node_id: int = 0

    def to_note(self) -> bytes:
        """Return this as it is kept."""
        return json.dumps(asdict(self) | {"state": self.state.value}).encode()

    @staticmethod
    def from_note(note: bytes | None) -> "NodeStatus":
        """Undo to_note; a device that keeps none has never joined.

        Raises:
            StoreError: the note was changed.
        """
        if note is None:
            return NodeStatus()
        try:
            match json.loads(note):
                case {"state": str(state), "reason": str(reason), "node_id": int(node_id)}:
                    return NodeStatus(state=NodeState(state), reason=reason, node_id=node_id)
        except (ValueError, RecursionError) as err:
            raise StoreError("what the node last said of itself cannot be read") from err
        raise StoreError("what the node last said of itself is not in our words")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One message on its way through the device.

    Attributes:
        metadata: Its address.
        tree: The names of its objects.
        request: What it carries, once it was fetched.
        reply_metadata: The reply's address, once there is a reply.
        reply: What the reply carries.
    """

    metadata: Metadata
    tree: ObjectTree
    request: bytes | None = None
    reply_metadata: Metadata | None = None
    reply: bytes | Error | None = None

    @property
    def name(self) -> str:
        """What the SuperLink calls it."""
        return self.metadata.message_id


class Journal:
    """Parcels in the order they came."""

    def __init__(self, path: Path, locker: Locker | None = None) -> None:
        """Open the database of a device, whose pool has made the tables and has its key."""
        self._locker = locker or Locker()
        with _storing():
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA synchronous = FULL")
            # what has left is overwritten, not only unlinked
            self._db.execute("PRAGMA secure_delete = ON")

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def receive(self, arrived: Message, tree: ObjectTree) -> None:
        """Write a message down; the second time changes nothing but asks for its reply again."""
        metadata = arrived.metadata or Metadata()
        head = PullMessagesResponse(messages_list=(arrived,), message_object_trees=(tree,))
        self._write(
            "INSERT INTO parcel (id, head) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET done = 0",
            metadata.message_id,
            encode(head),
        )

    def keep_request(self, parcel: Parcel, request: bytes) -> None:
        """Write down what a message carries."""
        (locked,) = self._locker.seal("parcel", "request", [(parcel.name, request)])
        self._write("UPDATE parcel SET request = ? WHERE id = ?", locked, parcel.name)

    def keep_reply(self, parcel: Parcel, metadata: Metadata, reply: bytes | Error) -> None:
        """Write down what a message is answered with."""
        error = reply if isinstance(reply, Error) else None
        said = b"" if isinstance(reply, Error) else reply
        (locked,) = self._locker.seal("parcel", "reply", [(parcel.name, said)])
        self._write(
            "UPDATE parcel SET reply_head = ?, reply = ?, request = NULL WHERE id = ?",
            encode(Message(metadata=metadata, error=error)),
            locked,
            parcel.name,
        )

    def finish(self, parcel: Parcel) -> None:
        """Remember that a message was answered."""
        self._write("UPDATE parcel SET done = 1 WHERE id = ?", parcel.name)
        self._write(
            "DELETE FROM parcel WHERE done = 1 AND seq <= (SELECT max(seq) FROM parcel) - ?", _KEPT
        )

    def drop(self, parcel: Parcel) -> None:
        """Forget a message nobody waits for."""
        self._write("DELETE FROM parcel WHERE id = ?", parcel.name)

    def open_parcels(self) -> list[Parcel]:
        """Return what is not answered yet, oldest first."""
        query = (
            "SELECT id, head, request, reply_head, reply FROM parcel WHERE done = 0 ORDER BY seq"
        )
        with _storing():
            found = self._db.execute(query).fetchall()
        return [
            _parcel(
                head,
                self._opened("request", name, request),
                reply_head,
                self._opened("reply", name, reply),
            )
            for name, head, request, reply_head, reply in found
        ]

    def _opened(self, column: str, name: str, value: bytes | None) -> bytes | None:
        """Return what was locked, None where there is nothing yet."""
        return None if value is None else self._locker.open("parcel", column, [(name, value)])[0]

    def node_id(self, place: str) -> int | None:
        """Return who we were at this SuperLink with this key."""
        note = self._note(_NODE)
        found = json.loads(note) if note else {}
        return int(found["node_id"]) if found.get("place") == place else None

    def keep_node_id(self, place: str, node_id: int) -> None:
        """Remember who we are at this SuperLink with this key."""
        self._keep(_NODE, json.dumps({"place": place, "node_id": node_id}).encode())

    def keep_status(self, status: NodeStatus) -> None:
        """Remember where we stand."""
        self._keep(STATE, status.to_note())

    def _note(self, name: str) -> bytes | None:
        with _storing():
            row = self._db.execute("SELECT value FROM note WHERE name = ?", (name,)).fetchone()
        return bytes(row[0]) if row else None

    def _keep(self, name: str, value: bytes) -> None:
        self._write("INSERT OR REPLACE INTO note VALUES (?, ?)", name, value)

    def _write(self, statement: str, *values: object) -> None:
        with _storing():
            self._db.execute(statement, values)


def _parcel(
    head: bytes, request: bytes | None, reply_head: bytes | None, reply: bytes | None
) -> Parcel:
    """Return a row as a value."""
    arrived = decode(head, PullMessagesResponse)
    answered = decode(reply_head, Message) if reply_head is not None else Message()
    return Parcel(
        metadata=arrived.messages_list[0].metadata or Metadata(),
        tree=arrived.message_object_trees[0],
        request=request,
        reply_metadata=answered.metadata,
        reply=answered.error or reply,
    )


@contextmanager
def _storing() -> Iterator[None]:
    """Turn what SQLite says of the disk into our own words."""
    try:
        yield
    except sqlite3.Error as err:
        raise StoreError(f"the node's journal cannot be used: {err}; nothing was changed") from err
