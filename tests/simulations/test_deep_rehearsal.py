"""A rehearsal whose devices train a network: it learns, and the same seed gives the same report."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coordinator.deep_settings import DeepSettings
from fieldvote.cohort_policy import CohortPolicy
from fieldvote.errors import InputError, SettingsError
from fieldvote.task import Task
from simulations.network_settings import NetworkSettings
from simulations.population import populate
from simulations.rehearsal import run
from simulations.report import Report
from simulations.scenario import Scenario
from tests.simulations.data_files import rows_file, text_file

DEEP = {
    "learner": "deep",
    "exchanges": 3,
    "epochs": 4,
    "rounds": 2,
    "labels_per_device": 2,
    "online_share": 1.0,
    "network": NetworkSettings(hidden=(8,), gate="embedding"),
    "deep": DeepSettings(batch=8, rate=0.2, server_optimizer="adam", server_rate=0.1),
}


def scenario_of(file: Path, **said: object) -> Scenario:
    made = Scenario.for_data(file)
    return replace(made, **{**DEEP, **said})  # type: ignore[arg-type]  # keys of a scenario


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rows_file(tmp_path_factory.mktemp("data") / "rows.npz")


@pytest.fixture(scope="module")
def report(table: Path) -> Report:
    return run(scenario_of(table), seed=1)


def test_the_network_learns_from_the_labels_that_are_bought(report: Report) -> None:
    assert report.rounds == 2
    assert report.curve[-1].metric > 0.85
    assert report.bytes_up_by_kind["updates"] > 0
    assert report.own_ceiling_metric > 0.9


@pytest.mark.slow
def test_the_same_seed_gives_the_same_rehearsal(table: Path, report: Report) -> None:
    again = run(scenario_of(table), seed=1)
    assert (again.curve, again.bytes_up, again.bytes_down) == (
        report.curve, report.bytes_up, report.bytes_down,
    )  # fmt: skip


@pytest.mark.slow
def test_under_masks_the_network_learns_the_same(tmp_path: Path) -> None:
    file = rows_file(tmp_path / "rows.npz", devices=16)
    plain = run(scenario_of(file), seed=1)
    masked = run(scenario_of(file, cohort=CohortPolicy(sums="secure")), seed=1)
    assert masked.curve == plain.curve
    assert masked.sums != plain.sums


@pytest.mark.slow
def test_a_network_of_texts_reads_hashed_words(tmp_path: Path) -> None:
    made = scenario_of(text_file(tmp_path / "texts.npz"), rounds=1, text_width=32)
    assert run(made, seed=1).rounds == 1


def test_the_task_of_a_deep_scenario_is_what_its_network_says(table: Path) -> None:
    network = NetworkSettings(hidden=(4, 3), depth="last:2", optimizer="adam", terms=("clip",))
    task = populate(scenario_of(table, network=network), 1).shared.task
    assert isinstance(task, Task)
    assert task.training == network.training()
    held = populate(scenario_of(table, network=network), 1).shared.scorer.network
    assert held is not None
    assert list(held.form.parameters) == [
        "layer2.weight", "layer2.bias", "head.weight", "head.bias",
    ]  # fmt: skip


def test_rows_that_are_no_square_are_no_pictures(table: Path) -> None:
    network = NetworkSettings(kind="pictures", hidden=(4,))
    with pytest.raises(InputError, match="5 features are no square picture"):
        populate(scenario_of(table, network=network), 1)


@pytest.mark.parametrize("said", [{"hidden": ()}, {"hidden": (0,)}, {"depth": "deep"}])
def test_a_network_that_could_not_be_is_refused(said: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        NetworkSettings(**said)  # type: ignore[arg-type]  # a table of wrong values


@pytest.mark.slow
def test_pictures_are_standardised_by_the_brightest_point(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 120)
    rows = rng.uniform(0, 4, (120, 16))
    rows[labels == 1, :8] += 12.0
    file = tmp_path / "pictures.npz"
    np.savez(file, X=rows, y=labels, device=np.repeat(np.arange(8), 15))
    network = NetworkSettings(kind="pictures", hidden=(4,))
    made = run(scenario_of(file, network=network), seed=2)
    assert made.curve[-1].metric > 0.85
