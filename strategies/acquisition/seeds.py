"""The first items that are asked, before there is a head: of each device one, as unlike as may be.

Without a head nothing is uncertain, but sketches tell which items are alike. Every device offers
a few items at random; those are grouped over the whole fleet, and the item nearest the middle of
each group is taken, of large groups first. A device gives no more than one, so that every device
has something to teach with.

Source: Hacohen et al. 2022, arXiv:2202.02794, "Active learning on a budget", section 3: where
labels are few, typical items of different groups; here on sketches, and one of each device.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fieldvote.errors import InputError
from strategies.acquisition.clustering import weighted_kmeans
from strategies.acquisition.offers import Offers
from strategies.acquisition.sketches import unpack


def select_seeds(offers: Offers, budget: int, rng: Generator) -> NDArray[np.int64]:
    """Pick first items to ask: typical of groups that differ, one of each device at most.

    Args:
        offers: Some random items of each device; their scores say nothing.
        budget: How many to pick at most.
        rng: Draws the start of the grouping; ties go by position.

    Returns:
        Distinct positions in order. A device that finds all its groups taken gives its item of the
        largest.

    Raises:
        InputError: A negative budget.

    >>> offers = Offers(device=np.array([0, 0, 1, 1]), score=np.zeros(4),
    ...     predicted=np.full(4, -1), sketch=np.array([[0], [255], [0], [255]], dtype=np.uint8))
    >>> picks = select_seeds(offers, 2, np.random.default_rng(0))
    >>> sorted(offers.device[picks].tolist()), sorted(offers.sketch[picks, 0].tolist())
    ([0, 1], [0, 255])
    """
    if budget < 0:
        raise InputError(f"expected a budget of 0 or more, got {budget}")
    if not budget or not len(offers):
        return np.empty(0, dtype=np.int64)
    points = unpack(offers.sketch)
    group = weighted_kmeans(points, np.ones(len(points)), budget, rng)
    size = np.bincount(group)
    middle = np.zeros((len(size), points.shape[1]))
    np.add.at(middle, group, points)
    middle /= np.maximum(size, 1)[:, None]
    far = ((points - middle[group]) ** 2).sum(axis=1)
    by_size = np.lexsort((far, -size[group])).tolist()
    picks: list[int] = []
    devices: set[int] = set()
    groups: set[int] = set()
    for once in (True, False):  # each group once, as far as that goes
        for place in by_size:
            device, own = int(offers.device[place]), int(group[place])
            if len(picks) < budget and device not in devices and not (once and own in groups):
                picks.append(place)
                devices.add(device)
                groups.add(own)
    return np.sort(np.array(picks, dtype=np.int64))
