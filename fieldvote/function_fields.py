"""Labeling functions over fields: bounds, tables, expressions."""

import math
from dataclasses import dataclass
from typing import Literal

from fieldvote.errors import SettingsError
from fieldvote.expression_parser import parse_expression
from fieldvote.expressions import Expression, Type
from fieldvote.function_definition import Definition, OneClass, Source
from fieldvote.function_text import normal_word


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdFunction(OneClass):
    """Votes when the field is above one bound, below another, or both; bounds are excluded."""

    kind: Literal["threshold"] = "threshold"
    field: str
    above: float | None = None
    below: float | None = None

    @property
    def reads(self) -> Source:
        """A field."""
        return Source.FIELDS

    @property
    def fields(self) -> tuple[str, ...]:
        """Its field."""
        return (self.field, *_under_contract(self))

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

    @property
    def fields(self) -> tuple[str, ...]:
        """Its field, if it has one."""
        named = () if self.field is None else (self.field,)
        return (*named, *_under_contract(self))

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
class ExpressionFunction(OneClass):
    """Votes where an expression over the fields holds; see `fieldvote.expressions`.

    >>> from fieldvote.functions import FieldContract
    >>> late = ExpressionFunction(
    ...     id="late", owner="ann", class_name="odd", when="amount > 3 * usual and hour(at) < 5",
    ...     contract=(("at", FieldContract(type="date")),),
    ... )
    >>> late.fields
    ('amount', 'usual', 'at')
    """

    kind: Literal["expression"] = "expression"
    when: str

    @property
    def reads(self) -> Source:
        """Fields."""
        return Source.FIELDS

    @property
    def expression(self) -> Expression:
        """What it says, as a checked tree."""
        dates = {name for name, contract in self.contract if contract.type == "date"}
        return parse_expression(self.when, dates)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields the expression names."""
        named = self.expression.fields
        return tuple(dict.fromkeys((*named, *_under_contract(self))))

    def check(self) -> None:
        """It must be an expression, and be true or false."""
        try:
            said = self.expression
        except SettingsError as err:
            raise SettingsError(f"when: {err}") from err
        if said.type is not Type.TRUTH:
            raise SettingsError(f"when: is {said.type.value}, expected something true or false")

    def meaning(self) -> dict[str, object]:
        """Return the expression without spaces and with all its brackets."""
        return {"kind": self.kind, "class": self.class_name, "when": str(self.expression)}


def _under_contract(function: Definition) -> tuple[str, ...]:
    """Return the fields of a function's contract."""
    return tuple(name for name, _ in function.contract)


def _number(value: str) -> float:
    """Read a table's key as the number a field can hold."""
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise SettingsError(f"table: '{value}' is not a number, and a field holds numbers")
    return number
