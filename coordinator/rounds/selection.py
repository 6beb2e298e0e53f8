"""Choosing from offers over the whole fleet at once, under one budget."""

from math import ceil

import numpy as np
from numpy.typing import NDArray

from coordinator.store.rows import StoredOffer
from fieldvote.records import ARM_CHOSEN
from strategies.acquisition import Offers, select_fleet

FLEET = "fleet"


def random_count(budget: int, share: float) -> int:
    """Return how many labels of a round go to the random arm; never none, if there is a share.

    >>> random_count(24, 0.1), random_count(24, 0.0)
    (3, 0)
    """
    # rounded first: 0.07 of 100 is 7, whatever floats make of it
    return ceil(round(share * budget, 9))


def random_offers(budget: int, share: float, devices: int) -> int:
    """Return how many random items each device offers: its part, and one more to draw from."""
    return ceil(random_count(budget, share) / max(devices, 1)) + 1


def choose(
    offers: list[StoredOffer],
    *,
    strategy: str,
    budget: int,
    random_share: float,
    rng: np.random.Generator,
) -> list[StoredOffer]:
    """Return the offers to grant: the random arm first, then the best of the rest.

    Args:
        offers: Offers of a round by item id; the order decides ties.
        strategy: "fleet" chooses for diversity too; any other name by score alone.
        budget: How many labels the round may buy.
        random_share: Share of the budget that goes to the random arm.
        rng: Draws the random arm and starts the clusters.
    """
    lots = [offer for offer in offers if offer.arm != ARM_CHOSEN]
    ranked = [offer for offer in offers if offer.arm == ARM_CHOSEN]
    # without a head nothing is ranked yet: the whole budget is drawn by lot
    wanted = random_count(budget, random_share) if ranked else budget
    drawn = sorted(rng.permutation(len(lots))[:wanted].tolist())
    best = _best(ranked, strategy, budget - len(drawn), rng)
    return [lots[place] for place in drawn] + [ranked[place] for place in best]


def _best(
    offers: list[StoredOffer], strategy: str, budget: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return positions of the best offers."""
    if not offers or budget <= 0:
        return np.empty(0, dtype=np.int64)
    score = np.array([offer.score for offer in offers], dtype=np.float64)
    if strategy != FLEET:
        return np.argsort(-score, kind="stable")[:budget]
    sketches = np.frombuffer(b"".join(offer.sketch for offer in offers), dtype=np.uint8)
    return select_fleet(
        Offers(
            device=np.array([offer.device for offer in offers], dtype=np.int64),
            score=score,
            predicted=np.array([offer.predicted for offer in offers], dtype=np.int64),
            sketch=sketches.reshape(len(offers), -1),
        ),
        budget,
        rng,
    )
