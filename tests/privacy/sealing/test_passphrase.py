import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, RefusalError, SealError
from privacy.sealing.passphrase import HEADER_BYTES, MAX_SECRET_BYTES, Cost, is_locked, lock, unlock

CHEAP = Cost(log_n=4, r=1, p=1)
BLOB = lock(b"secret", "open sesame", os.urandom, cost=CHEAP)


@given(secret=st.binary(max_size=300), words=st.text(min_size=1, max_size=20))
@settings(deadline=None, max_examples=60)
def test_what_is_locked_opens_with_the_same_words(secret: bytes, words: str) -> None:
    assert unlock(lock(secret, words, os.urandom, cost=CHEAP), words) == secret


def test_the_shipped_cost_opens_too_and_hides_the_secret() -> None:
    blob = lock(b"a planted secret", "words", os.urandom)
    assert is_locked(blob)
    assert b"planted" not in blob
    assert unlock(blob, "words") == b"a planted secret"


@pytest.mark.parametrize("words", ["open sesam", "Open sesame", " open sesame", "open sesame "])
def test_other_words_are_refused_in_one_sentence(words: str) -> None:
    with pytest.raises(SealError, match="wrong passphrase, or the locked secret was changed"):
        unlock(BLOB, words)


def test_the_same_letters_of_another_keyboard_are_the_same_words() -> None:
    composed, combining = "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}"
    assert unlock(lock(b"x", composed, os.urandom, cost=CHEAP), combining) == b"x"


def test_every_flipped_bit_is_refused() -> None:
    for bit in range(8 * len(BLOB)):
        broken = bytearray(BLOB)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(RefusalError):
            unlock(bytes(broken), "open sesame")


@pytest.mark.parametrize(
    "blob",
    [b"", BLOB[:3], BLOB[:HEADER_BYTES], BLOB[:-1], b"x" * 100],
    ids=["nothing", "a start", "a header", "cut short", "something else"],
)
def test_what_is_cut_short_or_none_of_ours_is_refused(blob: bytes) -> None:
    with pytest.raises(SealError):
        unlock(blob, "open sesame")


@pytest.mark.parametrize(
    "parameters",
    [(29, 8, 1), (17, 8, 1), (15, 255, 1), (4, 1, 255), (0, 1, 1), (255, 1, 1), (16, 1, 1)],
)
def test_a_header_that_asks_for_too_much_is_refused_before_any_work(
    parameters: tuple[int, int, int],
) -> None:
    """With the limit gone, the second of these would take 128 MiB, the first half a TiB."""
    greedy = BLOB[:4] + bytes(parameters) + BLOB[7:]
    with pytest.raises(SealError, match="asks for too much"):
        unlock(greedy, "open sesame")


def test_no_words_and_too_long_a_secret_are_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        lock(b"x", "", os.urandom, cost=CHEAP)
    with pytest.raises(InputError, match="empty"):
        unlock(BLOB, "")
    with pytest.raises(InputError, match="at most"):
        lock(bytes(MAX_SECRET_BYTES + 1), "words", os.urandom, cost=CHEAP)


def test_salt_and_nonce_are_fresh_each_time() -> None:
    assert (
        lock(b"x", "w", os.urandom, cost=CHEAP)[7:] != lock(b"x", "w", os.urandom, cost=CHEAP)[7:]
    )
