"""Expressions evaluated over many items at once; what they mean is in `fieldvote.expressions`.

A number that is not known is NaN. A truth is two masks, where it is true and where it is false;
where it is neither it is not known. One array operation for each node of the tree, no loop.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.labeling.ballot import Ballot, Column, Mask
from edge.labeling.items import Items
from fieldvote.expressions import Expression, Type

Floats = NDArray[np.float64]

_DAY_S = 86_400
# the years datetime64 and ISO 8601 agree on: 0001-01-01 to 9999-12-31
_EARLIEST_S, _LATEST_S = -62_135_596_800.0, 253_402_300_799.0


class Truth(NamedTuple):
    """Where something is true, and where it is false."""

    yes: Mask
    no: Mask


def expression_column(said: Expression, vote: int) -> Column:
    """Return the column of a function that votes where an expression holds.

    An item with all its fields whose answer is not known has failed: a division by zero, say.
    """

    def column(items: Items) -> Ballot:
        with np.errstate(all="ignore"):  # what has no result becomes NaN, and NaN is not known
            truth = _truth(said, items)
        unknown = ~(truth.yes | truth.no)
        present = np.ones(len(items), dtype=np.bool_)
        for name in said.fields:
            present &= ~np.isnan(items.column(name))
        votes = np.where(truth.yes, np.int8(vote), np.int8(-1))
        return Ballot(votes=votes, failed=unknown & present)

    return column


def _truth(said: Expression, items: Items) -> Truth:
    """Evaluate something true or false."""
    match said.operator:
        case "and":
            one, other = (_truth(part, items) for part in said.parts)
            return Truth(one.yes & other.yes, one.no | other.no)
        case "or":
            one, other = (_truth(part, items) for part in said.parts)
            return Truth(one.yes | other.yes, one.no & other.no)
        case "not":
            (one,) = (_truth(part, items) for part in said.parts)
            return Truth(one.no, one.yes)
        case "missing":
            gap = np.isnan(_number(said.parts[0], items))
            return Truth(gap, ~gap)
        case "in":
            item, *options = said.parts
            given = _number(item, items)
            inside = np.isin(given, [option.value for option in options])
            known = ~np.isnan(given)
            return Truth(inside & known, ~inside & known)
        case sign:
            left, right = (_number(part, items) for part in said.parts)
            known = ~(np.isnan(left) | np.isnan(right))
            holds = _COMPARED[sign](left, right)
            return Truth(holds & known, ~holds & known)


def _number(said: Expression, items: Items) -> Floats:
    """Evaluate a number or a date; infinity is no result."""
    if said.operator == "field":
        return items.column(said.name)
    if said.operator == "literal":
        return np.full(len(items), said.value)
    parts = [_number(part, items) for part in said.parts]
    if said.parts[0].type is Type.DATE and said.operator in _OF_DATES:
        return _of_date(said.operator, parts[0])
    result = np.asarray(_COMPUTED[said.operator](*parts), dtype=np.float64)
    return np.where(np.isfinite(result), result, np.nan)


def _of_date(name: str, seconds: Floats) -> Floats:
    """Return a part of dates, NaN where there is no date."""
    known = (seconds >= _EARLIEST_S) & (seconds <= _LATEST_S)
    whole = np.floor(np.where(known, seconds, 0.0)).astype(np.int64)
    return np.where(known, _OF_DATES[name](whole).astype(np.float64), np.nan)


def _in_calendar(seconds: NDArray[np.int64], unit: str) -> NDArray[np.int64]:
    """Return whole years, months or days since 1970."""
    return seconds.astype("datetime64[s]").astype(f"datetime64[{unit}]").astype(np.int64)


_OF_DATES: Mapping[str, Callable[[NDArray[np.int64]], NDArray[np.int64]]] = {
    "year": lambda s: _in_calendar(s, "Y") + 1970,
    "month": lambda s: _in_calendar(s, "M") % 12 + 1,
    "day": lambda s: (
        (
            (s.astype("datetime64[s]").astype("datetime64[D]"))
            - s.astype("datetime64[s]").astype("datetime64[M]").astype("datetime64[D]")
        ).astype(np.int64)
        + 1
    ),
    # the first of January 1970 was a Thursday
    "weekday": lambda s: (s // _DAY_S + 3) % 7,
    "hour": lambda s: s // 3600 % 24,
    "minute": lambda s: s // 60 % 60,
}

_COMPARED: Mapping[str, Callable[[Floats, Floats], Mask]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}

_COMPUTED: Mapping[str, Callable[..., Floats]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.mod,
    "negate": np.negative,
    "abs": np.abs,
    "floor": np.floor,
    "ceil": np.ceil,
    "sqrt": np.sqrt,
    "log": np.log,
    "exp": np.exp,
    "min": np.minimum,
    "max": np.maximum,
}
