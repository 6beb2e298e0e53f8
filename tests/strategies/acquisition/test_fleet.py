"""Selection over the offers of a whole fleet."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.acquisition import hamming, sketch
from strategies.acquisition.clustering import weighted_kmeans
from strategies.acquisition.fleet import select_fleet
from strategies.acquisition.offers import Offers


def offered(
    rng: np.random.Generator, items: int, *, devices: int = 5, sketch_bytes: int = 8, kinds: int = 0
) -> Offers:
    """Offers at random; with kinds, sketches are drawn from so many different ones."""
    pool = rng.integers(0, 256, (kinds or items, sketch_bytes), dtype=np.uint8)
    which = rng.integers(0, kinds, items) if kinds else np.arange(items)
    return Offers(
        device=rng.integers(0, devices, items),
        score=rng.integers(0, 6, items) / 5,
        predicted=rng.integers(0, 3, items),
        sketch=pool[which],
    )


def picked(offers: Offers, budget: int, seed: int = 0, **options: int | None) -> list[int]:
    return select_fleet(offers, budget, np.random.default_rng(seed), **options).tolist()


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    items=st.integers(0, 60),
    budget=st.integers(0, 70),
    cap=st.none() | st.integers(0, 6),
    bits=st.none() | st.integers(0, 20),
    kinds=st.integers(0, 4),
    prefilter=st.integers(1, 5),
)
def test_limits_are_kept_and_what_they_allow_is_used(
    seed: int,
    items: int,
    budget: int,
    cap: int | None,
    bits: int | None,
    kinds: int,
    prefilter: int,
) -> None:
    offers = offered(np.random.default_rng(seed), items, kinds=kinds)
    options = {"prefilter": prefilter, "per_device_cap": cap, "duplicate_bits": bits}
    chosen = select_fleet(offers, budget, np.random.default_rng(seed), **options)
    assert chosen.dtype == np.int64
    positions = chosen.tolist()
    assert len(set(positions)) == len(positions) <= min(budget, items)
    of_device = np.bincount(offers.device[chosen], minlength=5)
    if cap is not None:
        assert of_device.max(initial=0) <= cap
    if bits is not None:
        for i, position in enumerate(positions[1:], start=1):
            assert hamming(offers.sketch[chosen[:i]], offers.sketch[position]).min() > bits
    if len(positions) < min(budget, items):
        for left in set(range(items)) - set(positions):
            full = cap is not None and of_device[offers.device[left]] >= cap
            near = bits is not None and bool(
                len(chosen) and hamming(offers.sketch[chosen], offers.sketch[left]).min() <= bits
            )
            assert full or near, "an offer was left that no limit forbids"
    assert picked(offers, budget, seed, **options) == positions


def test_each_group_of_alike_items_is_asked_once_before_any_is_asked_twice() -> None:
    rng = np.random.default_rng(3)
    centers = rng.standard_normal((8, 40))
    group = np.repeat(np.arange(8), 20)
    points = centers[group] + 0.15 * rng.standard_normal((160, 40))
    offers = Offers(
        device=rng.integers(0, 9, 160),
        # group 0 is the most uncertain by far: margin alone would ask about nothing else
        score=np.where(group == 0, 0.9, 0.6) + 0.05 * rng.random(160),
        predicted=group % 3,
        sketch=sketch(points, bits=256, seed=5),
    )
    alone = np.argsort(-offers.score)[:8]
    assert set(group[alone]) == {0}
    for seed in range(5):
        chosen = picked(offers, 8, seed, prefilter=20)
        assert len(set(group[chosen])) >= 7


def test_an_outlier_does_not_stand_for_its_group_and_an_uncertain_middle_does() -> None:
    rng = np.random.default_rng(4)
    groups = rng.integers(0, 256, (2, 16), dtype=np.uint8)
    sketches = np.repeat(groups, 6, axis=0)
    # the last of each group is the most uncertain by a little, and far from all others
    sketches[[5, 11], :4] ^= 0xFF
    score = np.array([900.0, 890, 880, 870, 860, 910] * 2)
    offers = Offers(
        device=np.arange(12), score=score, predicted=np.zeros(12, dtype=np.int64), sketch=sketches
    )
    assert sorted(picked(offers, 2, duplicate_bits=None, prefilter=6)) == [0, 6]


def test_with_no_more_offers_than_budget_all_are_taken_by_score() -> None:
    offers = offered(np.random.default_rng(2), 12)
    order = sorted(range(12), key=lambda i: (-offers.score[i], i))
    assert picked(offers, 12) == picked(offers, 50) == order


def test_the_first_of_equals_is_taken() -> None:
    offers = Offers(
        device=np.arange(6),
        score=np.ones(6),
        predicted=np.zeros(6, dtype=np.int64),
        sketch=np.zeros((6, 8), dtype=np.uint8),
    )
    assert picked(offers, 3, duplicate_bits=None) == [0, 1, 2]
    assert picked(offers, 3) == [0], "all are duplicates of the first"


def test_a_near_duplicate_on_another_device_is_dropped() -> None:
    rng = np.random.default_rng(1)
    offers = offered(rng, 3)
    sketches = offers.sketch.copy()
    sketches[1] = sketches[0]
    sketches[1, 0] ^= 0b11
    twice = Offers(
        device=np.array([0, 1, 2]),
        score=np.array([0.9, 0.8, 0.1]),
        predicted=offers.predicted,
        sketch=sketches,
    )
    assert picked(twice, 3, duplicate_bits=2) == [0, 2]
    assert picked(twice, 3, duplicate_bits=1) == [0, 1, 2]


def test_what_looks_like_something_labeled_is_not_asked_and_nothing_else_changes() -> None:
    offers = offered(np.random.default_rng(1), 30)
    best = picked(offers, 1)[0]
    near = offers.sketch[best].copy()
    near[0] ^= 0b1
    after = select_fleet(offers, 29, np.random.default_rng(0), asked=near[None])
    assert sorted([best, *after.tolist()]) == list(range(30))
    nothing = np.empty((0, 8), dtype=np.uint8)
    plain = select_fleet(offers, 9, np.random.default_rng(0), asked=nothing).tolist()
    assert plain == picked(offers, 9)
    # one version of a chain was labeled: the others are not asked, link by link
    chain = np.zeros((4, 8), dtype=np.uint8)
    chain[1:, 0] = [0b11, 0b1111, 0b111111]
    links = Offers(device=np.arange(3), score=np.ones(3), predicted=np.arange(3), sketch=chain[1:])
    chained = {"duplicate_bits": 2, "asked": chain[:1]}
    rng = np.random.default_rng(0)
    assert select_fleet(links, 3, rng, chained=True, **chained).tolist() == []
    assert select_fleet(links, 3, rng, **chained).tolist() == [1]
    with pytest.raises(ShapeError, match="asked"):
        select_fleet(offers, 3, rng, asked=np.zeros((1, 16), dtype=np.uint8))


def test_offers_without_sketches_go_by_score() -> None:
    offers = offered(np.random.default_rng(4), 30, sketch_bytes=0)
    order = sorted(range(30), key=lambda i: (-offers.score[i], i))
    assert picked(offers, 5) == order[:5]


def test_one_device_or_none_is_fine() -> None:
    assert picked(Offers.none(sketch_bytes=8), 5) == []
    one = offered(np.random.default_rng(4), 40, devices=1)
    assert len(picked(one, 10)) == 10
    assert len(picked(one, 10, per_device_cap=3)) == 3
    assert picked(one, 0) == []


def test_what_are_not_offers_is_refused() -> None:
    good = offered(np.random.default_rng(4), 3)
    columns = {name: getattr(good, name) for name in ("device", "score", "predicted", "sketch")}
    bad: list[tuple[type[Exception], dict[str, NDArray[np.generic]]]] = [
        (ShapeError, {"score": good.score[:2]}),
        (ShapeError, {"sketch": good.sketch[0]}),
        (InputError, {"score": np.array([0.1, np.nan, 0.2])}),
        (InputError, {"device": good.device.astype(np.int32)}),
        (InputError, {"sketch": good.sketch.astype(np.int64)}),
    ]
    for error, change in bad:
        with pytest.raises(error):
            Offers(**{**columns, **change})  # type: ignore[arg-type]  # wrong on purpose
    for options in ({"prefilter": 0}, {"per_device_cap": -1}, {"duplicate_bits": -1}):
        with pytest.raises(InputError):
            picked(good, 2, **options)
    with pytest.raises(InputError):
        picked(good, -1)


def test_kmeans_finds_groups_that_are_far_apart() -> None:
    rng = np.random.default_rng(6)
    group = np.repeat(np.arange(5), 30)
    points = 50 * rng.standard_normal((5, 6))[group] + rng.standard_normal((150, 6))
    found = weighted_kmeans(points, rng.random(150) + 0.1, 5, np.random.default_rng(0))
    pairs = set(zip(group.tolist(), found.tolist(), strict=True))
    assert len(pairs) == 5
    again = weighted_kmeans(points, np.ones(150), 5, np.random.default_rng(1))
    assert len(set(zip(found.tolist(), again.tolist(), strict=True))) == 5


def test_kmeans_never_ends_further_from_its_means_than_it_began() -> None:
    rng = np.random.default_rng(7)
    points, weights = rng.standard_normal((200, 4)), rng.random(200) + 0.01
    found = weighted_kmeans(points, weights, 8, np.random.default_rng(3))

    def inertia(group: NDArray[np.int64]) -> float:
        total = 0.0
        for name in set(group.tolist()):
            inside = group == name
            mean = np.average(points[inside], axis=0, weights=weights[inside])
            total += float((weights[inside] * ((points[inside] - mean) ** 2).sum(axis=1)).sum())
        return total

    assert inertia(found) < 0.6 * inertia(np.zeros(200, dtype=np.int64))
    assert inertia(found) < inertia(rng.integers(0, 8, 200))


def test_kmeans_of_few_or_equal_points_uses_fewer_groups() -> None:
    rng = np.random.default_rng(0)
    same = np.ones((5, 3))
    assert set(weighted_kmeans(same, np.ones(5), 4, rng).tolist()) == {0}
    assert len(weighted_kmeans(np.zeros((0, 3)), np.zeros(0), 4, rng)) == 0
    few = weighted_kmeans(np.eye(3), np.ones(3), 9, rng)
    assert len(set(few.tolist())) == 3
