"""Choosing from offers over the whole fleet at once, under one budget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from coordinator.rounds.asked import LABELED, is_mark
from coordinator.settings import CampaignSettings
from coordinator.store.rows import StoredOffer
from fieldvote.codec import IntVector, decode, encode
from fieldvote.errors import WireError
from fieldvote.records import ARM_CHOSEN, DeviceId
from fieldvote.rng import stream
from strategies.acquisition.duplicates import NEVER_APART_SHARE, alike_bits
from strategies.acquisition.fleet import select_fleet
from strategies.acquisition.offers import Offers
from strategies.acquisition.seeds import select_seeds

FLEET = "fleet"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetWishes:
    """What a choice over the fleet keeps to besides its budget.

    Attributes:
        pending: Granted in earlier rounds, as they were offered. Those that have their label by now
            score LABELED, and only keep their likes from being asked.
        class_shares: Class to its least share of picks and pending items, by predicted class.
        per_device_floor: Least picks of the ranked offers of each device.
        per_device_most: Most of them, in even shares; 0 for no limit.
    """

    pending: tuple[StoredOffer, ...] = ()
    class_shares: Mapping[int, float] = field(default_factory=dict)
    per_device_floor: int = 0
    per_device_most: float = 0.0

    def cap(self, budget: int, devices: int) -> int | None:
        """Return how many picks of a device there may be; None for any number.

        A round that is aimed at a class may find it on one device alone.

        >>> FleetWishes(per_device_most=3.0).cap(10, 5)
        6
        """
        if not self.per_device_most or self.class_shares:
            return None
        return max(ceil(self.per_device_most * budget / devices), self.per_device_floor)


NO_WISHES = FleetWishes()


def is_blank(offer: StoredOffer) -> bool:
    """Return whether an offer stands for no item: a device has sent it to hide how many it has."""
    return offer.arm == ARM_CHOSEN and offer.predicted < 0


def random_count(budget: int, share: float, number: int) -> int:
    """Return how many labels of a round go to the random arm.

    Over rounds of one size that is the share to the label: what is left of one round is drawn in a
    later one. Rounded up in every round, a tenth of twelve labels would be a sixth of them.

    >>> [random_count(12, 0.1, number) for number in range(1, 7)]
    [1, 1, 1, 1, 2, 1]
    """
    # rounded first: 0.07 of 100 is 7, whatever floats make of it
    return floor(round(share * budget * number, 9)) - floor(round(share * budget * (number - 1), 9))


def random_offers(budget: int, share: float, devices: int) -> int:
    """Return how many random items each device offers: its part, and one more to draw from."""
    return ceil(round(share * budget, 9) / max(devices, 1)) + 1


def choose(
    offers: list[StoredOffer],
    *,
    strategy: str,
    budget: int,
    random_share: float,
    rng: np.random.Generator,
    number: int = 1,
    wishes: FleetWishes = NO_WISHES,
    known: Sequence[StoredOffer] = (),
) -> list[StoredOffer]:
    """Return the offers to grant: the random arm first, then the best of the rest.

    Args:
        offers: Offers of a round by item id; the order decides ties.
        strategy: "fleet" chooses for diversity too; any other name by score alone.
        budget: How many labels the round may buy.
        random_share: Share of the budget that goes to the random arm.
        rng: Draws the random arm and starts the clusters.
        number: The round, which decides when the random arm gets one more.
        wishes: What "fleet" keeps to besides.
        known: What devices have shipped before there was a head, as it looks now.
    """
    lots = [offer for offer in offers if offer.arm != ARM_CHOSEN]
    ranked = [offer for offer in offers if offer.arm == ARM_CHOSEN]
    # without a head nothing is ranked yet: the whole budget is drawn by lot
    wanted = random_count(budget, random_share, number) if ranked else budget
    drawn = sorted(rng.permutation(len(lots))[:wanted].tolist())
    asked = [*known, *(lots[place] for place in drawn)]
    best = _best(ranked, strategy, budget - len(drawn), rng, wishes, asked)
    return [lots[place] for place in drawn] + [ranked[place] for place in best]


def grant(
    offers: list[StoredOffer],
    settings: CampaignSettings,
    *,
    number: int,
    most: int,
    first: bool,
    wishes: FleetWishes = NO_WISHES,
) -> list[StoredOffer]:
    """Return what a round grants of these offers: the same whenever it is asked.

    Args:
        offers: In order of their items.
        settings: Name the strategy, the random share and the seed.
        number: The round.
        most: How many it may buy.
        first: A first round takes every seed, or where devices offer several, one of each.
        wishes: What "fleet" keeps to besides.
    """
    there = [offer for offer in offers if not (is_blank(offer) or is_mark(offer))]
    rng = stream(settings.seed, "select", number)
    if first and (settings.seed_offers == 1 or settings.strategy != FLEET):
        return there[:most]
    if first:
        picks = select_seeds(_columns(there, sketch_bytes=0), most, rng)
        return [there[place] for place in picks]
    return choose(
        there,
        strategy=settings.strategy,
        budget=most,
        random_share=settings.random_share,
        rng=rng,
        number=number,
        wishes=wishes,
        known=[offer for offer in offers if is_mark(offer)],
    )


def _best(
    offers: list[StoredOffer],
    strategy: str,
    budget: int,
    rng: np.random.Generator,
    wishes: FleetWishes,
    asked: Sequence[StoredOffer],
) -> NDArray[np.int64]:
    """Return positions of the best offers."""
    if not offers or budget <= 0:
        return np.empty(0, dtype=np.int64)
    if strategy != FLEET:
        score = np.array([offer.score for offer in offers], dtype=np.float64)
        return np.argsort(-score, kind="stable")[:budget]
    pooled = _columns(offers, sketch_bytes=0)
    sketch_bytes = pooled.sketch.shape[1]
    # sketches of another length, or of before there was a head, say nothing of these
    alike = [
        offer
        for offer in (*wishes.pending, *(replace(each, score=LABELED) for each in asked))
        if len(offer.sketch) == sketch_bytes and offer.predicted >= 0
    ]
    waiting = [offer for offer in alike if offer.score != LABELED]
    done = [offer for offer in alike if offer.score == LABELED]
    settled = _columns(done, sketch_bytes=sketch_bytes).sketch
    bits = alike_bits(np.concatenate([pooled.sketch, settled]))
    cap = wishes.cap(budget, len(np.unique(pooled.device)))
    while True:
        picks = select_fleet(
            pooled,
            budget,
            rng,
            per_device_cap=cap,
            duplicate_bits=bits,
            # where copies stand apart from all else, a chain of them is one
            chained=bits > int(NEVER_APART_SHARE * 8 * sketch_bytes),
            class_shares=wishes.class_shares,
            per_device_floor=wishes.per_device_floor,
            pending=_columns(waiting, sketch_bytes=sketch_bytes),
            asked=settled,
        )
        if len(picks) == budget or cap is None or cap >= budget:
            return picks
        cap *= 2  # the others offer too little


def _columns(offers: Sequence[StoredOffer], *, sketch_bytes: int) -> Offers:
    """Return offers as columns; without any, their sketches would be so long."""
    sketches = np.frombuffer(b"".join(offer.sketch for offer in offers), dtype=np.uint8)
    size = len(offers[0].sketch) if offers else sketch_bytes
    return Offers(
        device=np.array([offer.device for offer in offers], dtype=np.int64),
        score=np.array([offer.score for offer in offers], dtype=np.float64),
        predicted=np.array([offer.predicted for offer in offers], dtype=np.int64),
        sketch=sketches.reshape(len(offers), size),
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
    """Undo pack_offers.

    Raises:
        WireError: these are not offers as they are kept.
    """
    kept = decode(blob, _KINDS, (_Offers,))
    count = len(kept.device)
    if any(len(getattr(kept, name)) != count for name in _COLUMNS):
        raise WireError(f"columns of {count} offers are not of one length")
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
