"""Labeling functions are values: strict to read, versioned by what they say."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, SettingsError, TaskError
from fieldvote.function_file import KINDS, parse_functions
from fieldvote.functions import (
    KeywordFunction,
    LabelingFunction,
    LookupFunction,
    ModelFunction,
    RegexFunction,
    ThresholdFunction,
)

CLASSES = ("ordinary", "offer")
FIELDS = ("speed", "heat")

KEYWORD = KeywordFunction(id="k", owner="ann", class_name="offer", words=("prize", "Free Entry"))
REGEX = RegexFunction(id="r", owner="ann", class_name="offer", pattern=r"\d+%")
THRESHOLD = ThresholdFunction(id="t", owner="ann", class_name="offer", field="speed", above=1.0)
LOOKUP = LookupFunction(
    id="l", owner="ann", table=(("1", "offer"), ("2", "ordinary")), field="speed"
)
MODEL = ModelFunction(id="m", owner="ann", class_name="offer", minimum=0.9)
EVERY: tuple[LabelingFunction, ...] = (KEYWORD, REGEX, THRESHOLD, LOOKUP, MODEL)


def parse_text(toml: str) -> tuple[LabelingFunction, ...]:
    return parse_functions(toml.encode(), "f.toml", classes=CLASSES, fields=None)


def parse_rows(toml: str) -> tuple[LabelingFunction, ...]:
    return parse_functions(toml.encode(), "f.toml", classes=CLASSES, fields=FIELDS)


def function(body: str, name: str = "f") -> str:
    return f'[[function]]\nid = "{name}"\nowner = "ann"\n{body}\n'


def test_every_kind_is_read_from_its_table() -> None:
    texts = parse_text(
        function('kind = "keyword"\nclass = "offer"\nwords = ["prize"]', "a")
        + function('kind = "regex"\nclass = "offer"\npattern = "x+"', "b")
        + function('kind = "lookup"\ntable = { pizza = "ordinary" }', "c")
        + function('kind = "model"\nclass = "offer"\nminimum = 0.8', "d")
    )
    rows = parse_rows(
        function('kind = "threshold"\nclass = "offer"\nfield = "heat"\nbelow = 3', "e")
    )
    assert [each.kind for each in (*texts, *rows)] == [
        "keyword", "regex", "lookup", "model", "threshold"
    ]  # fmt: skip
    assert {each.kind for each in (*texts, *rows)} == set(KINDS)
    assert [each.classes for each in texts] == [("offer",), ("offer",), ("ordinary",), ("offer",)]


def test_a_file_without_functions_is_a_file() -> None:
    assert parse_text("") == ()


@pytest.mark.parametrize(
    ("parse", "toml", "message"),
    [
        (parse_text, "[[functoin]]", "f.toml: unknown key 'functoin'; known: function"),
        (parse_text, "function = 3", "f.toml: function: expected [[function]] tables"),
        (parse_text, "[[function]]", "f.toml: function no. 1: missing key 'kind'"),
        (
            parse_text,
            function('kind = "keywrod"'),
            "function 'f': kind: unknown word 'keywrod'; did",
        ),
        (
            parse_text,
            function('kind = "keyword"\nclass = "offer"\nwrods = ["a"]'),
            "f.toml: function 'f': unknown key 'wrods'; did you mean 'words'?",
        ),
        (
            parse_text,
            function('kind = "keyword"\nclass = "ofer"\nwords = ["a"]'),
            "f.toml: function 'f': class: no class 'ofer'; did you mean 'offer'?",
        ),
        (
            parse_text,
            function('kind = "lookup"\ntable = { a = "ofer" }'),
            "f.toml: function 'f': table: no class 'ofer'",
        ),
        (
            parse_rows,
            function('kind = "threshold"\nclass = "offer"\nfield = "sped"\nabove = 1'),
            "f.toml: function 'f': field: no field 'sped'; did you mean 'speed'?",
        ),
        (
            parse_rows,
            function('kind = "lookup"\nfield = "cold"\ntable = { 1 = "offer" }'),
            "f.toml: function 'f': field: no field 'cold'",
        ),
        (
            parse_rows,
            function('kind = "lookup"\nfield = "heat"\ntable = { hot = "offer" }'),
            "f.toml: function 'f': table: 'hot' is not a number",
        ),
        (
            parse_text,
            function('kind = "threshold"\nclass = "offer"\nfield = "speed"\nabove = 1'),
            "kind: reads a field, but the input of this task is a text",
        ),
        (
            parse_rows,
            function('kind = "keyword"\nclass = "offer"\nwords = ["a"]'),
            "kind: reads a text, but the input of this task is tabular",
        ),
        (
            parse_text,
            function('kind = "keyword"\nclass = "offer"\nwords = ["a", " "]'),
            "words: expected at least one word",
        ),
        (
            parse_rows,
            function('kind = "threshold"\nclass = "offer"\nfield = "speed"'),
            "needs 'above' or 'below', or both",
        ),
        (
            parse_rows,
            function('kind = "threshold"\nclass = "offer"\nfield = "speed"\nabove = 2\nbelow = 2'),
            "above: must be less than below",
        ),
        (
            parse_text,
            function('kind = "model"\nclass = "offer"\nminimum = 1.1'),
            "minimum: expected a probability",
        ),
        (
            parse_text,
            function('kind = "lookup"\ntable = { Pizza = "offer", pizza = "ordinary" }'),
            "table: the value 'pizza' stands there twice",
        ),
        (
            parse_text,
            function('kind = "keyword"\nclass = "offer"\nwords = ["a"]\n')
            + 'examples = [{ input = "a", vote = "offr" }]',
            "examples: no class 'offr'; did you mean 'offer'?",
        ),
        (
            parse_text,
            function('kind = "keyword"\nclass = "offer"\nwords = ["a"]\n')
            + 'examples = [{ input = { a = 1 }, vote = "offer" }]',
            "examples: the input of this function is a text",
        ),
        (
            parse_rows,
            function('kind = "threshold"\nclass = "offer"\nfield = "speed"\nabove = 1\n')
            + 'examples = [{ input = { sped = 1 }, vote = "offer" }]',
            "examples: no field 'sped'; did you mean 'speed'?",
        ),
        (
            parse_text,
            function('kind = "model"\nclass = "offer"\nminimum = 0.5\n')
            + 'examples = [{ input = { ofer = 1 }, vote = "offer" }]',
            "examples: no class 'ofer'; did you mean 'offer'?",
        ),
        (
            parse_text,
            '[[function]]\nid = "a b"\nowner = "x"\nkind = "regex"\nclass = "offer"\npattern = "x"',
            "function 'a b': id: use 1 to 64 letters",
        ),
        (
            parse_text,
            '[[function]]\nid = "a"\nowner = " "\nkind = "regex"\nclass = "offer"\npattern = "x"',
            "function 'a': owner: nobody answers for this function",
        ),
        (
            parse_text,
            '[[function]]\nid = "a"\nkind = "regex"\nclass = "offer"\npattern = "x"',
            "function 'a': missing key 'owner'",
        ),
    ],
)
def test_a_refusal_names_file_function_and_key(
    parse: Callable[[str], object], toml: str, message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        parse(toml)


def test_an_id_that_is_used_twice_is_refused() -> None:
    one = function('kind = "regex"\nclass = "offer"\npattern = "x"')
    with pytest.raises(TaskError, match="function 'f': this id is used twice"):
        parse_text(one + one)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(a", r"missing \): \(a"),
        (r"(?=a)", r"invalid perl operator: \(\?="),
        (r"(a)\1", r"invalid escape sequence: \\1"),
        ("a{2000}", "invalid repetition size"),
        ("[z-a]", "invalid character class range"),
    ],
)
def test_a_pattern_re2_refuses_is_refused_with_its_reason(
    pattern: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SettingsError, match=f"pattern: RE2 refuses it: {reason}"):
        RegexFunction(id="r", owner="ann", class_name="offer", pattern=pattern)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_a_function_that_cannot_be_versioned_is_refused(number: str) -> None:
    body = f'kind = "threshold"\nclass = "offer"\nfield = "speed"\nabove = {number}'
    with pytest.raises(SettingsError, match="cannot be versioned"):
        parse_rows(function(body))


def test_a_version_is_twelve_hex_digits_and_known() -> None:
    assert REGEX.version == "a67e25df7619"
    assert all(re.fullmatch("[0-9a-f]{12}", each.version) for each in EVERY)


@pytest.mark.parametrize("each", EVERY)
def test_owner_origin_and_examples_do_not_change_the_version(each: LabelingFunction) -> None:
    assert replace(each, owner="bob", origin="elsewhere").version == each.version


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (KEYWORD, replace(KEYWORD, words=("prize",))),
        (KEYWORD, replace(KEYWORD, class_name="ordinary")),
        (KEYWORD, replace(KEYWORD, id="k2")),
        (KEYWORD, replace(KEYWORD, languages=("de",))),
        (REGEX, replace(REGEX, pattern=r"\d+ %")),
        (THRESHOLD, replace(THRESHOLD, above=1.5)),
        (THRESHOLD, replace(THRESHOLD, above=None, below=1.0)),
        (THRESHOLD, replace(THRESHOLD, below=9.0)),
        (THRESHOLD, replace(THRESHOLD, field="heat")),
        (LOOKUP, replace(LOOKUP, table=(("1", "ordinary"), ("2", "offer")))),
        (LOOKUP, replace(LOOKUP, field=None)),
        (MODEL, replace(MODEL, minimum=0.95)),
    ],
)
def test_whatever_could_change_a_vote_changes_the_version(
    one: LabelingFunction, other: LabelingFunction
) -> None:
    assert one.version != other.version


@settings(deadline=None)
@given(st.permutations(["prize", "WON", "free  entry", "wörd"]), st.booleans())
def test_the_order_case_and_spacing_of_words_do_not_change_the_version(
    words: list[str], upper: bool
) -> None:
    shown = tuple(word.upper() if upper else word for word in words)
    plain = replace(KEYWORD, words=("wörd", "won", "free entry", "prize", "prize"))
    assert replace(KEYWORD, words=shown).version == plain.version


def test_the_order_and_spelling_of_a_table_do_not_change_the_version() -> None:
    assert replace(LOOKUP, table=(("2.0", "ordinary"), ("1", "offer"))).version == LOOKUP.version
