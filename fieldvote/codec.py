"""Values to bytes and back: msgpack, versioned, bounded, without a type name on the wire.

A message is one msgpack array: schema version, kind number, then the fields of the record in order.
What a field must be is read off the record's own annotations, so there is nothing to keep in step.
Bytes that are not exactly such a message are one :class:`~fieldvote.errors.WireError`; the error
names the kind and the field, never the value.

A field that came later, at the end of a record that others keep by its digest, is marked by
:data:`LATER`: while it says nothing it is not written, so what was written before it came is still
read, and still the same bytes.

Integer arrays travel as one byte of width and the low bytes of each number: sums are small, and
small numbers should be cheap. Limits are hard and checked before anything is built from the bytes.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

import msgpack
import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InternalError, WireError

SCHEMA = 1
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
MAX_ITEMS = 1 << 16  # entries of one sequence; msgpack makes room for as many as are announced
MAX_TEXT_BYTES = 1024 * 1024
_HEAD_BYTES = 16  # of a message: how many fields, the schema, the kind

LATER: Mapping[str, bool] = {"later": True}
"""Metadata of fields at the end of a record: the last are left out while they say nothing.

A vector says nothing while it is empty, a number while it is zero.
"""

IntVector: TypeAlias = NDArray[np.int64]
FloatVector: TypeAlias = NDArray[np.float64]

Record = TypeVar("Record")
_Check = Callable[[object, str], object]


def encode(record: object, kinds: Mapping[int, type]) -> bytes:
    """Return the message that carries this record.

    Args:
        record: A frozen dataclass whose type is in kinds.
        kinds: Kind number to record type.

    Raises:
        InternalError: the record's type has no number, or the message would pass the limit.
    """
    number = _numbers(tuple(kinds.items())).get(type(record))
    if number is None:
        raise InternalError(f"{type(record).__name__} has no number on the wire")
    blob = bytes(msgpack.packb([SCHEMA, number, *_pack_fields(record)], use_bin_type=True))
    if len(blob) > MAX_MESSAGE_BYTES:
        raise InternalError(f"a message of {len(blob)} bytes passes the limit")
    return blob


def decode(blob: bytes, kinds: Mapping[int, type], expected: tuple[type[Record], ...]) -> Record:
    """Return the record in these bytes, which must be one of the expected kinds.

    Args:
        blob: The whole message and nothing else.
        kinds: Kind number to record type.
        expected: The kinds that make sense here; anything else is refused.

    Raises:
        WireError: the bytes are not such a message.
    """
    if len(blob) > MAX_MESSAGE_BYTES:
        raise WireError(f"a message of {len(blob)} bytes passes the limit of {MAX_MESSAGE_BYTES}")
    try:
        parts = msgpack.unpackb(
            blob,
            raw=False,
            use_list=False,
            max_str_len=MAX_TEXT_BYTES,
            max_bin_len=MAX_MESSAGE_BYTES,
            max_array_len=min(MAX_ITEMS, len(blob)),
            max_map_len=0,
            max_ext_len=0,
        )
    except (ValueError, msgpack.UnpackException) as err:
        raise WireError(f"{len(blob)} bytes that are not a message: {type(err).__name__}") from err
    if not isinstance(parts, tuple) or len(parts) < 2 or type(parts[0]) is not int:
        raise WireError("not a message of ours: no schema and kind")
    if parts[0] != SCHEMA:
        raise WireError(f"schema {parts[0]}, this program speaks {SCHEMA}: update the older side")
    record = kinds.get(parts[1]) if type(parts[1]) is int else None
    if record is None or record not in expected:
        wanted = " or ".join(kind.__name__ for kind in expected)
        got = "no kind of ours" if record is None else record.__name__
        raise WireError(f"{got} where {wanted} is expected")
    return _build(record, parts[2:], record.__name__)


def kind_number(blob: bytes) -> int:
    """Return the number of the kind a message begins with; -1 where it begins with none.

    >>> kind_number(msgpack.packb([SCHEMA, 5, 1])), kind_number(b"")
    (5, -1)
    """
    start = msgpack.Unpacker(max_buffer_size=MAX_MESSAGE_BYTES)
    try:
        start.feed(blob[:_HEAD_BYTES])
        if start.read_array_header() < 2 or start.unpack() != SCHEMA:
            return -1
        number = start.unpack()
    except (ValueError, msgpack.UnpackException):
        return -1
    return number if type(number) is int else -1


def field_sizes(record: object) -> dict[str, int]:
    """Return how many bytes each field takes inside the message."""
    names = [name for name, *_ in _plan(type(record), "")]
    parts = _pack_fields(record)
    return {
        name: len(msgpack.packb(part, use_bin_type=True))
        for name, part in zip(names[: len(parts)], parts, strict=True)
    }


def _numbers(kinds: tuple[tuple[int, type], ...]) -> dict[type, int]:
    """Turn the table around."""
    return {record: number for number, record in kinds}


def _pack_fields(record: object) -> list[object]:
    """Return the fields of a record as msgpack knows them; the last may be left out."""
    values = [getattr(record, name) for name, *_ in _plan(type(record), "")]
    for _ in range(_later(type(record))):
        if _says_something(values[-1]):
            break
        values.pop()
    return [_pack(value) for value in values]


def _pack(value: object) -> object:
    """Return one value as msgpack knows it."""
    if isinstance(value, np.ndarray):
        return _pack_array(value)
    if isinstance(value, tuple):
        return [_pack(entry) for entry in value]
    if is_dataclass(value):
        return _pack_fields(value)
    return value


def _pack_array(array: NDArray[Any]) -> bytes:
    """Pack a flat array: integers at the least width that holds them all, floats as they are."""
    if array.dtype == np.float64:
        return array.astype("<f8").tobytes()
    if array.dtype != np.int64 or array.ndim != 1:
        raise InternalError(f"an array of {array.dtype} with {array.ndim} axes cannot travel")
    width = _width(array)
    raw = np.ascontiguousarray(array, dtype="<i8").view(np.uint8).reshape(-1, 8)
    low = np.empty((len(raw), width), dtype=np.uint8)
    for place in range(width):  # few long copies; NumPy would make many short ones
        low[:, place] = raw[:, place]
    return bytes([width]) + low.tobytes()


def _width(array: NDArray[np.int64]) -> int:
    """Return the least number of bytes that holds every entry with its sign."""
    if not len(array):
        return 1
    # of a negative number all bits but the sign: -128 fits one byte, as 127 does
    bits = max(int(n if n >= 0 else ~n).bit_length() for n in (array.min(), array.max()))
    return (bits + 8) // 8


def _build(record: type[Record], parts: Sequence[object], where: str) -> Record:
    """Check every part against the record's annotations, then construct it."""
    plan = _plan(record, where)
    least = len(plan) - _later(record)
    if not least <= len(parts) <= len(plan):
        raise WireError(f"{where} has {len(parts)} fields, expected {len(plan)}")
    if len(parts) > least and _is_nothing(parts[-1]):
        # one writing, one meaning: else a digest of the message were not that of what it means
        raise WireError(f"{where}.{plan[len(parts) - 1][0]} is written and says nothing")
    plan = plan[: len(parts)]
    return record(
        **{name: check(part, at) for (name, check, at), part in zip(plan, parts, strict=True)}
    )


