"""What items that are new on a device look like, as histograms that add up over devices.

Each is of something no head that is trained meanwhile changes: how sure one head that stays is of
them and what it predicts, which functions fire, where they lie along a few directions of the
embedding, and how far from the fleet's mean. Summed, they are compared with those of earlier
rounds by :mod:`strategies.drift`.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from fieldvote.rng import stream

CONFIDENCE_BINS = 10
DIRECTIONS = 16
_ALONG = np.array([-0.75, 0.0, 0.75])  # in typical spreads of a feature
_AWAY = np.array([0.4, 0.6, 0.8, 1.0, 1.25, 1.6, 2.2])  # in typical distances from the mean
_MOST_SPREADS = 1e6  # what is farther is as far; also a value that overflowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where each histogram stands in the vector of all.

    Attributes:
        classes: k.
        functions: m.
    """

    classes: int
    functions: int

    @property
    def parts(self) -> dict[str, slice]:
        """The histograms by name; in each, every item is counted once.

        >>> Layout(classes=2, functions=1).parts["function 0"]
        slice(13, 15, None)
        """
        sizes = {"confidence": CONFIDENCE_BINS, "predicted class": self.classes}
        sizes |= {f"function {place}": 2 for place in range(self.functions)}
        sizes |= {f"direction {place}": len(_ALONG) + 1 for place in range(DIRECTIONS)}
        sizes["distance"] = len(_AWAY) + 1
        parts, start = dict[str, slice](), 1
        for name, size in sizes.items():
            parts[name] = slice(start, start + size)
            start += size
        return parts

    @property
    def length(self) -> int:
        """How long the vector is: the number of items, and every histogram."""
        return int(self.parts["distance"].stop)

    def is_exact(self, vector: NDArray[np.int64]) -> bool:
        """Return whether these are counts without noise: each histogram holds every item once."""
        if vector.shape != (self.length,) or (vector < 0).any():
            return False
        return all(vector[part].sum() == vector[0] for part in self.parts.values())


def count_arrivals(
    layout: Layout,
    *,
    probabilities: NDArray[np.float64],
    votes: NDArray[np.int8],
    standard: NDArray[np.float64],
    seed: int,
) -> NDArray[np.int64]:
    """Return the histograms of some items as one additive vector.

    Args:
        layout: Where each stands.
        probabilities: What the head that stays says. Shape (n, k).
        votes: Of the functions, -1 abstains. Shape (n, m).
        standard: Embeddings less the fleet's mean, over its spread, 0 for a constant feature.
            Shape (n, d).
        seed: Names the directions, the same on every device.

    Raises:
        ShapeError: these are not of the layout's classes and functions, or not of the same items.

    >>> layout = Layout(classes=2, functions=0)
    >>> counts = count_arrivals(layout, probabilities=np.array([[0.5, 0.5], [0.0, 1.0]]),
    ...     votes=np.empty((2, 0), dtype=np.int8), standard=np.zeros((2, 3)), seed=1)
    >>> counts[layout.parts["confidence"]].tolist()
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    >>> counts[layout.parts["predicted class"]].tolist()
    [1, 1]
    """
    items = len(probabilities)
    if probabilities.shape != (items, layout.classes):
        raise ShapeError("probabilities", probabilities.shape, (items, layout.classes))
    if votes.shape != (items, layout.functions):
        raise ShapeError("votes", votes.shape, (items, layout.functions))
    if standard.ndim != 2 or len(standard) != items:
        raise ShapeError("standard", standard.shape, (items, "d"))
    counts = np.zeros(layout.length, dtype=np.int64)
    counts[0] = items
    parts = layout.parts
    base = 1.0 / layout.classes
    sure = (probabilities.max(axis=1, initial=base) - base) / (1.0 - base)
    steps = np.clip((sure * CONFIDENCE_BINS).astype(np.int64), 0, CONFIDENCE_BINS - 1)
    _put(counts, parts["confidence"], steps)
    _put(counts, parts["predicted class"], probabilities.argmax(axis=1))
    for place in range(layout.functions):
        _put(counts, parts[f"function {place}"], (votes[:, place] >= 0).astype(np.int64))
    near = np.clip(np.nan_to_num(standard), -_MOST_SPREADS, _MOST_SPREADS)
    live = sqrt(max(int(near.shape[1]), 1))
    width = near.shape[1]
    directions = stream(seed, "arrivals", width).standard_normal((width, DIRECTIONS))
    along = near @ directions / live
    for place in range(DIRECTIONS):
        _put(counts, parts[f"direction {place}"], np.searchsorted(_ALONG, along[:, place]))
    _put(counts, parts["distance"], np.searchsorted(_AWAY, np.sqrt((near**2).sum(axis=1)) / live))
    return counts


def standardised(
    embeddings: NDArray[np.float64], *, mean: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return embeddings less the fleet's mean, over its spread; 0 where that is 0. Shape (n, d).

    Args:
        embeddings: Shape (n, d).
        mean: Of each feature. Shape (d,).
        scale: What each is divided by; 0 drops a constant feature. Shape (d,).

    Raises:
        ShapeError: not of the same features.

    >>> standardised(np.array([[3.0, 7.0]]), mean=np.array([1.0, 0.0]), scale=np.array([2.0, 0.0]))
    array([[1., 0.]])
    """
    if embeddings.ndim != 2 or not embeddings.shape[1] == len(mean) == len(scale):
        raise ShapeError("embeddings", embeddings.shape, ("n", len(mean)))
    live = scale > 0
    return np.where(live, (embeddings - mean) / np.where(live, scale, 1.0), 0.0)


def _put(counts: NDArray[np.int64], part: slice, bins: NDArray[np.integer]) -> None:
    """Count items into the bins of one histogram."""
    counts[part] = np.bincount(bins, minlength=part.stop - part.start)


def grown_classes(
    layout: Layout, before: NDArray[np.floating], now: NDArray[np.floating]
) -> tuple[float, ...]:
    """Return how the share of each predicted class has grown, as parts of all growth.

    Args:
        layout: Where predictions stand.
        before: Counts of quiet rounds; noise may have made some negative. Shape (length,).
        now: Those of the round looked at.

    Returns:
        One for each class, adding up to 1; zeros where none has grown.

    Raises:
        InputError: vectors of another layout.

    >>> layout = Layout(classes=2, functions=0)
    >>> before, now = np.zeros((2, layout.length))
    >>> part = layout.parts["predicted class"]
    >>> before[part], now[part] = (5, 5), (2, 8)
    >>> grown_classes(layout, before, now)
    (0.0, 1.0)
    """
    if not before.shape == now.shape == (layout.length,):
        raise InputError(f"expected two vectors of {layout.length} counts")
    part = layout.parts["predicted class"]
    old, new = (np.maximum(np.asarray(each[part], dtype=np.float64), 0.0) for each in (before, now))
    grown = np.maximum(new / max(new.sum(), 1.0) - old / max(old.sum(), 1.0), 0.0)
    total = float(grown.sum())
    return tuple((grown / total).tolist()) if total else (0.0,) * layout.classes
