"""What a choice remembers of earlier rounds, and how much of it may be of one device."""

from dataclasses import replace

import numpy as np
import pytest

from coordinator.rounds.asked import LABELED, is_mark
from coordinator.rounds.selection import FleetWishes, choose, grant
from coordinator.steering_settings import AllocationSettings
from coordinator.store.rows import StoredOffer
from edge.selection import make_marks
from fieldvote.errors import SettingsError
from fieldvote.records import ARM_CHOSEN, ARM_RANDOM, ARM_SEED, DeviceId
from strategies.acquisition.sketches import sketch
from tests.coordinator.rounds.campaign import settings_with

RNG = np.random.default_rng(8)
FEATURES = RNG.standard_normal((40, 12))
FLEET = settings_with(strategy="fleet", random_share=0.0)


def offers_of(devices: list[int], arm: int = ARM_CHOSEN) -> list[StoredOffer]:
    """Return one offer of each of so many items, the most uncertain first."""
    sketches = sketch(FEATURES, seed=3)
    return [
        StoredOffer(
            device=DeviceId(device),
            item=bytes([place]) * 16,
            arm=arm,
            score=60000 - 100 * place,
            predicted=place % 2,
            sketch=sketches[place].tobytes(),
        )
        for place, device in enumerate(devices)
    ]


def granted(offers: list[StoredOffer], most: int, wishes: FleetWishes) -> list[StoredOffer]:
    """Return what a later round grants."""
    return grant(offers, FLEET, number=3, most=most, first=False, wishes=wishes)


def test_a_labeled_item_keeps_its_likes_from_being_asked_and_fills_no_quota() -> None:
    offers = offers_of(list(range(20)))
    best = granted(offers, 1, FleetWishes())[0]
    labeled = replace(best, item=bytes(16), device=DeviceId(99), score=LABELED)
    others = granted(offers, 20, FleetWishes(pending=(labeled,)))
    assert {offer.item for offer in offers} - {offer.item for offer in others} == {best.item}
    # of what waits one item is of the class, of what has its label none is counted
    half = FleetWishes(pending=(labeled,), class_shares={best.predicted: 0.5})
    assert sum(o.predicted == best.predicted for o in granted(offers, 6, half)) >= 3
    # a sketch of before there was a head is of something else
    early = replace(labeled, predicted=-1)
    assert len(granted(offers, 20, FleetWishes(pending=(early,)))) == 20


def test_a_seed_that_is_shown_again_is_granted_to_nobody_and_its_likes_neither() -> None:
    offers = offers_of(list(range(12)))
    (mark,) = make_marks(
        np.array([4]),
        ids=[bytes([place + 100]) * 16 for place in range(40)],
        probabilities=np.tile([0.7, 0.3], (40, 1)),
        features=FEATURES,
        sketch_seed=3,
    )
    shown = StoredOffer(
        device=DeviceId(77),
        item=mark.item,
        arm=mark.arm,
        score=mark.score,
        predicted=mark.predicted,
        sketch=mark.sketch,
    )
    assert is_mark(shown)
    picks = granted([*offers, shown], 20, FleetWishes())
    assert {offer.item for offer in picks} == {o.item for o in offers if o.item[0] != 4}
    # where it could be drawn by lot, in a first round, it is not either
    seeds = [replace(offer, score=0) for offer in offers_of([0, 1], ARM_SEED)]
    first = grant([*seeds, shown], FLEET, number=1, most=9, first=True)
    assert first == seeds


def test_what_is_drawn_by_lot_is_not_asked_a_second_time_of_another_device() -> None:
    ranked = offers_of(list(range(10)))
    lot = replace(ranked[0], item=bytes(16), device=DeviceId(50), arm=ARM_RANDOM)
    picks = choose(
        [*ranked, lot],
        strategy="fleet",
        budget=11,
        random_share=0.1,
        rng=np.random.default_rng(0),
    )
    assert lot in picks
    assert ranked[0] not in picks
    assert len(picks) == 10


def test_no_device_is_asked_for_more_than_so_many_even_shares_unless_others_have_too_little() -> (
    None
):
    flood = offers_of([0] * 20 + [1] * 5 + [2] * 5 + [3] * 5)
    picks = granted(flood, 8, FleetWishes(per_device_most=1.5))
    assert len(picks) == 8
    assert sum(offer.device == 0 for offer in picks) <= 3
    assert sum(offer.device == 0 for offer in granted(flood, 8, FleetWishes())) > 3
    # the budget is spent all the same
    assert len(granted(flood, 33, FleetWishes(per_device_most=1.0))) == 33
    # and a class that is only on one device is asked for there
    aimed = FleetWishes(per_device_most=1.0, class_shares={0: 1.0})
    assert len(granted(offers_of([0] * 20 + [1]), 8, aimed)) == 8
    with pytest.raises(SettingsError, match="per_device_most"):
        AllocationSettings(per_device_most=0.5)
