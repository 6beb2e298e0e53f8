"""Selection over the whole fleet at once, from offers alone.

An offer is what a device says of an item it could have labelled: a score, a predicted class, a
sketch; no content. Cluster-margin over the pooled offers of the devices that are online: keep the
most uncertain, group them by sketch, and take of each group what is uncertain and stands for the
group: the most uncertain of all is often an outlier that nothing else is like. Items that were
granted before and are not answered yet take part in the grouping: a group that has one is asked
last.

Sources: Citovsky et al. 2021, arXiv:2107.14263, "Batch active learning at scale", with k-means on
sketches in place of hierarchical clustering of embeddings, which do not leave the device; Prabhu et
al. 2021, arXiv:2010.08666, section 3.2, for the middle of a group, which here counts half.
"""

from collections.abc import Mapping

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.acquisition.clustering import weighted_kmeans
from strategies.acquisition.fleet_limits import DUPLICATE_BITS, FleetLimits, take
from strategies.acquisition.offers import Offers
from strategies.acquisition.ranking import highest
from strategies.acquisition.sketches import unpack

LEAST_WEIGHT = 1e-3  # a certain item still has a place among its neighbours


def select_fleet(
    offers: Offers,
    budget: int,
    rng: Generator,
    *,
    prefilter: int = 6,
    per_device_cap: int | None = None,
    duplicate_bits: int | None = DUPLICATE_BITS,
    chained: bool = False,
    class_shares: Mapping[int, float] | None = None,
    per_device_floor: int = 0,
    pending: Offers | None = None,
    asked: NDArray[np.uint8] | None = None,
) -> NDArray[np.int64]:
    """Pick the offers most worth a label, over all devices together.

    Args:
        offers: Those of the devices that are online.
        budget: How many to pick at most.
        rng: Draws the start of the grouping; all else is determined, ties go by position.
        prefilter: How many times the budget of most uncertain offers to group.
        per_device_cap: See FleetLimits.
        duplicate_bits: See FleetLimits.
        chained: See FleetLimits.
        class_shares: See FleetLimits.
        per_device_floor: See FleetLimits.
        pending: Items granted before and not answered yet, as they were offered: they count as
            labeled with the class predicted, and what looks like them is not asked again.
        asked: Sketches of what has its label: what looks like it is not asked again, and that is
            all. Shape (a, b).

    Returns:
        Distinct positions: one of each group, in the order of their scores, then others by score.
        Fewer than budget when the cap and the duplicates leave no more.

    Raises:
        InputError: A negative budget, a prefilter below 1, or limits that are none.
        ShapeError: Sketches of pending or asked items of another length.
    """
    if budget < 0 or prefilter < 1:
        raise InputError(f"expected budget >= 0 and prefilter >= 1, got {budget} and {prefilter}")
    limits = FleetLimits(
        per_device_cap=per_device_cap,
        duplicate_bits=duplicate_bits,
        chained=chained,
        class_shares=class_shares or {},
        per_device_floor=per_device_floor,
    )
    waiting = Offers.none(sketch_bytes=offers.sketch.shape[1]) if pending is None else pending
    if waiting.sketch.shape[1] != offers.sketch.shape[1]:
        raise ShapeError("pending", waiting.sketch.shape, ("p", offers.sketch.shape[1]))
    if asked is not None and asked.shape[1:] != offers.sketch.shape[1:]:
        raise ShapeError("asked", asked.shape, ("a", offers.sketch.shape[1]))
    known = waiting.sketch if asked is None else np.concatenate([waiting.sketch, asked])
    by_score = highest(offers.score, len(offers))
    pool_limits = FleetLimits(
        per_device_cap=None if per_device_cap is None else prefilter * per_device_cap,
        duplicate_bits=duplicate_bits,
        chained=chained,
    )
    pool = take(by_score, offers, prefilter * budget, pool_limits, waiting, known)
    preferred = by_score
    if len(pool) > budget > 0:
        heads, free = _one_of_each_group(offers, pool, budget, waiting, rng)
        preferred = np.concatenate([heads, free, by_score])
    return take(preferred, offers, budget, limits, waiting, known)


def _one_of_each_group(
    offers: Offers, pool: NDArray[np.int64], budget: int, pending: Offers, rng: Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Group the pool, which is sorted by score; return one of each group, and all members.

    Both in order, and only of groups without a pending item. There are as many more groups as items
    are pending, so that the budget still finds its own.
    """
    points = unpack(np.concatenate([offers.sketch[pool], pending.sketch]))
    scores = np.concatenate([offers.score[pool], pending.score])
    weights = np.maximum(scores, 0.0) + LEAST_WEIGHT
    group = weighted_kmeans(points, weights, budget + len(pending), rng)
    own, asked = group[: len(pool)], group[len(pool) :]
    free = np.flatnonzero(~np.isin(own, asked))
    members = (free[own[free] == name] for name in np.unique(own[free]))
    heads = [rows[_stands_for(points[rows], weights[rows])] for rows in members]
    return pool[np.sort(np.array(heads, dtype=np.int64))], pool[free]


def _stands_for(points: NDArray[np.float64], weights: NDArray[np.float64]) -> int:
    """Return the member of a group that is uncertain and near its middle, each counting half."""
    if len(points) == 1:
        return 0
    apart = ((points - weights @ points / weights.sum()) ** 2).sum(axis=1)
    farthest = apart.max()
    far = apart / farthest if farthest > 0 else apart
    return int((far - weights / weights.max()).argmin())
