"""Combining updates of which some are lies, where each can be seen: without secure aggregation.

Each rule takes one row per device and returns one row. Under secure aggregation there are no rows
to look at; see `groups`. Multi-Krum is the one to take: with a fifth of the devices lying, in any
of five ways, it cost a head on handwritten digits nothing; median and trimmed mean cost one point,
and up to three where the liars know what the honest say. Krum alone throws nearly all data away.

Sources: Yin et al. 2018, "Byzantine-robust distributed learning", arXiv:1803.01498, definitions 1
    and 2 (median, trimmed mean). Blanchard et al. 2017, "Machine learning with adversaries",
    NeurIPS, section 4 (Krum) and 5 (multi-Krum).
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError

LYING_SHARE = 0.2
"""How many of the devices may lie, as a share, where nobody says otherwise."""


def mean(updates: NDArray[np.floating], lying_share: float = LYING_SHARE) -> NDArray[np.float64]:
    """Return the plain mean, which one device can move anywhere; to compare with."""
    return np.asarray(_checked(updates, lying_share).mean(axis=0))


def median(updates: NDArray[np.floating], lying_share: float = LYING_SHARE) -> NDArray[np.float64]:
    """Return the median of each number.

    Args:
        updates: One row per device. Shape (c, p).
        lying_share: Less than half; the median needs to know no more.

    Returns:
        Shape (p,).

    >>> median(np.array([[1.0], [2.0], [1e9]]))
    array([2.])
    """
    return np.asarray(np.median(_checked(updates, lying_share), axis=0))


def trimmed_mean(
    updates: NDArray[np.floating], lying_share: float = LYING_SHARE
) -> NDArray[np.float64]:
    """Return the mean of each number without its largest and smallest.

    Args:
        updates: One row per device. Shape (c, p).
        lying_share: What is cut at each end, rounded up to whole devices. Less than half.

    >>> trimmed_mean(np.array([[1.0], [2.0], [3.0], [4.0], [-1e9]]))
    array([2.])
    """
    rows = np.sort(_checked(updates, lying_share), axis=0)
    cut = min(_liars(len(rows), lying_share), (len(rows) - 1) // 2)
    return np.asarray(rows[cut : len(rows) - cut].mean(axis=0))


def multi_krum(
    updates: NDArray[np.floating], lying_share: float = LYING_SHARE
) -> NDArray[np.float64]:
    """Return the mean of the updates that lie closest to their neighbours.

    The score of a device is the sum of squared distances to its c - f - 2 nearest others, with f
    liars. The c - f best are averaged.

    Args:
        updates: One row per device. Shape (c, p).
        lying_share: Less than half.

    >>> multi_krum(np.array([[1.0], [1.2], [0.8], [1.1], [50.0]]))
    array([1.025])
    """
    rows = _checked(updates, lying_share)
    best = np.argsort(_krum_scores(rows, lying_share), kind="stable")
    kept = max(len(rows) - _liars(len(rows), lying_share), 1)
    return np.asarray(rows[best[:kept]].mean(axis=0))


def krum(updates: NDArray[np.floating], lying_share: float = LYING_SHARE) -> NDArray[np.float64]:
    """Return the one update that lies closest to its neighbours.

    >>> krum(np.array([[1.0], [1.2], [0.8], [1.1], [50.0]]))
    array([1.1])
    """
    rows = _checked(updates, lying_share)
    return np.asarray(rows[np.argmin(_krum_scores(rows, lying_share))])


ROBUST: Mapping[str, Callable[[NDArray[np.floating], float], NDArray[np.float64]]] = (
    MappingProxyType(
        {
            "mean": mean,
            "median": median,
            "trimmed_mean": trimmed_mean,
            "krum": krum,
            "multi_krum": multi_krum,
        }
    )
)


def _krum_scores(rows: NDArray[np.float64], lying_share: float) -> NDArray[np.float64]:
    """Return how far each device is from its neighbours. Shape (c,)."""
    squares = (rows**2).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares - 2.0 * rows @ rows.T, 0.0)
    np.fill_diagonal(distances, np.inf)
    near = max(len(rows) - _liars(len(rows), lying_share) - 2, 1)
    return np.asarray(np.sort(distances, axis=1)[:, :near].sum(axis=1))


def _liars(devices: int, lying_share: float) -> int:
    """Return how many may lie, rounded up."""
    return math.ceil(devices * lying_share)


def _checked(updates: NDArray[np.floating], lying_share: float) -> NDArray[np.float64]:
    """Return the rows that can be used at all: a device that sends NaN has sent nothing."""
    if updates.ndim != 2 or 0 in updates.shape:
        raise ShapeError("updates", updates.shape, ("1..", "1.."))
    if not 0 <= lying_share < 0.5:
        raise InputError(f"lying_share lies in 0..0.5, got {lying_share}")
    rows = updates.astype(np.float64)
    finite = np.isfinite(rows).all(axis=1)
    if not finite.any():
        raise InputError("no device sent an update that is finite")
    return np.asarray(rows[finite])
