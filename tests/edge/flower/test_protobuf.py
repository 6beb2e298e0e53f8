"""Our protocol buffers against Google's, over Flower's own messages."""

import contextlib

import pytest
from flwr.proto import fleet_pb2, message_pb2
from hypothesis import given
from hypothesis import strategies as st

from edge.flower.fleet import (
    Error,
    Message,
    Metadata,
    Node,
    ObjectTree,
    PullMessagesRequest,
    PullMessagesResponse,
    PushObjectRequest,
    RecordDict,
    SendNodeHeartbeatResponse,
)
from edge.flower.protobuf import decode, encode
from fieldvote.errors import WireError

UINT = st.integers(0, 2**64 - 1)
TEXT = st.text(max_size=20)
METADATA = st.builds(
    Metadata,
    run_id=UINT,
    message_id=TEXT,
    src_node_id=UINT,
    ttl=st.floats(allow_nan=False),
    created_at=st.floats(allow_nan=False),
    message_type=TEXT,
    src_task_id=st.none() | UINT,
)
ERROR = st.builds(Error, code=st.integers(-(2**63), 2**63 - 1), reason=TEXT)
MESSAGE = st.builds(
    Message,
    metadata=st.none() | METADATA,
    content=st.none() | st.just(RecordDict()),
    error=st.none() | ERROR,
)
TREE = st.recursive(
    st.builds(ObjectTree, object_id=TEXT),
    lambda kids: st.builds(ObjectTree, object_id=TEXT, children=st.lists(kids).map(tuple)),
    max_leaves=6,
)


@given(MESSAGE, TREE)
def test_what_we_write_is_byte_for_byte_what_google_writes(m: Message, tree: ObjectTree) -> None:
    ours = encode(PullMessagesResponse(messages_list=(m,), message_object_trees=(tree,)))
    theirs = fleet_pb2.PullMessagesResponse.FromString(ours)
    assert theirs.SerializeToString(deterministic=True) == ours
    if m.error:
        assert theirs.messages_list[0].error.code == m.error.code


@given(MESSAGE, TREE)
def test_what_we_write_we_read(message: Message, tree: ObjectTree) -> None:
    whole = PullMessagesResponse(messages_list=(message, message), message_object_trees=(tree,))
    assert decode(encode(whole), PullMessagesResponse) == whole


@given(UINT, st.binary(max_size=300), TEXT)
def test_what_google_writes_we_read(run: int, content: bytes, name: str) -> None:
    theirs = message_pb2.PushObjectRequest(run_id=run, object_content=content, session_id=name)
    ours = decode(theirs.SerializeToString(), PushObjectRequest)
    assert (ours.run_id, ours.object_content, ours.session_id) == (run, content, name)


def test_fields_we_do_not_know_are_skipped() -> None:
    theirs = fleet_pb2.PullMessagesRequest(node={"node_id": 5}, message_ids=["a", "b"])
    read = decode(theirs.SerializeToString(), PullMessagesRequest)
    assert read == PullMessagesRequest(node=Node(node_id=5))
    fixed32 = b"\x25\x01\x02\x03\x04"
    assert decode(fixed32 + b"\x08\x01", SendNodeHeartbeatResponse).success


@pytest.mark.parametrize(
    ("blob", "said"),
    [
        (b"\x08", "does not end"),
        (b"\x08" + b"\xff" * 11, "more than ten bytes"),
        (b"\x0a\x05ab", "5 bytes where 2 are left"),
        (b"\x0d\x00", "4 bytes where 1 are left"),
        (b"\x0b", "wire type 3"),
        (b"\x0a\x02ab", "another wire type"),
    ],
)
def test_bytes_that_are_no_message_are_refused(blob: bytes, said: str) -> None:
    with pytest.raises(WireError, match=said):
        decode(blob, Node)


def test_text_that_is_no_text_and_a_tree_without_end_are_refused() -> None:
    with pytest.raises(WireError, match="not UTF-8"):
        decode(b"\x0a\x01\xff", ObjectTree)
    deep = b""
    for _ in range(30):
        deep = b"\x12" + bytes([len(deep)]) + deep
    with pytest.raises(WireError, match="nested deeper"):
        decode(deep, ObjectTree)


@given(st.binary(max_size=60))
def test_no_bytes_do_more_than_be_refused(blob: bytes) -> None:
    with contextlib.suppress(WireError):
        decode(blob, PullMessagesResponse)
