"""What every kind of labeling function has: a name, an owner, a contract, tests, and a version."""

import json
import math
import string
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256
from typing import Literal

from fieldvote.errors import SettingsError
from fieldvote.function_language import LanguageRule

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
class FieldContract:
    """What a function may rely on for one field; where it is broken, the function abstains.

    Attributes:
        type: `number`; `integer`, a number without a fraction; `date`, in seconds since 1970, UTC.
        minimum: Least value, None for no bound.
        maximum: Largest value, None for no bound.
        required: Whether a missing value breaks the contract; otherwise it is only missing.
    """

    type: Literal["number", "integer", "date"] = "number"
    minimum: float | None = None
    maximum: float | None = None
    required: bool = False

    def __post_init__(self) -> None:
        """Refuse bounds no value could keep."""
        for name, bound in (("minimum", self.minimum), ("maximum", self.maximum)):
            if bound is not None and not math.isfinite(bound):
                raise SettingsError(f"{name}: expected a finite number")
        if None not in (self.minimum, self.maximum) and self.minimum > self.maximum:  # type: ignore[operator]  # both were just seen not to be None
            raise SettingsError("minimum: is above maximum, so that no value could be right")

    def meaning(self) -> dict[str, object]:
        """Return the contract in a normal form."""
        bounds = {"minimum": self.minimum, "maximum": self.maximum}
        return {"type": self.type, "required": self.required, **bounds}


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition(ABC):
    """What every kind has; holds the law that the version follows from what the function says.

    Attributes:
        id: Unique in its task.
        owner: Who answers for it.
        origin: Where the idea came from; functions of one origin tend to err together.
        languages: Which languages it was written for; empty means any.
        examples: Inputs and the votes they must get.
        contract: Field by field, what it relies on; checked on every item.
        fallback_for: The function it stands in for: it votes only where that one could not answer.
        language_rule: How the language of an item is told; without one, languages are not checked.
    """

    id: str
    owner: str
    origin: str = ""
    languages: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    contract: tuple[tuple[str, FieldContract], ...] = ()
    fallback_for: str = ""
    language_rule: LanguageRule | None = field(default=None, metadata={"key": "language"})

    def __post_init__(self) -> None:
        """Refuse a definition that cannot be named, owned or versioned."""
        if not self.id or len(self.id) > 64 or not _ID_LETTERS.issuperset(self.id):
            raise SettingsError("id: use 1 to 64 letters, digits and _ . -")
        if not self.owner.strip():
            raise SettingsError("owner: nobody answers for this function")
        for each in self.examples:
            if isinstance(each.input, str) != (self.reads is Source.TEXT):
                raise SettingsError(f"examples: the input of this function is {self.reads.value}")
        if self.contract and self.reads is not Source.FIELDS:
            raise SettingsError(
                f"contract: speaks of fields, this function reads {self.reads.value}"
            )
        if self.fallback_for == self.id:
            raise SettingsError("fallback_for: a function cannot stand in for itself")
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

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields it names, those of its contract among them."""
        return tuple(name for name, _ in self.contract)

    @abstractmethod
    def meaning(self) -> dict[str, object]:
        """Return what decides the votes, in a normal form."""

    @abstractmethod
    def check(self) -> None:
        """Raise SettingsError where the parameters of this kind make no sense."""

    def canonical(self) -> str:
        """Return the text the version is the digest of.

        What a definition does not use is not in it, so that a new possibility changes no version.

        Raises:
            ValueError: It holds a number that is not finite, so that it has no canonical form.
        """
        said = {"id": self.id, "languages": sorted(self.languages), **self.meaning()}
        if self.contract:
            said["contract"] = {name: each.meaning() for name, each in self.contract}
        if self.fallback_for:
            said["fallback_for"] = self.fallback_for
        if self.languages and self.language_rule is not None:
            said["language"] = self.language_rule.meaning()
        return json.dumps(said, sort_keys=True, allow_nan=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class OneClass(Definition):
    """A function that stands for one class."""

    class_name: str = field(metadata={"key": "class"})

    @property
    def classes(self) -> tuple[str, ...]:
        """The one class it stands for."""
        return (self.class_name,)
