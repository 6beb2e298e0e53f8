import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.pii import Vocabulary
from privacy.pii.classes import MASKED
from privacy.pii.tokens import ChunkCodes, classify
from tests.privacy.pii.documents import chunk

ENGLISH = Vocabulary.load("en")
LISTED = sorted(
    [*ENGLISH.words, *ENGLISH.exact, *ENGLISH.labels, *ENGLISH.suffixes, *ENGLISH.abbreviations]
)
shapes = st.sampled_from([str.lower, str.capitalize, str.upper, str.swapcase])
tails = st.sampled_from(["", ",", ".", ":", "!", "'s", "...", ".,", ")"])
listed = st.builds(
    lambda word, shape, tail: shape(word) + tail, st.sampled_from(LISTED), shapes, tails
)


@given(st.one_of(listed, chunk).map(str.split).filter(bool).map(lambda parts: parts[0]))
@settings(deadline=None, max_examples=500)
def test_the_quick_way_agrees_with_the_whole_one(text):
    assert ChunkCodes(ENGLISH)[text] == classify(text, ENGLISH)


@given(chunk.map(str.split).filter(bool).map(lambda parts: parts[0]))
@settings(deadline=None, max_examples=300)
def test_what_holds_a_digit_or_a_foreign_letter_is_always_masked(text):
    if any(char.isdigit() or (char.isalnum() and not char.isascii()) for char in text):
        assert classify(text, ENGLISH)[0] in MASKED


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("meeting", "w "),
        ("meeting.", "w."),
        ("meeting's", "w'"),
        ("well-known", "w "),
        ("well-zuck", "Y "),
        ("MEETING", "X "),
        ("mEEting", "X "),
        ("zuck", "Y "),
        ("Zuck,", "X,"),
        ("John", "I "),
        ("Grace", "N "),
        ("Street", "B "),
        ("The", "F "),
        ("J.", "J "),
        ("a", "y "),
        ("Ltd,", "O,"),
        ("Mr.", "t "),
        ("#", "H "),
        ("@me", "D "),
        ("&amp;", "z "),
        ("...", "z."),
        ("password:", "l:"),
        ("Subject:", "b:"),
        ("subject:zuck", "Y "),
        ("caf\u00e9", "Y "),
        ("\u0430nn", "Y "),
        ("😀", "D "),
        ("ok\x00", "D "),
    ],
)
def test_known_chunks(text, code):
    assert classify(text, ENGLISH) == code
