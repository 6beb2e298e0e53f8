"""TOML read strictly into frozen dataclasses: a file may say what the dataclass declares, no more.

Every refusal names the file, the dotted key and what to write instead. No environment variable is
read here.

A field's annotation says what its key holds:

==============================  ==========================================================
``bool`` ``int`` ``float``      the TOML value (an integer is also a float, never a bool)
``str`` ``Path``                a string; a path as it is written
``Literal[...]``                one of these strings
an ``Enum``                     one of its values
a dataclass                     a table
``tuple[X, ...]``               an array
``tuple[tuple[str, X], ...]``   a table with free keys, as pairs in the file's order
``X | None`` ``X | Y``          either; dataclasses are told apart by their ``kind``
==============================  ==========================================================

A field that cannot have the file's word as its name carries it along:
``field(metadata={"key": "class"})``.
"""

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from fieldvote.errors import InputError, SettingsError, nearest, quoted

T = TypeVar("T")

_WORDS = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a string",
    Path: "a string",
    dict: "a table",
    list: "an array",
    NoneType: "nothing",
}


def load_settings(path: Path, cls: type[T]) -> T:
    """Read a TOML file into an instance of cls.

    Args:
        path: The file; messages name it as it was given.
        cls: A dataclass; its fields are the keys the file may hold.

    Raises:
        SettingsError: The file cannot be read, is not TOML, or says something cls does not declare.
    """
    try:
        content = path.read_bytes()
    except OSError as err:
        raise SettingsError(f"{path}: cannot be read ({err.strerror or err})") from err
    return parse_settings(parse_toml(content, str(path)), cls, str(path))


def parse_toml(content: bytes, where: str) -> dict[str, object]:
    """Read TOML; where is the file's name for messages.

    >>> parse_toml(b"width = 3", "task.toml")
    {'width': 3}
    """
    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError as err:
        line = content.count(b"\n", 0, err.start) + 1
        raise SettingsError(f"{where}: not UTF-8 (at line {line})") from err
    except tomllib.TOMLDecodeError as err:
        raise SettingsError(f"{where}: not valid TOML: {err}") from err
    except RecursionError as err:
        raise SettingsError(f"{where}: not valid TOML: nested too deeply") from err
    except ValueError as err:
        raise SettingsError(f"{where}: not valid TOML: a number that nobody counts to") from err


def parse_settings(mapping: Mapping[str, object], cls: type[T], where: str) -> T:
    """Read a mapping into an instance of cls; where opens every message.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Head:
    ...     width: int
    ...     bias: bool = True
    >>> parse_settings({"width": 3}, Head, "head.toml")
    Head(width=3, bias=True)
    >>> parse_settings({"widht": 3}, Head, "head.toml")
    Traceback (most recent call last):
    fieldvote.errors.SettingsError: head.toml: unknown key 'widht'; did you mean 'width'?

    Raises:
        SettingsError: An unknown key, a missing one, or a value of another type.
    """
    return cast(T, _read_dataclass(mapping, cls, where, ""))


def check_names(names: tuple[str, ...], key: str, *, least: int) -> None:
    """Raise SettingsError for too few names, an empty one, or one that stands there twice."""
    if len(names) < least:
        raise SettingsError(f"{key}: expected at least {least}, got {len(names)}")
    if not all(name.strip() for name in names):
        raise SettingsError(f"{key}: an empty name")
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise SettingsError(f"{key}: {quoted(twice[0])} stands there twice")


def _read(value: object, wanted: object, where: str, path: str) -> object:
    """Read one value as its annotation says."""
    origin = get_origin(wanted)
    if origin in (Union, UnionType):
        return _read_union(value, get_args(wanted), where, path)
    if origin is tuple:
        return tuple(_read_items(value, get_args(wanted), where, path))
    if origin is Literal:
        return _read_choice(value, {str(word): word for word in get_args(wanted)}, where, path)
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return _read_choice(value, {str(each.value): each for each in wanted}, where, path)
    if isinstance(wanted, type) and dataclasses.is_dataclass(wanted):
        return _read_dataclass(value, wanted, where, path)
    if wanted is float and type(value) is int:
        try:
            return float(value)
        except OverflowError as err:
            raise SettingsError(f"{where}: {path}: a number beyond what a float holds") from err
    if wanted is Path and type(value) is str:
        return Path(value)
    # bool is a subclass of int in Python, not in TOML, so types are compared exactly
    if type(value) is not wanted:
        raise _mismatch(value, wanted, where, path)
    return value


