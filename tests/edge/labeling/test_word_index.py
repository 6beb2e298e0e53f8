"""The table of words finds what a regular expression for each word would find."""

import sys

import numpy as np
import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.labeling import word_index
from edge.labeling.fuzzy import NearWords, edit_distances
from edge.labeling.text_rules import encode_texts, fold_texts
from edge.labeling.word_index import WordIndex, rules_by_word
from edge.labeling.words import folded_word, single_word, spaced, words_pattern
from fieldvote.functions import normal_word

# letters that fold in odd ways, long runs, signs, several kinds of space
LETTERS = st.sampled_from("aBsKéßẞſK_7漢İ\u0301")
WORDS = st.text(LETTERS, min_size=1, max_size=20).filter(single_word)
TEXTS = st.text(st.one_of(LETTERS, st.sampled_from(" \n-’£.\u00a0\0")), max_size=60)


def found(index: WordIndex, texts: list[str]) -> set[tuple[int, int]]:
    rows, rules = index.find(fold_texts(encode_texts(texts)[0]))
    return set(zip(rows.tolist(), rules.tolist(), strict=True))


@settings(deadline=None, max_examples=150)
@given(st.lists(WORDS, min_size=1, max_size=5), st.lists(TEXTS, max_size=6), st.data())
def test_words_are_found_where_their_pattern_matches(
    words: list[str], texts: list[str], data: st.DataObject
) -> None:
    texts = [*texts, *data.draw(st.lists(st.sampled_from(words).map("({})".format), max_size=2))]
    index = WordIndex(rules_by_word((normal_word(word), i) for i, word in enumerate(words)), [])
    expected = {
        (row, rule)
        for row, text in enumerate(texts)
        for rule, word in enumerate(words)
        if re2.search(words_pattern([word]), spaced(text))
    }
    assert found(index, texts) == expected


def test_letters_fold_as_re2_folds_them() -> None:
    differing = []
    for start in range(128, 0x30000, 4096):
        for point in range(start, start + 4096):
            char = chr(point)
            if 0xD800 <= point < 0xE000 or not single_word(char):
                continue
            to = folded_word(char)
            if to != char and not re2.search(f"(?i)^{re2.escape(to)}$", char):
                differing.append(hex(point))
    # letters one of the two Unicode versions does not know yet
    assert len(differing) < 20, (sys.version, differing)


@pytest.mark.parametrize("text", ["", "\n", "\0", "a", "A", "-a-", "a b", "\0a\0", "aa", " a"])
def test_texts_of_almost_nothing(text: str) -> None:
    index = WordIndex({"a": [3]}, [])
    expected = {(1, 3)} if text.lower().strip("-\0 \n") in ("a", "a b") else set()
    assert found(index, ["", text, ""]) == expected


def test_words_up_to_sixteen_bytes_and_longer_ones_are_told_apart_to_the_letter() -> None:
    words = ["a" * n for n in range(1, 40)] + ["é" * n for n in range(1, 20)]
    index = WordIndex({word: [i] for i, word in enumerate(words)}, [])
    assert found(index, words) == {(i, i) for i in range(len(words))}
    assert found(index, [word[:-1] + "b" for word in words]) == set()


def test_a_word_counts_each_time_it_stands() -> None:
    rows, _ = WordIndex({"a": [0]}, []).find([b"a b A", b"", b"a"])
    assert rows.tolist() == [0, 0, 2]


def test_more_texts_than_a_batch_are_one_matrix() -> None:
    texts = [b"prize" if i % 7 == 0 else b"nothing here" for i in range(5000)]
    rows, _ = WordIndex({"prize": [0]}, []).find(texts)
    assert rows.tolist() == list(range(0, 5000, 7))


LETTER = st.sampled_from("abcé")
NEAR = st.lists(
    st.tuples(st.text(LETTER, min_size=4, max_size=9), st.sampled_from([1, 2]), st.booleans()),
    min_size=1,
    max_size=5,
)


def plain_distance(one: str, other: str) -> int:
    """The whole table, cell by cell."""
    cost = np.zeros((len(one) + 1, len(other) + 1), dtype=int)
    cost[:, 0], cost[0, :] = range(len(one) + 1), range(len(other) + 1)
    for i in range(1, len(one) + 1):
        for j in range(1, len(other) + 1):
            cost[i, j] = min(
                cost[i - 1, j] + 1,
                cost[i, j - 1] + 1,
                cost[i - 1, j - 1] + (one[i - 1] != other[j - 1]),
            )
            if i > 1 and j > 1 and one[i - 1] == other[j - 2] and one[i - 2] == other[j - 1]:
                cost[i, j] = min(cost[i, j], cost[i - 2, j - 2] + 1)
    return int(cost[-1, -1])


@settings(deadline=None, max_examples=200)
@given(NEAR, st.lists(st.text(LETTER, min_size=1, max_size=11), max_size=8))
def test_near_words_are_those_within_the_distance(
    words: list[tuple[str, int, bool]], tokens: list[str]
) -> None:
    near = NearWords((word, most, exact, i) for i, (word, most, exact) in enumerate(words))
    expected = [
        [
            i
            for i, (word, most, exact) in enumerate(words)
            if (0 if exact else 1) <= plain_distance(token, word) <= most
        ]
        for token in tokens
    ]
    assert [sorted(rules) for rules in near.rules(tokens)] == expected


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ("teh", "the", 1), ("winner", "winner", 0), ("winer", "winner", 1),
        ("wimner", "winner", 1), ("winnner", "winner", 1), ("wnnier", "winner", 2),
        ("ca", "abc", 3), ("", "ab", 2), ("abcd", "wxyz", 3),
    ],
)  # fmt: skip
def test_distances_by_example(one: str, other: str, distance: int) -> None:
    codes = np.array([one, other], dtype="<U8").view("<u4").reshape(2, 8)
    assert edit_distances(codes[:1], codes[1:], 2).tolist() == [distance]


@settings(deadline=None, max_examples=40)
@given(NEAR, st.lists(st.lists(st.text(LETTER, min_size=1, max_size=9), max_size=8), max_size=8))
def test_a_table_that_forgets_finds_the_same(
    words: list[tuple[str, int, bool]], texts: list[list[str]]
) -> None:
    near = [(word, most, exact, i) for i, (word, most, exact) in enumerate(words)]
    rows = [" ".join(text) for text in texts]
    large = found(WordIndex({"abca": [9]}, near), rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(word_index, "_MOST_KEPT", 4)
        patch.setattr(word_index, "_LEARNED", 2)
        small = WordIndex({"abca": [9]}, near)
        assert found(small, rows) == large
        assert found(small, rows) == large
