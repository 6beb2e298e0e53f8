from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.rounds.selection import (
    FleetWishes,
    choose,
    grant,
    is_blank,
    pack_offers,
    random_count,
    random_offers,
    unpack_offers,
)
from coordinator.store.rows import StoredOffer
from edge.selection import OfferWish, make_offers
from fieldvote.errors import InputError
from fieldvote.records import (
    ARM_CHOSEN,
    ARM_RANDOM,
    ARM_SEED,
    DeviceId,
    Offer,
    SurveyReply,
    decode,
    encode,
)
from tests.coordinator.rounds.campaign import settings_with

STRATEGIES = ("fleet", "margin", "entropy", "random")


def made_offers(
    *, ranked: int, lots: int, seed: int, devices: int = 4, ties: bool = False
) -> list[StoredOffer]:
    """Return offers by item id, no two alike."""
    rng = np.random.default_rng(seed)
    arms = [ARM_CHOSEN] * ranked + [ARM_RANDOM] * lots
    ids = sorted(rng.bytes(16) for _ in arms)
    scores = rng.integers(0, 4 if ties else 65536, size=len(arms))
    return [
        StoredOffer(
            device=DeviceId(int(rng.integers(devices))),
            item=item,
            arm=arm,
            score=int(score) if arm == ARM_CHOSEN else 0,
            predicted=int(rng.integers(3)),
            sketch=rng.bytes(8),
        )
        for item, arm, score in zip(ids, rng.permutation(arms), scores, strict=True)
    ]


def chosen_from(
    offers: list[StoredOffer], budget: int, *, strategy: str = "fleet", share: float = 0.1
) -> list[StoredOffer]:
    return choose(
        offers,
        strategy=strategy,
        budget=budget,
        random_share=share,
        rng=np.random.default_rng(7),
    )


PLANS = st.tuples(
    st.sampled_from(STRATEGIES),
    st.integers(0, 20),
    st.integers(0, 10).map(lambda tenths: tenths / 10),
    st.integers(0, 40),
    st.integers(0, 40),
    st.integers(0, 10**6),
)


@settings(deadline=None, max_examples=150)
@given(PLANS)
def test_nothing_is_granted_twice_unasked_or_beyond_the_budget(
    plan: tuple[str, int, float, int, int, int],
) -> None:
    strategy, budget, share, ranked, lots, seed = plan
    offers = made_offers(ranked=ranked, lots=lots, seed=seed)
    picks = chosen_from(offers, budget, strategy=strategy, share=share)
    assert len(picks) <= budget
    assert not Counter(pick.item for pick in picks) - Counter(offer.item for offer in offers)
    # the same offers and the same draw give the same picks
    assert picks == chosen_from(offers, budget, strategy=strategy, share=share)


@settings(deadline=None, max_examples=100)
@given(PLANS)
def test_with_enough_of_both_arms_the_budget_is_spent_to_the_last_label(
    plan: tuple[str, int, float, int, int, int],
) -> None:
    strategy, budget, share, _, _, seed = plan
    offers = made_offers(ranked=40, lots=25, seed=seed)
    picks = chosen_from(offers, budget, strategy=strategy, share=share)
    drawn = int(Fraction(str(share)) * budget)
    assert len(picks) == budget
    assert [pick.arm for pick in picks] == [ARM_RANDOM] * drawn + [ARM_CHOSEN] * (budget - drawn)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_without_ranked_offers_the_whole_budget_is_drawn_by_lot(strategy: str) -> None:
    picks = chosen_from(made_offers(ranked=0, lots=30, seed=1), 12, strategy=strategy)
    assert len(picks) == 12
    assert {pick.arm for pick in picks} == {ARM_RANDOM}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_fewer_offers_than_labels_are_all_granted(strategy: str) -> None:
    offers = made_offers(ranked=5, lots=1, seed=2)
    picks = chosen_from(offers, 50, strategy=strategy)
    assert sorted(pick.item for pick in picks) == [offer.item for offer in offers]
    assert chosen_from([], 50, strategy=strategy) == []


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_the_random_arm_lacks_the_ranked_offers_fill(strategy: str) -> None:
    picks = chosen_from(made_offers(ranked=40, lots=1, seed=3), 20, strategy=strategy, share=0.5)
    assert Counter(pick.arm for pick in picks) == {ARM_RANDOM: 1, ARM_CHOSEN: 19}


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 20), st.booleans())
def test_a_strategy_of_scores_takes_the_best_and_ties_go_by_item_id(
    seed: int, budget: int, ties: bool
) -> None:
    offers = made_offers(ranked=25, lots=0, seed=seed, ties=ties)
    picks = chosen_from(offers, budget, strategy="margin", share=0.0)
    by_hand = sorted(offers, key=lambda offer: (-offer.score, offer.item))[:budget]
    assert picks == by_hand


