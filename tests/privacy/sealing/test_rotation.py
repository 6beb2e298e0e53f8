from datetime import UTC, datetime, timedelta

import pytest

from fieldvote.errors import InputError, RefusalError
from privacy.sealing.rotation import DatedKey, good_keys, newest_key

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
OLD = DatedKey(public=b"old", ends=NOON + 3 * DAY)
NEXT = DatedKey(public=b"next", begins=NOON + DAY)


@pytest.mark.parametrize(
    ("at", "good", "newest"),
    [
        (NOON, (b"old",), b"old"),
        (NOON + DAY, (b"old", b"next"), b"next"),
        (NOON + 3 * DAY - timedelta(seconds=1), (b"old", b"next"), b"next"),
        (NOON + 3 * DAY, (b"next",), b"next"),
    ],
)
def test_keys_overlap_and_the_one_that_began_last_is_sealed_to(
    at: datetime, good: tuple[bytes, ...], newest: bytes
) -> None:
    for keys in ((OLD, NEXT), (NEXT, OLD)):
        assert set(good_keys(keys, at)) == set(good)
        assert newest_key(keys, at) == newest


def test_of_two_that_are_always_good_the_last_listed_is_sealed_to() -> None:
    assert newest_key((DatedKey(public=b"a"), DatedKey(public=b"b")), NOON) == b"b"


def test_with_no_good_key_nothing_is_sealed() -> None:
    for keys in ((), (OLD,), (NEXT,)):
        at = NOON + 9 * DAY if keys == (OLD,) else NOON
        with pytest.raises(RefusalError, match="no labeling key is good now"):
            newest_key(keys, at)


def test_a_time_without_a_zone_or_an_end_before_the_begin_is_refused() -> None:
    with pytest.raises(InputError, match="time zone"):
        DatedKey(public=b"k", begins=NOON.replace(tzinfo=None))
    with pytest.raises(InputError, match="never good"):
        DatedKey(public=b"k", begins=NOON, ends=NOON)
