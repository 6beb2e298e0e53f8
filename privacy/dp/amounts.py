"""Numbers that privacy rests on, checked before anything is computed with them.

A NaN compares false with every limit, a subnormal squares to zero, and True counts as 1: each of
them has opened somebody's ledger. So each is refused here, in one place.
"""

import math
import sys
from fractions import Fraction

from fieldvote.errors import InputError

MICRO = 10**6
"""How many millionths make one rho."""

MAX_INTEGER = 2**53


def whole(name: str, value: int, *, least: int = 0, most: int = MAX_INTEGER) -> int:
    """Return a plain whole number within its bounds.

    >>> whole("count", 3)
    3
    >>> whole("count", True)
    Traceback (most recent call last):
    fieldvote.errors.InputError: count is a whole number from 0 to 9007199254740992, got a bool
    """
    if type(value) is not int:
        raise InputError(
            f"{name} is a whole number from {least} to {most}, got a {type(value).__name__}"
        )
    if not least <= value <= most:
        raise InputError(f"{name} is a whole number from {least} to {most}, got {value}")
    return value


def positive_fraction(name: str, value: float | Fraction) -> Fraction:
    """Return a positive number exactly, as a fraction.

    Raises:
        InputError: It is not positive, not finite, subnormal, or so large that its inverse is.

    >>> positive_fraction("variance", 0.75)
    Fraction(3, 4)
    """
    kind = type(value)
    if kind not in (int, float, Fraction):
        raise InputError(f"{name} is a positive number, got a {kind.__name__}")
    # the comparison fails for NaN too
    if not sys.float_info.min <= value <= 1.0 / sys.float_info.min:
        raise InputError(f"{name} is a positive, finite and normal number, got {float(value)}")
    return Fraction(value)


def probability(name: str, value: float) -> float:
    """Return a number above 0 and at most 1.

    >>> probability("delta", 1e-6)
    1e-06
    """
    if type(value) not in (int, float) or not sys.float_info.min <= value <= 1.0:
        raise InputError(f"{name} is a number above 0 and at most 1, got {value!r}")
    return float(value)


def ceil_sqrt(value: Fraction, *, denominator: int) -> Fraction:
    """Return the square root of a fraction, rounded up to so many parts of one.

    >>> ceil_sqrt(Fraction(2), denominator=100)
    Fraction(71, 50)
    """
    scaled = math.ceil(value * denominator**2)
    root = math.isqrt(scaled)
    return Fraction(root + (root * root < scaled), denominator)
