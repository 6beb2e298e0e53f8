"""The seam between items that may be labelled and the rule that picks them."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError

ROW_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidates:
    """Items that may be labelled, as the model sees them.

    Attributes:
        probabilities: Class probabilities, float32 or float64. Shape (n, k), rows sum to 1.
        embeddings: What the model sees of each item, or None. Shape (n, d), finite.

    Raises:
        ShapeError: Not matrices, or of different lengths.
        InputError: Not probabilities, or embeddings that are not finite.

    >>> Candidates(probabilities=[[0.9, 0.1], [0.5, 0.5]]).items
    2
    """

    probabilities: NDArray[np.floating]
    embeddings: NDArray[np.floating] | None = None

    def __post_init__(self) -> None:
        probabilities = _as_floats(self.probabilities)
        if probabilities.ndim != 2 or probabilities.shape[1] < 1:
            raise ShapeError("probabilities", probabilities.shape, ("n", "k"))
        row_sums = probabilities.sum(axis=1, dtype=np.float64)
        # not (... <= ...) so that a NaN is refused too
        if not np.all(np.abs(row_sums - 1) <= ROW_SUM_TOLERANCE) or np.any(probabilities < 0):
            raise InputError("probabilities must be finite, not negative, and sum to 1 in each row")
        object.__setattr__(self, "probabilities", probabilities)
        if self.embeddings is None:
            return
        embeddings = _as_floats(self.embeddings)
        if embeddings.ndim != 2 or len(embeddings) != len(probabilities):
            raise ShapeError("embeddings", embeddings.shape, (len(probabilities), "d"))
        if not np.isfinite(embeddings).all():
            raise InputError("embeddings must be finite")
        object.__setattr__(self, "embeddings", embeddings)

    @property
    def items(self) -> int:
        """Number of items, n."""
        return len(self.probabilities)


class Acquisition(Protocol):
    """A rule that picks the items most worth a label."""

    def __call__(self, candidates: Candidates, k: int, rng: Generator) -> NDArray[np.int64]:
        """Return distinct positions into candidates, best first; ties go by position.

        Args:
            candidates: Items to pick from.
            k: How many to pick; fewer are returned where there are fewer.
            rng: The only source of chance.

        Returns:
            Shape (min(k, n),), int64.

        Raises:
            InputError: k is negative.
        """


def checked_count(k: int, items: int) -> int:
    """Return how many of the items to pick when k are asked for.

    Raises:
        InputError: k is negative.
    """
    if k < 0:
        raise InputError(f"expected a number of items to pick, got {k}")
    return min(int(k), items)


def _as_floats(values: ArrayLike) -> NDArray[np.floating]:
    """Return a contiguous float32 or float64 array; other numbers become float64."""
    array = np.asarray(values)
    kept = array.dtype if array.dtype in (np.float32, np.float64) else np.float64
    return np.ascontiguousarray(array, dtype=kept)
