"""Expressions over the fields of an item: a small typed tree, checked when it is loaded.

::

    amount > 3 * median_amount and weekday(date) in (5, 6)
    opened - closed > 86400 or not missing(reason)
    date >= "2024-05-01" and `heart rate` < 40

There are numbers, dates (seconds since 1970, UTC; written as ISO text) and truths. A field is a
number unless the contract of its function says that it is a date. `parse_expression` makes a tree
(`fieldvote.expression_parser`), `edge.labeling.expressions` evaluates it over many items at once.
A tree has at most `MOST_STEPS` nodes, no loop and no name but those below, so what it costs is
known before it runs.

Where a value is missing or an operation has no result (a division by zero), the answer is unknown,
and unknown is carried on as SQL does: `unknown or true` is true, `unknown and true` is unknown. An
item whose answer is unknown gets no vote.

==========================================  =====================================================
``+ - * / %``                               numbers; a date plus or minus seconds is a date, the
                                            difference of two dates is seconds
``< <= > >= == !=``                         two numbers or two dates; ``1 < x <= 3`` is both
``x in (1, 2)``, ``x not in (1, 2)``        literals only
``and or not``                              truths
``abs floor ceil sqrt log exp min max``     numbers; ``min`` and ``max`` take two
``year month day weekday hour minute``      of a date, in UTC; Monday is 0
``missing(field)``                          whether the field has no value
==========================================  =====================================================
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

MOST_STEPS = 200
DEEPEST = 32
LONGEST = 2000


class Type(Enum):
    """What an expression is."""

    NUMBER = "a number"
    DATE = "a date"
    TRUTH = "a truth"


_N, _D, _T = Type.NUMBER, Type.DATE, Type.TRUTH

# operator: what it takes, and what it then is
SIGNATURES: Mapping[str, tuple[tuple[tuple[Type, ...], Type], ...]] = {
    "+": (((_N, _N), _N), ((_D, _N), _D), ((_N, _D), _D)),
    "-": (((_N, _N), _N), ((_D, _N), _D), ((_D, _D), _N)),
    **dict.fromkeys(("*", "/", "%"), (((_N, _N), _N),)),
    **dict.fromkeys(("<", "<=", ">", ">=", "==", "!="), (((_N, _N), _T), ((_D, _D), _T))),
    **dict.fromkeys(("and", "or"), (((_T, _T), _T),)),
    "not": (((_T,), _T),),
    "negate": (((_N,), _N),),
    **dict.fromkeys(("abs", "floor", "ceil", "sqrt", "log", "exp"), (((_N,), _N),)),
    **dict.fromkeys(("min", "max"), (((_N, _N), _N),)),
    **dict.fromkeys(("year", "month", "day", "weekday", "hour", "minute"), (((_D,), _N),)),
    "missing": (((_N,), _T), ((_D,), _T)),
}  # fmt: skip

FUNCTIONS = tuple(name for name in SIGNATURES if name.isalpha() and name not in
                  ("and", "or", "not", "negate"))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expression:
    """One node of the tree.

    Attributes:
        operator: A key of SIGNATURES, or `field`, `literal`, `in`.
        type: What it is.
        parts: What it is made of; for `in`, the item and then literals.
        name: The field's name.
        value: The literal's value; a date's is seconds since 1970, UTC.
    """

    operator: str
    type: Type
    parts: "tuple[Expression, ...]" = ()
    name: str = ""
    value: float = 0.0

    @property
    def steps(self) -> int:
        """How many nodes there are: the cost per item."""
        return 1 + sum(part.steps for part in self.parts)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields it names, each once, in the order they come."""
        return tuple(dict.fromkeys(self._names()))

    def _names(self) -> Iterator[str]:
        """Yield the names of fields as they come."""
        if self.operator == "field":
            yield self.name
        for part in self.parts:
            yield from part._names()

    def __str__(self) -> str:
        """Return it in its normal form, which parses to the same tree."""
        match self.operator:
            case "field":
                return f"`{self.name}`"
            case "literal" if self.type is Type.DATE:
                return f'"{datetime.fromtimestamp(self.value, UTC).isoformat()}"'
            case "literal":
                return repr(self.value)
            case "in":
                item, *options = self.parts
                return f"({item} in ({', '.join(map(str, options))}))"
            case "not":
                return f"(not {self.parts[0]})"
            case "negate":
                return f"(-{self.parts[0]})"
            case name if name in FUNCTIONS:
                return f"{name}({', '.join(map(str, self.parts))})"
            case sign:
                return f"({self.parts[0]} {sign} {self.parts[1]})"
