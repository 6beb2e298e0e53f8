import os
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, SealError
from privacy.sealing.at_rest import DataKey, Held, place, unwrapped, wrapping_id
from privacy.sealing.passphrase import Cost, lock

KEY = DataKey(b"d" * 32, os.urandom)
HERE, THERE = place("item", "payload", b"1"), place("item", "payload", b"2")
WRAPPING, OTHER = b"w" * 32, b"o" * 32
PARTS = st.lists(st.binary(max_size=5) | st.text(max_size=5) | st.integers(-9, 9), max_size=3)


@given(st.binary(max_size=300), PARTS)
@settings(deadline=None, max_examples=100)
def test_what_is_locked_for_a_place_opens_there(plain: bytes, key: list[bytes | str | int]) -> None:
    here = place("t", "c", *key)
    assert KEY.open(KEY.seal(plain, here), here) == plain


@given(PARTS, PARTS)
@settings(deadline=None, max_examples=300)
def test_no_two_places_are_spelled_by_the_same_bytes(
    one: list[bytes | str | int], two: list[bytes | str | int]
) -> None:
    same = [(type(part), part) for part in one] == [(type(part), part) for part in two]
    assert (place("t", "c", *one) == place("t", "c", *two)) == same


def test_a_value_opens_nowhere_else_and_with_no_other_key() -> None:
    locked = KEY.seal(b"text", HERE)
    for key, where in ((KEY, THERE), (DataKey(b"e" * 32, os.urandom), HERE), (KEY, b"")):
        with pytest.raises(SealError, match="changed, cut short or moved"):
            key.open(locked, where)


def test_every_flipped_bit_and_every_cut_is_refused() -> None:
    locked = KEY.seal(b"some text", HERE)
    for bit in range(8 * len(locked)):
        broken = bytearray(locked)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealError):
            KEY.open(bytes(broken), HERE)
    for length in range(len(locked)):
        with pytest.raises(SealError):
            KEY.open(locked[:length], HERE)


def test_the_same_value_twice_is_not_the_same_bytes() -> None:
    assert KEY.seal(b"text", HERE) != KEY.seal(b"text", HERE)


def test_a_wrapped_key_opens_with_its_key_and_says_which_one_it_wants() -> None:
    wrapped = KEY.wrapped(WRAPPING)
    again, used = unwrapped(wrapped, [OTHER, WRAPPING], os.urandom)
    assert used == WRAPPING
    assert again.open(KEY.seal(b"text", HERE), HERE) == b"text"
    with pytest.raises(SealError, match=f"locked by key {wrapping_id(WRAPPING).hex()}, opened"):
        unwrapped(wrapped, [OTHER], os.urandom)
    with pytest.raises(SealError, match="opened with a passphrase"):
        unwrapped(wrapped, ["words"], os.urandom)
    with pytest.raises(SealError, match="opened with nothing"):
        unwrapped(wrapped, [], os.urandom)


def test_a_key_behind_a_passphrase_opens_with_the_passphrase_only() -> None:
    wrapped = KEY.wrapped("open sesame")
    again, used = unwrapped(wrapped, ["open sesame"], os.urandom)
    assert used == "open sesame"
    assert again.open(KEY.seal(b"text", HERE), HERE) == b"text"
    with pytest.raises(SealError, match="wrong passphrase"):
        unwrapped(wrapped, ["other"], os.urandom)
    with pytest.raises(SealError, match="locked by a passphrase, opened with a key"):
        unwrapped(wrapped, [WRAPPING], os.urandom)


def test_a_wrapped_key_with_a_flipped_bit_is_refused() -> None:
    wrapped = KEY.wrapped(WRAPPING)
    for bit in range(8 * len(wrapped)):
        broken = bytearray(wrapped)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealError):
            unwrapped(bytes(broken), [WRAPPING], os.urandom)


def test_what_is_no_data_key_behind_the_right_words_is_refused() -> None:
    blob = lock(b"short", "w", os.urandom, cost=Cost(log_n=4, r=1, p=1))
    with pytest.raises(InputError, match="32 bytes"):
        unwrapped(blob, ["w"], os.urandom)


def test_a_key_shows_and_pickles_itself_nowhere() -> None:
    assert "d" * 8 not in repr(KEY)
    assert (b"d" * 32).hex() not in repr(KEY)
    with pytest.raises(InputError):
        pickle.dumps(KEY)
    assert list(Held(WRAPPING).secrets(make=False)) == [WRAPPING]


@pytest.mark.parametrize("secret", [b"", bytes(31), bytes(33)])
def test_a_secret_of_another_length_is_no_key(secret: bytes) -> None:
    with pytest.raises(InputError):
        DataKey(secret, os.urandom)
    with pytest.raises(InputError):
        KEY.wrapped(secret)
