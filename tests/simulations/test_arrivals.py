"""Items that come while a campaign runs: each once, when it is due, on every engine alike."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.models.training import first_model
from coordinator.settings import InputSettings
from coordinator.steering_settings import AllocationSettings, ClassShare, DriftSettings
from edge.keeper_state import KeeperState
from edge.settings import PoolSettings
from fieldvote.errors import InputError
from fieldvote.heads import EvaluateRequest
from fieldvote.records import HelloRequest, SurveyReply, SurveyRequest, decode, encode
from simulations.arrivals import ArrivalSettings, ArrivingAgent, arrival_rounds, shifted
from simulations.dataset import Dataset
from simulations.devices import set_up_devices
from simulations.population import Population, device_id, populate
from simulations.scenario import Scenario
from strategies.representation import Moments
from tests.simulations.data_files import rows_file, text_file

COMING = ArrivalSettings(rounds=6, initial=0.3)


def dataset_of(seed: int, *, devices: int = 4, items: int = 60) -> Dataset:
    rng = np.random.default_rng(seed)
    device = np.concatenate([np.arange(devices), rng.integers(0, devices, size=items)])
    return Dataset(
        name="made",
        classes=("a", "b", "c"),
        labels=rng.integers(0, 3, size=len(device)),
        device=device,
        features=rng.normal(size=(len(device), 3)),
        feature_names=("x", "y", "z"),
    )


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), rounds=st.integers(2, 30), initial=st.floats(0.0, 1.0))
def test_every_item_comes_once_and_no_device_begins_empty(
    seed: int, rounds: int, initial: float
) -> None:
    dataset = dataset_of(seed)
    comes = arrival_rounds(dataset, ArrivalSettings(rounds=rounds, initial=initial), seed)
    assert len(comes) == len(dataset.labels)
    assert set(np.unique(comes)) <= {0, *range(2, rounds + 1)}
    for number in range(dataset.devices):
        assert (comes[dataset.device == number] == 0).any()


def test_a_class_that_is_new_comes_in_its_round_and_not_before() -> None:
    dataset = dataset_of(1)
    made = ArrivalSettings(rounds=20, initial=0.5, new_class=2, new_from=9)
    comes = arrival_rounds(dataset, made, 1)
    new = comes[dataset.labels == 2]
    # a device that has nothing else begins with one of them
    assert (new >= 9).sum() >= len(new) - dataset.devices
    assert new.max() <= 20


def test_only_what_comes_after_the_shift_is_moved_and_the_same_way_everywhere() -> None:
    dataset = dataset_of(2)
    made = ArrivalSettings(rounds=10, shift_from=5, shift=2.0)
    comes = arrival_rounds(dataset, made, 2)
    moved = shifted(dataset, comes, made, 2)
    assert moved.features is not None
    assert dataset.features is not None
    difference = moved.features - dataset.features
    assert not difference[comes < 5].any()
    assert np.allclose(difference[comes >= 5], difference[comes >= 5][0])
    assert moved.labels is dataset.labels


def test_without_arrivals_everything_is_as_it_was(tmp_path: Path) -> None:
    dataset = dataset_of(3)
    assert not arrival_rounds(dataset, ArrivalSettings(), 3).any()
    assert shifted(dataset, np.zeros(64, dtype=np.int64), ArrivalSettings(), 3) is dataset
    population = populate(Scenario.for_data(rows_file(tmp_path / "a.npz")), 1)
    supply = population.supply(0)
    assert list(supply.ids) == population.item_ids(0)
    assert supply.due(0) == len(supply.ids)


def coming(folder: Path, **changes: object) -> Population:
    scenario = Scenario.for_data(rows_file(folder / "b.npz"))
    made = replace(scenario, arrivals=COMING, **changes)  # type: ignore[arg-type]  # a table
    return populate(made, 1)


def test_a_pool_takes_in_what_is_due_when_it_is_asked_and_once(tmp_path: Path) -> None:
    population = coming(tmp_path)
    number = int(np.flatnonzero(~population.held_out)[0])
    judge = int(np.flatnonzero(population.held_out)[0])
    supply = population.supply(number)
    assert sorted(supply.ids) == sorted(population.item_ids(number))
    with ExitStack() as stack:
        devices = set_up_devices(population, [number, judge], stack)
        device = devices[device_id(number)].agent
        counts = []
        for asked in (1, 2, 5, 4, 6, 99):
            reply = device.handle(
                encode(
                    SurveyRequest(
                        round=asked, strategy="fleet", offers=0, random_offers=0, first=False,
                        model=None,
                    )
                )
            )  # fmt: skip
            counts.append(decode(reply, SurveyReply).items)
        # a question of an earlier round brings nothing: what was due by then is counted
        totals = np.cumsum(counts).tolist()
        assert totals[-1] == len(supply.ids)
        assert totals[0] == supply.due(1)
        assert totals[1] == supply.due(2)
        assert totals[2] == supply.due(5) == totals[3]
        pool = device._parts.pool
        assert pool.ids() == list(supply.ids)
        other = devices[device_id(judge)].agent
        other.handle(encode(HelloRequest(campaign="a")))
        before = len(other._parts.pool)
        assert population.dataset.features is not None
        moments = Moments.from_embeddings(population.dataset.features)
        head = first_model(moments, InputSettings(), classes=3, seed=1)
        other.handle(encode(EvaluateRequest(round=6, model=head)))
        assert before < len(other._parts.pool) == len(population.item_ids(judge))
        truth = population.truth()
        held = other._parts.pool
        assert [truth[item] for item in held.ids()] == held.column("gold").tolist()


def test_a_bounded_pool_lets_go_alike_whenever_it_is_rehearsed(tmp_path: Path) -> None:
    population = coming(tmp_path, pool=PoolSettings(most_items=4))
    number = int(np.flatnonzero(~population.held_out)[0])
    judge = int(np.flatnonzero(population.held_out)[0])
    kept = []
    for _ in range(2):
        with ExitStack() as stack:
            devices = set_up_devices(population, [number, judge], stack)
            for device in (number, judge):
                for asked in range(2, 7):
                    cast(ArrivingAgent, devices[device_id(device)].agent)._receive(asked)
            mine, others = (devices[device_id(each)].agent._parts.pool for each in (number, judge))
            kept.append(mine.ids())
            assert KeeperState.of(mine).came == len(population.item_ids(number)) > 4
            assert len(others) == len(population.item_ids(judge))
    assert len(kept[0]) == 4
    assert kept[0] == kept[1]


def test_a_scenario_file_says_what_comes_and_what_it_steers_by(tmp_path: Path) -> None:
    rows_file(tmp_path / "rows.npz")
    file = tmp_path / "mine.toml"
    file.write_text(
        'name = "mine"\ndata = "rows.npz"\n'
        "[arrivals]\nrounds = 8\nshift_from = 5\n[drift]\nwatch = true\n"
        "[pool]\nmost_items = 90\nby_lot = 0.25\n"
        "[gain]\nevery = 3\n[stop]\nwhen_spent = true\n"
        '[[allocation.classes]]\nname = "0"\nshare = 0.2\n'
    )
    scenario = Scenario.load(file)
    assert scenario.arrivals == ArrivalSettings(rounds=8, shift_from=5)
    assert scenario.pool == PoolSettings(most_items=90, by_lot=0.25)
    campaign = scenario.campaign(seed=1)
    assert campaign.drift == DriftSettings(watch=True)
    assert campaign.gain.every == 3
    assert campaign.stop.when_spent
    assert campaign.allocation == AllocationSettings(classes=(ClassShare(name="0", share=0.2),))


def test_what_cannot_come_is_refused(tmp_path: Path) -> None:
    for wrong in ({"rounds": -1}, {"initial": 1.5}, {"rounds": 5, "new_class": 1, "new_from": 9}):
        with pytest.raises(InputError):
            ArrivalSettings(**wrong)
    scenario = replace(
        Scenario.for_data(text_file(tmp_path / "t.npz")),
        arrivals=ArrivalSettings(rounds=5, shift_from=2),
    )
    with pytest.raises(InputError, match="texts"):
        populate(scenario, 1)
