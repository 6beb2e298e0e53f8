"""Contracts, languages and fallbacks: who may vote on what, and what is counted."""

import numpy as np
import pytest

from edge.labeling import CompiledFunctions, Items, compile_functions
from fieldvote.functions import (
    FieldContract,
    KeywordFunction,
    LabelingFunction,
    LanguageOfField,
    LanguageOfWords,
    RegexFunction,
    ThresholdFunction,
)
from fieldvote.task import TabularInput, TextInput

CLASSES = ("ordinary", "offer")
TEXT = TextInput(width=64)
ROWS = TabularInput(fields=("speed", "tongue"))
NAN = float("nan")


def over(contract: FieldContract) -> ThresholdFunction:
    return ThresholdFunction(
        id="t", owner="ann", class_name="offer", field="speed", above=1.0,
        contract=(("speed", contract),),
    )  # fmt: skip


def speeds(*values: float) -> Items:
    return Items(rows=np.array([[value, 0.0] for value in values]), names=ROWS.fields)


def compiled(*functions: LabelingFunction) -> CompiledFunctions:
    given = ROWS if isinstance(functions[0], ThresholdFunction) else TEXT
    return compile_functions(functions, given, CLASSES)


@pytest.mark.parametrize(
    ("contract", "broken"),
    [
        (FieldContract(), []),
        (FieldContract(maximum=5), [2, 3]),
        (FieldContract(minimum=2.5), [0, 1]),
        (FieldContract(minimum=0, maximum=5), [2, 3]),
        (FieldContract(type="integer"), [1, 3]),
        (FieldContract(required=True), [4]),
        (FieldContract(minimum=0, required=True), [4]),
    ],
)
def test_a_broken_contract_abstains_and_is_counted(
    contract: FieldContract, broken: list[int]
) -> None:
    ready = compiled(over(contract))
    votes = ready.vote(speeds(2.0, 2.4, 6.0, 6.5, NAN))[:, 0]
    assert votes.tolist() == [-1 if i in broken or i == 4 else 1 for i in range(5)]
    assert ready.abstained_by_error.total() == len(broken)


def test_a_field_that_is_gone_breaks_every_contract_on_it_and_stops_nobody() -> None:
    function = ThresholdFunction(
        id="t", owner="ann", class_name="offer", field="speed", above=1.0,
        contract=(("tongue", FieldContract()),),
    )  # fmt: skip
    other = ThresholdFunction(id="u", owner="ann", class_name="offer", field="speed", above=1.0)
    ready = compiled(function, other)
    votes = ready.vote(Items(rows=np.array([[2.0], [3.0]]), names=("speed",)))
    assert votes.tolist() == [[-1, 1], [-1, 1]]
    assert ready.abstained_by_error == {"t": 2}


def speaking(*languages: str, rule: LanguageOfWords | None) -> KeywordFunction:
    return KeywordFunction(
        id="k", owner="ann", class_name="offer", words=("prize", "preis"), languages=languages,
        language_rule=rule,
    )  # fmt: skip


TEXTS = [
    "the prize is yours and you will have it",
    "der Preis ist nicht für dich und mich",
    "prize",
    "preis the der",
    "le preis est dans la boîte et pour vous",
]


@pytest.mark.parametrize(
    ("languages", "otherwise", "votes"),
    [
        (("en",), "", [1, -1, -1, -1, -1]),
        (("de",), "", [-1, 1, -1, -1, -1]),
        (("en", "de"), "", [1, 1, -1, -1, -1]),
        (("en",), "en", [1, -1, 1, 1, -1]),
        (("de",), "en", [-1, 1, -1, -1, -1]),
        (("de", "fr"), "fr", [-1, 1, 1, 1, 1]),
        ((), "", [1, 1, 1, 1, 1]),
    ],
)
def test_a_function_abstains_outside_its_languages_and_where_none_can_be_told(
    languages: tuple[str, ...], otherwise: str, votes: list[int]
) -> None:
    rule = LanguageOfWords(among=("en", "de", "fr"), otherwise=otherwise)
    ready = compiled(speaking(*languages, rule=rule))
    assert ready.vote(Items(texts=TEXTS))[:, 0].tolist() == votes
    assert not ready.abstained_by_error


def test_without_a_rule_declared_languages_are_not_checked() -> None:
    ready = compiled(speaking("en", rule=None))
    assert ready.vote(Items(texts=TEXTS))[:, 0].tolist() == [1] * 5


def test_a_rule_may_bring_words_of_its_own() -> None:
    rule = LanguageOfWords(among=("en",), words=(("la", ("EST", "in")), ("en", ("yo",))))
    ready = compiled(speaking("la", rule=rule))
    votes = ready.vote(Items(texts=["prize est", "prize yo", "prize in the"]))
    assert votes[:, 0].tolist() == [1, -1, -1]


def test_a_field_tells_the_language_of_a_row() -> None:
    codes = (("1", "en"), ("2", "de"), ("3", "en"))
    for otherwise, votes in (("", [1, -1, 1, -1, -1]), ("en", [1, -1, 1, 1, 1])):
        function = ThresholdFunction(
            id="t", owner="ann", class_name="offer", field="speed", above=1.0, languages=("en",),
            language_rule=LanguageOfField(field="tongue", codes=codes, otherwise=otherwise),
        )  # fmt: skip
        rows = np.array([[2.0, 1.0], [2.0, 2.0], [2.0, 3.0], [2.0, 9.0], [2.0, NAN]])
        ready = compiled(function)
        assert ready.vote(Items(rows=rows, names=ROWS.fields))[:, 0].tolist() == votes
        gone = Items(rows=rows[:, :1], names=("speed",))
        assert ready.vote(gone)[:, 0].tolist() == [-1] * 5


def test_a_fallback_votes_only_where_the_other_could_not_answer() -> None:
    first = over(FieldContract(maximum=5))
    second = ThresholdFunction(
        id="u", owner="ann", class_name="ordinary", field="speed", above=0.0, fallback_for="t"
    )
    votes = compiled(first, second).vote(speeds(0.5, 2.0, 9.0, NAN))
    assert votes.tolist() == [[-1, -1], [1, -1], [-1, 0], [-1, -1]]


def test_a_fallback_stands_in_for_texts_that_cannot_be_read_no_more_than_the_first() -> None:
    one = KeywordFunction(id="a", owner="ann", class_name="offer", words=("x",))
    other = RegexFunction(id="b", owner="ann", class_name="ordinary", pattern="x", fallback_for="a")
    ready = compiled(one, other)
    assert ready.vote(Items(texts=["x", "\ud800 x"])).tolist() == [[1, -1], [-1, -1]]
    assert ready.abstained_by_error == {"a": 1, "b": 1}
