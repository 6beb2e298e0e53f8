from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError
from fieldvote.rng import stream
from privacy.secagg.floors import Floors
from privacy.secagg.graph import derive_graph
from privacy.secagg.parameters import (
    COMPLETE_UP_TO,
    CORRECTNESS_BITS,
    SECURITY_BITS,
    Parameters,
    choose_parameters,
    disconnection,
    insecurity,
    tail,
)

FLEETS = [(33, 3, 8), (60, 6, 20), (100, 24, 33), (100, 10, 20), (300, 30, 60), (1000, 100, 100)]


@given(st.integers(1, 9), st.data())
@settings(deadline=None, max_examples=60)
def test_a_tail_is_what_counting_all_draws_gives(population: int, data: st.DataObject) -> None:
    marked = data.draw(st.integers(0, population))
    drawn = data.draw(st.integers(0, population))
    least = data.draw(st.integers(-1, population + 1))
    draws = list(combinations(range(population), drawn))
    hits = sum(sum(item < marked for item in draw) >= least for draw in draws)
    assert tail(population, marked, drawn, least) == Fraction(hits, len(draws))


@pytest.mark.parametrize(("devices", "corrupt", "gone"), FLEETS)
def test_the_chosen_sizes_keep_every_bound(devices: int, corrupt: int, gone: int) -> None:
    sizes = choose_parameters(devices, corrupt=corrupt, gone=gone)
    assert insecurity(devices, sizes, corrupt=corrupt) <= Fraction(1, 1 << SECURITY_BITS)
    lost = devices * tail(devices - 1, gone, sizes.degree, sizes.degree - sizes.least_partners + 1)
    missing = tail(devices, gone, sizes.keepers, sizes.keepers - sizes.threshold + 1)
    assert lost + missing <= Fraction(1, 1 << CORRECTNESS_BITS)
    assert disconnection(devices, sizes.degree, corrupt + gone) < Fraction(1, 1 << SECURITY_BITS)


@pytest.mark.parametrize(("devices", "corrupt", "gone"), FLEETS)
def test_one_step_less_of_anything_would_break_a_bound(
    devices: int, corrupt: int, gone: int
) -> None:
    sizes = choose_parameters(devices, corrupt=corrupt, gone=gone)
    third = Fraction(1, 3 << SECURITY_BITS)
    assert devices * tail(devices - 1, corrupt, sizes.degree, sizes.least_partners - 4) > third
    assert tail(devices, corrupt, sizes.keepers, 2 * sizes.threshold - sizes.keepers - 2) > third


@pytest.mark.parametrize("devices", [6, 10, 20, COMPLETE_UP_TO])
def test_a_small_fleet_is_complete_and_leaves_nothing_to_chance(devices: int) -> None:
    corrupt = devices // 10
    sizes = choose_parameters(devices, corrupt=corrupt, gone=0)
    assert (sizes.degree, sizes.keepers) == (devices - 1, devices)
    assert 2 * sizes.threshold > sizes.keepers + corrupt
    assert insecurity(devices, sizes, corrupt=corrupt) == 0


def test_sizes_of_known_fleets_stay_what_they_are() -> None:
    assert choose_parameters(100, corrupt=24, gone=35) == Parameters(
        degree=62, least_partners=28, keepers=95, threshold=60
    )
    assert choose_parameters(1000, corrupt=100, gone=110) == Parameters(
        degree=56, least_partners=32, keepers=77, threshold=54
    )


def test_without_a_sum_of_several_honest_devices_the_degrees_are_the_published_ones() -> None:
    # SecAgg+ without a least sum: about 98 partners, threshold 54, for a fifth corrupt and gone
    sizes = choose_parameters(1000, corrupt=200, gone=200, least_sum=2)
    assert sizes.degree in range(94, 103)
    assert sizes.least_partners in range(52, 57)


def test_more_corrupt_or_gone_devices_never_make_it_cheaper() -> None:
    base = choose_parameters(200, corrupt=20, gone=20)
    for corrupt, gone in [(30, 20), (20, 40), (30, 40)]:
        harder = choose_parameters(200, corrupt=corrupt, gone=gone)
        assert harder.degree >= base.degree
        assert harder.keepers >= base.keepers


@pytest.mark.parametrize(
    ("devices", "corrupt", "gone"), [(1, 0, 0), (10, 6, 3), (10, 4, 4), (100, 50, 33), (9, -1, 0)]
)
def test_a_fleet_that_no_sizes_protect_is_refused(devices: int, corrupt: int, gone: int) -> None:
    with pytest.raises(InputError):
        choose_parameters(devices, corrupt=corrupt, gone=gone, least_sum=2)


def test_a_curious_coordinator_needs_a_lower_threshold_than_a_lying_one() -> None:
    quick = choose_parameters(300, corrupt=30, gone=30, robust=False)
    robust = choose_parameters(300, corrupt=30, gone=30)
    assert quick.threshold < robust.threshold
    assert quick.keepers < robust.keepers


def test_in_drawn_graphs_bad_luck_is_as_rare_as_the_tail_says() -> None:
    # 2,000 graphs; a bound of 0.05 exceeded in more than 8 % of them has a chance below 1e-8
    sizes = Parameters(degree=10, least_partners=1, keepers=20, threshold=11)
    most = next(m for m in range(20) if tail(60, 12, 20, m) <= Fraction(1, 20))
    rng = stream(1, "graphs")
    bad = sum(
        int((derive_graph(rng.bytes(32), devices=60, sizes=sizes).keepers < 12).sum()) >= most
        for _ in range(2000)
    )
    expected = float(tail(60, 12, 20, most))
    assert bad / 2000 <= 0.08
    assert abs(bad / 2000 - expected) < 6 * (expected / 2000) ** 0.5


def test_a_device_works_out_itself_how_many_may_be_corrupt() -> None:
    assert [Floors(max_corrupt=0.1).corrupt_of(n) for n in (10, 30, 31, 100)] == [1, 3, 4, 10]
    with pytest.raises(InputError):
        Floors(max_corrupt=1.0)
    with pytest.raises(InputError):
        Floors(least_sum=1)
