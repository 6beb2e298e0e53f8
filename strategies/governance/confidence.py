"""How deep a label may teach: tiers of confidence become a weight and a depth gate for each sample.

A label that is sure, and on which independent functions agree, teaches all layers. One that is
fairly sure teaches the head, where a mistake is undone by the next fit. The rest teaches nothing
and goes to the people who are asked. Each row is judged by itself, so any split of the items gives
the same weights, and ``depth_report`` can add up what happened.

Copies of one function are one voice, however many there are: latent groups come from
``strategies.labeling.dependencies`` on the coordinator and travel as one number per function.

Sources: Ratner et al. 2017, arXiv:1711.10160, section 3 (noise-aware loss on soft labels); Lang,
Vijayaraghavan and Sontag 2022, arXiv:2206.02914 (train on the labels one can trust). Depth by
confidence is ours.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.labeling.votes import checked_labels, checked_votes

MOST_WEIGHT = 16.0
"""The largest weight that training takes (``aggregation.fixed_point``)."""
TOLERANCE = 1e-6


class Source(IntEnum):
    """Where a label comes from."""

    VERIFIED = 0
    """A person's answer to the device's own item."""
    VOTED = 1
    """The label model, from labeling functions."""
    PSEUDO = 2
    """The model itself, above a threshold (``pseudo_labels``)."""


class Depth(IntEnum):
    """What a label may teach."""

    QUERY = 0
    """Nothing; a person is to be asked instead."""
    HEAD = 1
    """The last layer only."""
    ALL = 2
    """All layers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthRule:
    """What a label must be worth to teach how deep.

    Attributes:
        high: Least calibrated confidence for all layers.
        middle: Least calibrated confidence for the head.
        voices: How many independent voices must support the label for all layers.
        agreement: Least share of the independent voices that supports it, for all layers.
        sharpness: A label that no person gave weighs its confidence beyond chance to this power. 0
            by default: a soft label holds its doubt already, and counting it twice did not pay.
        most_weight: Weights above are cut to it, so that no sample drives a step alone.
        safety_critical: Whether a label that no person gave may teach nothing at all.
    """

    high: float = 0.9
    middle: float = 0.6
    voices: int = 2
    agreement: float = 0.75
    sharpness: float = 0.0
    most_weight: float = 4.0
    safety_critical: bool = False

    def __post_init__(self) -> None:
        """Refuse tiers that are not in order, and weights that training would not take."""
        if not 0 <= self.middle <= self.high <= 1:
            raise InputError(f"expected 0 <= middle <= high <= 1, got {self.middle}, {self.high}")
        if self.voices < 0 or not 0 <= self.agreement <= 1:
            raise InputError("expected voices of 0 or more and an agreement in 0..1")
        if not 0 <= self.sharpness < np.inf:
            raise InputError(f"expected a finite sharpness of 0 or more, got {self.sharpness}")
        if not 0 < self.most_weight <= MOST_WEIGHT:
            raise InputError(f"expected a largest weight in 0..{MOST_WEIGHT}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Support:
    """Who stands behind each label.

    Attributes:
        voices: Independent voices that voted at all. Shape (n,), int64.
        agreeing: Of them, those that voted for the label and nothing else. Shape (n,), int64.
    """

    voices: NDArray[np.int64]
    agreeing: NDArray[np.int64]

    @property
    def agreement(self) -> NDArray[np.float64]:
        """Share of the voices that support the label; 0 where nobody voted. Shape (n,)."""
        return np.asarray(self.agreeing / np.maximum(self.voices, 1))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Governed:
    """What each sample may teach.

    Attributes:
        weight: Of its loss; 0 where it teaches nothing. Shape (n,), float64.
        depth: A Depth. Shape (n,), int8.
        clipped: Whether its weight was cut. Shape (n,), bool.
    """

    weight: NDArray[np.float64]
    depth: NDArray[np.int8]
    clipped: NDArray[np.bool_]

    @property
    def gate(self) -> NDArray[np.float32]:
        """What a train step's gate above the body takes: 1 for all layers, else 0. Shape (n,)."""
        return np.asarray(self.depth == Depth.ALL, dtype=np.float32)

    @property
    def asked(self) -> NDArray[np.int64]:
        """Positions of the samples a person should be asked about."""
        return np.flatnonzero(self.depth == Depth.QUERY)


def function_groups(same: ArrayLike) -> NDArray[np.int64]:
    """Return one group number per function, from which pairs are copies of each other.

    Groups are connected: a copy of a copy is a copy. A group's number is its first function's.

    Args:
        same: Which pairs are copies; taken both ways. Shape (m, m), bool.

    >>> function_groups([[1, 0, 1], [0, 1, 0], [0, 0, 1]]).tolist()
    [0, 1, 0]
    """
    pairs = np.asarray(same, dtype=np.bool_)
    if pairs.ndim != 2 or pairs.shape[0] != pairs.shape[1]:
        raise ShapeError("same", pairs.shape, ("m", "m"))
    linked = pairs | pairs.T | np.eye(len(pairs), dtype=np.bool_)
    group = np.arange(len(pairs))
    while True:
        least = np.where(linked, group[None, :], len(pairs)).min(axis=1, initial=len(pairs))
        if np.array_equal(least, group):
            return group.astype(np.int64)
        group = least


def support(
    votes: ArrayLike, labels: ArrayLike, *, classes: int, groups: ArrayLike | None = None
) -> Support:
    """Count the independent voices behind each label.

    A group whose members contradict each other is one voice that supports nothing. So adding a
    copy of a function to its group never changes anything.

    Args:
        votes: Shape (n, m), integers, -1 abstains.
        labels: The class each item was given. Shape (n,).
        classes: Number of classes, k.
        groups: Functions with the same number are copies. Shape (m,). None: all independent.

    >>> told = support([[0, 0, 1], [0, 0, -1]], [0, 0], classes=2, groups=[5, 5, 6])
    >>> told.voices.tolist(), told.agreeing.tolist()
    ([2, 1], [1, 1])
    """
    matrix = checked_votes(votes, classes)
    items, functions = matrix.shape
    label = checked_labels(labels, classes, items=items)
    group = np.arange(functions) if groups is None else np.asarray(groups)
    if group.shape != (functions,):
        raise ShapeError("groups", group.shape, (functions,))
    voices = np.zeros(items, dtype=np.int64)
    agreeing = np.zeros(items, dtype=np.int64)
    for number in np.unique(group):
        members = matrix[:, group == number]
        spoke = (members >= 0).any(axis=1)
        against = ((members >= 0) & (members != label[:, None])).any(axis=1)
        voices += spoke
        agreeing += spoke & ~against
    return Support(voices=voices, agreeing=agreeing)


def govern(
    probabilities: ArrayLike,
    behind: Support,
    rule: DepthRule,
    *,
    source: ArrayLike | None = None,
    base: ArrayLike | None = None,
) -> Governed:
    """Return what each sample may teach, and with what weight.

    A verified label weighs 1. Any other weighs its confidence beyond chance, (k·p - 1)/(k - 1), to
    the power of the rule's sharpness.
    A pseudo-label teaches the head at most: the model would else be its own teacher in depth.

    Args:
        probabilities: Calibrated label probabilities; rows sum to 1. Shape (n, k).
        behind: Who stands behind the likeliest class; of no concern to other sources.
        rule: The tiers.
        source: A Source per sample. Shape (n,). None: all voted.
        base: What the sample would weigh for other reasons, such as class balance. Shape (n,).

    Raises:
        ShapeError, InputError: Not probabilities, or a weight that is negative or not finite.

    >>> rows = [[0.96, 0.04], [0.75, 0.25], [0.5, 0.5]]
    >>> behind = support([[0, 0], [0, -1], [0, 1]], [0, 0, 0], classes=2)
    >>> governed = govern(rows, behind, DepthRule(sharpness=1.0))
    >>> governed.weight.round(2).tolist(), governed.gate.tolist(), governed.asked.tolist()
    ([0.92, 0.5, 0.0], [1.0, 0.0, 0.0], [2])
    """
    p = checked_probabilities(probabilities)
    items, classes = p.shape
    for name, column in (("voices", behind.voices), ("agreeing", behind.agreeing)):
        if column.shape != (items,):
            raise ShapeError(name, column.shape, (items,))
    origin = checked_sources(source, items)
    before = np.ones(items) if base is None else np.asarray(base, dtype=np.float64)
    if before.shape != (items,):
        raise ShapeError("base", before.shape, (items,))
    if not bool(np.all((before >= 0) & np.isfinite(before))):
        raise InputError("base weights must be finite and not negative")
    confidence = p.max(axis=1)
    verified, voted = origin == Source.VERIFIED, origin == Source.VOTED
    allowed = verified | (not rule.safety_critical)
    fair = (confidence >= rule.middle) & ((behind.voices > 0) | ~voted)
    sure = (
        voted
        & (behind.voices > 0)
        & (confidence >= rule.high)
        & (behind.agreeing >= rule.voices)
        & (behind.agreement >= rule.agreement)
    )
    depth = np.select(
        [verified, ~allowed, sure, fair], [Depth.ALL, Depth.QUERY, Depth.ALL, Depth.HEAD]
    )
    beyond_chance = np.maximum((classes * confidence - 1) / (classes - 1), 0.0)
    wanted = np.where(verified, 1.0, beyond_chance**rule.sharpness) * before
    taught = depth > Depth.QUERY
    return Governed(
        weight=np.where(taught, np.minimum(wanted, rule.most_weight), 0.0),
        depth=depth.astype(np.int8),
        clipped=np.asarray(taught & (wanted > rule.most_weight)),
    )


def checked_probabilities(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Return probabilities as a matrix of at least two classes, refusing what is none."""
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or p.shape[1] < 2:
        raise ShapeError("probabilities", p.shape, ("n", "2.."))
    # A NaN fails the comparison too.
    if not bool(np.all(p >= 0)) or not bool(np.all(np.abs(p.sum(axis=1) - 1) < TOLERANCE)):
        raise InputError("expected probabilities whose rows sum to 1")
    return p


def checked_sources(source: ArrayLike | None, items: int) -> NDArray[np.int64]:
    """Return one Source per item, refusing numbers that are none."""
    origin = np.full(items, Source.VOTED) if source is None else np.asarray(source)
    if origin.shape != (items,):
        raise ShapeError("source", origin.shape, (items,))
    if not bool(np.isin(origin, list(Source)).all()):
        raise InputError(f"sources must be among {[each.value for each in Source]}")
    return origin.astype(np.int64)
