"""An ONNX file as values: read strictly, within bounds, and without the onnx package.

ONNX Runtime reads with Google's library, which merges a message that comes twice, skips what it
does not know, and takes a field of another wire type for an unknown one. A reader that differed in
one of these would check another model than the one that runs. So all three are refused here: what
is read has one meaning only. Nothing is nested: subgraphs, functions, sequences and sparse tensors
are refused where they begin, so the depth is fixed.

Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, IR version 13.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from edge.model_guard.onnx_messages import (
    ATTRIBUTE,
    DIMENSION,
    ENTRY,
    GRAPH,
    MODEL,
    NODE,
    OPSET,
    SHAPE,
    TENSOR,
    TENSOR_TYPE,
    TYPE,
    VALUE_INFO,
    Message,
)
from fieldvote.errors import WireError
from fieldvote.protobuf import BYTES, FIXED_32, VARINT, read_fields, read_varint, signed

LARGEST_BYTES: Final = 256 * 2**20
MOST_FIELDS = 1 << 16  # of one message: an empty node takes two bytes of a file, but 50 of memory
_LONGEST_NAME = 1024
_MOST_AXES = 8
_MOST_KNOWN = 64  # a constant of more entries is no shape


_SIZES: Mapping[int, int] = {
    1: 4,  # float
    2: 1,  # uint8
    3: 1,  # int8
    4: 2,  # uint16
    5: 2,  # int16
    6: 4,  # int32
    7: 8,  # int64
    9: 1,  # bool
    10: 2,  # float16
    11: 8,  # double
    12: 4,  # uint32
    13: 8,  # uint64
    16: 2,  # bfloat16
}
"""Bytes of one entry by data type; no texts, and nothing that packs two entries into a byte."""
_NUMPY = {1: "<f4", 6: "<i4", 7: "<i8", 11: "<f8"}
_TYPED = {4: (1,), 5: (2, 3, 4, 5, 6, 9, 10, 16), 7: (7,), 10: (11,), 11: (12, 13)}
"""Fields that hold entries one by one, and the data types each is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A constant of the model.

    Attributes:
        name: What nodes call it.
        kind: Its data type, as ONNX numbers them.
        dims: Its shape.
        entries: What it holds, where it is small enough to be a shape; else None.
    """

    name: str
    kind: int
    dims: tuple[int, ...]
    entries: tuple[float, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """A setting of a node: numbers, text or a tensor; text is not kept.

    Attributes:
        numbers: Its numbers, if it has some.
        tensor: Its tensor, if it has one.
    """

    numbers: tuple[float, ...] = ()
    tensor: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operator at its place; an input that is left out is an empty name."""

    operator: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """An input or output: its data type, and its shape with None for an open dimension."""

    name: str
    kind: int
    dims: tuple[int | None, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """What an ONNX file says.

    Attributes:
        ir_version: Version of the file format.
        opsets: Domain and version of each set of operators, as listed.
        nodes: In the order they run in.
        constants: The initializers.
        metadata: The names of what is noted beside the model.
    """

    ir_version: int
    opsets: tuple[tuple[str, int], ...]
    nodes: tuple[Node, ...] = field(repr=False)
    constants: tuple[Tensor, ...] = field(repr=False)
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    metadata: tuple[str, ...]


def read_model(content: bytes) -> ModelFile:
    """Return what these bytes say.

    Raises:
        WireError: they are no model, or one that says more than a device lets in.
    """
    if len(content) > LARGEST_BYTES:
        raise WireError(f"{len(content)} bytes, at most {LARGEST_BYTES} are read")
    if content[4:8] == b"ORTM":
        # ONNX Runtime takes bytes with this mark for a format of its own, whatever else they are
        raise WireError("it is marked as ONNX Runtime's own format")
    model = _Fields(memoryview(content), MODEL)
    graph = _Fields(model.message(7), GRAPH)
    return ModelFile(
        ir_version=model.number(1),
        opsets=tuple(
            (said.text(1), signed(said.number(2)))
            for said in (_Fields(blob, OPSET) for blob in model.messages(8))
        ),
        nodes=tuple(_node(blob) for blob in graph.messages(1)),
        constants=tuple(read_tensor(blob) for blob in graph.messages(5)),
        inputs=tuple(_value(blob) for blob in graph.messages(11)),
        outputs=tuple(_value(blob) for blob in graph.messages(12)),
        metadata=tuple(_Fields(blob, ENTRY).text(1) for blob in model.messages(14)),
    )


class _Fields:
    """The fields of one message, each as often as it may be there."""

    __slots__ = ("_found", "_message")

    def __init__(self, blob: memoryview, message: Message) -> None:
        """Sort the fields by number, and refuse what the message does not have."""
        self._message = message
        self._found: dict[int, list[int | memoryview]] = {}
        for count, (number, wire, content) in enumerate(read_fields(blob)):
            if number in message.refused:
                raise WireError(f"{message.name} holds {message.refused[number]}")
            known = message.fields.get(number)
            # a list of numbers may come packed into one run of bytes
            packed = wire == BYTES and known in (VARINT, FIXED_32) and number in message.repeated
            if known is None or (wire != known and not packed):
                raise WireError(f"{message.name} has a field {number} that ONNX does not have")
            found = self._found.setdefault(number, [])
            if found and number not in message.repeated:
                raise WireError(f"{message.name} has its field {number} twice")
            if count >= MOST_FIELDS:
                raise WireError(f"{message.name} has more than {MOST_FIELDS} fields")
            found.append(content)

    def __contains__(self, number: int) -> bool:
        """Whether a field is there."""
        return number in self._found

    def number(self, number: int) -> int:
        """Return a number; zero where there is none."""
        found = self._found.get(number, [0])[0]
        return found if isinstance(found, int) else 0

    def view(self, number: int) -> memoryview:
        """Return the bytes of a field; none where it is absent."""
        found = self._found.get(number, [b""])[0]
        return memoryview(b"") if isinstance(found, int) else memoryview(found)

    def message(self, number: int) -> memoryview:
        """Return a message that has to be there."""
        if number not in self._found:
            raise WireError(f"{self._message.name} has no {self._message.parts[number]}")
        return self.view(number)

    def messages(self, number: int) -> list[memoryview]:
        """Return every message under a number."""
        return [held for held in self._found.get(number, ()) if not isinstance(held, int)]

    def text(self, number: int) -> str:
        """Return a name; empty where there is none."""
        return _name(self.view(number))

    def texts(self, number: int) -> tuple[str, ...]:
        """Return every name under a number."""
        return tuple(_name(held) for held in self.messages(number))

    def numbers(self, number: int) -> tuple[int, ...]:
        """Return every number under a number, packed or not."""
        numbers: list[int] = []
        for held in self._found.get(number, ()):
            if isinstance(held, int):
                numbers.append(signed(held))
                continue
            place = 0
            while place < len(held):
                if len(numbers) >= MOST_FIELDS:
                    raise WireError(f"{self._message.name} has more than {MOST_FIELDS} numbers")
                found, place = read_varint(held, place)
                numbers.append(signed(found))
        return tuple(numbers)


def _name(blob: memoryview) -> str:
    """Return a name as text."""
    if len(blob) > _LONGEST_NAME:
        raise WireError(f"a name of {len(blob)} bytes, at most {_LONGEST_NAME} are read")
    try:
        return str(blob, "utf-8")
    except UnicodeDecodeError as err:
        raise WireError(f"a name is not UTF-8 at byte {err.start}") from err


def _node(blob: memoryview) -> Node:
    """Read one operator."""
    said = _Fields(blob, NODE)
    attributes: dict[str, Attribute] = {}
    for held in said.messages(5):
        name, attribute = _attribute(held)
        if name in attributes:
            raise WireError("a node has an attribute twice")
        attributes[name] = attribute
    return Node(
        operator=said.text(4),
        domain=said.text(7),
        inputs=said.texts(1),
        outputs=said.texts(2),
        attributes=attributes,
    )


def _attribute(blob: memoryview) -> tuple[str, Attribute]:
    """Read a setting and its name."""
    said = _Fields(blob, ATTRIBUTE)
    floats: list[float] = []
    if 2 in said:
        floats += np.frombuffer(said.view(2), dtype="<f4").tolist()
    for run in said.messages(7):
        if len(run) % 4:
            raise WireError("an attribute's numbers are cut short")
        floats += np.frombuffer(run, dtype="<f4").tolist()
    whole = (signed(said.number(3)),) if 3 in said else ()
    return said.text(1), Attribute(
        numbers=(*whole, *said.numbers(8), *floats),
        tensor=read_tensor(said.view(5)) if 5 in said else None,
    )


def read_tensor(blob: memoryview) -> Tensor:
    """Read a constant, whose bytes have to be as many as its shape says.

    Raises:
        WireError: they are not, or it is one that a device does not take.
    """
    said = _Fields(blob, TENSOR)
    name, kind, dims = said.text(8), said.number(2), said.numbers(1)
    if kind not in _SIZES:
        raise WireError(f"a constant is of data type {kind}, which a device does not take")
    if said.number(14):
        raise WireError("a constant lies in another file; a device opens none")
    if len(dims) > _MOST_AXES or any(not 0 <= size <= LARGEST_BYTES for size in dims):
        raise WireError("a constant has a shape that none can have")
    count = math.prod(dims)
    held = [number for number in (9, *_TYPED) if len(said.view(number))]
    if len(held) > 1 or (held and held[0] != 9 and kind not in _TYPED[held[0]]):
        raise WireError("a constant holds entries of two kinds")
    there = _count(said.view(held[0]), held[0], kind) if held else 0
    if there != count:
        raise WireError(f"a constant of {count} entries holds {there}")
    entries = _entries(said.view(held[0]), held[0], kind, count) if held else ()
    return Tensor(name=name, kind=kind, dims=dims, entries=entries)


def _count(run: memoryview, number: int, kind: int) -> int:
    """Return how many entries a run of bytes holds."""
    if number in (5, 7, 11):  # numbers of any length, each ends in a byte below 128
        ends = np.frombuffer(run, dtype=np.uint8) < 0x80
        if not ends[-1]:
            raise WireError("a constant's last number does not end")
        return int(np.count_nonzero(ends))
    size = _SIZES[kind]
    if len(run) % size:
        raise WireError("a constant's last entry is cut short")
    return len(run) // size


def _entries(run: memoryview, number: int, kind: int, count: int) -> tuple[float, ...] | None:
    """Return the entries of a small constant of a type that shapes and scales have."""
    if count > _MOST_KNOWN or kind not in _NUMPY:
        return None
    if number in (5, 7):
        numbers, place = [], 0
        while place < len(run):
            found, place = read_varint(run, place)
            numbers.append(signed(found))
        return tuple(numbers)
    return tuple(np.frombuffer(run, dtype=_NUMPY[kind]).tolist())


def _value(blob: memoryview) -> Value:
    """Read an input or output."""
    said = _Fields(blob, VALUE_INFO)
    tensor = _Fields(_Fields(said.message(2), TYPE).message(1), TENSOR_TYPE)
    dims = None
    if 2 in tensor:
        sizes = [_Fields(held, DIMENSION) for held in _Fields(tensor.view(2), SHAPE).messages(1)]
        dims = tuple(signed(size.number(1)) if 1 in size else None for size in sizes)
    return Value(name=said.text(1), kind=tensor.number(1), dims=dims)
