"""What a message carries: Flower's objects, each named by the SHA-256 of its bytes.

An object is a head (its type, the names of its children, the length of its body), a zero byte and a
body. A message of ours is three of them, one inside the other: Message, RecordDict, ConfigRecord.
Only that shape is read, so no array and no metric of anyone is ever parsed here.
"""

import json
from dataclasses import dataclass, replace
from hashlib import sha256

from edge.flower.fleet import (
    ConfigItem,
    ConfigRecord,
    ConfigRecordValue,
    Error,
    Message,
    Metadata,
    ObjectTree,
    RecordDict,
)
from edge.flower.protobuf import decode, encode
from fieldvote.codec import MAX_MESSAGE_BYTES
from fieldvote.errors import WireError

RECORD, FIELD = "fieldvote", "message"
"""The record a message of ours carries, and the one field in it."""
REFUSED = 64
"""Our error code on the wire: the device said no, or could not."""
CRASHED = 2
"""Flower's error code for an app that raised."""

_OVERHEAD = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply ready to be pushed.

    Attributes:
        envelope: The message without its content.
        tree: The names of its objects.
        contents: Name and bytes of each object, children first.
    """

    envelope: Message
    tree: ObjectTree
    contents: tuple[tuple[str, bytes], ...]


def record_in(tree: ObjectTree) -> str:
    """Return the name of the one record in a message of ours.

    Raises:
        WireError: the message has another shape.
    """
    if len(tree.children) == 1 and len(tree.children[0].children) == 1:
        inner = tree.children[0].children[0]
        if not inner.children:
            return inner.object_id
    raise WireError("the message does not carry one record")


def request_in(name: str, content: bytes) -> bytes:
    """Return the bytes that a record carries.

    The message and the dictionary around it are not fetched: they would say once more what the
    tree has said, and cost two calls while the coordinator waits.

    Raises:
        WireError: the record is not what it is named, or carries no bytes of ours.
    """
    if sha256(content).hexdigest() != name:
        raise WireError("an object is not what its name says")
    for item in decode(_body(content, "ConfigRecord"), ConfigRecord).items:
        if item.key == FIELD and item.value and item.value.data is not None:
            return item.value.data
    raise WireError(f"the record's field {FIELD} is not bytes")


def unread_in(tree: ObjectTree) -> list[str]:
    """Return the names of a message's objects but the record that is read, children first.

    >>> record = ObjectTree(object_id="record")
    >>> records = ObjectTree(object_id="records", children=(record,))
    >>> unread_in(ObjectTree(object_id="whole", children=(records,)))
    ['records', 'whole']
    """
    names = _names(tree)
    try:
        read = record_in(tree)
    except WireError:
        return names
    return [name for name in names if name != read]


def reply_metadata(request: Metadata, now_s: float) -> Metadata:
    """Return the address of a reply; it lives as long as the request would have.

    A clock that is behind must not date the reply before the request.
    """
    created_s = max(now_s, request.created_at)
    return Metadata(
        run_id=request.run_id,
        src_node_id=request.dst_node_id,
        dst_node_id=request.src_node_id,
        reply_to_message_id=request.message_id,
        group_id=request.group_id,
        ttl=request.created_at + request.ttl - created_s,
        message_type=request.message_type,
        created_at=created_s,
        src_task_id=request.dst_task_id,
        dst_task_id=request.src_task_id,
    )


def make_reply(metadata: Metadata, body: bytes | Error) -> Reply:
    """Return the reply that carries these bytes, or this error; the same every time."""
    if isinstance(body, Error):
        bare = Message(metadata=metadata, error=body)
        name, content = _object("Message", (), encode(bare))
        return Reply(
            envelope=_named(bare, name),
            tree=ObjectTree(object_id=name),
            contents=((name, content),),
        )
    item = ConfigItem(key=FIELD, value=ConfigRecordValue(data=body))
    record = _object("ConfigRecord", (), encode(ConfigRecord(items=(item,))))
    records = _object("RecordDict", (record[0],), json.dumps({RECORD: record[0]}).encode())
    whole = _object("Message", (records[0],), encode(Message(metadata=metadata)))
    inner = ObjectTree(object_id=records[0], children=(ObjectTree(object_id=record[0]),))
    return Reply(
        envelope=_named(Message(metadata=metadata, content=RecordDict()), whole[0]),
        tree=ObjectTree(object_id=whole[0], children=(inner,)),
        contents=(record, records, whole),
    )


def _names(tree: ObjectTree) -> list[str]:
    """Return the names of an object and of all in it, children first."""
    return [name for child in tree.children for name in _names(child)] + [tree.object_id]


def _named(message: Message, name: str) -> Message:
    """Return the message under the name of its object."""
    return replace(message, metadata=replace(message.metadata or Metadata(), message_id=name))


def _object(kind: str, children: tuple[str, ...], body: bytes) -> tuple[str, bytes]:
    """Return an object's name and bytes."""
    content = f"{kind} {','.join(children)} {len(body)}".encode() + b"\0" + body
    return sha256(content).hexdigest(), content


def _body(content: bytes, kind: str) -> bytes:
    """Return an object's body, if it is of this kind and whole."""
    if len(content) > MAX_MESSAGE_BYTES + _OVERHEAD:
        raise WireError(f"an object of {len(content)} bytes passes the limit")
    head, _, body = content.partition(b"\0")
    words = head.split(b" ")
    if len(words) != 3 or words[0] != kind.encode() or words[2] != str(len(body)).encode():
        raise WireError(f"an object that is no whole {kind}")
    return body
