"""The functions.toml of a task: read strictly, and checked against the classes and the input.

It holds `[[function]]` tables, `[[template]]` tables that each make many functions, and at most one
`[language]` table for the functions that declare languages. Votes come in this order: functions as
they are written, then templates with their rows. Every refusal names the file, the function and the
key.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fieldvote.errors import SettingsError, TaskError, nearest, quoted
from fieldvote.function_templates import expand_template
from fieldvote.functions import (
    ABSTAIN,
    Example,
    ExpressionFunction,
    FuzzyFunction,
    KeywordFunction,
    LabelingFunction,
    LanguageOfField,
    LanguageOfWords,
    LookupFunction,
    ModelFunction,
    PythonFunction,
    RegexFunction,
    Source,
    ThresholdFunction,
)
from fieldvote.settings import parse_settings, parse_toml

KINDS: Mapping[str, type[LabelingFunction]] = {
    "keyword": KeywordFunction,
    "fuzzy": FuzzyFunction,
    "regex": RegexFunction,
    "threshold": ThresholdFunction,
    "expression": ExpressionFunction,
    "lookup": LookupFunction,
    "model": ModelFunction,
    "python": PythonFunction,
}

_TABLES = ("function", "template", "language")


@dataclass(frozen=True, slots=True, kw_only=True)
class _LanguageFile:
    """The part of the file that all functions share, read on its own to name its own mistakes."""

    language: LanguageOfField | LanguageOfWords | None = None


def parse_functions(
    content: bytes, where: str, *, classes: tuple[str, ...], fields: tuple[str, ...] | None
) -> tuple[LabelingFunction, ...]:
    """Read the `[[function]]` tables of a file.

    Args:
        content: The file, TOML.
        where: Its name, for messages.
        classes: The classes of the task.
        fields: The fields of a tabular input; None for a text.

    Raises:
        SettingsError: The file, or a key in it, says something we do not know.
        TaskError: A function contradicts the task: no such class, no such field, an id used twice.

    >>> toml = b'''
    ... [[function]]
    ... id = "fast"
    ... kind = "threshold"
    ... class = "walking"
    ... owner = "ann"
    ... field = "speed"
    ... above = 1
    ... '''
    >>> fast, = parse_functions(toml, "f.toml", classes=("still", "walking"), fields=("speed",))
    >>> fast.above, fast.version
    (1.0, '85f730b81f1f')
    """
    tables = parse_toml(content, where)
    if unknown := [key for key in tables if key not in _TABLES]:
        raise SettingsError(f"{where}: unknown key '{unknown[0]}'; known: {', '.join(_TABLES)}")
    shared = {key: tables[key] for key in ("language",) if key in tables}
    parse_settings(shared, _LanguageFile, where)
    functions: dict[str, LabelingFunction] = {}
    for table, place in _function_tables(tables, where):
        function = _parse_one({**shared, **table} if table.get("languages") else table, place)
        if function.id in functions:
            raise TaskError(f"{place}: this id is used twice")
        _check_against_task(function, place, classes, fields)
        functions[function.id] = function
    _check_fallbacks(functions, where)
    return tuple(functions.values())


def _function_tables(
    tables: Mapping[str, object], where: str
) -> Iterator[tuple[Mapping[str, object], str]]:
    """Yield each function's table and its place: first those written out, then the templates'."""
    for position, table in enumerate(_array(tables, "function", where), start=1):
        yield table, _place(table, position, where)
    for position, template in enumerate(_array(tables, "template", where), start=1):
        place = f"{where}: template no. {position}"
        for number, table in enumerate(expand_template(template, place), start=1):
            yield table, f"{_place(table, number, where)} (template no. {position}, row {number})"


def _array(tables: Mapping[str, object], key: str, where: str) -> list[dict[str, object]]:
    """Return the tables under a key."""
    entries = tables.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise SettingsError(f"{where}: {key}: expected [[{key}]] tables")
    return entries


def _place(table: Mapping[str, object], position: int, where: str) -> str:
    """Say which function it is."""
    name = table.get("id")
    called = quoted(name) if isinstance(name, str) else f"no. {position}"
    return f"{where}: function {called}"


def _parse_one(table: Mapping[str, object], place: str) -> LabelingFunction:
    """Read one table as the kind it says it is."""
    kind = table.get("kind")
    if kind is None:
        raise SettingsError(f"{place}: missing key 'kind'; known: {', '.join(KINDS)}")
    if not isinstance(kind, str) or kind not in KINDS:
        said = quoted(str(kind))
        raise SettingsError(f"{place}: kind: unknown word {said}; {nearest(str(kind), KINDS)}")
    return parse_settings(table, KINDS[kind], place)


def _check_fallbacks(functions: Mapping[str, LabelingFunction], where: str) -> None:
    """Raise TaskError where a function stands in for one that is not there, or for a stand-in."""
    for function in functions.values():
        wanted = function.fallback_for
        if not wanted:
            continue
        place = f"{where}: function {quoted(function.id)}: fallback_for"
        if wanted not in functions:
            raise TaskError(f"{place}: no function {quoted(wanted)}; {nearest(wanted, functions)}")
        if functions[wanted].fallback_for:
            raise TaskError(f"{place}: {quoted(wanted)} is itself a fallback")


def _check_against_task(
    function: LabelingFunction,
    place: str,
    classes: tuple[str, ...],
    fields: tuple[str, ...] | None,
) -> None:
    """Raise TaskError where a function names what its task does not have."""
    key = "table" if isinstance(function, LookupFunction) else "class"
    for name in function.classes:
        if name not in classes:
            raise TaskError(f"{place}: {key}: no class {quoted(name)}; {nearest(name, classes)}")
    for example in function.examples:
        if example.vote != ABSTAIN and example.vote not in classes:
            hint = nearest(example.vote, (*classes, ABSTAIN))
            raise TaskError(f"{place}: examples: no class {quoted(example.vote)}; {hint}")
    if function.reads is Source.TEXT and fields is not None:
        raise TaskError(f"{place}: kind: reads a text, but the input of this task is tabular")
    if function.reads is Source.FIELDS and fields is None:
        raise TaskError(f"{place}: kind: reads a field, but the input of this task is a text")
    known = classes if function.reads is Source.PROBABILITIES else fields or ()
    word = "class" if function.reads is Source.PROBABILITIES else "field"
    named = [("field", name) for name in function.fields]
    named += [("examples", name) for each in function.examples for name, _ in _pairs(each)]
    for key, name in named:
        if name not in known:
            raise TaskError(f"{place}: {key}: no {word} {quoted(name)}; {nearest(name, known)}")
    _check_language(function, place, fields)


def _check_language(function: LabelingFunction, place: str, fields: tuple[str, ...] | None) -> None:
    """Raise TaskError where the language of an item cannot be told as the rule says."""
    rule = function.language_rule
    if rule is None:
        return
    if isinstance(rule, LanguageOfField) and rule.field not in (fields or ()):
        raise TaskError(f"{place}: language: no field {quoted(rule.field)} in this task")
    if isinstance(rule, LanguageOfWords) and fields is not None:
        raise TaskError(f"{place}: language: goes by words, but the input of this task is tabular")
    known = {*rule.languages, rule.otherwise}
    for name in function.languages:
        if name not in known:
            hint = nearest(name, rule.languages)
            raise TaskError(f"{place}: languages: the rule cannot tell {quoted(name)}; {hint}")


def _pairs(example: Example) -> tuple[tuple[str, float], ...]:
    """Return an example's numbers by name; a text has none."""
    return () if isinstance(example.input, str) else example.input
