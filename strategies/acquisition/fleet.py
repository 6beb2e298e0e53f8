"""Selection over the whole fleet at once, from offers alone.

An offer is what a device says of an item it could have labelled: a score, a predicted class, a
sketch; no content. Cluster-margin over the pooled offers of the devices that are online: keep the
most uncertain, group them by sketch, take the most uncertain of each group.

Source: Citovsky et al. 2021, arXiv:2107.14263, "Batch active learning at scale", with k-means on
sketches in place of hierarchical clustering of embeddings, which do not leave the device.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.acquisition.clustering import weighted_kmeans
from strategies.acquisition.ranking import highest
from strategies.acquisition.sketches import hamming, unpack

DUPLICATE_BITS = 2  # of 64: embeddings within about 6 degrees of one another
LEAST_WEIGHT = 1e-3  # a certain item still has a place among its neighbours


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


def select_fleet(
    offers: Offers,
    budget: int,
    rng: Generator,
    *,
    prefilter: int = 4,
    per_device_cap: int | None = None,
    duplicate_bits: int | None = DUPLICATE_BITS,
) -> NDArray[np.int64]:
    """Pick the offers most worth a label, over all devices together.

    Args:
        offers: Those of the devices that are online.
        budget: How many to pick at most.
        rng: Draws the start of the grouping; all else is determined, ties go by position.
        prefilter: How many times the budget of most uncertain offers to group.
        per_device_cap: Most picks from one device; None for no limit.
        duplicate_bits: An offer whose sketch differs from that of a pick in so many bits or fewer
            is not picked, whichever device it is from; None keeps duplicates.

    Returns:
        Distinct positions: the heads of the groups, most uncertain first, then others by score.
        Fewer than budget when the cap and the duplicates leave no more.

    Raises:
        InputError: A negative budget, cap or number of bits, or a prefilter below 1.
    """
    limits = (budget, per_device_cap or 0, duplicate_bits or 0)
    if min(limits) < 0 or prefilter < 1:
        raise InputError(f"expected limits of 0 or more and prefilter >= 1, got {limits}")
    by_score = highest(offers.score, len(offers))
    pool_cap = None if per_device_cap is None else prefilter * per_device_cap
    pool = _walk(by_score, offers, prefilter * budget, pool_cap, duplicate_bits)
    preferred = by_score
    if len(pool) > budget > 0:
        heads = _most_uncertain_of_each_group(offers, pool, budget, rng)
        preferred = np.concatenate([heads, pool, by_score])
    return _walk(preferred, offers, budget, per_device_cap, duplicate_bits)


def _most_uncertain_of_each_group(
    offers: Offers, pool: NDArray[np.int64], groups: int, rng: Generator
) -> NDArray[np.int64]:
    """Group the pool, which is sorted by score, and return the first of each group, in order."""
    weights = np.maximum(offers.score[pool], 0.0) + LEAST_WEIGHT
    group = weighted_kmeans(unpack(offers.sketch[pool]), weights, groups, rng)
    _, first = np.unique(group, return_index=True)
    return pool[np.sort(first)]


def _walk(
    preferred: Iterable[np.int64],
    offers: Offers,
    limit: int,
    per_device_cap: int | None,
    duplicate_bits: int | None,
) -> NDArray[np.int64]:
    """Take offers in this order, but for repeats, full devices and near-duplicates of the taken."""
    taken = np.zeros(min(limit, len(offers)), dtype=np.int64)
    sketches = np.zeros((len(taken), offers.sketch.shape[1]), dtype=np.uint8)
    # without bits there is nothing to tell duplicates by
    apart = -1 if duplicate_bits is None or not offers.sketch.shape[1] else duplicate_bits
    seen: set[int] = set()
    of_device: Counter[int] = Counter()
    for position in preferred:
        count = len(seen)
        if count == len(taken):
            break
        device = int(offers.device[position])
        if int(position) in seen or of_device[device] == per_device_cap:
            continue
        own = offers.sketch[position]
        if apart >= 0 and (hamming(sketches[:count], own) <= apart).any():
            continue
        taken[count], sketches[count] = position, own
        seen.add(int(position))
        of_device[device] += 1
    return taken[: len(seen)]
