"""Whole words, against a slow reading of the definition."""

import unicodedata

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.labeling.words import is_word, spaced, words_pattern

# letters with and without an ASCII form, marks, numbers, signs, spaces of several kinds
LETTERS = st.sampled_from("aBéß_7漢\u0301क\u093f")
TEXTS = st.text(st.one_of(LETTERS, st.sampled_from(" \n-’“£.\u00a0\u200b😀")), max_size=14)
WORDS = st.lists(st.text(LETTERS, min_size=1, max_size=2), min_size=1, max_size=2).map(" ".join)


def stands_in(word: str, text: str) -> bool:
    """Compare word by word: the definition, and nothing clever."""
    plain = "".join(
        " " if unicodedata.category(char)[0] == "Z" or char == "\n" else char for char in text
    )
    marked = "".join(char if is_word(char) or char == " " else f" {char} " for char in plain)
    have, want = marked.lower().split(), word.lower().split()
    return any(have[i : i + len(want)] == want for i in range(len(have)))


@settings(deadline=None, max_examples=400)
@given(st.lists(WORDS, min_size=1, max_size=3), TEXTS)
def test_a_word_is_found_exactly_where_it_stands_alone(words: list[str], text: str) -> None:
    found = re2.search(words_pattern(words), spaced(text)) is not None
    assert found == any(stands_in(word, text) for word in words)


@pytest.mark.parametrize(
    ("word", "text", "found"),
    [
        ("prize", "PRIZE!", True),
        ("prize", "prizes", False),
        ("prize", "sur_prize", False),
        ("prize", "prize2", False),
        ("prize", "«prize»", True),
        ("prize", "prizeé", False),
        ("free entry", "FREE \n entry.", True),
        ("free entry", "free\u00a0entry", True),
        ("free entry", "free-entry", False),
        ("über", "Über alles", True),
        ("über", "darüber", False),
        ("£", "only £5", True),
        ("a.b", "axb", False),
        ("a.b", "(a.b)", True),
        ("कि", "कि", True),
        ("क", "कि", False),
    ],
)
def test_words_by_example(word: str, text: str, found: bool) -> None:
    assert (re2.search(words_pattern([word]), spaced(text)) is not None) == found


@given(st.text())
@settings(deadline=None)
def test_spacing_adds_spaces_and_takes_nothing_but_kinds_of_space(text: str) -> None:
    kept = [char for char in text if unicodedata.category(char)[0] != "Z"]
    assert [char for char in spaced(text) if unicodedata.category(char)[0] != "Z"] == kept
