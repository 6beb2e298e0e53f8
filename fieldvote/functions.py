"""Labeling functions as values: declarative rules that vote for a class or abstain.

A function is data, never code: it can be read, reviewed, signed, sent to a device, and named by the
digest of what it says. Five kinds:

============  ========================================================================
keyword       one of these words stands in the text: whole words, any case
regex         this RE2 pattern matches somewhere in the text
threshold     a numeric field lies above, below, or between
lookup        a table from value to class, over a field or over the words of the text
model         the model gives the class at least this probability
============  ========================================================================

`fieldvote.function_file` reads them from a task folder, `edge.labeling` turns them into votes.
"""

import json
import math
import string
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256
from typing import Literal, TypeAlias

import re2

from fieldvote.errors import SettingsError

ABSTAIN = "abstain"

_ID_LETTERS = frozenset(string.ascii_letters + string.digits + "_.-")


class Source(Enum):
    """What a function looks at; its examples give the same."""

    TEXT = "a text"
    FIELDS = "a table of fields"
    PROBABILITIES = "a table of class probabilities"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One input and the vote it must get: a function carries its own tests.

    Attributes:
        input: A text, or numbers by field name; a field that is left out is missing.
        vote: A class, or `abstain`.
    """

    input: str | tuple[tuple[str, float], ...]
    vote: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition(ABC):
    """What every kind has; holds the law that the version follows from what the function says.

    Attributes:
        id: Unique in its task.
        owner: Who answers for it.
        origin: Where the idea came from; functions of one origin tend to err together.
        languages: Which languages it was written for; empty means any.
        examples: Inputs and the votes they must get.
    """

    id: str
    owner: str
    origin: str = ""
    languages: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a definition that cannot be named, owned or versioned."""
        if not self.id or len(self.id) > 64 or not _ID_LETTERS.issuperset(self.id):
            raise SettingsError("id: use 1 to 64 letters, digits and _ . -")
        if not self.owner.strip():
            raise SettingsError("owner: nobody answers for this function")
        for each in self.examples:
            if isinstance(each.input, str) != (self.reads is Source.TEXT):
                raise SettingsError(f"examples: the input of this function is {self.reads.value}")
        self.check()
        try:
            self.canonical()
        except ValueError as err:
            raise SettingsError("cannot be versioned: a number in it is not finite") from err

    @property
    def version(self) -> str:
        """The digest of what this function says; owner, origin and examples do not count."""
        return sha256(self.canonical().encode()).hexdigest()[:12]

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """The classes this function may vote for."""

    @property
    @abstractmethod
    def reads(self) -> Source:
        """What this function looks at."""

    @abstractmethod
    def meaning(self) -> dict[str, object]:
        """Return what decides the votes, in a normal form."""

    @abstractmethod
    def check(self) -> None:
        """Raise SettingsError where the parameters of this kind make no sense."""

    def canonical(self) -> str:
        """Return the text the version is the digest of.

        Raises:
            ValueError: It holds a number that is not finite, so that it has no canonical form.
        """
        said = {"id": self.id, "languages": sorted(self.languages), **self.meaning()}
        return json.dumps(said, sort_keys=True, allow_nan=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _OneClass(Definition):
    """A function that stands for one class."""

    class_name: str = field(metadata={"key": "class"})

    @property
    def classes(self) -> tuple[str, ...]:
        """The one class it stands for."""
        return (self.class_name,)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeywordFunction(_OneClass):
    """Votes when one of the words stands in the text, as a whole word and in any case.

    >>> prize = KeywordFunction(id="prize", owner="ann", class_name="offer", words=("prize", "won"))
    >>> prize.version
    '7f0e8c4160fa'
    """

    kind: Literal["keyword"] = "keyword"
    words: tuple[str, ...]

    @property
    def reads(self) -> Source:
        """A text."""
        return Source.TEXT

    def check(self) -> None:
        """Words must be there."""
        if not self.words or not all(word.strip() for word in self.words):
            raise SettingsError("words: expected at least one word, and none of them empty")

    def meaning(self) -> dict[str, object]:
        """Return the words without order, case or repetition."""
        words = sorted({normal_word(word) for word in self.words})
        return {"kind": self.kind, "class": self.class_name, "words": words}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegexFunction(_OneClass):
    """Votes when the pattern matches somewhere in the text; RE2 syntax, case counts."""

    kind: Literal["regex"] = "regex"
    pattern: str

    @property
    def reads(self) -> Source:
        """A text."""
        return Source.TEXT

    def check(self) -> None:
        """RE2 must accept the pattern, which also bounds its running time."""
        options = re2.Options()
        options.log_errors = False
        try:
            re2.compile(self.pattern, options)
        except re2.error as err:
            raise SettingsError(f"pattern: RE2 refuses it: {_reason(err)}") from err

    def meaning(self) -> dict[str, object]:
        """Return the pattern to the letter."""
        return {"kind": self.kind, "class": self.class_name, "pattern": self.pattern}


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdFunction(_OneClass):
    """Votes when the field is above one bound, below another, or both; bounds are excluded."""

    kind: Literal["threshold"] = "threshold"
    field: str
    above: float | None = None
    below: float | None = None

    @property
    def reads(self) -> Source:
        """A field."""
        return Source.FIELDS

    def check(self) -> None:
        """At least one bound, and room between two."""
        if self.above is None and self.below is None:
            raise SettingsError("needs 'above' or 'below', or both")
        if self.above is not None and self.below is not None and self.above >= self.below:
            raise SettingsError("above: must be less than below, else nothing lies between")

    def meaning(self) -> dict[str, object]:
        """Return the field and its bounds."""
        bounds = {"above": self.above, "below": self.below}
        return {"kind": self.kind, "class": self.class_name, "field": self.field, **bounds}


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupFunction(Definition):
    """Votes for the class its table gives to the field's value, or to a whole word of the text.

    Where words of a text lead to different classes it abstains: a table does not weigh.

    Attributes:
        table: Value and class. Values of a field are written as text, for TOML keys are.
        field: The field to look at; None looks at the words of the text, in any case.
    """

    kind: Literal["lookup"] = "lookup"
    table: tuple[tuple[str, str], ...]
    field: str | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes its table knows."""
        return tuple(dict.fromkeys(name for _, name in self.table))

    @property
    def reads(self) -> Source:
        """A field, or a text."""
        return Source.TEXT if self.field is None else Source.FIELDS

    def check(self) -> None:
        """Every value must be readable, and stand there once."""
        if not self.table:
            raise SettingsError("table: is empty")
        seen: set[str | float] = set()
        for value, _ in self.table:
            key = normal_word(value) if self.field is None else _number(value)
            if key == "":
                raise SettingsError("table: an empty value")
            if key in seen:
                raise SettingsError(f"table: the value '{value}' stands there twice")
            seen.add(key)

    def meaning(self) -> dict[str, object]:
        """Return the table in the order of its values."""
        read = normal_word if self.field is None else lambda value: repr(_number(value))
        table = {read(value): name for value, name in self.table}
        return {"kind": self.kind, "field": self.field, "table": table}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFunction(_OneClass):
    """Votes for its class when the model gives that class at least the minimum probability."""

    kind: Literal["model"] = "model"
    minimum: float

    @property
    def reads(self) -> Source:
        """What the model says."""
        return Source.PROBABILITIES

    def check(self) -> None:
        """The bar is a probability; at zero the model would not be asked."""
        if not 0.0 < self.minimum <= 1.0:
            raise SettingsError("minimum: expected a probability above 0, at most 1")

    def meaning(self) -> dict[str, object]:
        """Return the class and its bar."""
        return {"kind": self.kind, "class": self.class_name, "minimum": self.minimum}


LabelingFunction: TypeAlias = (
    KeywordFunction | RegexFunction | ThresholdFunction | LookupFunction | ModelFunction
)


def normal_word(word: str) -> str:
    """Return a word as it is compared: lower case, single spaces.

    >>> normal_word("  Free   ENTRY")
    'free entry'
    """
    return " ".join(word.lower().split())


def _number(value: str) -> float:
    """Read a table's key as the number a field can hold."""
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise SettingsError(f"table: '{value}' is not a number, and a field holds numbers")
    return number


def _reason(err: re2.error) -> str:
    """Return RE2's own words."""
    said = err.args[0] if err.args else b""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
