"""Compiled functions vote as each would alone, and abstain where they cannot answer."""

import numpy as np
import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.labeling import Items, compile_functions
from edge.labeling.text_rules import PatternRule, TextRules
from fieldvote.errors import InputError, ShapeError, TaskError
from fieldvote.functions import (
    KeywordFunction,
    LookupFunction,
    ModelFunction,
    RegexFunction,
    ThresholdFunction,
)
from fieldvote.task import TabularInput, TextInput

CLASSES = ("ordinary", "offer")
TEXT = TextInput(width=64)
ROWS = TabularInput(fields=("speed", "heat"))
NAN = float("nan")


def keyword(name: str, class_name: str, *words: str) -> KeywordFunction:
    return KeywordFunction(id=name, owner="ann", class_name=class_name, words=words)


def regex(name: str, class_name: str, pattern: str) -> RegexFunction:
    return RegexFunction(id=name, owner="ann", class_name=class_name, pattern=pattern)


def threshold(name: str, above: float | None, below: float | None) -> ThresholdFunction:
    return ThresholdFunction(
        id=name, owner="ann", class_name="offer", field="speed", above=above, below=below
    )


def rows(*speeds: float) -> Items:
    return Items(rows=np.array([[speed, 0.0] for speed in speeds]), names=("speed", "heat"))


PATTERNS = ["a", "^b", "A+", "b$", r"\bé", "[^a]b", "’"]


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=4),
    st.lists(st.text("abAé ’", max_size=6), max_size=5),
)
def test_many_patterns_vote_as_each_would_alone(patterns: list[str], texts: list[str]) -> None:
    functions = [regex(f"r{i}", "offer", pattern) for i, pattern in enumerate(patterns)]
    functions_and_words = [*functions, keyword("k", "ordinary", "a", "é")]
    votes = compile_functions(functions_and_words, TEXT, CLASSES).vote(Items(texts=texts))
    assert votes.shape == (len(texts), len(patterns) + 1)
    assert votes.dtype == np.int8
    for row, text in zip(votes, texts, strict=True):
        expected = [1 if re2.search(pattern, text) else -1 for pattern in patterns]
        stands = {"a", "é"} & set(text.lower().replace("’", " ").split())
        assert row.tolist() == [*expected, 0 if stands else -1]


def test_a_lookup_over_words_abstains_where_words_disagree() -> None:
    table = (("pizza", "ordinary"), ("Prize", "offer"), ("cash", "offer"))
    lookup = LookupFunction(id="l", owner="ann", table=table)
    votes = compile_functions([lookup, keyword("k", "offer", "pizza")], TEXT, CLASSES).vote(
        Items(texts=["pizza", "PRIZE cash", "pizza prize", "“cash” pizza", "pizzas", ""])
    )
    assert votes[:, 0].tolist() == [0, 1, -1, -1, -1, -1]
    assert votes[:, 1].tolist() == [1, -1, 1, 1, -1, -1]


def test_thresholds_exclude_their_bounds_and_abstain_on_nan() -> None:
    functions = [threshold("a", 1.0, None), threshold("b", None, 3.0), threshold("c", 1.0, 3.0)]
    votes = compile_functions(functions, ROWS, CLASSES).vote(rows(0, 1, 2, 3, 4, NAN))
    assert votes.T.tolist() == [
        [-1, -1, 1, 1, 1, -1],
        [1, 1, 1, -1, -1, -1],
        [-1, -1, 1, -1, -1, -1],
    ]


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.0, 2.5, -1.0, 7.0, NAN]), max_size=8))
def test_a_lookup_over_a_field_votes_as_its_table(speeds: list[float]) -> None:
    table = {2.5: 1, -1.0: 0, 0.0: 1}
    lookup = LookupFunction(
        id="l",
        owner="ann",
        field="speed",
        table=tuple((str(key), CLASSES[vote]) for key, vote in table.items()),
    )
    compiled = compile_functions([lookup], ROWS, CLASSES)
    items = Items(rows=np.array([[s, 0.0] for s in speeds]).reshape(-1, 2), names=ROWS.fields)
    assert compiled.vote(items)[:, 0].tolist() == [table.get(speed, -1) for speed in speeds]


