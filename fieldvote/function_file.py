"""The functions.toml of a task: read strictly, and checked against the classes and the input.

Every refusal names the file, the function and the key.
"""

from collections.abc import Mapping

from fieldvote.errors import SettingsError, TaskError, nearest
from fieldvote.functions import (
    ABSTAIN,
    Example,
    KeywordFunction,
    LabelingFunction,
    LookupFunction,
    ModelFunction,
    RegexFunction,
    Source,
    ThresholdFunction,
)
from fieldvote.settings import parse_settings, parse_toml

KINDS: Mapping[str, type[LabelingFunction]] = {
    "keyword": KeywordFunction,
    "regex": RegexFunction,
    "threshold": ThresholdFunction,
    "lookup": LookupFunction,
    "model": ModelFunction,
}


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
    if unknown := [key for key in tables if key != "function"]:
        raise SettingsError(f"{where}: unknown key '{unknown[0]}'; known: function")
    entries = tables.get("function", [])
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise SettingsError(f"{where}: function: expected [[function]] tables")
    functions: dict[str, LabelingFunction] = {}
    for position, table in enumerate(entries, start=1):
        name = table.get("id")
        place = (
            f"{where}: function '{name}'"
            if isinstance(name, str)
            else f"{where}: function no. {position}"
        )
        function = _parse_one(table, place)
        if function.id in functions:
            raise TaskError(f"{place}: this id is used twice")
        _check_against_task(function, place, classes, fields)
        functions[function.id] = function
    return tuple(functions.values())


def _parse_one(table: Mapping[str, object], place: str) -> LabelingFunction:
    """Read one table as the kind it says it is."""
    kind = table.get("kind")
    if kind is None:
        raise SettingsError(f"{place}: missing key 'kind'; known: {', '.join(KINDS)}")
    if not isinstance(kind, str) or kind not in KINDS:
        raise SettingsError(f"{place}: kind: unknown word '{kind}'; {nearest(str(kind), KINDS)}")
    return parse_settings(table, KINDS[kind], place)


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
            raise TaskError(f"{place}: {key}: no class '{name}'; {nearest(name, classes)}")
    for example in function.examples:
        if example.vote != ABSTAIN and example.vote not in classes:
            hint = nearest(example.vote, (*classes, ABSTAIN))
            raise TaskError(f"{place}: examples: no class '{example.vote}'; {hint}")
    if function.reads is Source.TEXT and fields is not None:
        raise TaskError(f"{place}: kind: reads a text, but the input of this task is tabular")
    if function.reads is Source.FIELDS and fields is None:
        raise TaskError(f"{place}: kind: reads a field, but the input of this task is a text")
    known = classes if function.reads is Source.PROBABILITIES else fields or ()
    named = [("examples", name) for each in function.examples for name, _ in _pairs(each)]
    if isinstance(function, ThresholdFunction | LookupFunction) and function.field is not None:
        named.insert(0, ("field", function.field))
    for key, name in named:
        if name not in known:
            word = "class" if function.reads is Source.PROBABILITIES else "field"
            raise TaskError(f"{place}: {key}: no {word} '{name}'; {nearest(name, known)}")


def _pairs(example: Example) -> tuple[tuple[str, float], ...]:
    """Return an example's numbers by name; a text has none."""
    return () if isinstance(example.input, str) else example.input