_Plan: TypeAlias = tuple[tuple[str, _Check, str], ...]
_PLANS: dict[tuple[type[object], str], _Plan] = {}


def _plan(record: type[object], where: str) -> _Plan:
    """Return names of fields, their checks and what errors call them, in order.

    Worked out once for each place a record type has in others: annotations, no bytes, say which.
    """
    plan = _PLANS.get((record, where))
    if plan is None:
        if not is_dataclass(record):
            raise InternalError(f"{record.__name__} is no record")
        hints = get_type_hints(record)
        plan = tuple(
            (each.name, _checker(hints[each.name]), f"{where}.{each.name}")
            for each in fields(record)
        )
        _PLANS[record, where] = plan
    return plan


_LATER: dict[type[object], int] = {}


def _later(record: type[object]) -> int:
    """Return how many of a record's last fields may be left out."""
    if record not in _LATER:
        there = fields(record)  # type: ignore[arg-type]  # a record, as its plan has found
        marks = [bool(entry.metadata.get("later")) for entry in there]
        _LATER[record] = len(marks) - max((n + 1 for n, m in enumerate(marks) if not m), default=0)
    return _LATER[record]


def _is_nothing(part: object) -> bool:
    """Return whether what came is an empty vector, of any width, a zero, or nothing at all."""
    return len(part) < 2 if isinstance(part, bytes) else not part


