"""What may leave of one field of a row: the rules policy.toml may name, by their kind.

::

    [candidates.fields]
    speed   = { kind = "decimals", decimals = 1 }
    seen_at = { kind = "time", to = "day" }                    seconds since 1970, or unit = "ms"
    lat     = { kind = "place", decimals = 2 }                 or grid = 0.05, both in degrees
    age     = { kind = "age", width = 5, top = 90 }
    model   = { kind = "category", values = [1, 2, 7] }        any other is shown as "other"
    weight  = { kind = "noise", spread = 2.5, decimals = 1 }
    serial  = { kind = "drop" }                                the same as not to be named
    heat    = { kind = "keep" }                                as it is

A field that no rule names does not leave. The rules are values; `privacy.pii.fields` applies them.
"""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fieldvote.errors import SettingsError

MOST_DECIMALS = 12
FINEST_PLACE_DECIMALS = 3  # 110 m; what is finer is an address
FINEST_GRID_DEGREES = 0.001
LONGEST_LIST = 1000
OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """The value leaves as it is."""

    kind: Literal["keep"] = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """The field stays, said aloud."""

    kind: Literal["drop"] = "drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decimals:
    """The value leaves rounded.

    Attributes:
        decimals: Digits after the point; negative rounds to tens, hundreds and so on.
    """

    kind: Literal["decimals"] = "decimals"
    decimals: int

    def __post_init__(self) -> None:
        """Decimals a float can have."""
        check_decimals(self.decimals, "decimals")


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """A moment leaves as the hour, day, week or month it lies in, by UTC.

    Attributes:
        to: How exactly.
        unit: What the field counts since 1970.
    """

    kind: Literal["time"] = "time"
    to: Literal["hour", "day", "week", "month"]
    unit: Literal["s", "ms"] = "s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A latitude or a longitude leaves rounded, or as the middle of its cell of a grid.

    Attributes:
        decimals: Of a degree; 2 is about a kilometre. Give this or grid.
        grid: Width of a cell in degrees.
    """

    kind: Literal["place"] = "place"
    decimals: int | None = None
    grid: float | None = None

    def __post_init__(self) -> None:
        """One of the two, and nothing as fine as a house."""
        if (self.decimals is None) == (self.grid is None):
            raise SettingsError("a place has decimals or grid, one of the two")
        if self.decimals is not None and not 0 <= self.decimals <= FINEST_PLACE_DECIMALS:
            raise SettingsError(
                f"decimals: a place has 0 to {FINEST_PLACE_DECIMALS}, got {self.decimals}; "
                "finer than that is an address"
            )
        if self.grid is not None and not FINEST_GRID_DEGREES <= self.grid <= 180:
            raise SettingsError(f"grid: expected 0.001 to 180 degrees, got {self.grid}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Age:
    """An age in years leaves as the band it lies in.

    Attributes:
        width: Years in a band.
        top: From here on there is one band: the very old are few.
    """

    kind: Literal["age"] = "age"
    width: int = 5
    top: int = 90

    def __post_init__(self) -> None:
        """Bands that are bands, and end where the last begins."""
        if not 2 <= self.width <= 90:
            raise SettingsError(f"width: expected 2 to 90 years, got {self.width}")
        if not self.width <= self.top <= 90 or self.top % self.width:
            raise SettingsError(
                f"top: expected a multiple of {self.width}, at most 90, got {self.top}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """A code leaves if it is one of the frequent ones; any other leaves as "other".

    Which are frequent is the owner's to say, for the whole fleet: a list made on each device would
    itself tell what is frequent there.

    Attributes:
        values: The codes that may leave.
    """

    kind: Literal["category"] = "category"
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        """Codes that can be told apart."""
        if not 1 <= len(self.values) <= LONGEST_LIST or len(set(self.values)) < len(self.values):
            raise SettingsError(f"values: expected 1 to {LONGEST_LIST} codes, each once")
        if not all(math.isfinite(value) for value in self.values):
            raise SettingsError("values: a code is a finite number")


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """The value leaves rounded, and moved by a random step that is never larger than spread.

    Every step within the bound is equally likely. This blurs one value; it is no differential
    privacy, which a bounded noise cannot give.

    Attributes:
        spread: Largest distance, in the field's own unit.
        decimals: Digits after the point of what leaves; spread is at least one step of them.
    """

    kind: Literal["noise"] = "noise"
    spread: float
    decimals: int = 0

    def __post_init__(self) -> None:
        """Noise that can move a value at all."""
        check_decimals(self.decimals, "decimals")
        if not (math.isfinite(self.spread) and self.steps >= 1):
            raise SettingsError(
                f"spread: expected at least {10.0**-self.decimals}, one step of the last decimal, "
                f"got {self.spread}"
            )

    @property
    def steps(self) -> int:
        """How many steps of the last decimal the value may be moved to either side."""
        # a hair more than the quotient: 0.3 is three steps of 0.1, whatever floats say
        return math.floor(self.spread * 10.0**self.decimals * (1 + 1e-12))


FieldRule: TypeAlias = Keep | Drop | Decimals | Time | Place | Age | Category | Noise


def check_decimals(decimals: int, where: str) -> None:
    """Raise SettingsError for decimals a float cannot have."""
    if abs(decimals) > MOST_DECIMALS:
        raise SettingsError(f"{where}: expected -12 to 12 decimals, got {decimals}")
