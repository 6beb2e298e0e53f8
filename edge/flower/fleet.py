"""The messages of Flower's fleet protocol that a device sends and receives, and nothing more.

Names, field numbers and types are Flower's own (``flwr/proto/*.proto``); a test compares each with
the installed Flower. Fields we neither read nor write are left out: the format skips them.
"""

from dataclasses import dataclass
from typing import Annotated

from edge.flower.protobuf import ZIGZAG


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Who is asking."""

    node_id: Annotated[int, 1] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """An envelope's address; created_at and ttl in seconds."""

    run_id: Annotated[int, 1] = 0
    message_id: Annotated[str, 2] = ""
    src_node_id: Annotated[int, 3] = 0
    dst_node_id: Annotated[int, 4] = 0
    reply_to_message_id: Annotated[str, 5] = ""
    group_id: Annotated[str, 6] = ""
    ttl: Annotated[float, 7] = 0.0
    message_type: Annotated[str, 8] = ""
    created_at: Annotated[float, 9] = 0.0
    src_task_id: Annotated[int | None, 10] = None
    dst_task_id: Annotated[int | None, 11] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDict:
    """The place of a message's content, which travels as objects of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """Why there is no content."""

    code: Annotated[int, 1, ZIGZAG] = 0
    reason: Annotated[str, 2] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An envelope: an address, and either content or an error."""

    metadata: Annotated[Metadata | None, 1] = None
    content: Annotated[RecordDict | None, 2] = None
    error: Annotated[Error | None, 3] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectTree:
    """The names of an object and of what it is made of."""

    object_id: Annotated[str, 1] = ""
    children: Annotated[tuple["ObjectTree", ...], 2] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigRecordValue:
    """The one kind of value we send."""

    data: Annotated[bytes | None, 6] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigItem:
    """One named value."""

    key: Annotated[str, 1] = ""
    value: Annotated[ConfigRecordValue | None, 2] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigRecord:
    """Named values."""

    items: Annotated[tuple[ConfigItem, ...], 1] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterNodeFleetRequest:
    """Ask for a place where anyone may have one."""

    public_key: Annotated[bytes, 1] = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterNodeFleetResponse:
    """The place."""

    node_id: Annotated[int, 1] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivateNodeRequest:
    """Come online; without a heartbeat for two intervals the node is offline again."""

    public_key: Annotated[bytes, 1] = b""
    heartbeat_interval: Annotated[float, 2] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivateNodeResponse:
    """Who we are."""

    node_id: Annotated[int, 1] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeactivateNodeRequest:
    """Go offline."""

    node_id: Annotated[int, 1] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Empty:
    """An answer without a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendNodeHeartbeatRequest:
    """Stay online."""

    node: Annotated[Node | None, 1] = None
    heartbeat_interval: Annotated[float, 2] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SendNodeHeartbeatResponse:
    """Whether the node is known."""

    success: Annotated[bool, 1] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PullMessagesRequest:
    """Anything for us?"""

    node: Annotated[Node | None, 1] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PullMessagesResponse:
    """At most one message; it will not be sent again."""

    messages_list: Annotated[tuple[Message, ...], 2] = ()
    message_object_trees: Annotated[tuple[ObjectTree, ...], 3] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PullObjectRequest:
    """Ask for one part of a message."""

    node: Annotated[Node | None, 1] = None
    run_id: Annotated[int, 2] = 0
    object_id: Annotated[str, 3] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullObjectResponse:
    """The part; found but not available while its sender still uploads it."""

    object_found: Annotated[bool, 1] = False
    object_available: Annotated[bool, 2] = False
    object_content: Annotated[bytes, 3] = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmMessageReceivedRequest:
    """The SuperLink may forget the message's parts."""

    node: Annotated[Node | None, 1] = None
    run_id: Annotated[int, 2] = 0
    message_object_id: Annotated[str, 3] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushMessagesRequest:
    """A reply's envelope."""

    node: Annotated[Node | None, 1] = None
    messages_list: Annotated[tuple[Message, ...], 2] = ()
    message_object_trees: Annotated[tuple[ObjectTree, ...], 3] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PushMessagesResponse:
    """Which of the reply's parts are wanted, and under which name they are to be sent."""

    objects_to_push: Annotated[tuple[str, ...], 3] = ()
    session_id: Annotated[str, 4] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushObjectRequest:
    """One part of a reply."""

    node: Annotated[Node | None, 1] = None
    run_id: Annotated[int, 2] = 0
    object_id: Annotated[str, 3] = ""
    object_content: Annotated[bytes, 4] = b""
    session_id: Annotated[str, 5] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushObjectResponse:
    """Whether it was taken."""

    stored: Annotated[bool, 1] = False