def _read_dataclass(value: object, cls: type, where: str, path: str) -> object:
    """Read a table key by key, then let the dataclass check itself."""
    if not isinstance(value, Mapping):
        raise _mismatch(value, dict, where, path)
    hints, fields = _described(cls)
    for key in value:
        if key not in fields:
            said = quoted(_join(path, key))
            raise SettingsError(f"{where}: unknown key {said}; {nearest(str(key), fields)}")
    arguments = {}
    for key, each in fields.items():
        if key in value:
            wanted = hints[each.name]
            arguments[each.name] = _read(value[key], wanted, where, _join(path, key))
        elif each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING:
            raise SettingsError(f"{where}: missing key '{_join(path, key)}'")
    try:
        return cls(**arguments)
    except InputError as err:
        raise SettingsError(f"{where}: {path}: {err}" if path else f"{where}: {err}") from err


@cache
def _described(cls: type) -> tuple[Mapping[str, object], Mapping[str, dataclasses.Field[object]]]:
    """Return the types of a dataclass by attribute, and its attributes by key; looked up once."""
    fields = {each.metadata.get("key", each.name): each for each in dataclasses.fields(cls)}
    return get_type_hints(cls), fields


def _read_items(value: object, arms: tuple[object, ...], where: str, path: str) -> Iterator[object]:
    """Read an array, a table with free keys, or an array of fixed length."""
    if arms[-1] is not Ellipsis:
        if not isinstance(value, list) or len(value) != len(arms):
            raise _mismatch(value, f"an array of {len(arms)}", where, path)
        for i, (item, arm) in enumerate(zip(value, arms, strict=True)):
            yield _read(item, arm, where, f"{path}[{i}]")
    elif _is_pair(arms[0]):
        if not isinstance(value, Mapping):
            raise _mismatch(value, dict, where, path)
        for key, item in value.items():
            yield key, _read(item, get_args(arms[0])[1], where, _join(path, key))
    else:
        if not isinstance(value, list):
            raise _mismatch(value, list, where, path)
        for i, item in enumerate(value):
            yield _read(item, arms[0], where, f"{path}[{i}]")


def _read_union(value: object, arms: tuple[object, ...], where: str, path: str) -> object:
    """Read the arm that fits; dataclasses are told apart by their kind."""
    tables = {kind: arm for arm in arms if (kind := _kind(arm)) is not None}
    if tables and isinstance(value, Mapping):
        if "kind" not in value:
            raise SettingsError(f"{where}: missing key '{_join(path, 'kind')}'")
        chosen = _read_choice(value["kind"], tables, where, _join(path, "kind"))
        return _read(value, chosen, where, path)
    some = [arm for arm in arms if arm is not NoneType]
    if len(some) == 1:
        return _read(value, some[0], where, path)
    for arm in some:
        try:
            return _read(value, arm, where, path)
        except SettingsError:
            continue
    raise _mismatch(value, " or ".join(_describe(arm) for arm in some), where, path)


def _read_choice(value: object, choices: Mapping[str, object], where: str, path: str) -> object:
    """Read one of a closed set of words."""
    if not isinstance(value, str):
        raise _mismatch(value, "one of " + ", ".join(sorted(choices)), where, path)
    if value not in choices:
        said = quoted(value)
        raise SettingsError(f"{where}: {path}: unknown word {said}; {nearest(value, choices)}")
    return choices[value]


def _kind(arm: object) -> str | None:
    """Return the word that tells this dataclass from others in a union."""
    if not isinstance(arm, type) or not dataclasses.is_dataclass(arm):
        return None
    wanted = get_type_hints(arm).get("kind")
    return str(get_args(wanted)[0]) if get_origin(wanted) is Literal else None


def _is_pair(arm: object) -> bool:
    """Say whether an array's items are (free key, value)."""
    parts = get_args(arm)
    return get_origin(arm) is tuple and len(parts) == 2 and parts[0] is str


def _join(path: str, key: object) -> str:
    """Write a dotted key."""
    return f"{path}.{key}" if path else str(key)


def _describe(wanted: object) -> str:
    """Say in words what an annotation asks for."""
    if isinstance(wanted, str):
        return wanted
    if get_origin(wanted) is tuple:
        return "a table" if _is_pair(get_args(wanted)[0]) else "an array"
    if isinstance(wanted, type):
        return "a table" if dataclasses.is_dataclass(wanted) else _WORDS.get(wanted, "a word")
    return str(wanted)


def _mismatch(value: object, wanted: object, where: str, path: str) -> SettingsError:
    """Say what was expected and what came: its type, never its content."""
    got = _WORDS.get(type(value), f"a {type(value).__name__}")
    opening = f"{where}: {path}" if path else where
    return SettingsError(f"{opening}: expected {_describe(wanted)}, got {got}")
