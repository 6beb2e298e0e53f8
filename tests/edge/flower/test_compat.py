"""What the light node takes for granted of Flower, held against the Flower that is installed."""

import re
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path

import flwr.supernode
import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.common import constant
from flwr.supercore import constant as supercore_constant
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st

from edge.flower import fleet, objects, protobuf, session, wire
from edge.flower.fleet import Metadata
from edge.flower.protobuf import decode, slots_of
from fieldvote.errors import UnavailableError, WireError

MODULES = ("fleet_pb2", "heartbeat_pb2", "message_pb2", "node_pb2", "recorddict_pb2", "error_pb2")
RENAMED = {"data": "bytes"}
KINDS = {
    FieldDescriptor.TYPE_UINT64: (int, False),
    FieldDescriptor.TYPE_SINT64: (int, True),
    FieldDescriptor.TYPE_DOUBLE: (float, False),
    FieldDescriptor.TYPE_BOOL: (bool, False),
    FieldDescriptor.TYPE_STRING: (str, False),
    FieldDescriptor.TYPE_BYTES: (bytes, False),
}
OURS = [
    kind
    for kind in vars(fleet).values()
    if isinstance(kind, type) and is_dataclass(kind) and kind is not fleet.Empty
]


def theirs(kind: type) -> Descriptor:
    if kind is fleet.ConfigItem:
        return theirs(fleet.ConfigRecord).nested_types_by_name["Item"]
    for name in MODULES:
        found = getattr(import_module(f"flwr.proto.{name}"), kind.__name__, None)
        if found is not None:
            descriptor = found.DESCRIPTOR
            assert isinstance(descriptor, Descriptor)
            return descriptor
    raise AssertionError(f"Flower has no message {kind.__name__}")


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_every_field_has_flowers_number_and_type(kind: type) -> None:
    descriptor = theirs(kind)
    for slot in slots_of(kind):
        field = descriptor.fields_by_name[RENAMED.get(slot.name, slot.name)]
        assert field.number == slot.number
        assert field.is_repeated == slot.repeated
        if field.message_type is None:
            assert KINDS[field.type] == (slot.kind, slot.zigzag)
            assert slot.repeated or field.has_presence == slot.optional
        else:
            assert theirs(slot.kind) == field.message_type


def test_every_call_we_make_is_one_of_flowers_and_none_asks_for_an_app() -> None:
    client = Path(flwr.supernode.__file__).with_name("fleet_http_client.py").read_text()
    known = set(re.findall(r'"/v1/fleet/([a-z-]+)"', client))
    folder = Path(fleet.__file__).parent
    source = "".join(path.read_text("utf-8") for path in folder.glob("*.py"))
    made = {call for call in known if f'"{call}"' in source}
    assert known - made == {"get-run", "get-fab", "unregister-node"}
    assert wire._PATH == "/v1/fleet/"


def test_headers_limits_and_codes_are_flowers() -> None:
    assert constant.TIMESTAMP_HEADER == "flwr-timestamp"
    assert supercore_constant.FLEET_HTTP_PUBLIC_KEY_HEADER == "flwr-public-key"
    assert supercore_constant.FLEET_HTTP_SIGNATURE_HEADER == "flwr-signature"
    media = import_module("flwr.supercore.protobuf.constants").PROTOBUF_MEDIA_TYPE
    assert media == wire._MEDIA
    assert constant.HEARTBEAT_MIN_INTERVAL <= session.HEARTBEAT_S <= constant.HEARTBEAT_MAX_INTERVAL
    assert session.HEARTBEAT_S == constant.HEARTBEAT_DEFAULT_INTERVAL
    assert int(constant.ErrorCode.CLIENT_APP_RAISED_EXCEPTION) == objects.CRASHED
    codes = import_module("flwr.supercore.error").ApiErrorCode
    assert codes.FLEET_NODE_ACTIVATION_FAILED == session._ACTIVATION_FAILED
    allowed = (constant.SYSTEM_TIME_TOLERANCE, constant.TIMESTAMP_TOLERANCE + 5)
    assert allowed == (wire._CLOCK_AHEAD_S, wire._CLOCK_BEHIND_S)


def test_only_versions_that_were_tested_are_spoken() -> None:
    assert wire.flower_version(lambda _: "1.40.3") == "1.40.3"
    assert wire.flower_version().startswith(wire.FLOWER_VERSIONS)
    with pytest.raises(UnavailableError, match=r"Flower 1\.43\.0 is installed.*1\.42") as caught:
        wire.flower_version(lambda _: "1.43.0")
    assert "\n" not in str(caught.value)


ASKED = Metadata(
    run_id=7,
    message_id="ab" * 32,
    src_node_id=1,
    dst_node_id=2**63 + 5,
    ttl=9.0,
    message_type="query",
    created_at=1_800_000_000.5,
    src_task_id=3,
)


@given(st.binary(max_size=2000), st.floats(-400, 8))
def test_a_reply_of_ours_is_flowers_own_object_by_object(body: bytes, after_s: float) -> None:
    metadata = objects.reply_metadata(ASKED, ASKED.created_at + after_s)
    reply = objects.make_reply(metadata, body)
    built = inflate_object_from_contents(reply.tree.object_id, dict(reply.contents))
    assert isinstance(built, Message)
    assert built.content.config_records[objects.RECORD][objects.FIELD] == body
    assert built.metadata.created_at >= ASKED.created_at
    assert built.metadata.created_at + built.metadata.ttl == pytest.approx(ASKED.created_at + 9)
    parts = {name: part.deflate() for name, part in get_all_nested_objects(built).items()}
    assert list(parts.items()) == list(reply.contents)
    assert protobuf.encode(reply.tree) == get_object_tree(built).SerializeToString()


@given(st.text(max_size=50), st.integers(-5, 300))
def test_an_error_of_ours_is_flowers_own(reason: str, code: int) -> None:
    metadata = objects.reply_metadata(ASKED, ASKED.created_at)
    reply = objects.make_reply(metadata, fleet.Error(code=code, reason=reason))
    built = inflate_object_from_contents(reply.tree.object_id, dict(reply.contents))
    assert isinstance(built, Message)
    assert (built.error.code, built.error.reason or "") == (code, reason)
    assert built.deflate() == reply.contents[0][1]


@given(st.binary(max_size=2000))
def test_a_request_of_flowers_is_read_and_a_changed_one_is_not(body: bytes) -> None:
    record = ConfigRecord({objects.FIELD: body})
    content = record.deflate()
    assert objects.request_in(record.object_id, content) == body
    with pytest.raises(WireError, match="not what its name says"):
        objects.request_in(record.object_id, content + b"x")


def test_only_one_record_in_one_dictionary_is_ours() -> None:
    def tree(*records: str) -> fleet.ObjectTree:
        made = RecordDict({name: ConfigRecord({"n": name}) for name in records})
        inner = decode(get_object_tree(made).SerializeToString(), fleet.ObjectTree)
        return fleet.ObjectTree(object_id="m", children=(inner,))

    assert objects.record_in(tree("fieldvote"))
    for strange in (tree(), tree("a", "b"), fleet.ObjectTree(object_id="m")):
        with pytest.raises(WireError, match="one record"):
            objects.record_in(strange)
