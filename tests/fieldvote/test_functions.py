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
    Example,
    ExpressionFunction,
    FieldContract,
    FuzzyFunction,
    IsotonicTable,
    KeywordFunction,
    LabelingFunction,
    LanguageOfField,
    LanguageOfWords,
    LookupFunction,
    ModelFunction,
    PythonFunction,
    RegexFunction,
    Source,
    Temperature,
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
FUZZY = FuzzyFunction(id="z", owner="ann", class_name="offer", words=("winner", "Voucher"))
EXPRESSION = ExpressionFunction(id="e", owner="ann", class_name="offer", when="speed > 2 * heat")
PYTHON = PythonFunction(
    id="p", owner="ann", votes_for=("offer",), entry_point="rules", digest="0" * 64
)
EVERY: tuple[LabelingFunction, ...] = (
    KEYWORD, REGEX, THRESHOLD, LOOKUP, MODEL, FUZZY, EXPRESSION, PYTHON
)  # fmt: skip


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
        + function('kind = "fuzzy"\nclass = "offer"\nwords = ["winner"]', "e")
        + function(
            'kind = "python"\nvotes_for = ["offer"]\nentry_point = "x"\n'
            + f'digest = "{"0" * 64}"',
            "f",
        )
    )
    rows = parse_rows(
        function('kind = "threshold"\nclass = "offer"\nfield = "heat"\nbelow = 3', "g")
        + function('kind = "expression"\nclass = "offer"\nwhen = "heat > 2 * speed"', "h")
    )
    assert [each.kind for each in (*texts, *rows)] == [
        "keyword", "regex", "lookup", "model", "fuzzy", "python", "threshold", "expression"
    ]  # fmt: skip
    assert {each.kind for each in (*texts, *rows)} == set(KINDS)
    assert [each.classes for each in texts] == [
        ("offer",), ("offer",), ("ordinary",), ("offer",), ("offer",), ("offer",)
    ]  # fmt: skip


def test_a_file_without_functions_is_a_file() -> None:
    assert parse_text("") == ()


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


@pytest.mark.parametrize(
    ("each", "version"),
    [
        (KEYWORD, "7b87919940ca"),
        (replace(KEYWORD, words=("prize",), languages=("en", "de")), "a8a95b50f536"),
        (REGEX, "a67e25df7619"),
        (THRESHOLD, "1f72adca8645"),
        (LOOKUP, "439d62363fb7"),
        (replace(LOOKUP, table=(("Pizza", "offer"),), field=None), "7a604f56636b"),
        (MODEL, "e20198c93203"),
        (FUZZY, "0bcb77646ebd"),
        (EXPRESSION, "d0cc149836fd"),
        (PYTHON, "261979eddf86"),
    ],
)
def test_the_version_of_what_is_in_use_never_changes(each: LabelingFunction, version: str) -> None:
    assert each.version == version


def test_a_version_is_twelve_hex_digits() -> None:
    assert all(re.fullmatch("[0-9a-f]{12}", each.version) for each in EVERY)


@pytest.mark.parametrize("each", EVERY)
def test_owner_origin_and_examples_do_not_change_the_version(each: LabelingFunction) -> None:
    text = each.reads is Source.TEXT
    example = Example(input="a" if text else (("speed", 1.0),), vote="offer")
    changed = replace(each, owner="bob", origin="elsewhere", examples=(example,))
    assert changed.version == each.version


def test_a_rule_for_languages_is_nothing_to_a_function_for_all_of_them() -> None:
    assert replace(KEYWORD, language_rule=LanguageOfWords(among=("en",))).version == KEYWORD.version


