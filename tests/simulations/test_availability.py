import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldvote.errors import InputError
from simulations.availability import online_devices


@given(st.integers(0, 2**63), st.integers(0, 10_000), st.integers(1, 200), st.floats(0, 1))
def test_who_is_online_is_a_function_of_seed_and_round(
    seed: int, round_number: int, devices: int, share: float
) -> None:
    online = online_devices(seed, round_number, devices, share)
    assert online == online_devices(seed, round_number, devices, share)
    assert len(online) == max(1, round(share * devices))
    assert list(online) == sorted(set(online))
    assert set(online) <= set(range(devices))


def test_rounds_and_seeds_draw_independently_and_evenly() -> None:
    drawn = {
        (seed, number): online_devices(seed, number, 24, 0.25)
        for seed in range(20)
        for number in range(50)
    }
    assert len(set(drawn.values())) > 0.99 * len(drawn)
    counts = np.bincount([device for online in drawn.values() for device in online], minlength=24)
    # 1,000 draws of 6 in 24: mean 250, standard deviation 13.7; five of them, false alarm 1e-5
    assert abs(counts - 250).max() < 5 * 13.7


@pytest.mark.parametrize(("devices", "share"), [(0, 0.5), (3, -0.1), (3, 2), (3, float("nan"))])
def test_an_impossible_fleet_is_refused(devices: int, share: float) -> None:
    with pytest.raises(InputError):
        online_devices(1, 1, devices, share)
