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
            function('kind = "keyword"\nclass = "offer"\nwords = ["a"]\nunless_after = [" "]'),
            "unless_after: no letter or digit in ' '",
        ),
        (
            parse_text,
            function('kind = "keyword"\nclass = "offer"\nwords = ["a"]\nwithin = 11'),
            "within: expected 1 to 10 words, got 11",
        ),
        (
            parse_text,
            function('kind = "fuzzy"\nclass = "offer"\nwords = ["win"]'),
            "words: 'win' has 3 letters, expected 4 to 40",
        ),
        (
            parse_text,
            function('kind = "fuzzy"\nclass = "offer"\nwords = ["winner"]\ndistance = 2'),
            "words: 'winner' has 6 letters, expected 7 to 40 for a distance of 2",
        ),
        (
            parse_text,
            function('kind = "fuzzy"\nclass = "offer"\nwords = ["winners"]\ndistance = 3'),
            "distance: expected 1 or 2, got 3",
        ),
        (
            parse_text,
            function('kind = "fuzzy"\nclass = "offer"\nwords = ["half price"]'),
            "words: 'half price' is not one word of letters and digits",
        ),
        (
            parse_rows,
            function('kind = "expression"\nclass = "offer"\nwhen = "speed > cold"'),
            "f.toml: function 'f': field: no field 'cold'",
        ),
        (
            parse_rows,
            function('kind = "expression"\nclass = "offer"\nwhen = "speed >"'),
            "f.toml: function 'f': when: at 8: expected a value, got the end",
        ),
        (
            parse_rows,
            function('kind = "expression"\nclass = "offer"\nwhen = "speed + 1"'),
            "when: is a number, expected something true or false",
        ),
        (
            parse_rows,
            function('kind = "expression"\nclass = "offer"\nwhen = "hour(speed) < 5"'),
            "when: at 1: 'hour' takes a date, got a number; the contract says which fields are",
        ),
        (
            parse_rows,
            function('kind = "threshold"\nclass = "offer"\nfield = "speed"\nabove = 1\n')
            + "contract = { cold = {} }",
            "f.toml: function 'f': field: no field 'cold'",
        ),
        (
            parse_rows,
            function('kind = "threshold"\nclass = "offer"\nfield = "speed"\nabove = 1\n')
            + "contract = { speed = { minimum = 2, maximum = 1 } }",
            "contract.speed: minimum: is above maximum",
        ),
        (
            parse_rows,
            function('kind = "threshold"\nclass = "offer"\nfield = "speed"\nabove = 1\n')
            + "contract = { speed = { minimum = inf } }",
            "contract.speed: minimum: expected a finite number",
        ),
        (
            parse_text,
            function('kind = "keyword"\nclass = "offer"\nwords = ["a"]\n')
            + "contract = { speed = {} }",
            "contract: speaks of fields, this function reads a text",
        ),
        (
            parse_text,
            function('kind = "keyword"\nclass = "offer"\nwords = ["a"]\nfallback_for = "f"'),
            "fallback_for: a function cannot stand in for itself",
        ),
        (
            parse_text,
            function('kind = "keyword"\nclass = "offer"\nwords = ["a"]\nfallback_for = "g"'),
            "function 'f': fallback_for: no function 'g'",
        ),
        (
            parse_text,
            function('kind = "regex"\nclass = "offer"\npattern = "a"', "a")
            + function('kind = "regex"\nclass = "offer"\npattern = "a"\nfallback_for = "a"', "b")
            + function('kind = "regex"\nclass = "offer"\npattern = "a"\nfallback_for = "b"', "c"),
            "function 'c': fallback_for: 'b' is itself a fallback",
        ),
        (
            parse_text,
            function('kind = "model"\nclass = "offer"\nminimum = 0.5\n')
            + 'calibration = { kind = "temperature", temperature = 0 }',
            "calibration: temperature: expected 0.01 to 100",
        ),
        (
            parse_text,
            function('kind = "model"\nclass = "offer"\nminimum = 0.5\n')
            + 'calibration = { kind = "isotonic", scores = [0, 1], probabilities = [1, 0] }',
            "calibration: probabilities: must never fall",
        ),
        (
            parse_text,
            function('kind = "model"\nclass = "offer"\nminimum = 0.5\n')
            + 'calibration = { kind = "isotonic", scores = [0, 0], probabilities = [0, 1] }',
            "calibration: scores: must rise",
        ),
        (
            parse_text,
            function('kind = "model"\nclass = "offer"\nminimum = 0.5\n')
            + 'calibration = { kind = "isotonic", scores = [0, 1], probabilities = [0, 2] }',
            "calibration: scores and probabilities lie between 0 and 1",
        ),
        (
            parse_text,
            function('kind = "model"\nclass = "offer"\nminimum = 0.5\n')
            + 'calibration = { kind = "isotonic", scores = [0], probabilities = [0] }',
            "calibration: scores: expected at least 2",
        ),
        (
            parse_text,
            function('kind = "python"\nvotes_for = ["offer"]\nentry_point = "x"\ndigest = "ab"'),
            "digest: expected 64 hexadecimal digits",
        ),
        (
            parse_text,
            function('kind = "python"\nvotes_for = []\nentry_point = "x"\ndigest = "ab"'),
            "votes_for: expected at least 1",
        ),
        (
            parse_text,
            function('kind = "python"\nvotes_for = ["offer"]\nentry_point = " "\ndigest = "ab"'),
            "entry_point: is empty",
        ),
        (
            parse_text,
            function('kind = "python"\nvotes_for = ["offer"]\nentry_point = "x"\n')
            + f'digest = "{"0" * 64}"\ntimeout_s = 61',
            "timeout_s: expected more than 0, at most 60",
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
