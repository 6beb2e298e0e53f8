"""Labeling functions that ask the task's model, with its probabilities put right first."""

import itertools
from dataclasses import dataclass
from typing import Literal

from fieldvote.errors import SettingsError
from fieldvote.function_definition import OneClass, Source

_COLDEST, _HOTTEST = 0.01, 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature:
    """Every probability to the power 1 / temperature, then scaled to sum to 1.

    Above 1 it makes an overconfident model modest. Source: Guo et al. 2017, arXiv:1706.04599.
    """

    kind: Literal["temperature"] = "temperature"
    temperature: float

    def __post_init__(self) -> None:
        """Refuse what would make every answer certain, or none."""
        if not _COLDEST <= self.temperature <= _HOTTEST:
            raise SettingsError(f"temperature: expected {_COLDEST} to {_HOTTEST:.0f}")

    def meaning(self) -> dict[str, object]:
        """Return it in a normal form."""
        return {"kind": self.kind, "temperature": self.temperature}


@dataclass(frozen=True, slots=True, kw_only=True)
class IsotonicTable:
    """The class's probability read off a rising line through given points; ends are extended.

    Attributes:
        scores: What the model says, rising.
        probabilities: How often it is then right, never falling.
    """

    kind: Literal["isotonic"] = "isotonic"
    scores: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse a line that falls or leaves the probabilities."""
        if len(self.scores) != len(self.probabilities) or len(self.scores) < 2:
            raise SettingsError("scores: expected at least 2, and as many as probabilities")
        if not all(a < b for a, b in itertools.pairwise(self.scores)):
            raise SettingsError("scores: must rise from one to the next")
        if not all(a <= b for a, b in itertools.pairwise(self.probabilities)):
            raise SettingsError("probabilities: must never fall")
        if not all(0.0 <= each <= 1.0 for each in (*self.scores, *self.probabilities)):
            raise SettingsError("scores and probabilities lie between 0 and 1")

    def meaning(self) -> dict[str, object]:
        """Return it in a normal form."""
        points = [*zip(self.scores, self.probabilities, strict=True)]
        return {"kind": self.kind, "points": points}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFunction(OneClass):
    """Votes for its class when the model gives that class at least the minimum probability.

    Attributes:
        minimum: The bar, after calibration.
        calibration: What is done to the model's probabilities first; None for nothing.
    """

    kind: Literal["model"] = "model"
    minimum: float
    calibration: Temperature | IsotonicTable | None = None

    @property
    def reads(self) -> Source:
        """What the model says."""
        return Source.PROBABILITIES

    def check(self) -> None:
        """The bar is a probability; at zero the model would not be asked."""
        if not 0.0 < self.minimum <= 1.0:
            raise SettingsError("minimum: expected a probability above 0, at most 1")

    def meaning(self) -> dict[str, object]:
        """Return the class, its bar, and the calibration if there is one."""
        said: dict[str, object] = {
            "kind": self.kind, "class": self.class_name, "minimum": self.minimum
        }  # fmt: skip
        if self.calibration is not None:
            said["calibration"] = self.calibration.meaning()
        return said
