"""What devices offer to have labelled, as columns, and offers that have waited too long."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError

HALF_LIFE_ROUNDS = 2.0
"""After so many rounds a score counts half: the head has moved on since it was made."""
MOST_ROUNDS = 6
"""An offer older than this is forgotten; its device will offer anew."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Offers:
    """What devices offer to have labelled, pooled; one row per item.

    Attributes:
        device: Who offers. Shape (n,), int64.
        score: How uncertain its model is, finite; higher is more. Shape (n,), float64.
        predicted: The class its model predicts. Shape (n,), int64.
        sketch: Bits that are alike for items that are alike. Shape (n, b), uint8.

    Raises:
        ShapeError: Columns of different lengths.
        InputError: A column of another kind, or a score that is not finite.
    """

    device: NDArray[np.int64]
    score: NDArray[np.float64]
    predicted: NDArray[np.int64]
    sketch: NDArray[np.uint8]

    def __post_init__(self) -> None:
        items = len(self.device)
        for name, kind in (("device", np.int64), ("score", np.float64), ("predicted", np.int64)):
            column = getattr(self, name)
            if column.shape != (items,):
                raise ShapeError(name, column.shape, (items,))
            if column.dtype != kind:
                raise InputError(f"{name} must be {np.dtype(kind)}, got {column.dtype}")
        if self.sketch.ndim != 2 or len(self.sketch) != items:
            raise ShapeError("sketch", self.sketch.shape, (items, "b"))
        if self.sketch.dtype != np.uint8:
            raise InputError(f"sketch must be uint8, got {self.sketch.dtype}")
        if not np.isfinite(self.score).all():
            raise InputError("scores must be finite")

    @classmethod
    def none(cls, *, sketch_bytes: int) -> "Offers":
        """Return the offers of nobody."""
        return cls(
            device=np.zeros(0, dtype=np.int64),
            score=np.zeros(0),
            predicted=np.zeros(0, dtype=np.int64),
            sketch=np.zeros((0, sketch_bytes), dtype=np.uint8),
        )

    def __len__(self) -> int:
        return len(self.device)


def aged(
    offers: Offers,
    rounds: NDArray[np.int64],
    *,
    half_life_rounds: float = HALF_LIFE_ROUNDS,
    most_rounds: int = MOST_ROUNDS,
) -> tuple[Offers, NDArray[np.int64]]:
    """Return the offers that still count, at what their scores are worth by now.

    Args:
        offers: Of this round and of earlier ones.
        rounds: How many rounds ago each was made, 0 for this one. Shape (n,).
        half_life_rounds: After so many rounds a score counts half.
        most_rounds: Offers older than this are left out.

    Returns:
        The offers that are left, and which ones they were.

    Raises:
        ShapeError: Not one age per offer.
        InputError: An age below zero, a half-life that is not positive, or a negative limit.

    >>> offers = Offers(device=np.arange(3), score=np.ones(3), predicted=np.arange(3),
    ...     sketch=np.zeros((3, 8), dtype=np.uint8))
    >>> left, which = aged(offers, np.array([0, 2, 9]))
    >>> left.score.tolist(), which.tolist()
    ([1.0, 0.5], [0, 1])
    """
    if rounds.shape != (len(offers),):
        raise ShapeError("rounds", rounds.shape, (len(offers),))
    if (rounds < 0).any() or not half_life_rounds > 0 or most_rounds < 0:
        raise InputError("expected ages and a limit of 0 or more, and a half-life above 0")
    which = np.flatnonzero(rounds <= most_rounds)
    worth = np.exp2(-rounds[which] / half_life_rounds)
    # a score below zero would rise as it decays
    score = np.where(offers.score[which] > 0, offers.score[which] * worth, offers.score[which])
    left = Offers(
        device=offers.device[which],
        score=score,
        predicted=offers.predicted[which],
        sketch=offers.sketch[which],
    )
    return left, which
