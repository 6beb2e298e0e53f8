"""Masking of rows: what leaves of each field, by the rule the policy gives it.

A field that no rule names does not leave. A value is made coarse as a number (`mask_fields`), shown
as text (`show_fields`), and what is shown can be read back as that number (`read_fields`): reading
what is shown gives what was masked.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from fieldvote.errors import InputError, nearest
from fieldvote.field_rules import (
    MOST_DECIMALS,
    OTHER,
    Age,
    Category,
    Decimals,
    Drop,
    FieldRule,
    Noise,
    Place,
    Time,
)
from fieldvote.policy import CandidatePolicy

Entropy = Callable[[int], bytes]
Row = tuple[tuple[str, float | None], ...]
Shown = tuple[tuple[str, str], ...]

OLDEST = 150  # years; an age beyond is a mistake, and stays
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_S = 253_402_300_800  # the year 10000
_PER_SECOND = MappingProxyType({"s": 1, "ms": 1000})
_FORMATS = MappingProxyType(
    {"hour": "%Y-%m-%dT%HZ", "day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}
)


@dataclass(frozen=True, slots=True)
class KeptField:
    """A field that may leave rounded.

    Attributes:
        name: Its name in the schema.
        decimals: Digits kept after the point; negative keeps tens, hundreds and so on.
    """

    name: str
    decimals: int

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise InputError("a kept field has a name")
        if type(self.decimals) is not int or abs(self.decimals) > MOST_DECIMALS:
            raise InputError(f"decimals of a kept field are from -{MOST_DECIMALS} to 12, whole")


@dataclass(frozen=True, slots=True)
class FieldPolicy:
    """Which fields of a row may leave, and how; an empty policy lets nothing out.

    Attributes:
        keep: Fields that leave rounded.
        rules: Any rule by the field's name.
        leaving: The rules of the fields that may leave, by name; follows from the others.
    """

    keep: tuple[KeptField, ...] = ()
    rules: tuple[tuple[str, FieldRule], ...] = ()
    leaving: Mapping[str, FieldRule] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = [*(each.name for each in self.keep), *(name for name, _ in self.rules)]
        if len(set(names)) != len(names):
            raise InputError("the field policy names a field twice")
        kept = {each.name: Decimals(decimals=each.decimals) for each in self.keep}
        more = {name: rule for name, rule in self.rules if not isinstance(rule, Drop)}
        object.__setattr__(self, "leaving", MappingProxyType(kept | more))

    @staticmethod
    def of(candidates: CandidatePolicy) -> "FieldPolicy":
        """Return what a task's policy says about fields."""
        keep = tuple(KeptField(name, decimals) for name, decimals in candidates.keep)
        return FieldPolicy(keep=keep, rules=candidates.fields)


def mask_fields(
    names: Sequence[str],
    values: Sequence[float],
    policy: FieldPolicy,
    entropy: Entropy | None = None,
) -> Row:
    """Return the fields that may leave, as coarse as the policy asks, in the order of names.

    Args:
        names: Names of the schema's fields. Shape (d,), each once.
        values: The item. Shape (d,). NaN means missing and leaves as None.
        policy: What may leave and how exactly.
        entropy: Where the noise comes from; a policy without noise needs none.

    Raises:
        InputError: the policy names a field the schema lacks, a value is infinite or not of the
            kind its rule is for, noise has no entropy, or the lengths differ.

    >>> mask_fields(["age", "name_hash"], [36.6, 7.0], FieldPolicy((KeptField("age", -1),)))
    (('age', 40.0),)
    """
    there = set(names)
    if len(names) != len(values) or len(there) != len(names):
        raise InputError(f"{len(names)} field names, each once, expected for {len(values)} values")
    rules = policy.leaving
    for name in [*rules, *(name for name, _ in policy.rules)]:
        if name not in there:
            raise InputError(f"the field policy keeps {name!r}; {nearest(name, names)}")
    return tuple(
        (name, _coarse(name, float(value), rules[name], entropy))
        for name, value in zip(names, values, strict=True)
        if name in rules
    )


def show_fields(row: Row, policy: FieldPolicy) -> Shown:
    """Return a masked row as people are shown it; a missing value is empty.

    >>> policy = FieldPolicy(rules=(("age", Age(width=5)), ("at", Time(to="hour"))))
    >>> show_fields(mask_fields(["at", "age"], [1.7e9, 42.0], policy), policy)
    (('at', '2023-11-14T22Z'), ('age', '40-44'))
    """
    rules = policy.leaving
    return tuple((name, "" if value is None else _shown(value, rules[name])) for name, value in row)


def read_fields(shown: Shown, policy: FieldPolicy) -> Row:
    """Return what was masked from what is shown.

    Raises:
        InputError: it was not shown under this policy.

    >>> policy = FieldPolicy(rules=(("age", Age(width=5)),))
    >>> read_fields((("age", "40-44"),), policy)
    (('age', 40.0),)
    """
    rules = policy.leaving
    try:
        return tuple((name, _read(text, rules[name]) if text else None) for name, text in shown)
    except (KeyError, ValueError) as err:
        raise InputError("a row was not shown under this policy") from err