def test_the_random_arm_is_drawn_evenly() -> None:
    # 5 of 20 lots, 2,000 draws: 500 each, standard deviation 19.4; six of them are 116
    # (false alarm below one in 10^7)
    offers = made_offers(ranked=0, lots=20, seed=4)
    rng = np.random.default_rng(8)
    drawn = Counter(
        pick.item
        for _ in range(2000)
        for pick in choose(offers, strategy="fleet", budget=5, random_share=0.1, rng=rng)
    )
    assert len(drawn) == 20
    assert max(abs(count - 500) for count in drawn.values()) < 116


def test_the_fleet_prefers_different_items_to_equal_ones() -> None:
    # two groups of near-equal sketches: score alone would take all of the first
    offers = [
        StoredOffer(
            device=DeviceId(n),
            item=bytes([n]) * 16,
            arm=ARM_CHOSEN,
            score=100 - n,
            predicted=0,
            sketch=bytes([group * 255]) * 7 + bytes([17 * (n % 15) * group]),
        )
        for n, group in enumerate([0] * 4 + [1] * 4)
    ]
    picks = chosen_from(offers, 2, strategy="fleet", share=0.0)
    assert {pick.item[0] // 4 for pick in picks} == {0, 1}


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(0, 100), st.integers(1, 50))
def test_the_random_arm_is_its_share_over_the_rounds_to_the_label(
    budget: int, percent: int, rounds: int
) -> None:
    counts = [random_count(budget, percent / 100, number) for number in range(1, rounds + 1)]
    assert sum(counts) == percent * budget * rounds // 100
    assert max(counts) - min(counts) <= 1


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(0, 100), st.integers(1, 30), st.integers(1, 50))
def test_devices_together_offer_enough_lots_for_the_random_arm(
    budget: int, percent: int, devices: int, number: int
) -> None:
    share = percent / 100
    assert random_offers(budget, share, devices) * devices >= random_count(budget, share, number)


@st.composite
def offers_of_a_round(draw: st.DrawFn) -> list[StoredOffer]:
    """Draw offers as a store may hold them: items and sketches of one length each."""
    item, sketch = draw(st.integers(1, 20)), draw(st.integers(0, 12))
    return draw(
        st.lists(
            st.builds(
                StoredOffer,
                device=st.integers(-(2**63), 2**63 - 1).map(DeviceId),
                item=st.binary(min_size=item, max_size=item),
                arm=st.sampled_from([ARM_CHOSEN, ARM_RANDOM, ARM_SEED]),
                score=st.integers(0, 65535),
                predicted=st.integers(-1, 2**31),
                sketch=st.binary(min_size=sketch, max_size=sketch),
            ),
            max_size=20,
        )
    )


@settings(deadline=None)
@given(offers_of_a_round())
def test_offers_come_back_as_they_were_packed(offers: list[StoredOffer]) -> None:
    packed = pack_offers(offers)
    assert unpack_offers(packed) == offers
    assert pack_offers(unpack_offers(packed)) == packed


@pytest.mark.parametrize("blob", [b"", b"no offers"])
def test_bytes_that_are_no_offers_are_refused(blob: bytes) -> None:
    with pytest.raises(InputError):
        unpack_offers(blob)


@settings(deadline=None, max_examples=60)
@given(PLANS, st.integers(1, 5), st.booleans())
def test_what_is_granted_of_packed_offers_is_what_was_granted_of_them(
    plan: tuple[str, int, float, int, int, int], number: int, first: bool
) -> None:
    strategy, most, share, ranked, lots, seed = plan
    offers = made_offers(ranked=ranked, lots=lots, seed=seed)
    chosen = settings_with(strategy=strategy, random_share=share)
    granted = grant(offers, chosen, number=number, most=most, first=first)
    again = unpack_offers(pack_offers(offers))
    assert grant(again, chosen, number=number, most=most, first=first) == granted
    if first:
        assert granted == offers[:most]


