"""All rules together vote as each would alone, negations included."""

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.labeling import Items, compile_functions
from edge.labeling.text_rules import PatternRule, TextRules, WordRule
from edge.labeling.words import Negation, spaced, words_pattern
from fieldvote.errors import TaskError
from fieldvote.functions import FuzzyFunction, KeywordFunction, LabelingFunction
from fieldvote.task import TextInput
from tests.edge.labeling.test_word_index import plain_distance

CLASSES = ("ordinary", "offer")

WORD = st.sampled_from(["good", "Prize", "winner", "winnre", "é", "£5", "free entry", "a.b", "the"])
PATTERN = st.sampled_from([r"^the", r"\d", r"prize$", r"[£€]", r"(?i)WIN", r"^$", r"\bg"])
RULES = st.lists(
    st.one_of(
        st.builds(
            lambda pattern, vote: ("pattern", (pattern,), vote), PATTERN, st.sampled_from([0, 1])
        ),
        st.builds(
            lambda words, vote: ("words", tuple(words), vote),
            st.lists(WORD, min_size=1, max_size=3),
            st.sampled_from([0, 1]),
        ),
        st.builds(
            lambda word, vote: ("fuzzy", (word,), vote),
            st.sampled_from(["winner", "prize"]),
            st.sampled_from([0, 1]),
        ),
    ),
    min_size=1,
    max_size=8,
)
TEXTS = st.lists(
    st.lists(
        st.one_of(WORD, st.sampled_from(["-", ".", "’", "“", "free", "ENTRY", "wnner", "7", "\n"])),
        max_size=7,
    ).flatmap(lambda parts: st.sampled_from([" ", ""]).map(lambda gap: gap.join(parts))),
    max_size=6,
)


def holds(kind: str, words: tuple[str, ...], text: str) -> bool:
    """One rule on one text, with nothing but its own expression."""
    if kind == "pattern":
        return re2.search(words[0], text) is not None
    if kind == "words":
        return re2.search(words_pattern(words), spaced(text)) is not None
    separate = "".join(c if c.isalnum() or c == "_" else " " for c in text.lower())
    return any(plain_distance(token, words[0]) <= 1 for token in separate.split())


@settings(deadline=None, max_examples=120)
@given(RULES, st.integers(1, 4), TEXTS)
def test_rules_together_vote_as_each_would_alone(
    rules: list[tuple[str, tuple[str, ...], int]], functions: int, texts: list[str]
) -> None:
    compiled = TextRules(
        [
            PatternRule(pattern=words[0], column=i % functions, vote=vote)
            if kind == "pattern"
            else WordRule(
                words=words, column=i % functions, vote=vote, distance=int(kind == "fuzzy")
            )
            for i, (kind, words, vote) in enumerate(rules)
        ]
    )
    votes, unread = compiled.vote(texts, functions)
    assert not unread.any()
    for row, text in zip(votes, texts, strict=True):
        for column in range(functions):
            given = {
                vote
                for i, (kind, words, vote) in enumerate(rules)
                if i % functions == column and holds(kind, words, text)
            }
            assert row[column] == (given.pop() if len(given) == 1 else -1), (text, column)


def votes_of(function: LabelingFunction, texts: list[str]) -> list[int]:
    ready = compile_functions([function], TextInput(width=8), CLASSES)
    return [int(vote) for vote in ready.vote(Items(texts=texts))[:, 0]]


@pytest.mark.parametrize(
    ("text", "vote"),
    [
        ("good", 1),
        ("this is GOOD", 1),
        ("not good", -1),
        ("NOT  Good", -1),
        ("not very good", -1),
        ("not that very good", -1),
        ("not all that very good", 1),
        ("nothing good", 1),
        ("knot good", 1),
        ("good, not bad", 1),
        ("not today. good", 1),
        ("don't feel good", -1),
        ("don’t feel good", -1),
        ("no, (really) good", -1),
        ("no good but so great", -1),
        ("not half price", -1),
        ("half price", 1),
        ("not é good", -1),
    ],
)
def test_a_negation_shortly_before_takes_the_vote_back(text: str, vote: int) -> None:
    function = KeywordFunction(
        id="k", owner="ann", class_name="offer", words=("good", "great", "half price"),
        unless_after=("not", "no", "don't"),
    )  # fmt: skip
    assert votes_of(function, [text]) == [vote]


def test_within_says_how_far_a_negation_reaches() -> None:
    texts = ["not good", "not so good", "not so very good"]
    for within, expected in ((1, [-1, 1, 1]), (2, [-1, -1, 1]), (3, [-1, -1, -1])):
        function = KeywordFunction(
            id="k", owner="ann", class_name="offer", words=("good",), unless_after=("not",),
            within=within,
        )  # fmt: skip
        assert votes_of(function, texts) == expected


def test_a_fuzzy_function_votes_for_misspellings_and_may_leave_the_word_itself_out() -> None:
    function = FuzzyFunction(id="z", owner="ann", class_name="offer", words=("Winner",))
    texts = ["WINNER!", "a winer", "wniner", "dinner", "winters", "über-winner", "wínner"]
    assert votes_of(function, texts) == [1, 1, 1, 1, -1, 1, 1]
    slips = FuzzyFunction(id="z", owner="ann", class_name="offer", words=("Winner",), exact=False)
    assert votes_of(slips, texts) == [-1, 1, 1, 1, -1, -1, 1]


def test_text_that_cannot_be_read_gets_no_vote_even_from_a_rule_for_nothing() -> None:
    votes, unread = TextRules([PatternRule(pattern="^$", column=0, vote=1)]).vote(
        ["", "\ud800", "a"], 1
    )
    assert votes[:, 0].tolist() == [1, -1, -1]
    assert unread.tolist() == [False, True, False]


def test_negations_that_do_not_fit_are_refused() -> None:
    rule = WordRule(words=("a",), column=0, vote=1)
    pattern = r"(?:\pL{1,99}\d){9}" * 20
    with pytest.raises(TaskError, match="together too large for RE2"):
        TextRules([rule], {0: Negation(pattern=pattern, words=frozenset(["not"]))})
