"""Whole rounds: the sum is exact, or there is none."""

import numpy as np
import pytest

from fieldvote.errors import RefusalError, UnavailableError
from fieldvote.rng import keyed_entropy, stream
from privacy.secagg import Parameters, Summation, choose_parameters
from tests.privacy.secagg.fleet import Fleet, Losses, enrol, everybody, play

LENGTH = 16


def values_of(fleet: Fleet, number: int, bound: int) -> list[np.ndarray]:
    rng = stream(number, "values", len(fleet.devices))
    return list(rng.integers(-bound, bound, (len(fleet.devices), LENGTH), endpoint=True))


def random_round(seed: int) -> str:
    """Play one random pattern of losses; say how it ended, and fail if the sum is wrong."""
    rng = stream(seed, "pattern")
    devices = int(rng.integers(4, 13))
    robust = bool(rng.integers(4))
    if rng.integers(2):
        threshold = int(rng.integers(devices // 2 + 1, devices + 1))
        sizes = everybody(devices, threshold)
    else:  # a ring, with fewer keepers than devices
        keepers = int(rng.integers(3, devices + 1))
        degree = 2 * int(rng.integers(1, (devices - 2) // 2 + 1))
        sizes = Parameters(
            degree=degree, least_partners=1, keepers=keepers, threshold=keepers // 2 + 1
        )
    fleet = enrol(devices, sizes, robust=robust, floors=None)
    bound = int(rng.choice([1, 1000, 1 << 26, 1 << 40]))
    ended = "refused"
    for number in (int(rng.integers(3)), 3 + int(rng.integers(3))):  # numbers may be left out
        rates = rng.choice([0.0, 0.0, 0.1, 0.3], size=4)
        losses = [np.flatnonzero(rng.random(devices) < rate).tolist() for rate in rates]
        values = values_of(fleet, number, bound)
        try:
            total, survivors = play(
                fleet,
                values,
                number=number,
                bound=bound,
                losses=Losses(
                    deposit=losses[0], mask=losses[1], confirm=losses[2], unmask=losses[3]
                ),
                killed=bool(rng.integers(2)),
            )
        except (RefusalError, UnavailableError):
            continue
        ended = "exact"
        assert survivors == tuple(sorted(set(range(devices)) - {*losses[0], *losses[1]}))
        assert np.array_equal(total, sum(values[seat] for seat in survivors)), seed
    return ended


def test_whatever_devices_vanish_the_sum_is_exact_or_refused() -> None:
    ended = [random_round(seed) for seed in range(200)]
    assert ended.count("exact") > 100
    assert ended.count("refused") > 10


@pytest.mark.nightly
def test_ten_thousand_patterns_of_vanishing_devices_give_no_wrong_sum() -> None:
    ended = [random_round(seed) for seed in range(10_000)]
    assert ended.count("exact") > 5000


def test_devices_killed_between_all_legs_go_on_from_what_they_wrote_down() -> None:
    fleet = enrol(8, everybody(8, 5))
    for number in range(3):
        values = values_of(fleet, number, 100)
        total, survivors = play(
            fleet,
            values,
            number=number,
            bound=100,
            losses=Losses(mask=[2], confirm=[5], unmask=[7]),
            killed=True,
        )
        assert survivors == (0, 1, 3, 4, 5, 6, 7)
        assert np.array_equal(total, sum(values[seat] for seat in survivors))


def test_with_all_there_and_words_of_eight_bytes_the_sum_is_exact() -> None:
    fleet = enrol(5, everybody(5, 3))
    values = values_of(fleet, 1, 1 << 60)
    total, _ = play(fleet, values, number=1, bound=1 << 60)
    assert np.array_equal(total, sum(values))


def test_a_quick_round_has_two_legs_and_the_same_sum() -> None:
    fleet = enrol(6, everybody(6, 4), robust=False, floors=None)
    values = values_of(fleet, 0, 9)
    total, survivors = play(fleet, values, number=0, bound=9, losses=Losses(mask=[0], unmask=[1]))
    assert survivors == (1, 2, 3, 4, 5)
    assert np.array_equal(total, sum(values[1:]))


def test_a_sparse_fleet_sums_with_a_third_gone() -> None:
    sizes = choose_parameters(60, corrupt=6, gone=20)
    assert sizes.degree < 59
    fleet = enrol(60, sizes, least_cohort=38)
    values = values_of(fleet, 4, 50)
    losses = Losses(deposit=range(3), mask=range(3, 18), confirm=[30], unmask=[40])
    total, survivors = play(fleet, values, number=4, bound=50, losses=losses)
    assert len(survivors) == 42
    assert np.array_equal(total, sum(values[18:]))


def test_masked_words_of_the_same_values_never_repeat() -> None:
    fleet = enrol(4, everybody(4, 3))
    seen = set()
    entropy = keyed_entropy(1, "repeat")
    for number in range(4):
        round_ = Summation(fleet.epoch, number=number, length=LENGTH, bound=1)
        for device in fleet.devices:
            round_.add_deposit(device.deposit(round_.deposit_request(), entropy=entropy))
        zeros = np.zeros(LENGTH, dtype=np.int64)
        for device in fleet.devices:
            seen.add(device.mask(round_.mask_request(), zeros, entropy=entropy).words)
    assert len(seen) == 16


def test_too_few_keepers_give_no_sum() -> None:
    fleet = enrol(6, everybody(6, 5))
    values = values_of(fleet, 0, 9)
    with pytest.raises(UnavailableError, match="5 are needed"):
        play(fleet, values, number=0, bound=9, losses=Losses(unmask=[1, 4]))


def test_a_survivor_with_too_few_partners_left_ends_the_round() -> None:
    sizes = Parameters(degree=2, least_partners=2, keepers=8, threshold=5)
    fleet = enrol(8, sizes, floors=None)
    with pytest.raises(UnavailableError, match="1 partners left"):
        play(fleet, values_of(fleet, 0, 9), number=0, bound=9, losses=Losses(mask=[3]))
