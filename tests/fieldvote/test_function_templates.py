"""A template and a table make ordinary functions; the library's templates never change."""

import re
from hashlib import sha256

import pytest
import re2

from fieldvote.errors import SettingsError, TaskError
from fieldvote.function_file import parse_functions
from fieldvote.function_library import function_words, library_templates
from fieldvote.function_templates import MOST_ROWS, expand_template
from fieldvote.functions import KeywordFunction, LabelingFunction, RegexFunction

CLASSES = ("ordinary", "offer")


def parse(toml: str, fields: tuple[str, ...] | None = None) -> tuple[LabelingFunction, ...]:
    return parse_functions(toml.encode(), "f.toml", classes=CLASSES, fields=fields)


SHOPS = r"""
[[template]]
id = "of_${shop}"
kind = "regex"
class = "${class}"
pattern = '(?i)\b${name}\s+voucher{1,2}$'
owner = "ann"
origin = "shops"
rows = [
    { shop = "acme", name = "A.C.M.E. (Ltd)", class = "offer" },
    { shop = "corner", name = "corner", class = "ordinary" },
]
"""


def test_each_row_makes_a_function_like_one_that_is_written_out() -> None:
    acme, corner = parse(SHOPS)
    written = RegexFunction(
        id="of_corner", owner="ann", origin="shops", class_name="ordinary",
        pattern=r"(?i)\bcorner\s+voucher{1,2}$",
    )  # fmt: skip
    assert corner == written
    assert corner.version == written.version
    assert acme.version != corner.version
    assert isinstance(acme, RegexFunction)


def test_a_column_inside_a_pattern_stands_for_itself_to_the_letter() -> None:
    acme = parse(SHOPS)[0]
    assert isinstance(acme, RegexFunction)
    assert re2.search(acme.pattern, "a.c.m.e. (ltd) voucher")
    assert not re2.search(acme.pattern, "axcxmxex (ltd) voucher")


def test_a_value_that_is_only_a_column_keeps_its_type() -> None:
    made = expand_template(
        {
            "id": "x", "words": "${words}", "above": "${bound}", "pattern": "${raw}",
            "contract": {"${field}": {"minimum": "${bound}"}}, "nested": ["${field}", 3, True],
            "rows": [{"words": ["a", "b"], "bound": 2.5, "raw": "a+", "field": "speed"}],
        },
        "t",
    )  # fmt: skip
    assert made == [
        {
            "id": "x", "words": ["a", "b"], "above": 2.5, "pattern": "a+",
            "contract": {"speed": {"minimum": 2.5}}, "nested": ["speed", 3, True],
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('id = "a"', "template no. 1: rows: expected an array of tables"),
        ('id = "a"\nrows = []', "template no. 1: rows: expected an array of tables"),
        ('id = "a"\nrows = [1]', "template no. 1: rows: expected an array of tables"),
        ('id = "${nmae}"\nrows = [{ name = "x" }]', "row 1: id: no column 'nmae'; did you mean"),
        (
            'id = "${a}"\nrows = [{ a = "x" }, { a = "y", b = 1 }]',
            "row 2: column 'b' is used nowhere; write ${b}",
        ),
        ('id = "x${a}"\nrows = [{ a = [1] }]', "id: column 'a' is no text and no number"),
        ('library = "has_prise@1"\nrows = [{}]', "no template 'has_prise@1'; did you mean"),
        ("library = 3\nrows = [{}]", "library: no template '3'"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused(body: str, message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        parse(f"[[template]]\n{body}")


def test_a_row_that_makes_no_function_is_named() -> None:
    with pytest.raises(TaskError, match=r"'of_corner' \(template no. 1, row 2\): class: no class"):
        parse(SHOPS.replace('"ordinary"', '"ordinery"'))
    with pytest.raises(TaskError, match=r"row 2\): this id is used twice"):
        parse(SHOPS.replace('shop = "corner"', 'shop = "acme"'))
    with pytest.raises(SettingsError, match="at most 5000, got 5001"):
        expand_template({"rows": [{"a": i} for i in range(MOST_ROWS + 1)]}, "t")


def test_keys_beside_the_library_s_win() -> None:
    (made,) = parse(
        '[[template]]\nlibrary = "praise_words@1"\nowner = "ann"\nwithin = 1\n'
        'rows = [{ name = "likes", class = "offer" }]'
    )
    assert isinstance(made, KeywordFunction)
    assert (made.within, made.languages) == (1, ("en",))
    assert "lovely" in made.words


COLUMNS: dict[str, object] = {
    "name": "n", "class": "offer", "words": ["winner"], "field": "at", "bound": 1,
    "opens": 8, "closes": 18,
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(library_templates()))
def test_every_template_of_the_library_makes_a_function_from_the_columns_it_names(
    name: str,
) -> None:
    about = str(library_templates()[name]["about"])
    columns = about.rsplit("columns ", 1)[1].split(", ")
    row = {column: COLUMNS[column] for column in columns}
    (table,) = expand_template({"library": name, "owner": "ann", "rows": [row]}, "t")
    fields = ("at",) if "field" in columns else None
    assert "about" not in table
    written = "\n".join(f"{key} = {_toml(value)}" for key, value in table.items())
    (made,) = parse(f"[[function]]\n{written}", fields)
    assert made.classes == ("offer",)


def _toml(value: object) -> str:
    """Write a value as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {_toml(each)}' for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return f"'''{value}'''" if isinstance(value, str) else str(value)


PUBLISHED = {
    "words_not_negated@1": "31b5af3470f0",
    "praise_words@1": "51c7c1c69907",
    "complaint_words@1": "4787c59d80d5",
    "misspelled_words@1": "667274ffe2eb",
    "has_price@1": "1333cf1059d1",
    "has_phone_number@1": "0c9a8b9df559",
    "has_link@1": "461b188e2a1c",
    "amount_above@1": "3cb5f27185ce",
    "outside_hours@1": "f30b636ef077",
    "at_weekend@1": "d125f1c77251",
}


PUBLISHED_WORDS = {
    "en": "aef77a096ddd",
    "de": "71878587d0ff",
    "fr": "cb32b406e8a4",
    "es": "febe47edc53e",
    "it": "6b1c204ce2c4",
    "nl": "ee7901ed409f",
    "pt": "9e6e2f8db442",
    "pl": "54a909bdf0e8",
}


def test_what_was_published_never_changes() -> None:
    known = {name: _digest(entry) for name, entry in library_templates().items()}
    assert known == PUBLISHED
    assert {name: _digest(each) for name, each in function_words().items()} == PUBLISHED_WORDS


def _digest(entry: object) -> str:
    """Return a short name of what an entry says."""
    return sha256(repr(entry).encode()).hexdigest()[:12]


def test_a_small_word_gives_one_language_away() -> None:
    words = function_words()
    assert all(len(each) == len(set(each)) for each in words.values())
    assert all(len(each) >= 20 for each in words.values())
