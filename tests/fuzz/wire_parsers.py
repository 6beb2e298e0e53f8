"""Parsers of what comes over a wire, as it comes."""

import socket
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from inspect import getmembers, isclass

from coordinator.compiler import files as compiler_files
from edge import asking
from edge.flower import fleet, protobuf
from edge.flower.objects import FIELD, request_in
from edge.flower.protobuf import slots_of
from edge.model_guard.golden import Golden, golden_inputs, golden_of
from edge.model_guard.model_file import read_model
from edge.model_guard.rules import Wanted, check_model
from edge.scorer import Scorer
from fieldvote.bundle import Bundle, unpack
from fieldvote.frames import Frames
from fieldvote.portions import PORTIONS, portions
from fieldvote.protobuf import read_fields
from fieldvote.records import KINDS, DeviceId, decode, encode
from fieldvote.summed_fields import SUMMED, read_question
from simulations.engines import parcels
from tests.doubles.models import CLASSES, NAMES, WIDTH, made, model_of, node, written
from tests.doubles.tasks import tabular_files, text_files
from tests.fuzz.harness import Parser
from tests.fuzz.samples import record_of

_REPLIES = {kind for kind, _ in PORTIONS}
_FLEET = [
    kind for _, kind in getmembers(fleet, isclass) if kind.__module__ == fleet.__name__
]  # every message of the fleet protocol


def _record(blob: bytes) -> None:
    found = decode(blob, *KINDS.values())
    if type(found) in _REPLIES:
        portions(found, blob)  # type: ignore[type-var, arg-type]  # one of the replies


def _records() -> list[bytes]:
    return [encode(record_of(kind)) for kind in KINDS.values()]


def _fleet_message(kind: type, depth: int = 3) -> object:
    """Return a message of the fleet protocol with something in every field."""
    given: dict[str, object] = {}
    for slot in slots_of(kind):
        if slot.kind in (int, float, bool, str, bytes):
            value: object = {int: 300, float: 1.5, bool: True, str: "a name", bytes: b"\0data"}[
                slot.kind
            ]
        elif depth:
            value = _fleet_message(slot.kind, depth - 1)
        else:
            continue
        given[slot.name] = (value, value) if slot.repeated else value
    return kind(**given)


def _fleet(blob: bytes) -> None:
    """Read as one of the messages; the first byte says which, so that seeds reach their own."""
    protobuf.decode(blob[1:], _FLEET[blob[0] % len(_FLEET)] if blob else fleet.Message)


def _fleet_seeds() -> list[bytes]:
    return [
        bytes([place]) + protobuf.encode(_fleet_message(kind)) for place, kind in enumerate(_FLEET)
    ]


def _object(blob: bytes) -> None:
    request_in(sha256(blob).hexdigest(), blob)


def _object_seeds() -> list[bytes]:
    held = fleet.ConfigItem(key=FIELD, value=fleet.ConfigRecordValue(data=b"request"))
    body = protobuf.encode(fleet.ConfigRecord(items=(held,)))
    return [b"ConfigRecord 0 %d\0" % len(body) + body]


def _heard(receive: Callable[[socket.socket], object]) -> Callable[[bytes], None]:
    """Return a reader of frames as a parser of all a peer says before it hangs up."""

    def parse(blob: bytes) -> None:
        here, there = socket.socketpair()
        with here, there:
            there.sendall(blob[:60_000])  # what a socket takes without a reader
            there.shutdown(socket.SHUT_WR)
            # what a peer that hangs up is to `ask` and `serve`
            with suppress(ConnectionError):
                receive(here)

    return parse


def _framed() -> list[bytes]:
    return [len(blob).to_bytes(4, "big") + blob for blob in (b"", b"hello", bytes(3000))]


def _model(blob: bytes) -> None:
    check_model(blob, Wanted.backbone(NAMES, WIDTH, CLASSES), where="model")


def _models() -> list[bytes]:
    sized = made(
        node("Shape", "input", "size"),
        node("ConstantOfShape", "size", "blank"),
        node("Add", "input blank", "embedding"),
    )
    windows = made(
        node("Constant", "", "k", value_ints=[1, -1]),
        node("LeakyRelu", "input", "embedding", alpha=0.5),
    )
    return [written(model_of()), sized, windows]


def _golden() -> list[bytes]:
    model = written(model_of())
    inputs = golden_inputs(WIDTH)
    return [golden_of(inputs, Scorer(model, names=NAMES).score(inputs)).to_bytes()]


def _parcel(blob: bytes) -> None:
    """Read a parcel either way; the first byte says which."""
    if blob[:1] == b"r":
        parcels.decode(blob[1:], parcels.Replies)
    else:
        parcels.unpack(parcels.decode(blob[1:], parcels.Requests))


def _parcel_seeds() -> list[bytes]:
    asked = [(DeviceId(7), b"hello"), (DeviceId(8), b"hello"), (DeviceId(9), b"you")]
    return [
        b"q" + parcels.encode(parcels.pack(asked)),
        b"r" + parcels.encode(record_of(parcels.Replies)),  # type: ignore[arg-type]  # Replies
    ]


WIRE = (
    Parser(
        "records", _record, _records,
        ("fieldvote.records:decode", "fieldvote.codec:decode", "fieldvote.portions:portions"),
        share=24,
    ),
    Parser("summed questions", read_question,
           lambda: [encode(record_of(kind)) for kind in SUMMED],
           ("fieldvote.summed_fields:read_question",), share=8),
    Parser("parcels", _parcel, _parcel_seeds,
           ("simulations.engines.parcels:decode", "simulations.engines.parcels:unpack"), share=4),
    Parser("bundles", unpack,
           lambda: [Bundle.of(text_files()).content, Bundle.of(tabular_files()).content],
           ("fieldvote.bundle:unpack",)),
    Parser("fleet messages", _fleet, _fleet_seeds, ("edge.flower.protobuf:decode",), share=12),
    Parser("fleet objects", _object, _object_seeds, ("edge.flower.objects:request_in",)),
    Parser("protocol buffers", lambda blob: list(read_fields(memoryview(blob))),
           lambda: [seed[1:] for seed in _fleet_seeds()],
           ("fieldvote.protobuf:read_fields", "fieldvote.protobuf:read_varint")),
    Parser("socket frames", _heard(asking.receive), _framed, ("edge.asking:receive",), share=2),
    Parser("registrar frames",
           _heard(lambda line: Frames(line, most_bytes=1 << 16, limit_s=5.0).receive()), _framed,
           ("fieldvote.frames:Frames.receive",), share=2),
    Parser("models", _model, _models,
           ("edge.model_guard.rules:check_model", "edge.model_guard.model_file:read_model"),
           share=24),
    Parser("parts of models", read_model, _models, (), share=4),
    Parser("models to compile", compiler_files.read, _models,
           ("coordinator.compiler.files:read",), share=3),
    Parser("golden outputs",
           lambda blob: Golden.from_bytes(blob, width=WIDTH, classes=CLASSES, where="golden"),
           _golden, ("edge.model_guard.golden:Golden.from_bytes",)),
)  # fmt: skip
