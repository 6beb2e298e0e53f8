"""The shared library: templates and word lists that come with the program.

An entry's name ends in `@` and a number. An entry that has been published never changes, for a task
that names it must mean the same on every device; a better one gets the next number.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from fieldvote.errors import InternalError
from fieldvote.settings import parse_toml

_TEMPLATES = "templates.toml"
_FUNCTION_WORDS = "function_words.toml"


@cache
def library_templates() -> Mapping[str, Mapping[str, object]]:
    """Return the templates of the library by name; each says in `about` what its columns are.

    >>> sorted(library_templates())[:2]
    ['amount_above@1', 'at_weekend@1']
    """
    return {name: _table(name, entry) for name, entry in _read(_TEMPLATES).items()}


@cache
def function_words() -> Mapping[str, tuple[str, ...]]:
    """Return frequent small words by language: what gives a language away in a short text.

    >>> "the" in function_words()["en"]
    True
    """
    found = {}
    for language, words in _read(_FUNCTION_WORDS).items():
        if not isinstance(words, list):
            raise InternalError(f"the library's '{language}' is no list of words")
        found[language] = tuple(map(str, words))
    return found


def _read(name: str) -> dict[str, object]:
    """Read a file of the library."""
    return parse_toml((Path(__file__).with_name("library") / name).read_bytes(), name)


def _table(name: str, entry: object) -> Mapping[str, object]:
    """Return an entry, which is a table unless the library was damaged."""
    if not isinstance(entry, dict):
        raise InternalError(f"the library's '{name}' is no table")
    return entry
