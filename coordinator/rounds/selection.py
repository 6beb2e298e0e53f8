"""Choosing from offers over the whole fleet at once, under one budget."""

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from coordinator.settings import CampaignSettings
from coordinator.store.rows import StoredOffer
from fieldvote.codec import IntVector, decode, encode
from fieldvote.records import ARM_CHOSEN, DeviceId
from fieldvote.rng import stream
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


def grant(
    offers: list[StoredOffer], settings: CampaignSettings, *, number: int, most: int, first: bool
) -> list[StoredOffer]:
    """Return what a round grants of these offers: the same whenever it is asked.

    Args:
        offers: In order of their items.
        settings: Name the strategy, the random share and the seed.
        number: The round.
        most: How many it may buy.
        first: A first round takes every seed.
    """
    if first:
        return offers[:most]
    return choose(
        offers,
        strategy=settings.strategy,
        budget=most,
        random_share=settings.random_share,
        rng=stream(settings.seed, "select", number),
    )


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Offers:
    """Offers as they are kept, column by column."""

    device: IntVector
    arm: IntVector
    score: IntVector
    predicted: IntVector
    items: bytes
    sketches: bytes


_KINDS: dict[int, type] = {1: _Offers}
_COLUMNS = ("device", "arm", "score", "predicted")


def pack_offers(offers: list[StoredOffer]) -> bytes:
    """Return what a selection chose from, as it is kept: chosen from again, it is the same."""
    columns = {
        name: np.array([getattr(offer, name) for offer in offers], dtype=np.int64)
        for name in _COLUMNS
    }
    return encode(
        _Offers(
            items=b"".join(offer.item for offer in offers),
            sketches=b"".join(offer.sketch for offer in offers),
            **columns,
        ),
        _KINDS,
    )


def unpack_offers(blob: bytes) -> list[StoredOffer]:
    """Undo pack_offers."""
    kept = decode(blob, _KINDS, (_Offers,))
    count = len(kept.device)
    item, sketch = (len(joined) // max(count, 1) for joined in (kept.items, kept.sketches))
    return [
        StoredOffer(
            device=DeviceId(int(kept.device[n])),
            item=kept.items[n * item : (n + 1) * item],
            arm=int(kept.arm[n]),
            score=int(kept.score[n]),
            predicted=int(kept.predicted[n]),
            sketch=kept.sketches[n * sketch : (n + 1) * sketch],
        )
        for n in range(count)
    ]
