"""Masking of tabular items: a field the policy does not name does not leave.

Values are rounded to the decimals the policy grants: a reading of 36.61234 identifies a sensor, or
a person, better than 36.6 does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isinf, isnan

from fieldvote.errors import InputError, nearest

MOST_DECIMALS = 12


@dataclass(frozen=True, slots=True)
class KeptField:
    """A field that may leave.

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
    """Which fields of a tabular item may leave; an empty policy lets nothing out."""

    keep: tuple[KeptField, ...] = ()

    def __post_init__(self) -> None:
        names = [field.name for field in self.keep]
        if len(set(names)) != len(names):
            raise InputError("the field policy names a field twice")


def mask_fields(
    names: Sequence[str], values: Sequence[float], policy: FieldPolicy
) -> tuple[tuple[str, float | None], ...]:
    """Return the fields that may leave, rounded, in the order of names.

    Args:
        names: Names of the schema's fields. Shape (d,), each once.
        values: The item. Shape (d,). NaN means missing and leaves as None.
        policy: What may leave and how exactly.

    Raises:
        InputError: the policy names a field the schema lacks, a value is infinite, or the lengths
            differ.

    >>> mask_fields(["age", "name_hash"], [36.6, 7.0], FieldPolicy((KeptField("age", -1),)))
    (('age', 40.0),)
    """
    if len(names) != len(values) or len(set(names)) != len(names):
        raise InputError(f"{len(names)} field names, each once, expected for {len(values)} values")
    decimals = {field.name: field.decimals for field in policy.keep}
    for name in decimals.keys() - set(names):
        raise InputError(f"the field policy keeps {name!r}; {nearest(name, names)}")
    return tuple(
        (name, _rounded(name, float(value), decimals[name]))
        for name, value in zip(names, values, strict=True)
        if name in decimals
    )


def _rounded(name: str, value: float, decimals: int) -> float | None:
    """Return the value as it may leave."""
    if isnan(value):
        return None
    if isinf(value):
        raise InputError(f"field {name!r} is infinite; use NaN for a missing value")
    # + 0.0 makes -0.0 plain zero: the sign of a rounded-away value is part of the value.
    return round(value, decimals) + 0.0
