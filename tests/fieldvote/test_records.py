"""Every message there is: what is sent is what arrives, and every byte is accounted for."""

from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import cast, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from fieldvote.codec import FloatVector, IntVector
from fieldvote.errors import WireError
from fieldvote.heads import GradientReply
from fieldvote.portions import PORTION_KINDS, PORTIONS, portions
from fieldvote.records import (
    KINDS,
    REQUESTS,
    CollectReply,
    CollectRequest,
    Reply,
    SealedItem,
    decode,
    encode,
)

REPLIES = get_args(Reply)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS: dict[object, st.SearchStrategy[object]] = {
    bool: st.booleans(),
    int: INTEGERS,
    float: FLOATS,
    # lone surrogates are no Unicode and have no bytes
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    bytes: st.binary(max_size=40),
}


@cache
def values_of(hint: object) -> st.SearchStrategy[object]:
    """Return values a field may have, by its annotation."""
    if hint == IntVector:
        small = npst.arrays(np.int64, st.integers(0, 6), elements=st.integers(-300, 300))
        return small | npst.arrays(np.int64, st.integers(0, 6), elements=INTEGERS)
    if hint == FloatVector:
        return npst.arrays(np.float64, st.integers(0, 6), elements=FLOATS)
    if get_origin(hint) is UnionType:
        return st.none() | values_of(get_args(hint)[0])
    if get_origin(hint) is tuple:
        return st.lists(values_of(get_args(hint)[0]), max_size=4).map(tuple)
    if isinstance(hint, type) and is_dataclass(hint):
        return records_of(hint)
    return SCALARS[hint]


def records_of(kind: type) -> st.SearchStrategy[object]:
    """Return records of a kind."""
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: values_of(hint) for name, hint in hints.items()})


RECORDS = st.one_of([records_of(kind) for kind in KINDS.values()])


def same(a: object, b: object) -> bool:
    """Say whether two values are the same to the bit, types included."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if is_dataclass(a) and is_dataclass(b):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, float):
        return repr(a) == repr(b)
    return bool(a == b)


@settings(deadline=None, max_examples=150)
@given(RECORDS)
def test_what_is_decoded_is_what_was_encoded(record: object) -> None:
    assert same(decode(encode(record), type(record)), record)


@settings(deadline=None, max_examples=60)
@given(RECORDS)
def test_the_same_record_has_the_same_bytes(record: object) -> None:
    assert encode(record) == encode(decode(encode(record), type(record)))


@settings(deadline=None, max_examples=60)
@given(RECORDS, st.sampled_from(sorted(KINDS)))
def test_a_record_is_decoded_as_its_own_kind_only(record: object, number: int) -> None:
    if KINDS[number] is not type(record):
        with pytest.raises(WireError, match=f"{type(record).__name__} where"):
            decode(encode(record), KINDS[number])


@settings(deadline=None, max_examples=120)
@given(RECORDS, st.integers(0, 2**32))
def test_a_mutated_message_is_a_record_or_a_wire_error(record: object, seed: int) -> None:
    chance = np.random.default_rng(seed)
    whole = encode(record)
    for _ in range(10):
        blob = bytearray(whole)
        for _ in range(int(chance.integers(1, 4))):
            place, byte = int(chance.integers(0, len(blob))), int(chance.integers(0, 256))
            match int(chance.integers(0, 4)):
                case 0:
                    blob[place] = byte
                case 1:
                    blob[place] ^= 1 << (byte % 8)
                case 2:
                    blob.insert(place, byte)
                case _ if len(blob) > 1:
                    del blob[place]
        try:
            read: object = decode(bytes(blob), *KINDS.values())
        except WireError:
            continue
        assert type(read) in KINDS.values()


@settings(deadline=None, max_examples=80)
@given(st.one_of([records_of(kind) for kind in REPLIES]))
def test_the_portions_of_a_reply_add_up_to_its_length(record: object) -> None:
    reply = cast(Reply, record)
    blob = encode(reply)
    sizes = portions(reply, blob)
    assert sum(sizes.values()) == len(blob)
    assert tuple(sizes) == PORTION_KINDS
    assert all(size >= 0 for size in sizes.values())


def test_content_is_told_apart_from_its_frame() -> None:
    sealed = tuple(SealedItem(item=bytes(16), envelope=bytes(500), refusal="") for _ in range(3))
    reply = CollectReply(round=1, sealed=sealed)
    sizes = portions(reply, encode(reply))
    assert 1548 <= sizes["candidates"] <= 1600
    assert sizes["overhead"] <= 8
    assert sizes["summaries"] == sizes["offers"] == sizes["updates"] == 0


def test_every_portion_names_a_field_of_a_reply() -> None:
    for (kind, name), portion in PORTIONS.items():
        assert kind in REPLIES
        assert name in {field.name for field in fields(kind)}
        assert portion in PORTION_KINDS


def test_every_request_and_reply_has_a_number() -> None:
    assert set(REQUESTS) | set(REPLIES) <= set(KINDS.values())
    assert len(set(KINDS.values())) == len(KINDS)


def test_bytes_that_were_once_sent_keep_their_meaning() -> None:
    known = bytes.fromhex("9401050191c40161")
    assert encode(CollectRequest(round=1, grants=(b"a",))) == known
    assert decode(known, CollectRequest) == CollectRequest(round=1, grants=(b"a",))
    known = bytes.fromhex("95010a0703c4050200010000")
    assert encode(GradientReply(round=7, step=3, sums=np.array([256, 0]))) == known