def test_a_model_votes_where_it_is_sure_enough() -> None:
    model = ModelFunction(id="m", owner="ann", class_name="offer", minimum=0.75)
    said = np.array([[0.2, 0.8], [0.25, 0.75], [0.3, 0.7], [NAN, NAN]])
    votes = compile_functions([model], TEXT, CLASSES).vote(Items(probabilities=said))
    assert votes[:, 0].tolist() == [1, 1, -1, -1]


def test_a_broken_schema_abstains_is_counted_and_stops_nobody() -> None:
    other = ThresholdFunction(id="t", owner="ann", class_name="offer", field="heat", above=0)
    model = ModelFunction(id="m", owner="ann", class_name="offer", minimum=0.75)
    compiled = compile_functions([threshold("s", 1.0, None), other, model], ROWS, CLASSES)
    renamed = Items(rows=np.array([[2.0, 2.0]] * 3), names=("speed", "temperature"))
    assert compiled.vote(renamed).tolist() == [[1, -1, -1]] * 3
    assert compiled.abstained_by_error == {"t": 3, "m": 3}
    wrong = Items(rows=renamed.rows, names=ROWS.fields, probabilities=np.ones((3, 5)) / 5)
    assert compiled.vote(wrong).tolist() == [[1, 1, -1]] * 3
    assert compiled.abstained_by_error == {"t": 3, "m": 6}


def test_a_text_that_cannot_be_read_abstains_and_is_counted() -> None:
    compiled = compile_functions(
        [keyword("k", "offer", "a"), regex("r", "offer", "a")], TEXT, CLASSES
    )
    votes = compiled.vote(Items(texts=["a", "a \ud800", "a"]))
    assert votes.tolist() == [[1, 1], [-1, -1], [1, 1]]
    assert compiled.abstained_by_error == {"k": 1, "r": 1}
    assert compiled.vote(rows(1.0)).tolist() == [[-1, -1]]
    assert compiled.abstained_by_error == {"k": 2, "r": 2}


def test_nothing_to_vote_with_and_nothing_to_vote_on() -> None:
    assert compile_functions([], TEXT, CLASSES).vote(Items(texts=["a"])).shape == (1, 0)
    one = compile_functions([keyword("k", "offer", "a")], TEXT, CLASSES)
    assert one.vote(Items(texts=[])).shape == (0, 1)


@pytest.mark.parametrize(
    ("function", "given_input", "message"),
    [
        (keyword("k", "nothing", "a"), TEXT, "function 'k': no class 'nothing'"),
        (keyword("k", "offer", "a"), ROWS, "function 'k': reads a text, the input is tabular"),
        (threshold("t", 1.0, None), TEXT, "function 't': reads a table of fields, the input is"),
    ],
)
def test_a_function_of_another_task_is_refused(
    function: KeywordFunction | ThresholdFunction,
    given_input: TextInput | TabularInput,
    message: str,
) -> None:
    with pytest.raises(TaskError, match=message):
        compile_functions([function], given_input, CLASSES)


def test_rules_that_do_not_fit_into_one_automaton_are_refused() -> None:
    large = [
        PatternRule(pattern=rf"(?:\pL{{1,99}}\d){{9}}{i}", column=i, vote=0) for i in range(20)
    ]
    with pytest.raises(TaskError, match="together too large for RE2"):
        TextRules(large)


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        ({}, InputError),
        ({"texts": ["a"], "probabilities": np.ones((2, 2))}, InputError),
        ({"rows": np.ones((2, 2)), "names": ("a",)}, ShapeError),
        ({"texts": ["a"], "probabilities": np.ones(1)}, ShapeError),
    ],
)
def test_items_whose_parts_do_not_agree_are_refused(
    parts: dict[str, NDArray[np.float64]], error: type[Exception]
) -> None:
    with pytest.raises(error):
        Items(**parts)  # type: ignore[arg-type]  # a table of keyword arguments
