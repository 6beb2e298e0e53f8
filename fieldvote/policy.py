"""What the owner of a fleet allows to leave its devices, and what answers may cost: policy.toml.

::

    [candidates]                 what of an item is shown to those who label
    redaction = "strict"
    locales = ["en"]
    keep = { speed = 1 }         fields that may leave, and to how many decimals

    [limits]                     what one device gives away at most
    candidates = 200
    size_bytes = 5000000

    [rounds]                     how answers are bought
    random_share = 0.1
    price = 0.05
"""

import math
from dataclasses import dataclass
from enum import Enum

from fieldvote.errors import SettingsError
from fieldvote.settings import check_names

_MOST_DECIMALS = 12


class RedactionMode(Enum):
    """How a candidate is masked before it may leave."""

    STRICT = "strict"


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidatePolicy:
    """What of an item may be shown to those who label.

    Attributes:
        redaction: How texts are masked.
        locales: Languages whose rules and vocabulary apply.
        keep: Fields of a row that may leave, and the decimals each is rounded to; negative rounds
            to tens, hundreds and so on. What is not listed stays.
    """

    redaction: RedactionMode = RedactionMode.STRICT
    locales: tuple[str, ...] = ("en",)
    keep: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        """At least one locale, and decimals a float can have."""
        check_names(self.locales, "locales", least=1)
        for name, decimals in self.keep:
            if abs(decimals) > _MOST_DECIMALS:
                raise SettingsError(f"keep.{name}: expected -12 to 12 decimals, got {decimals}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one device gives away at most, in one campaign.

    Attributes:
        candidates: Items shown to those who label.
        size_bytes: Bytes sent up, of every kind.
        offers: Items named in one survey, by a random id and without content.
    """

    candidates: int = 200
    size_bytes: int = 5_000_000
    offers: int = 64

    def __post_init__(self) -> None:
        """Nothing below zero; zero shuts the door."""
        for name in ("candidates", "size_bytes", "offers"):
            if (value := getattr(self, name)) < 0:
                raise SettingsError(f"{name}: expected 0 or more, got {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundPolicy:
    """How answers are bought.

    Attributes:
        random_share: Part of each round's labels that is spent on items drawn at random; what the
            gain of choosing is measured against, and what class balance is estimated from.
        price: What one answer costs, in the currency of the budget.
    """

    random_share: float = 0.1
    price: float = 0.0

    def __post_init__(self) -> None:
        """A share is a share, and nobody is paid to ask."""
        if not 0.0 <= self.random_share <= 1.0:
            raise SettingsError(f"random_share: expected 0 to 1, got {self.random_share}")
        if not (math.isfinite(self.price) and self.price >= 0.0):
            raise SettingsError(f"price: expected 0 or more, got {self.price}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the owner of the fleet allows: policy.toml."""

    candidates: CandidatePolicy = CandidatePolicy()
    limits: Limits = Limits()
    rounds: RoundPolicy = RoundPolicy()
