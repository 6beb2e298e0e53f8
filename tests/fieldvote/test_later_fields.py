"""Fields that came later are left out while they say nothing, and are written in one way only."""

from dataclasses import replace

import msgpack
import numpy as np
import pytest

from fieldvote.errors import WireError
from fieldvote.heads import HeadModel
from fieldvote.records import decode, encode

NOTHING = np.empty(0, dtype=np.int64)
HEAD = HeadModel(
    parent="",
    classes=2,
    mean=np.zeros(1),
    scale=np.ones(1),
    gain=1.0,
    clip=5.0,
    recentre=0.0,
    fourier=0,
    bandwidth=1.0,
    amplitude=1.0,
    seed=1,
    weights=np.zeros(4, dtype=np.int64),
)
FIRST = 12  # fields there were before any came later


def fields_of(model: HeadModel) -> list[object]:
    """Return the fields as they are written, without schema and kind."""
    return list(msgpack.unpackb(encode(model), raw=False))[2:]


def written(fields: list[object]) -> bytes:
    """Return the bytes of a head with these fields."""
    start = list(msgpack.unpackb(encode(HEAD), raw=False))[:2]
    return bytes(msgpack.packb([*start, *fields], use_bin_type=True))


@pytest.mark.parametrize(
    ("deep", "smooth", "heat", "count"),
    [(0, 0, 0, 12), (3, 0, 0, 13), (0, 0.4, 0, 14), (3, 0.4, 0, 14), (0, 0, 0.7, 15)],
)
def test_the_last_fields_are_written_up_to_the_last_that_says_something(
    deep: int, smooth: float, heat: float, count: int
) -> None:
    model = replace(HEAD, deep=np.arange(deep), smooth=float(smooth), temperature=float(heat))
    assert len(fields_of(model)) == count
    again = decode(encode(model), HeadModel)
    assert again.deep.tolist() == list(range(deep))
    assert again.smooth == smooth
    assert encode(again) == encode(model)


def test_what_was_written_before_they_came_is_read_and_written_alike() -> None:
    blob = written(fields_of(HEAD)[:FIRST])
    assert decode(blob, HeadModel).smooth == 0.0
    assert encode(decode(blob, HeadModel)) == blob


@pytest.mark.parametrize("tail", [[b"\x01"], [b"\x01", 0.0], [b"\x01\x05", 0.0]])
def test_a_last_field_that_says_nothing_is_refused(tail: list[object]) -> None:
    with pytest.raises(WireError, match="says nothing"):
        decode(written([*fields_of(HEAD), *tail]), HeadModel)


@pytest.mark.parametrize("fields", [FIRST - 1, FIRST + 4])
def test_too_few_and_too_many_fields_are_refused(fields: int) -> None:
    whole = [*fields_of(replace(HEAD, temperature=0.4)), 1.0]
    with pytest.raises(WireError, match="fields"):
        decode(written(whole[:fields]), HeadModel)
