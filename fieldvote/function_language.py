"""How the language of an item is told: by a field, or by the small words of its text.

A function that declares languages abstains on an item of another one, and on an item whose
language the rule cannot tell; `otherwise` names the language of those.
"""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fieldvote.errors import SettingsError, nearest
from fieldvote.function_library import function_words


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageOfField:
    """A field that holds a number for each language.

    Attributes:
        field: The field.
        codes: Value, written as text, and its language.
        otherwise: The language of an item with another value, or none; empty for unknown.
    """

    kind: Literal["field"] = "field"
    field: str
    codes: tuple[tuple[str, str], ...]
    otherwise: str = ""

    def __post_init__(self) -> None:
        """Refuse codes a field cannot hold."""
        if not self.codes:
            raise SettingsError("codes: is empty")
        for value, _ in self.codes:
            try:
                number = float(value)
            except ValueError:
                number = math.nan
            if not math.isfinite(number):
                raise SettingsError(f"codes: '{value}' is not a number, and a field holds numbers")

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages it can tell."""
        return tuple(dict.fromkeys(name for _, name in self.codes))

    def meaning(self) -> dict[str, object]:
        """Return the rule in a normal form."""
        codes = {repr(float(value)): name for value, name in self.codes}
        return {
            "kind": self.kind, "field": self.field, "codes": codes, "otherwise": self.otherwise
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageOfWords:
    """A text is in the language most of its words are of; with none, or in a draw, unknown.

    Attributes:
        among: Languages whose small words the library knows.
        words: Further languages, or further words of one, as written in a text.
        otherwise: The language of a text that shows none; empty for unknown.
    """

    kind: Literal["words"] = "words"
    among: tuple[str, ...] = ()
    words: tuple[tuple[str, tuple[str, ...]], ...] = ()
    otherwise: str = ""

    def __post_init__(self) -> None:
        """Refuse a language nobody knows the words of."""
        known = function_words()
        for name in self.among:
            if name not in known:
                raise SettingsError(f"among: no words of '{name}'; {nearest(name, known)}")
        if not self.languages:
            raise SettingsError("needs 'among' or 'words'")

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages it can tell."""
        return tuple(dict.fromkeys((*self.among, *(name for name, _ in self.words))))

    @property
    def vocabulary(self) -> dict[str, tuple[str, ...]]:
        """The words of each language it can tell."""
        known, more = function_words(), dict(self.words)
        return {
            name: (*(known[name] if name in self.among else ()), *more.get(name, ()))
            for name in self.languages
        }

    def meaning(self) -> dict[str, object]:
        """Return the rule in a normal form."""
        words = {name: sorted({word.lower() for word in each}) for name, each in self.words}
        return {
            "kind": self.kind, "among": sorted(self.among), "words": words,
            "otherwise": self.otherwise,
        }  # fmt: skip


LanguageRule: TypeAlias = LanguageOfField | LanguageOfWords