def _says_something(value: object) -> bool:
    """Return whether a field must be written, when all after it are left out."""
    return len(value) > 0 if isinstance(value, np.ndarray) else bool(value)


def _checker(hint: object) -> _Check:
    """Return the check for one annotation."""
    if hint == IntVector:
        return _int_vector
    if hint == FloatVector:
        return _float_vector
    if isinstance(hint, type) and hint in _SCALARS:
        return _scalar(hint)
    if isinstance(hint, type) and is_dataclass(hint):
        return lambda value, where: _build(hint, _sequence(value, where), where)
    arguments = get_args(hint)
    if get_origin(hint) is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        inner = _checker(arguments[0])
        return lambda value, where: tuple(inner(x, where) for x in _sequence(value, where))
    if get_origin(hint) is UnionType and len(arguments) == 2 and arguments[1] is type(None):
        some = _checker(arguments[0])
        return lambda value, where: None if value is None else some(value, where)
    raise InternalError(f"{hint} cannot travel")


_SCALARS = (bool, int, float, str, bytes)


def _scalar(kind: type) -> _Check:
    """Return the check for a plain value; exact types, so that True is no number."""

    def check(value: object, where: str) -> object:
        if type(value) is not kind:
            raise WireError(f"{where} is {type(value).__name__}, expected {kind.__name__}")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise WireError(f"{where} does not fit 64 bits")
        if isinstance(value, float) and not math.isfinite(value):
            raise WireError(f"{where} is not finite")
        return value

    return check


def _sequence(value: object, where: str) -> Sequence[object]:
    """Return value if it is an array on the wire."""
    if not isinstance(value, tuple):
        raise WireError(f"{where} is {type(value).__name__}, expected a sequence")
    return value


def _int_vector(value: object, where: str) -> NDArray[np.int64]:
    """Unpack integers of 1 to 8 bytes, sign extended."""
    if type(value) is not bytes or not value or not 1 <= value[0] <= 8:
        raise WireError(f"{where} is not an integer array")
    width = value[0]
    if (len(value) - 1) % width:
        raise WireError(f"{where} is cut short: {len(value) - 1} bytes of width {width}")
    low = np.frombuffer(value, dtype=np.uint8, offset=1).reshape(-1, width)
    full = np.zeros((len(low), 8), dtype=np.uint8)
    # to the upper end, byte by byte: few long copies, and the shift back brings the sign along
    for place in range(width):
        full[:, 8 - width + place] = low[:, place]
    return full.view("<i8").reshape(-1).astype(np.int64, copy=False) >> 8 * (8 - width)


def _float_vector(value: object, where: str) -> NDArray[np.float64]:
    """Unpack finite doubles."""
    if type(value) is not bytes or len(value) % 8:
        raise WireError(f"{where} is not an array of doubles")
    array = np.frombuffer(value, dtype="<f8").astype(np.float64)
    if not np.isfinite(array).all():
        raise WireError(f"{where} holds a value that is not finite")
    return array