def test_each_round_and_each_seed_draws_lots_of_its_own() -> None:
    offers = made_offers(ranked=0, lots=40, seed=5)
    drawn = {
        tuple(
            offer.item
            for offer in grant(offers, settings_with(seed=seed), number=n, most=8, first=False)
        )
        for seed in (1, 2)
        for n in (1, 2, 3)
    }
    assert len(drawn) == 6


def stored(device: int, offers: tuple[Offer, ...]) -> list[StoredOffer]:
    """Return offers as they are kept once they came over the wire."""
    nothing = np.empty(0, dtype=np.int64)
    reply = SurveyReply(round=2, items=0, voted=0, votes=nothing, moments=nothing, offers=offers)
    return [
        StoredOffer(
            device=DeviceId(device),
            item=offer.item,
            arm=offer.arm,
            score=offer.score,
            predicted=offer.predicted,
            sketch=offer.sketch,
        )
        for offer in decode(encode(reply), SurveyReply).offers
    ]


@pytest.mark.parametrize("bits", [64, 128])
@pytest.mark.parametrize("padded", [False, True])
def test_sketches_of_either_length_go_from_the_device_to_the_choice(
    bits: int, padded: bool
) -> None:
    shared = np.random.default_rng(1).standard_normal((12, 30))
    sure = np.linspace(0.5, 0.9, 12)
    offers = [
        offer
        for device in range(3)
        for offer in stored(
            device,
            make_offers(
                OfferWish(strategy="fleet", chosen=20, random=0, first=False),
                ids=[bytes([device, n]) * 8 for n in range(12)],
                free=np.arange(12),
                probabilities=np.column_stack([sure, 1 - sure]),
                # the same items on every device, up to a little noise
                features=shared + 0.01 * np.random.default_rng(device).standard_normal((12, 30)),
                sketch_seed=7,
                rng=np.random.default_rng(device),
                bits=bits,
                padded=padded,
            ),
        )
    ]
    assert {len(offer.sketch) for offer in offers} == {bits // 8}
    assert sum(is_blank(offer) for offer in offers) == (24 if padded else 0)
    kept = unpack_offers(pack_offers(offers))
    chosen = settings_with(strategy="fleet", random_share=0.0)
    picks = grant(kept, chosen, number=2, most=36, first=False)
    # each of the twelve is asked of one device, and no blank of any
    assert sorted(pick.item[1] for pick in picks) == list(range(12))
    assert not any(is_blank(pick) for pick in picks)


def test_a_blank_is_granted_to_nobody_in_any_round() -> None:
    offers = made_offers(ranked=6, lots=6, seed=6)
    blanks = [
        replace(offer, item=offer.item[::-1], arm=ARM_CHOSEN, score=65535, predicted=-1)
        for offer in offers
    ]
    both = sorted([*offers, *blanks], key=lambda offer: offer.item)
    for first in (False, True):
        for strategy in STRATEGIES:
            chosen = settings_with(strategy=strategy, random_share=0.2)
            plain = grant(offers, chosen, number=2, most=10, first=first)
            assert grant(both, chosen, number=2, most=10, first=first) == plain
    # blanks alone are no head's ranking: the budget is drawn by lot
    lots = made_offers(ranked=0, lots=6, seed=6)
    chosen = settings_with(strategy="fleet", random_share=0.2)
    assert len(grant([*lots, *blanks], chosen, number=2, most=6, first=False)) == 6


def test_what_is_pending_is_not_asked_again_and_counts_for_its_class() -> None:
    offers = made_offers(ranked=60, lots=0, seed=9)
    pending = tuple(replace(offer, item=bytes(16)) for offer in offers[:5])

    def chosen(wishes: FleetWishes) -> list[StoredOffer]:
        return choose(
            offers,
            strategy="fleet",
            budget=20,
            random_share=0.0,
            rng=np.random.default_rng(1),
            wishes=wishes,
        )

    asked = chosen(FleetWishes(pending=pending))
    assert not {offer.sketch for offer in asked} & {offer.sketch for offer in pending}
    # sketches of another length can say nothing, and do not stand in the way
    other = tuple(replace(offer, sketch=bytes(16)) for offer in pending)
    assert chosen(FleetWishes(pending=other)) == chosen(FleetWishes())
    shared = chosen(FleetWishes(class_shares={2: 0.8}, per_device_floor=1))
    assert sum(offer.predicted == 2 for offer in shared) >= 16
    assert {offer.device for offer in shared} == {offer.device for offer in offers}