def most_common(values: Sequence[float], k: int) -> tuple[float, ...]:
    """Return the k most frequent codes, for the owner's list of a category; smaller ones first.

    Ask it of a public or a pooled table, never of one device's own items.

    >>> most_common([3, 1, 3, 2, 2, 9], 2)
    (2.0, 3.0)
    """
    counts: dict[float, int] = {}
    for value in values:
        if math.isfinite(value):
            counts[float(value)] = counts.get(float(value), 0) + 1
    return tuple(sorted(sorted(counts, key=lambda code: (-counts[code], code))[:k]))


def _coarse(name: str, value: float, rule: FieldRule, entropy: Entropy | None) -> float | None:
    """Return the value as it may leave."""
    if math.isnan(value):
        return None
    if math.isinf(value):
        raise InputError(f"field {name!r} is infinite; use NaN for a missing value")
    match rule:
        case Decimals(decimals=decimals):
            return _rounded(value, decimals)
        case Time(to=to, unit=unit):
            return _period_start(name, value / _PER_SECOND[unit], to) * _PER_SECOND[unit]
        case Place():
            return _place(name, value, rule)
        case Age(width=width, top=top):
            if not 0 <= value <= OLDEST:
                raise InputError(f"field {name!r} is no age from 0 to {OLDEST} years")
            return float(min(int(value) // width * width, top))
        case Category(values=values):
            return value if value in values else _no_code(values)
        case Noise():
            if entropy is None:
                raise InputError(f"field {name!r} wants noise, and no entropy was given")
            step = _uniform(2 * rule.steps + 1, entropy) - rule.steps
            return _rounded(
                round(value, rule.decimals) + step * 10.0**-rule.decimals, rule.decimals
            )
        case _:
            return value


def _rounded(value: float, decimals: int) -> float:
    # + 0.0 makes -0.0 plain zero: the sign of a rounded-away value is part of the value.
    return round(value, decimals) + 0.0


def _period_start(name: str, seconds: float, to: str) -> float:
    """Return when the hour, day, week or month began, in seconds since 1970."""
    if not 0 <= seconds < _LATEST_S:
        raise InputError(f"field {name!r} is no time after 1970 in the unit of its rule")
    moment = _EPOCH + timedelta(seconds=math.floor(seconds))
    if to == "hour":
        begun = moment.replace(minute=0, second=0)
    else:
        begun = moment.replace(hour=0, minute=0, second=0)
        if to == "week":
            # the first week began before 1970 did
            begun -= timedelta(days=begun.weekday())
        elif to == "month":
            begun = begun.replace(day=1)
    return (begun - _EPOCH).total_seconds()


def _place(name: str, value: float, rule: Place) -> float:
    """Return a degree as it may leave."""
    if abs(value) > 180:
        raise InputError(f"field {name!r} is no latitude or longitude in degrees")
    if rule.grid is None:
        return _rounded(value, rule.decimals or 0)
    # six decimals hide what floats make of a width like 0.05
    return _rounded((math.floor(value / rule.grid) + 0.5) * rule.grid, 6)


def _no_code(values: Sequence[float]) -> float:
    """Return a number that is none of these codes: what stands for any other."""
    return math.nextafter(min(values), -math.inf)


def _uniform(count: int, entropy: Entropy) -> int:
    """Return a number below count, each equally likely."""
    size = (count.bit_length() + 7) // 8 + 1
    limit = (1 << 8 * size) // count * count  # what lies above would favour the small ones
    while (drawn := int.from_bytes(entropy(size), "big")) >= limit:
        pass
    return drawn % count


def _shown(value: float, rule: FieldRule) -> str:
    """Return a coarse value as people read it."""
    match rule:
        case Time(to=to, unit=unit):
            return (_EPOCH + timedelta(seconds=value / _PER_SECOND[unit])).strftime(_FORMATS[to])
        case Age(width=width, top=top):
            return f"{value:.0f}+" if value >= top else f"{value:.0f}-{value + width - 1:.0f}"
        case Category(values=values) if value not in values:
            return OTHER
        case _:
            return repr(value)


def _read(text: str, rule: FieldRule) -> float:
    """Return the coarse value of what is shown."""
    match rule:
        case Time(to="week", unit=unit):
            begun = datetime.strptime(f"{text}-1", "%G-W%V-%u").replace(tzinfo=UTC)
            return (begun - _EPOCH).total_seconds() * _PER_SECOND[unit]
        case Time(to=to, unit=unit):
            begun = datetime.strptime(text, _FORMATS[to]).replace(tzinfo=UTC)
            return (begun - _EPOCH).total_seconds() * _PER_SECOND[unit]
        case Age():
            return float(text.partition("-")[0].rstrip("+"))
        case Category(values=values) if text == OTHER:
            return _no_code(values)
        case _:
            return float(text)