def test_spaces_and_needless_brackets_do_not_change_the_version() -> None:
    assert replace(EXPRESSION, when="(speed>(2*heat))").version == EXPRESSION.version


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
        (MODEL, replace(MODEL, calibration=Temperature(temperature=1.0))),
        (
            replace(MODEL, calibration=IsotonicTable(scores=(0, 1), probabilities=(0, 1))),
            replace(MODEL, calibration=IsotonicTable(scores=(0, 1), probabilities=(0, 0.9))),
        ),
        (KEYWORD, replace(KEYWORD, unless_after=("no",))),
        (
            replace(KEYWORD, unless_after=("no",)),
            replace(KEYWORD, unless_after=("no",), within=2),
        ),
        (FUZZY, replace(FUZZY, exact=False)),
        (FUZZY, replace(FUZZY, words=("voucher", "winning"))),
        (replace(FUZZY, words=("winning",)), replace(FUZZY, words=("winning",), distance=2)),
        (EXPRESSION, replace(EXPRESSION, when="speed >= 2 * heat")),
        (PYTHON, replace(PYTHON, digest="1" * 64)),
        (PYTHON, replace(PYTHON, entry_point="other")),
        (PYTHON, replace(PYTHON, timeout_s=1.0)),
        (THRESHOLD, replace(THRESHOLD, contract=(("speed", FieldContract()),))),
        (
            replace(THRESHOLD, contract=(("speed", FieldContract()),)),
            replace(THRESHOLD, contract=(("speed", FieldContract(maximum=9)),)),
        ),
        (REGEX, replace(REGEX, fallback_for="k")),
        (
            replace(KEYWORD, languages=("en",)),
            replace(KEYWORD, languages=("en",), language_rule=LanguageOfWords(among=("en",))),
        ),
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


LANGUAGE = '[language]\nkind = "words"\namong = ["en", "de"]\n'


def test_the_rule_for_languages_goes_to_the_functions_that_declare_some() -> None:
    one, other = parse_text(
        function('kind = "regex"\nclass = "offer"\npattern = "x"\nlanguages = ["de"]', "a")
        + function('kind = "regex"\nclass = "offer"\npattern = "x"', "b")
        + LANGUAGE
    )
    assert one.language_rule == LanguageOfWords(among=("en", "de"))
    assert other.language_rule is None


@pytest.mark.parametrize(
    ("parse", "toml", "message"),
    [
        (
            parse_text,
            function('kind = "regex"\nclass = "offer"\npattern = "x"\nlanguages = ["fr"]')
            + LANGUAGE,
            "function 'f': languages: the rule cannot tell 'fr'",
        ),
        (
            parse_text,
            '[language]\nkind = "words"\namong = ["xx"]',
            "language: among: no words of 'x",
        ),
        (parse_text, '[language]\nkind = "words"', "language: needs 'among' or 'words'"),
        (
            parse_rows,
            function(
                'kind = "threshold"\nclass = "offer"\nfield = "heat"\nbelow = 3\nlanguages = ["en"]'
            )
            + LANGUAGE,
            "language: goes by words, but the input of this task is tabular",
        ),
        (
            parse_rows,
            function(
                'kind = "threshold"\nclass = "offer"\nfield = "heat"\nbelow = 3\nlanguages = ["en"]'
            )
            + '[language]\nkind = "field"\nfield = "cold"\ncodes = { 1 = "en" }',
            "language: no field 'cold' in this task",
        ),
        (
            parse_rows,
            '[language]\nkind = "field"\nfield = "heat"\ncodes = { a = "en" }',
            "codes: 'a' is not a number",
        ),
        (parse_rows, '[language]\nkind = "field"\nfield = "heat"\ncodes = {}', "codes: is empty"),
    ],
)
def test_a_rule_for_languages_that_cannot_be_kept_is_refused(
    parse: Callable[[str], object], toml: str, message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        parse(toml)


def test_the_order_of_codes_does_not_change_the_version() -> None:
    codes = (("1", "en"), ("2", "de"))
    one, other = (
        replace(
            THRESHOLD,
            languages=("en",),
            language_rule=LanguageOfField(field="heat", codes=given),
        )
        for given in (codes, codes[::-1])
    )
    assert one.version == other.version
