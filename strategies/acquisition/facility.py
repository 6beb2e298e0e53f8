"""Facility location: picks that stand for all items, each item counting as much as it is alike.

Greedy maximisation of sum_i max_{j picked} s(i, j), which comes within 1 - 1/e of the best there is
(Nemhauser, Wolsey and Fisher 1978, Mathematical Programming 14, theorem 4.2). s falls linearly with
the squared distance, from 1 where two items are the same to 0 where they are farthest apart.

The gain of every item is kept, and each pick changes it by what the items it newly stands for no
longer need. Those are few after the first picks, so nothing is ever worked out anew, as the lazy
rule (Minoux 1978) would.
"""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from strategies.acquisition.distances import check_pairs, squared_distances
from strategies.acquisition.protocol import Candidates, checked_count, points_of

BLOCK = 256
"""Changed items whose rows numpy works on at once."""

Lower = Callable[
    [NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.float32],
     NDArray[np.float64]], None,
]  # fmt: skip


def facility_location(candidates: Candidates, k: int, rng: Generator) -> NDArray[np.int64]:
    """Pick items that every item is like one of (see Acquisition).

    Raises:
        InputError: k is negative, there are no embeddings, or more than 16,384 items.

    >>> groups = Candidates(probabilities=[[1.0]] * 5, embeddings=[[0.0], [1.0], [2.0], [9.0], [9]])
    >>> facility_location(groups, 2, np.random.default_rng(0)).tolist()
    [2, 3]
    """
    points = points_of(candidates, "facility_location")
    count = checked_count(k, candidates.items)
    check_pairs("facility_location", len(points))
    if not count:
        return np.empty(0, dtype=np.int64)
    alike, covered = similarities(points, candidates.labeled)
    return greedy(alike, covered, count)


def similarities(
    points: NDArray[np.floating], labeled: NDArray[np.floating] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return how alike items are to one another, and each to what is labeled.

    Args:
        points: Shape (n, d).
        labeled: Shape (l, d); none covers nothing.

    Returns:
        Shapes (n, n) and (n,), from 0 to 1.
    """
    gaps = squared_distances(points, points)
    farthest = gaps.max(initial=0.0)
    scale = np.float32(1 / farthest if farthest > 0 else 0)
    covered = np.zeros(len(points), dtype=np.float32)
    if labeled is not None and len(labeled):
        nearest = squared_distances(points, labeled).min(axis=1)
        covered = np.maximum(1 - nearest * scale, 0)
    gaps *= -scale
    gaps += 1
    return gaps, covered


def greedy(
    alike: NDArray[np.float32],
    covered: NDArray[np.float32],
    count: int,
    *,
    most: NDArray[np.float32] | None = None,
) -> NDArray[np.int64]:
    """Return the greedy picks, best first; ties go by position.

    Args:
        alike: What each item, a row, gains where another, a column, stands for it. Shape (n, n).
        covered: What each item has at the start. Shape (n,).
        count: How many, at most n.
        most: The most each item can have; 1 if left out. Shape (n,).
    """
    lower = compiled_lower() or lower_gains
    gains = np.zeros(len(alike))
    # what there is to gain is what would go if every item stood for itself
    full = np.ones_like(covered) if most is None else np.maximum(most, covered)
    lower(alike, np.arange(len(alike)), covered, full, gains)
    np.negative(gains, out=gains)
    picks = np.empty(count, dtype=np.int64)
    for place in range(count):
        best = int(gains.argmax())
        picks[place] = best
        now = np.ascontiguousarray(alike[:, best])
        changed = np.flatnonzero(now > covered)
        lower(alike, changed, covered[changed], now[changed], gains)
        covered = np.maximum(covered, now)
        gains[picks[: place + 1]] = -np.inf
    return picks


def lower_gains(
    alike: NDArray[np.float32],
    changed: NDArray[np.int64],
    old: NDArray[np.float32],
    new: NDArray[np.float32],
    gains: NDArray[np.float64],
) -> None:
    """Take from the gains, in place, what the changed items no longer need.

    Args:
        alike: As in greedy. Shape (n, n).
        changed: Items that are now better stood for. Shape (c,).
        old: How well before. Shape (c,).
        new: How well now. Shape (c,).
        gains: Shape (n,).
    """
    for start in range(0, len(changed), BLOCK):
        part = slice(start, start + BLOCK)
        rows = np.clip(alike[changed[part]], old[part, None], new[part, None])
        gains -= (rows - old[part, None]).sum(axis=0, dtype=np.float64)


@cache
def compiled_lower() -> Lower | None:
    """Return lower_gains compiled, or None where numba is not installed."""
    if find_spec("numba") is None:
        return None
    import numba

    # without NaN, min and max are single instructions; sums keep their order
    compiled: Lower = numba.njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})(_lower_loop)
    return compiled


def _lower_loop(
    alike: NDArray[np.float32],
    changed: NDArray[np.int64],
    old: NDArray[np.float32],
    new: NDArray[np.float32],
    gains: NDArray[np.float64],
) -> None:
    """As lower_gains, in one pass without a copy; a few rows are added up before gains are read."""
    part = np.empty(gains.shape[0], dtype=np.float32)
    for start in range(0, changed.shape[0], 16):
        part[:] = 0
        for place in range(start, min(start + 16, changed.shape[0])):
            row, least, most = alike[changed[place]], old[place], new[place]
            for item in range(row.shape[0]):
                part[item] += min(max(row[item], least), most) - least
        for item in range(part.shape[0]):
            gains[item] -= part[item]
