"""The second scan of a row: does what is about to leave have the form its rule promises?

It reads the strings that leave and nothing else: no value of the item, no code of the masking. A
bug or a tampered rule over there makes strings that are too exact, and those are found here.
"""

import re
from collections.abc import Mapping
from decimal import Decimal

from fieldvote.field_rules import (
    OTHER,
    Age,
    Category,
    Decimals,
    Drop,
    FieldRule,
    Keep,
    Noise,
    Place,
    Time,
)

LONGEST_VALUE = 32  # characters
_TIMES: Mapping[str, re.Pattern[str]] = {
    "hour": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}Z"),
    "day": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    "week": re.compile(r"[0-9]{4}-W[0-9]{2}"),
    "month": re.compile(r"[0-9]{4}-[0-9]{2}"),
}
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]{1,3})?")
_BAND = re.compile(r"([0-9]{1,2})(?:-([0-9]{1,2})|\+)")


def field_scan(
    shown: tuple[tuple[str, str], ...], rules: Mapping[str, FieldRule]
) -> tuple[tuple[str, str], ...]:
    """Return the fields that must not leave as they are; empty for what masking wrote.

    Args:
        shown: Names and texts that are about to leave.
        rules: Of every field that may leave, by name.

    Returns:
        Names and the rule that is broken: NOT_NAMED, TWICE or TOO_EXACT.

    >>> field_scan((("age", "40-44"), ("serial", "7")), {"age": Age(width=5)})
    (('serial', 'NOT_NAMED'),)
    >>> field_scan((("age", "43"),), {"age": Age(width=5)})
    (('age', 'TOO_EXACT'),)
    """
    found: list[tuple[str, str]] = []
    seen: set[str] = set()
    for name, text in shown:
        rule = rules.get(name, Drop())
        if isinstance(rule, Drop):
            found.append((name, "NOT_NAMED"))
        elif name in seen:
            found.append((name, "TWICE"))
        elif text and not (len(text) <= LONGEST_VALUE and _admits(rule, text)):
            found.append((name, "TOO_EXACT"))
        seen.add(name)
    return tuple(found)


def _admits(rule: FieldRule, text: str) -> bool:
    """Whether a text is as coarse as its rule says."""
    match rule:
        case Time(to=to):
            return bool(_TIMES[to].fullmatch(text))
        case Age(width=width, top=top):
            band = _BAND.fullmatch(text)
            if not band:
                return False
            first = int(band[1])
            if band[2] is None:
                return first == top
            return first % width == 0 and first < top and int(band[2]) == first + width - 1
        case Category(values=values):
            return text == OTHER or _number(text) in [Decimal(repr(value)) for value in values]
    number = _number(text)
    if number is None:
        return False
    match rule:
        case Decimals(decimals=decimals) | Noise(decimals=decimals):
            return _is_rounded(number, decimals)
        case Place(decimals=int(decimals)):
            return abs(number) <= 180 and _is_rounded(number, decimals)
        case Place(grid=float(grid)) if abs(number) <= 360:
            step = Decimal(repr(grid))
            # the middle of a cell, as far as six decimals tell it
            off = (number - step / 2) % step
            return min(abs(off), abs(step - abs(off))) <= Decimal("0.000001")
        case _:
            return isinstance(rule, Keep)


def _number(text: str) -> Decimal | None:
    """Return a text as the exact number it writes; None if it is none."""
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _is_rounded(number: Decimal, decimals: int) -> bool:
    """Whether a number's last digit that is not 0 stands no further right than allowed."""
    exponent = number.normalize().as_tuple().exponent
    return number == 0 or (isinstance(exponent, int) and exponent >= -decimals)
