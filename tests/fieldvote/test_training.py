"""What a task says of training its network, and how weights travel beside a head."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from fieldvote.codec import LATER, IntVector, decode, encode, field_sizes
from fieldvote.errors import SettingsError, WireError
from fieldvote.training import TrainingNames


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Before:
    """A record as it was."""

    name: str
    numbers: IntVector


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Since:
    """The same record, with a vector that came later."""

    name: str
    numbers: IntVector
    more: IntVector = field(default_factory=lambda: np.empty(0, np.int64), metadata=LATER)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Around:
    """A record that holds one."""

    inner: Since
    last: int


OLD, NEW, OUTER = {1: Before}, {1: Since}, {1: Around}
NUMBERS = np.array([3, -70_000])


def test_what_was_written_before_a_field_came_is_read_and_is_still_the_same_bytes() -> None:
    before = encode(Before(name="a", numbers=NUMBERS), OLD)
    read = decode(before, NEW, (Since,))
    assert not len(read.more)
    assert encode(read, NEW) == before
    assert sum(field_sizes(read).values()) == sum(
        field_sizes(decode(before, OLD, (Before,))).values()
    )


@pytest.mark.parametrize("more", [[0], [1, -5], list(range(300))])
def test_a_later_field_travels_where_it_says_something(more: list[int]) -> None:
    made = Since(name="a", numbers=NUMBERS, more=np.array(more))
    outer = decode(encode(Around(inner=made, last=7), OUTER), OUTER, (Around,))
    np.testing.assert_array_equal(outer.inner.more, more)
    assert outer.last == 7
    bare = replace(made, more=np.empty(0, np.int64))
    assert decode(encode(Around(inner=bare, last=8), OUTER), OUTER, (Around,)).last == 8


@pytest.mark.parametrize("nothing", [b"\x01", b"\x08", b""])
def test_a_later_field_that_is_written_and_says_nothing_is_refused(nothing: bytes) -> None:
    import msgpack

    parts = [1, 1, "a", b"\x01\x05", nothing]
    with pytest.raises(WireError, match=r"Since\.more"):
        decode(msgpack.packb(parts, use_bin_type=True), NEW, (Since,))
    with pytest.raises(WireError, match="fields"):
        decode(msgpack.packb(parts[:3], use_bin_type=True), NEW, (Since,))
    with pytest.raises(WireError, match="fields"):
        decode(msgpack.packb([*parts[:4], b"\x01\x05", b""], use_bin_type=True), NEW, (Since,))


@pytest.mark.parametrize(
    ("depth", "layers"), [("head", 0), ("all", 0), ("last:1", 1), ("last:12", 12)]
)
def test_a_depth_says_how_many_layers(depth: str, layers: int) -> None:
    assert TrainingNames(depth=depth).layers == layers


@pytest.mark.parametrize("depth", ["", "last", "last:", "last:0", "last:-1", "last:99999", "HEAD"])
def test_a_depth_nobody_knows_is_refused(depth: str) -> None:
    with pytest.raises(SettingsError, match="depth"):
        TrainingNames(depth=depth)
