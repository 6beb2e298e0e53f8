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
        members: Class probabilities of each member of a committee, or None: `probabilities` alone
            is the committee then, and never disagrees with itself. Shape (c, n, k).
        labeled: Embeddings of items that are labeled already, or None for none; rules that spread
            out keep away from them. Shape (l, d), finite.

    Raises:
        ShapeError: Not of these shapes.
        InputError: Not probabilities, or embeddings that are not finite.

    >>> Candidates(probabilities=[[0.9, 0.1], [0.5, 0.5]]).items
    2
    """

    probabilities: NDArray[np.floating]
    embeddings: NDArray[np.floating] | None = None
    members: NDArray[np.floating] | None = None
    labeled: NDArray[np.floating] | None = None

    def __post_init__(self) -> None:
        probabilities = _as_floats(self.probabilities)
        if probabilities.ndim != 2 or probabilities.shape[1] < 1:
            raise ShapeError("probabilities", probabilities.shape, ("n", "k"))
        _check_probabilities("probabilities", probabilities)
        object.__setattr__(self, "probabilities", probabilities)
        if self.members is not None:
            members = _as_floats(self.members)
            if members.ndim != 3 or members.shape[1:] != probabilities.shape or not len(members):
                raise ShapeError("members", members.shape, ("c", *probabilities.shape))
            _check_probabilities("members", members)
            object.__setattr__(self, "members", members)
        if self.embeddings is not None:
            embeddings = _as_points("embeddings", self.embeddings, (len(probabilities), "d"))
            object.__setattr__(self, "embeddings", embeddings)
        if self.labeled is not None:
            width = "d" if self.embeddings is None else self.embeddings.shape[1]
            labeled = _as_points("labeled", self.labeled, ("l", width))
            object.__setattr__(self, "labeled", labeled)

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


def points_of(candidates: Candidates, rule: str) -> NDArray[np.floating]:
    """Return the embeddings a rule cannot do without. Shape (n, d).

    Raises:
        InputError: there are none.
    """
    if candidates.embeddings is None:
        raise InputError(f"{rule} spreads out over embeddings, and these candidates have none")
    return candidates.embeddings


def _check_probabilities(name: str, values: NDArray[np.floating]) -> None:
    """Refuse rows that are no distribution."""
    row_sums = values.sum(axis=-1, dtype=np.float64)
    # not (... <= ...) so that a NaN is refused too
    if not np.all(np.abs(row_sums - 1) <= ROW_SUM_TOLERANCE) or np.any(values < 0):
        raise InputError(f"{name} must be finite, not negative, and sum to 1 in each row")


def _as_points(
    name: str, values: ArrayLike, shape: tuple[int | str, int | str]
) -> NDArray[np.floating]:
    """Return a finite matrix of this shape; a letter stands for any length."""
    points = _as_floats(values)
    fits = points.ndim == 2 and all(
        isinstance(want, str) or want == got for want, got in zip(shape, points.shape, strict=True)
    )
    if not fits:
        raise ShapeError(name, points.shape, shape)
    if not np.isfinite(points).all():
        raise InputError(f"{name} must be finite")
    return points


def _as_floats(values: ArrayLike) -> NDArray[np.floating]:
    """Return a contiguous float32 or float64 array; other numbers become float64."""
    array = np.asarray(values)
    kept = array.dtype if array.dtype in (np.float32, np.float64) else np.float64
    return np.ascontiguousarray(array, dtype=kept)
