import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError
from strategies.text_features import MAX_CHARACTERS, MIN_WIDTH, SHAPES, hash_ngrams


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(), max_size=6), st.integers(MIN_WIDTH, 300))
def test_any_text_gives_finite_rows_of_length_one(texts: list[str], width: int):
    features = hash_ngrams(texts, width)

    assert features.shape == (len(texts), width)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    lengths = np.linalg.norm(features[:, :-SHAPES], axis=1)
    assert all(length == 0 or length == pytest.approx(1.0, abs=1e-5) for length in lengths)
    assert features[:, -SHAPES:].min(initial=0) >= 0


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=30), min_size=2, max_size=6))
def test_a_row_depends_on_its_own_text_only(texts: list[str]):
    whole = hash_ngrams(texts, 64)

    assert all(
        (hash_ngrams([text], 64)[0] == row).all() for text, row in zip(texts, whole, strict=True)
    )


def test_hashes_are_those_of_crc32():
    grams = ["ab", "#<ab", "#ab>"]
    expected = np.zeros(100)
    for gram in grams:
        code = zlib.crc32(gram.encode())
        expected[(code >> 1) % 100] += 1 - 2 * (code & 1)
    expected /= np.linalg.norm(expected)

    features = hash_ngrams(["AB"], 100 + SHAPES)[0, :100]

    np.testing.assert_allclose(features, expected, atol=1e-6)


def test_numbers_of_the_same_length_read_alike():
    a, b, c = hash_ngrams(["call 12345 now", "call 99999 now", "call 999999 now"], 128)

    assert (a == b).all()
    assert (a != c).any()


@pytest.mark.parametrize(
    ("plain", "marked", "position"),
    [
        ("see you", "see you later, all of you", -9),
        ("a b", "a b c d e f", -8),
        ("code", "code 7", -7),
        ("n 1", "n 1234", -5),
        ("hello", "HELLO", -4),
        ("hello", "hello!", -3),
        ("5 today", "£5 today", -2),
        ("visit us", "visit www.us", -1),
    ],
)
def test_the_look_of_a_text_shows_in_its_shape(plain: str, marked: str, position: int):
    before, after = hash_ngrams([plain, marked], 64)

    assert after[position] > before[position]


def test_an_overlong_text_is_cut():
    long = "word " * MAX_CHARACTERS

    assert (hash_ngrams([long], 64) == hash_ngrams([long[:MAX_CHARACTERS]], 64)).all()


def test_a_lone_surrogate_is_read_like_any_other_mark():
    assert np.isfinite(hash_ngrams(["\ud800 broken"], 64)).all()


def test_a_width_without_room_for_hashes_is_refused():
    with pytest.raises(InputError):
        hash_ngrams(["a"], MIN_WIDTH - 1)
