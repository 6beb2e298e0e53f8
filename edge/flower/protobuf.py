"""The part of protocol buffers (version 3) that the fleet protocol uses, for frozen dataclasses.

A field's annotation says everything: ``node_id: Annotated[int, 1] = 0`` is field 1.

=====================  =================================
``int``                uint64; with ``ZIGZAG``, sint64
``bool`` ``float``     bool, double
``str`` ``bytes``      string, bytes
a dataclass ``| None`` a message that may be absent
``int | None``         a number that may be absent
``tuple[X, ...]``      repeated strings or messages
=====================  =================================

Unknown fields are skipped, as the format asks. Bytes that are no such message are one
:class:`~fieldvote.errors.WireError`. Importing Google's library would cost a device 10 MB.

Source: https://protobuf.dev/programming-guides/encoding/.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import NoneType, UnionType
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin, get_type_hints

from fieldvote.errors import WireError

ZIGZAG: Final = "zigzag"
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5
_DEEPEST = 16  # messages within messages; an object tree of ours has three levels
_LAST_64 = (1 << 64) - 1
M = TypeVar("M")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One field as its annotation declares it."""

    name: str
    number: int
    kind: type
    zigzag: bool
    optional: bool
    repeated: bool

    @property
    def wire_type(self) -> int:
        """How the field's value is framed."""
        return {int: _VARINT, bool: _VARINT, float: _DOUBLE}.get(self.kind, _BYTES)


_SLOTS: dict[type, tuple[Slot, ...]] = {}  # annotations are read once for each type


def slots_of(message: type) -> tuple[Slot, ...]:
    """Return a message's fields in the order of their declaration."""
    if message not in _SLOTS:
        hints = get_type_hints(message, include_extras=True)
        _SLOTS[message] = tuple(_slot(each.name, hints[each.name]) for each in fields(message))
    return _SLOTS[message]


def _slot(name: str, hint: object) -> Slot:
    """Read one annotation."""
    if get_origin(hint) is not Annotated:
        raise TypeError(f"{name} has no field number")
    wanted, number, *rest = get_args(hint)
    optional = get_origin(wanted) is UnionType
    repeated = get_origin(wanted) is tuple
    arms = [arm for arm in get_args(wanted) if arm not in (NoneType, Ellipsis)]
    return Slot(
        name=name,
        number=number,
        kind=arms[0] if arms else wanted,
        zigzag=ZIGZAG in rest,
        optional=optional,
        repeated=repeated,
    )


def encode(message: object) -> bytes:
    """Return a message's bytes; fields in order, defaults left out, so equal means equal bytes.

    >>> @dataclass(frozen=True)
    ... class Node:
    ...     node_id: Annotated[int, 1] = 0
    >>> encode(Node(150)).hex()
    '089601'
    """
    out = bytearray()
    for slot in slots_of(type(message)):
        value = getattr(message, slot.name)
        if slot.repeated:
            for item in value:
                out += _framed(slot, item)
        elif value is not None if slot.optional else value:
            out += _framed(slot, value)
    return bytes(out)


def _framed(slot: Slot, value: Any) -> bytes:  # the slot says which of six types it is
    """Return one field with its tag."""
    tag = _varint(slot.number << 3 | slot.wire_type)
    if slot.wire_type == _VARINT:
        return tag + _varint((value << 1 ^ value >> 63) & _LAST_64 if slot.zigzag else int(value))
    if slot.wire_type == _DOUBLE:
        return tag + struct.pack("<d", value)
    body: bytes = value
    if slot.kind is str:
        body = value.encode()
    elif slot.kind is not bytes:
        body = encode(value)
    return tag + _varint(len(body)) + body


def _varint(number: int) -> bytes:
    """Return a number seven bits a byte, the lowest first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def decode(blob: bytes, message: type[M]) -> M:
    """Return the message in these bytes.

    Raises:
        WireError: they are not such a message.
    """
    return _decode(memoryview(blob), message, 0)


def _decode(blob: memoryview, message: type[M], depth: int) -> M:
    """Read field after field; the last of a field that is not repeated wins."""
    if depth > _DEEPEST:
        raise WireError(f"{message.__name__}: nested deeper than {_DEEPEST}")
    known: Mapping[int, Slot] = {slot.number: slot for slot in slots_of(message)}
    found: dict[str, Any] = {}
    place = 0
    while place < len(blob):
        tag, place = _read_varint(blob, place)
        raw, place = _read_raw(blob, place, tag & 7)
        slot = known.get(tag >> 3)
        if slot is None:
            continue
        if slot.wire_type != tag & 7:
            raise WireError(f"{message.__name__}.{slot.name}: another wire type than promised")
        value = _value(raw, slot, depth)
        if slot.repeated:
            found.setdefault(slot.name, []).append(value)
        else:
            found[slot.name] = value
    return message(
        **{name: tuple(value) if type(value) is list else value for name, value in found.items()}
    )


def _value(raw: int | memoryview, slot: Slot, depth: int) -> object:
    """Return what was framed as the type the slot declares."""
    if isinstance(raw, int):
        if slot.kind is bool:
            return raw != 0
        return raw >> 1 ^ -(raw & 1) if slot.zigzag else raw
    if slot.kind is float:
        return struct.unpack("<d", raw)[0]
    if slot.kind is bytes:
        return bytes(raw)
    if slot.kind is str:
        try:
            return str(raw, "utf-8")
        except UnicodeDecodeError as err:
            raise WireError(f"{slot.name}: not UTF-8 at byte {err.start}") from err
    return _decode(raw, slot.kind, depth + 1)


def _read_raw(blob: memoryview, place: int, wire_type: int) -> tuple[int | memoryview, int]:
    """Return a field's number or bytes, and where the next field begins."""
    if wire_type == _VARINT:
        return _read_varint(blob, place)
    if wire_type == _BYTES:
        size, place = _read_varint(blob, place)
    elif wire_type in (_DOUBLE, _FLOAT):
        size = 8 if wire_type == _DOUBLE else 4
    else:
        raise WireError(f"wire type {wire_type} is not in use")
    if size > len(blob) - place:
        raise WireError(f"a field of {size} bytes where {len(blob) - place} are left")
    return blob[place : place + size], place + size


def _read_varint(blob: memoryview, place: int) -> tuple[int, int]:
    """Return a number of at most 64 bits, and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        if place >= len(blob):
            raise WireError("a number that does not end")
        byte = blob[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & _LAST_64, place
    raise WireError("a number of more than ten bytes")
