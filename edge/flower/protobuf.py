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
from fieldvote.protobuf import BYTES as _BYTES
from fieldvote.protobuf import FIXED_64 as _DOUBLE
from fieldvote.protobuf import VARINT as _VARINT
from fieldvote.protobuf import read_fields

ZIGZAG: Final = "zigzag"
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
    for number, wire_type, raw in read_fields(blob):
        slot = known.get(number)
        if slot is None:
            continue
        if slot.wire_type != wire_type:
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
