from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import WireError
from fieldvote.records import DeviceId
from simulations.engines import parcels
from simulations.engines.parcels import (
    Asked,
    Replies,
    Requests,
    decode,
    encode,
    pack,
    take,
    unpack,
)

DEVICES = st.integers(-(2**63), 2**63 - 1).map(DeviceId)
BODIES = st.one_of(st.sampled_from([b"", b"the same to all", b"x" * 40]), st.binary(max_size=60))
QUEUES = st.lists(st.tuples(DEVICES, BODIES), max_size=30, unique_by=lambda asked: asked[0])


@given(QUEUES)
@settings(deadline=None)
def test_what_is_packed_comes_back_on_the_other_side(asked: list[Asked]) -> None:
    assert unpack(decode(encode(pack(asked)), Requests)) == asked


@given(QUEUES)
@settings(deadline=None)
def test_parcels_hold_every_request_in_order_and_stay_small(asked: list[Asked]) -> None:
    queue = deque(asked)
    taken: list[list[Asked]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parcels, "MOST_BYTES", 50)
        while queue:
            taken.append(take(queue))
    assert [one for parcel in taken for one in parcel] == asked
    for parcel in taken:
        assert parcel
        assert len(parcel) == 1 or sum(len(body) for body in {body for _, body in parcel}) <= 50


def test_a_body_for_ten_thousand_devices_travels_once() -> None:
    model = bytes(3 * 1024 * 1024)
    queue = deque((DeviceId(n), model) for n in range(10_000))
    parcel = take(queue)
    assert len(parcel) == 10_000
    assert len(encode(pack(parcel))) < len(model) + 100_000


def test_no_parcel_is_for_more_devices_than_the_codec_counts() -> None:
    queue = deque((DeviceId(n), b"") for n in range(70_000))
    sizes = []
    while queue:
        asked = take(queue)
        sizes.append(len(unpack(decode(encode(pack(asked)), Requests))))
    assert sum(sizes) == 70_000


@pytest.mark.parametrize("which", [[0, 2], [0, -1], [0]])
def test_a_parcel_that_names_what_it_does_not_hold_is_refused(which: list[int]) -> None:
    parcel = Requests(
        devices=np.array([7, 8]), which=np.array(which, dtype=np.int64), bodies=(b"a", b"b")
    )
    with pytest.raises(WireError, match="does not hold together"):
        unpack(parcel)


def test_replies_are_no_requests() -> None:
    replies = Replies(devices=np.array([7]), bodies=(b"a",), done=1)
    with pytest.raises(WireError):
        decode(encode(replies), Requests)
    with pytest.raises(WireError):
        decode(b"hello", Replies)
