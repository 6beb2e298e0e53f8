import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError
from simulations.dataset import Dataset, PlantedSpan
from simulations.partition import dirichlet_devices, hold_out, sample_devices


def fleet(devices: int, seed: int) -> Dataset:
    """A data set of texts that name their device, with uneven devices."""
    rng = np.random.default_rng(seed)
    device = np.concatenate([np.arange(devices), rng.integers(devices, size=3 * devices)])
    return Dataset(
        name="fleet",
        classes=("a", "b", "c"),
        labels=rng.integers(3, size=len(device)),
        device=device,
        texts=tuple(f"{owner} {item}" for item, owner in enumerate(device.tolist())),
        planted=tuple((PlantedSpan(0, 1, f"K{item}"),) for item in range(len(device))),
    )


@given(st.integers(2, 300), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_someone_is_held_out_and_someone_is_left(devices: int, share: float, seed: int) -> None:
    mask = hold_out(devices, np.random.default_rng(seed), share)
    assert mask.shape == (devices,)
    assert 1 <= mask.sum() <= devices - 1
    assert abs(mask.sum() - share * devices) <= 1 or mask.sum() in (1, devices - 1)


def test_a_fifth_is_held_out_by_default_and_the_stream_decides_who() -> None:
    masks = [hold_out(30, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert [mask.sum() for mask in masks] == [6, 6, 6]
    assert masks[0].tolist() == masks[1].tolist() != masks[2].tolist()


@pytest.mark.parametrize(
    ("devices", "share"), [(1, 0.2), (0, 0.2), (5, -0.1), (5, 1.1), (5, float("nan"))]
)
def test_a_fleet_that_cannot_be_split_is_refused(devices: int, share: float) -> None:
    with pytest.raises(InputError):
        hold_out(devices, np.random.default_rng(0), share)


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(0, 100), st.floats(0.05, 50), st.integers(0, 2**32 - 1))
def test_every_item_gets_a_device_and_every_device_an_item(
    devices: int, more: int, concentration: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=devices + more)
    assigned = dirichlet_devices(labels, devices, concentration, rng)
    assert assigned.shape == labels.shape
    assert assigned.dtype == np.int64
    assert sorted(set(assigned.tolist())) == list(range(devices))


def test_a_small_concentration_gathers_a_class_on_few_devices() -> None:
    labels = np.repeat(np.arange(10), 500)
    largest = []
    for concentration in (0.05, 1.0, 100.0):
        assigned = dirichlet_devices(labels, 20, concentration, np.random.default_rng(0))
        counts = [np.bincount(assigned[labels == label], minlength=20).max() for label in range(10)]
        largest.append(np.mean(counts) / 500)
    assert largest[0] > 0.4 > largest[1] > 0.1 > largest[2]


@pytest.mark.parametrize(
    ("devices", "concentration"), [(0, 1.0), (11, 1.0), (2, 0.0), (2, float("inf"))]
)
def test_an_impossible_spread_is_refused(devices: int, concentration: float) -> None:
    with pytest.raises(InputError):
        dirichlet_devices(np.zeros(10, np.int64), devices, concentration, np.random.default_rng(0))


@settings(deadline=None)
@given(st.integers(2, 20), st.data(), st.integers(0, 2**32 - 1))
def test_sampled_devices_come_whole_with_everything_of_theirs(
    devices: int, data: st.DataObject, seed: int
) -> None:
    count = data.draw(st.integers(2, devices))
    whole = fleet(devices, seed)
    part = sample_devices(whole, count, np.random.default_rng(seed))
    assert whole.texts is not None
    assert part.texts is not None
    assert part.devices == count
    chosen = {int(text.split()[0]) for text in part.texts}
    assert len(chosen) == count
    kept = [item for item in range(whole.items) if whole.device[item] in chosen]
    assert part.texts == tuple(whole.texts[item] for item in kept)
    assert part.labels.tolist() == whole.labels[kept].tolist()
    assert part.planted == tuple(whole.planted[item] for item in kept)
    renumbered = {old: new for new, old in enumerate(sorted(chosen))}
    assert part.device.tolist() == [renumbered[int(whole.device[item])] for item in kept]
    assert part.classes == whole.classes


@pytest.mark.parametrize("count", [-1, 0, 1, 9])
def test_more_devices_than_there_are_or_too_few_are_refused(count: int) -> None:
    with pytest.raises(InputError, match="has 8") as refused:
        sample_devices(fleet(8, 0), count, np.random.default_rng(0))
    assert type(refused.value) is InputError
