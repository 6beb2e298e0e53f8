import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import SealError, StoreError
from privacy.sealing.replay import WIDTH, Numbering, Window

NUMBERS = st.lists(st.integers(0, 3 * WIDTH) | st.integers(0, 8), max_size=60)


def admitted(numbers: list[int]) -> list[int]:
    """Return which numbers a window lets in, stored and read back between any two."""
    window, taken = Window(), []
    for number in numbers:
        try:
            window = window.admit(number)
        except SealError:
            continue
        window = Window.from_bytes(window.to_bytes())
        taken.append(number)
    return taken


@given(NUMBERS)
@settings(deadline=None, max_examples=300)
def test_a_window_is_a_set_that_forgets_what_is_too_old(numbers: list[int]) -> None:
    seen, expected = set[int](), list[int]()
    for number in numbers:
        if number not in seen and number > max(seen, default=-1) - WIDTH:
            seen.add(number)
            expected.append(number)
    assert admitted(numbers) == expected


def test_the_last_of_the_window_is_let_in_and_the_one_before_it_is_not() -> None:
    window = Window().admit(WIDTH)
    assert window.admit(1).highest == WIDTH
    with pytest.raises(SealError, match="too old"):
        window.admit(0)
    with pytest.raises(SealError, match="here before"):
        window.admit(WIDTH)


def test_a_jump_over_the_whole_window_remembers_only_where_it_landed() -> None:
    window = Window().admit(0).admit(10**12)
    assert window.seen == 1
    with pytest.raises(SealError):
        window.admit(10**12)


@pytest.mark.parametrize("number", [-1, 2**63])
def test_a_number_no_sender_counts_to_is_refused(number: int) -> None:
    with pytest.raises(SealError):
        Window().admit(number)


GOOD = Window().admit(5).to_bytes()


@pytest.mark.parametrize(
    "blob", [b"", GOOD[:-1], GOOD + b"\0", GOOD[:-1] + b"\0", bytes(len(GOOD))]
)
def test_a_damaged_window_is_an_error_and_never_an_empty_one(blob: bytes) -> None:
    with pytest.raises(StoreError):
        Window.from_bytes(blob)


def test_nothing_stored_is_nothing_seen() -> None:
    assert Window.from_bytes(None) == Window()


def test_a_sender_counts_for_each_recipient_and_no_two_starts_share_an_epoch() -> None:
    first, second = Numbering(os.urandom), Numbering(os.urandom)
    epoch, zero = first.next(b"ann")
    assert (zero, first.next(b"ann"), first.next(b"bob")) == (0, (epoch, 1), (epoch, 0))
    # a crash, or a disk put back to last week: whatever was counted, no number comes twice
    assert second.next(b"ann")[0] != epoch
