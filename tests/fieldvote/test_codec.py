"""Bytes on the wire: whatever they are, they become a checked value or one WireError."""

import tracemalloc
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from fieldvote.codec import (
    MAX_ITEMS,
    MAX_MESSAGE_BYTES,
    SCHEMA,
    FloatVector,
    IntVector,
    decode,
    encode,
    field_sizes,
)
from fieldvote.errors import InternalError, WireError

INT64 = np.iinfo(np.int64)
SECRET = "ada.lovelace@example.org"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    x: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parcel:
    flag: bool
    count: int
    share: float
    text: str
    blob: bytes
    sums: IntVector
    weights: FloatVector
    names: tuple[str, ...]
    points: tuple[Point, ...]
    maybe: Point | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    values: IntVector


KINDS: dict[int, type] = {1: Point, 2: Parcel, 3: Numbers}
PARTS: list[object] = [
    True, 3, 0.5, "t", b"b", b"\x01\x05", bytes(8), ["a"], [[1, "p"]], None
]  # fmt: skip
FIELDS = tuple(Parcel.__dataclass_fields__)


def message(*parts: object, schema: object = SCHEMA, kind: object = 2) -> bytes:
    return bytes(msgpack.packb([schema, kind, *parts], use_bin_type=True))


def there_and_back(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return decode(encode(Numbers(values=values), KINDS), KINDS, (Numbers,)).values


WIDTH_EDGES = sorted(
    {sign * (1 << bits) + step for bits in range(0, 63) for sign in (1, -1) for step in (-1, 0)}
    | {INT64.min, INT64.max, 0}
)


@settings(deadline=None, max_examples=200)
@given(npst.arrays(np.int64, st.integers(0, 20), elements=st.integers(INT64.min, INT64.max)))
@example(np.array([INT64.min], dtype=np.int64))
@example(np.array([INT64.min, INT64.max], dtype=np.int64))
@example(np.array([], dtype=np.int64))
def test_integers_come_back_as_they_were(values: NDArray[np.int64]) -> None:
    back = there_and_back(values)
    assert back.dtype == np.int64
    assert np.array_equal(back, values)


@pytest.mark.parametrize("number", WIDTH_EDGES)
def test_an_integer_at_the_edge_of_a_width_takes_the_least_bytes_that_hold_it(number: int) -> None:
    values = np.array([number], dtype=np.int64)
    assert np.array_equal(there_and_back(values), values)
    least = next(n for n in range(1, 9) if -(1 << (8 * n - 1)) <= number < 1 << (8 * n - 1))
    raw = msgpack.unpackb(encode(Numbers(values=values), KINDS))[2]
    assert raw == bytes([least]) + number.to_bytes(least, "little", signed=True)


def test_an_array_that_is_not_contiguous_travels_as_its_values() -> None:
    values = np.arange(20, dtype=np.int64)[::-3]
    assert np.array_equal(there_and_back(values), values)


def test_what_has_no_form_on_the_wire_is_a_bug_of_ours() -> None:
    unsent: list[NDArray[Any]] = [np.zeros((2, 2), dtype=np.int64), np.zeros(2, dtype=np.int32)]
    for values in unsent:
        with pytest.raises(InternalError, match="cannot travel"):
            encode(Numbers(values=values), KINDS)
    with pytest.raises(InternalError, match="no number on the wire"):
        encode(3, KINDS)


def test_a_whole_message_becomes_its_record() -> None:
    parcel = decode(message(*PARTS), KINDS, (Point, Parcel))
    assert isinstance(parcel, Parcel)
    assert (parcel.flag, parcel.count, parcel.share, parcel.text) == (True, 3, 0.5, "t")
    assert parcel.sums.tolist() == [5]
    assert parcel.weights.tolist() == [0.0]
    assert parcel.points == (Point(x=1, name="p"),)
    assert parcel.maybe is None
    assert sum(field_sizes(parcel).values()) + 3 == len(message(*PARTS))


WRONG: dict[str, tuple[object, ...]] = {
    "flag": (1, 0, None, "true"),
    "count": (True, 1.0, "1", None, 2**63, 2**64 - 1, [1], {}),
    "share": (1, True, "nan", float("nan"), float("inf"), float("-inf"), None),
    "text": (b"bytes", 1, None, ["t"]),
    "blob": ("text", 1, None, [b"b"]),
    "sums": (b"", b"\x00", b"\x09" + bytes(9), b"\x02\x01", b"\xff\x01", "1", 1, [1], None),
    "weights": (bytes(7), np.array([np.nan]).tobytes(), np.array([np.inf]).tobytes(), [0.5], None),
    "names": ("a", [1], [b"a"], [["a"]], None, {}),
    "points": ([1], [[1]], [[1, "p", 2]], [["p", 1]], [None], None, [[True, "p"]]),
    "maybe": (1, [], [1], [1, 2], [True, "p"], "p"),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_a_field_of_another_type_is_refused_by_its_name(name: str, value: object) -> None:
    parts = list(PARTS)
    parts[FIELDS.index(name)] = value
    with pytest.raises(WireError, match=f"Parcel.{name}"):
        decode(message(*parts), KINDS, (Parcel,))


def test_every_field_is_tried_with_a_wrong_value() -> None:
    assert set(WRONG) == set(FIELDS)


@pytest.mark.parametrize(
    ("blob", "said"),
    [
        (b"", "0 bytes that are not a message"),
        (b"\xc1", "not a message"),
        (bytes(msgpack.packb(1)), "no schema and kind"),
        (bytes(msgpack.packb([])), "no schema and kind"),
        (bytes(msgpack.packb([1])), "no schema and kind"),
        (bytes(msgpack.packb({})), "no schema and kind"),
        (bytes(msgpack.packb({"a": 1})), "not a message"),
        (bytes(msgpack.packb("text")), "no schema and kind"),
        (message(*PARTS, schema=True), "no schema and kind"),
        (message(*PARTS, schema=2), "schema 2, this program speaks 1: update the older side"),
        (message(*PARTS, kind=1), "Point where Parcel is expected"),
        (message(*PARTS, kind=99), "no kind of ours where Parcel"),
        (message(*PARTS, kind=True), "no kind of ours"),
        (message(*PARTS, kind=2.0), "no kind of ours"),
        (message(*PARTS, kind=[2]), "no kind of ours"),
        (message(*PARTS[:-1]), "Parcel has 9 fields, expected 10"),
        (message(*PARTS, 1), "Parcel has 11 fields, expected 10"),
        (message(), "Parcel has 0 fields"),
        (bytes(msgpack.packb(msgpack.ExtType(5, b"x"))), "not a message"),
        (bytes(msgpack.packb([SCHEMA, 2, msgpack.Timestamp(1)])), "not a message"),
        (b"\x93\x01\x02\xa2\xff\xfe", "not a message"),
        (b"\x91" * 100_000, "not a message"),
        (b"\xdd\xff\xff\xff\xff", "not a message"),
        (b"\xdb\xff\xff\xff\xff", "not a message"),
        (b"\xc6\xff\xff\xff\xff", "not a message"),
        (b"\xdf\xff\xff\xff\xff", "not a message"),
    ],
)
def test_what_is_no_message_is_one_wire_error(blob: bytes, said: str) -> None:
    with pytest.raises(WireError, match=said):
        decode(blob, KINDS, (Parcel,))


@pytest.mark.parametrize("length", range(len(message(*PARTS))))
def test_a_message_cut_short_anywhere_is_refused(length: int) -> None:
    with pytest.raises(WireError):
        decode(message(*PARTS)[:length], KINDS, (Parcel,))


@settings(deadline=None, max_examples=100)
@given(st.binary(min_size=1, max_size=20))
def test_a_message_with_anything_behind_it_is_refused(more: bytes) -> None:
    with pytest.raises(WireError):
        decode(message(*PARTS) + more, KINDS, (Parcel,))


def test_a_message_past_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(WireError, match="passes the limit"):
        decode(bytes(MAX_MESSAGE_BYTES + 1), KINDS, (Parcel,))


def test_a_sequence_past_the_limit_is_refused() -> None:
    parts = list(PARTS)
    parts[FIELDS.index("names")] = ["a"] * (MAX_ITEMS + 1)
    with pytest.raises(WireError):
        decode(message(*parts), KINDS, (Parcel,))


def test_a_short_message_that_announces_much_gets_no_room_for_it() -> None:
    bomb = (b"\xdd" + MAX_ITEMS.to_bytes(4, "big")) * 500
    tracemalloc.start()
    try:
        with pytest.raises(WireError):
            decode(bomb, KINDS, (Parcel,))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("place", range(-2, len(PARTS)))
@pytest.mark.parametrize("wrap", [lambda s: s, str.encode, lambda s: [s], lambda s: [[1, s, s]]])
def test_an_error_never_says_what_the_field_held(place: int, wrap: object) -> None:
    assert callable(wrap)
    everything = [SCHEMA, 2, *PARTS]
    everything[place + 2] = wrap(SECRET)
    try:
        decode(bytes(msgpack.packb(everything, use_bin_type=True)), KINDS, (Parcel,))
    except WireError as err:
        seen = f"{err} {err!r} {err.__cause__}"
        assert SECRET not in seen
        assert SECRET[:8] not in seen
