"""Whether a new model still knows what the last one knew: a score and a gate from a frozen suite.

The suite is a fixed set of answered items that nothing is trained on. Both models answer it; per
slice and class four counts say what became of each item. They add up over devices. The retention
score is the share of what the last model got right that the new one gets right too. The gate asks
for more than a score: items are few, so it looks at the paired difference with its interval, for
each class and slice, where losses of one class cannot hide behind gains of another.

Source: Agresti and Min 2005, Statistics in Medicine 24(5) (interval of a paired difference, which
holds for small counts too).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.labeling.votes import checked_classes, checked_labels

NORMAL_95 = 1.959963984540054


class Fate(IntEnum):
    """What became of an item."""

    KEPT = 0
    """Both models are right."""
    LOST = 1
    """Only the last one was."""
    GAINED = 2
    """Only the new one is."""
    NEVER = 3
    """Neither is."""


class Finding(Enum):
    """What is known of a class or slice; the values are sentences for the user."""

    HELD = "what was known is still known"
    LOST = "more was lost than gained, beyond chance"
    UNKNOWN = "too few items in the suite to tell"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RetentionCounts:
    """What became of the suite's items; adds up over devices.

    Attributes:
        fates: At [slice, class, fate]. Shape (s, k, 4), int64.
    """

    fates: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.fates.ndim != 3 or self.fates.shape[2] != len(Fate):
            raise ShapeError("fates", self.fates.shape, ("s", "k", len(Fate)))
        if self.fates.dtype != np.int64 or bool(np.any(self.fates < 0)):
            raise InputError("fates are counted in int64 and never negative")

    @classmethod
    def none(cls, *, slices: int, classes: int) -> "RetentionCounts":
        """Return the counts of no item, the start of every sum."""
        k = checked_classes(classes)
        return cls(fates=np.zeros((slices, k, len(Fate)), dtype=np.int64))

    @classmethod
    def of(
        cls,
        before: ArrayLike,
        after: ArrayLike,
        labels: ArrayLike,
        *,
        classes: int,
        slice_of: ArrayLike | None = None,
        slices: int = 1,
    ) -> "RetentionCounts":
        """Count what became of one device's items of the suite.

        Args:
            before: Classes said by the last model. Shape (n,).
            after: Classes said by the new one. Shape (n,).
            labels: People's answers. Shape (n,).
            classes: Number of classes, k.
            slice_of: Which slice each item is of. Shape (n,). None: all of slice 0.
            slices: How many slices there are.

        >>> RetentionCounts.of([0, 0, 1], [0, 1, 1], [0, 0, 0], classes=2).fates[0, 0].tolist()
        [1, 1, 0, 1]
        """
        truth = checked_labels(labels, classes, items=len(np.asarray(labels)))
        old = checked_labels(before, classes, items=len(truth)) == truth
        new = checked_labels(after, classes, items=len(truth)) == truth
        part = np.zeros(len(truth), dtype=np.int64) if slice_of is None else np.asarray(slice_of)
        if part.shape != truth.shape:
            raise ShapeError("slice_of", part.shape, truth.shape)
        if len(part) and not 0 <= part.min() <= part.max() < slices:
            raise InputError(f"slices must lie in 0..{slices - 1}")
        fate = np.select(
            [old & new, old, new], [Fate.KEPT, Fate.LOST, Fate.GAINED], default=Fate.NEVER
        )
        fates = np.zeros((slices, checked_classes(classes), len(Fate)), dtype=np.int64)
        np.add.at(fates, (part, truth, fate), 1)
        return cls(fates=fates)

    def __add__(self, other: "RetentionCounts") -> "RetentionCounts":
        """Return the counts over both sets of items."""
        if not isinstance(other, RetentionCounts):
            return NotImplemented
        if other.fates.shape != self.fates.shape:
            raise ShapeError("fates", other.fates.shape, self.fates.shape)
        return RetentionCounts(fates=self.fates + other.fates)

    @property
    def score(self) -> float | None:
        """The retention score of the whole suite; None where the last model knew nothing."""
        return retention_score(self.fates.sum(axis=(0, 1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRule:
    """What a model must hold to be promoted.

    Attributes:
        least_score: Of the whole suite, unless more was gained than lost beyond chance.
        margin: How much accuracy a class or slice may lose.
        least_items: A class or slice with fewer items is not judged.
        allow_unknown: Whether such a class or slice lets the model pass.
    """

    least_score: float = 0.98
    margin: float = 0.02
    least_items: int = 10
    allow_unknown: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.least_score <= 1 or not 0 <= self.margin <= 1 or self.least_items < 1:
            raise InputError("expected a score and a margin in 0..1, and at least one item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One class, one slice, or the whole suite.

    Attributes:
        name: Which.
        items: How many items it has.
        score: Its retention score; None where the last model knew nothing.
        interval: The paired 95 % interval of what accuracy gained.
        finding: What that means.
    """

    name: str
    items: int
    score: float | None
    interval: tuple[float, float]
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """Whether the new model may be promoted, and why not.

    Attributes:
        judged: The whole suite first, then classes, then slices.
        reasons: Why it is refused; empty where it is not.
    """

    judged: tuple[Judged, ...]
    reasons: tuple[str, ...]

    @property
    def allowed(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons


def judge(
    counts: RetentionCounts,
    rule: RetentionRule,
    *,
    classes: Sequence[str],
    slices: Sequence[str] = ("all",),
) -> Promotion:
    """Return whether a model that answered the suite so may be promoted.

    Args:
        counts: The sum over devices.
        rule: What is asked of it.
        classes: Names of the classes.
        slices: Names of the slices.
    """
    if counts.fates.shape[:2] != (len(slices), len(classes)):
        raise ShapeError("fates", counts.fates.shape, (len(slices), len(classes), len(Fate)))
    whole = _judged("whole suite", counts.fates.sum(axis=(0, 1)), rule)
    by_class = zip(classes, counts.fates.sum(axis=0), strict=True)
    by_slice = zip(slices, counts.fates.sum(axis=1), strict=True)
    judged = (
        whole,
        *(_judged(f"class {name}", fates, rule) for name, fates in by_class),
        *(_judged(f"slice {name}", fates, rule) for name, fates in by_slice),
    )
    reasons = [
        f"{each.name}: {each.finding.value}"
        for each in judged
        if each.finding is Finding.LOST
        or (each.finding is Finding.UNKNOWN and not rule.allow_unknown)
    ]
    surely_better = whole.interval[0] > 0
    if whole.score is not None and whole.score < rule.least_score and not surely_better:
        reasons.append(f"whole suite: retention {whole.score:.3f} is below {rule.least_score}")
    return Promotion(judged=judged, reasons=tuple(reasons))


def retention_score(fates: NDArray[np.int64]) -> float | None:
    """Return kept / (kept + lost), None where the last model knew nothing. Shape of fates (4,).

    >>> retention_score(np.array([98, 2, 5, 0]))
    0.98
    """
    known = int(fates[Fate.KEPT] + fates[Fate.LOST])
    return int(fates[Fate.KEPT]) / known if known else None


def paired_interval(fates: NDArray[np.int64]) -> tuple[float, float]:
    """Return the 95 % interval of accuracy after less accuracy before. Shape of fates (4,).

    Half an item is added to each of the four counts, so that no counts are an interval too.

    >>> low, high = paired_interval(np.array([80, 10, 0, 10]))
    >>> round(low, 3), round(high, 3)
    (-0.159, -0.037)
    """
    total = float(fates.sum()) + 2.0
    gained, lost = float(fates[Fate.GAINED]) + 0.5, float(fates[Fate.LOST]) + 0.5
    middle = (gained - lost) / total
    half = NORMAL_95 * float(np.sqrt(max((gained + lost) / total - middle**2, 0.0) / total))
    return max(middle - half, -1.0), min(middle + half, 1.0)


def _judged(name: str, fates: NDArray[np.int64], rule: RetentionRule) -> Judged:
    """Judge one class, one slice, or all."""
    items, interval = int(fates.sum()), paired_interval(fates)
    finding = Finding.LOST if interval[1] < -rule.margin else Finding.HELD
    return Judged(
        name=name,
        items=items,
        score=retention_score(fates),
        interval=interval,
        finding=finding if items >= rule.least_items else Finding.UNKNOWN,
    )
