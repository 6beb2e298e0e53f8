import json
from collections.abc import Callable
from dataclasses import fields, replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import edge.outbox as outbox
from coordinator.settings import CampaignSettings
from fieldvote.errors import DataError, InputError
from privacy.pii import Redaction, Redactor
from simulations.engines.seam import Carry
from simulations.fleet import Outcome, Plan, run_campaign
from simulations.population import load_data
from simulations.rehearsal import STRATEGIES, run
from simulations.report import CurvePoint, Report, crossings
from simulations.scenario import Scenario
from tests.simulations.data_files import ROW_CLASSES, rows_file, text_file

# the contract with whoever reads reports; more keys may follow, none may go or move
CONTRACT = [
    "scenario", "seed", "engine", "strategy", "devices", "rounds", "metric",
    "full_data_metric", "own_ceiling_metric", "curve", "labels_to",
    "random_curve", "random_labels_to",
    "bytes_up", "bytes_up_by_kind", "bytes_down", "raw_bytes",
    "epsilon", "candidates", "pii_planted", "pii_leaked", "label_model",
    "wall_s", "client_rounds_per_s", "peak_rss_mb",
]  # fmt: skip
TIMINGS = ("wall_s", "client_rounds_per_s", "peak_rss_mb")


def scenario_of(file: Path, **changes: object) -> Scenario:
    quick = replace(
        Scenario.for_data(file), rounds=2, exchanges=2, labels_per_device=2, seed_offers=1
    )
    # the layer of random features is not what is looked at here
    inputs = replace(quick.inputs, fourier=0)
    return replace(quick, **{"inputs": inputs, **changes})  # type: ignore[arg-type]  # a table


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rows_file(tmp_path_factory.mktemp("data") / "pumps.npz")


@pytest.fixture(scope="module")
def report(table: Path) -> Report:
    return run(scenario_of(table, rounds=4), seed=1)


def test_the_report_has_the_keys_of_the_contract_in_order(report: Report) -> None:
    read = json.loads(report.to_json())
    assert [key for key in read if key in CONTRACT] == CONTRACT
    assert list(read["labels_to"]) == list(read["random_labels_to"]) == ["0.95", "0.99"]
    assert set(read["curve"][0]) == {"round", "labels", "metric"}
    assert list(read["bytes_up_by_kind"]) == [
        "summaries", "offers", "candidates", "updates", "overhead",
    ]  # fmt: skip
    assert {"accuracy", "brier"} <= set(read["label_model"])
    assert read["epsilon"] is None


def test_a_data_file_is_called_by_its_stem_and_every_device_counts(report: Report) -> None:
    assert (report.scenario, report.seed, report.engine) == ("pumps", 1, "in-process")
    assert (report.strategy, report.devices, report.rounds) == ("fleet", 10, 4)
    assert report.metric == "accuracy"
    # 8 of 10 devices train, and a row there is 5 doubles
    assert report.raw_bytes == 8 * 20 * 5 * 8


def test_both_curves_count_every_paid_answer_of_equal_batches(report: Report, table: Path) -> None:
    assert [point.round for point in report.curve] == [1, 2, 3, 4]
    # a seed label from each of 8 devices, then 2 labels from each of the 2 online
    assert [point.labels for point in report.curve] == [8, 12, 16, 20]
    assert [point.labels for point in report.random_curve] == [8, 12, 16, 20]
    assert report.candidates == 20
    assert report.labels_cost == pytest.approx(20 * 0.05)
    # before anything was chosen, the twins are one
    assert report.curve[0] == report.random_curve[0]
    # scores move in steps of one held-out item, so one seed's arms may tie: not every seed's
    others = (run(scenario_of(table, rounds=4), seed=seed) for seed in (2, 3))
    assert any(other.curve != other.random_curve for other in chain((report,), others))


def test_a_paired_twin_turns_as_many_rounds_as_the_campaign(table: Path) -> None:
    report = run(scenario_of(table, rounds=None), seed=1, paired=True)
    assert [point.round for point in report.random_curve] == [p.round for p in report.curve]


def test_scores_are_shares_and_rise_with_the_labels(report: Report) -> None:
    for point in (*report.curve, *report.random_curve):
        assert 0 <= point.metric <= 1
    assert report.full_data_metric > 0.8
    assert report.curve[-1].metric > 1 / ROW_CLASSES
    assert report.labels_to == crossings(report.curve, report.full_data_metric)
    assert report.random_labels_to == crossings(report.random_curve, report.full_data_metric)


def test_bytes_by_kind_add_up_to_all_bytes_and_none_is_negative(report: Report) -> None:
    assert sum(report.bytes_up_by_kind.values()) == report.bytes_up
    assert all(size > 0 for size in report.bytes_up_by_kind.values())
    assert report.bytes_down > 0


def test_the_same_seed_gives_the_same_report_but_for_timings() -> None:
    digits = Scenario.load("digits")
    scenario = replace(digits, rounds=3, devices=8, inputs=replace(digits.inputs, fourier=50))
    reports = [json.loads(run(scenario, seed=2).to_json()) for _ in range(2)]
    for report in reports:
        for key in TIMINGS:
            assert report.pop(key) > 0
    assert reports[0] == reports[1]
    assert (reports[0]["devices"], reports[0]["rounds"]) == (8, 3)


def test_another_seed_gives_another_campaign(table: Path, report: Report) -> None:
    other = run(scenario_of(table, rounds=2), seed=2)
    assert other.curve != report.curve[:2]
    assert other.devices == report.devices


@pytest.mark.slow
def test_missing_values_are_filled_with_medians_of_the_training_devices(tmp_path: Path) -> None:
    file = rows_file(tmp_path / "gaps.npz", missing=0.3)
    with_gaps = run(scenario_of(file), seed=1)
    assert with_gaps.rounds == 2
    # a value that is always missing says nothing and stops nothing
    whole = rows_file(tmp_path / "empty.npz", empty_column=True)
    assert run(scenario_of(whole), seed=1).curve[0].labels == 8


def test_what_held_out_devices_hold_does_not_move_the_medians(tmp_path: Path) -> None:
    """With the held-out rows a thousand times larger, training goes the same way."""
    events = []
    file = rows_file(tmp_path / "gaps.npz", missing=0.3)
    with np.load(file) as arrays:
        plain = dict(arrays)
    base = scenario_of(file, rounds=1)
    held = _held_out(base)
    for factor in (1.0, 1000.0):
        rows = np.isin(plain["device"], held)
        np.savez(file, **{**plain, "X": np.where(rows[:, None], plain["X"] * factor, plain["X"])})
        report = run(base, seed=1)
        events.append((report.curve[0].labels, report.annotator_accuracy, report.bytes_down))
    assert events[0] == events[1]


def _held_out(scenario: Scenario) -> NDArray[np.int64]:
    from fieldvote.rng import stream
    from simulations.partition import hold_out

    devices = load_data(scenario, 1).devices
    return np.flatnonzero(hold_out(devices, stream(1, "hold out"), scenario.held_out))


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinity_is_refused_with_its_place(tmp_path: Path, value: float) -> None:
    file = rows_file(tmp_path / "bad.npz")
    with np.load(file) as arrays:
        plain = dict(arrays)
    plain["X"][3, 1] = value
    np.savez(file, **plain)
    with pytest.raises(DataError, match="infinity at row 3, column 1"):
        run(scenario_of(file), seed=1)


def test_devices_are_sampled_whole_and_never_regrouped(table: Path) -> None:
    everyone = load_data(scenario_of(table), 1)
    some = load_data(scenario_of(table, devices=4), 1)
    assert some.devices == 4
    assert everyone.features is not None
    assert some.features is not None
    pools = [everyone.features[everyone.device == d].tobytes() for d in range(10)]
    sampled = [some.features[some.device == d].tobytes() for d in range(4)]
    assert len(set(sampled) & set(pools)) == 4
    report = run(scenario_of(table, devices=4), seed=1)
    assert report.devices == 4
    # one of four is held out
    assert report.curve[0].labels == 3


@pytest.mark.parametrize("devices", [11, 1])
def test_more_devices_than_there_are_or_too_few_are_refused(table: Path, devices: int) -> None:
    with pytest.raises(InputError, match="devices"):
        run(scenario_of(table, devices=devices), seed=1)


def test_two_devices_of_one_class_each_are_still_a_rehearsal(tmp_path: Path) -> None:
    file = tmp_path / "pair.npz"
    rng = np.random.default_rng(1)
    np.savez(
        file, X=rng.normal(size=(20, 3)), y=np.repeat([0, 1], 10), device=np.repeat([0, 1], 10)
    )
    report = run(scenario_of(file), seed=1)
    assert report.full_data_metric == 0.0
    assert report.devices == 2


@pytest.mark.slow
def test_a_text_file_of_anyones_making_is_rehearsed(tmp_path: Path) -> None:
    report = run(scenario_of(text_file(tmp_path / "notes.npz"), text_width=128), seed=1)
    assert (report.scenario, report.metric) == ("notes", "f1")
    assert report.rounds == 2
    assert report.candidates == report.curve[-1].labels
    # nobody knows what is personal in a stranger's texts: nothing is claimed
    assert (report.pii_planted, report.pii_leaked) == (0, 0)


@pytest.fixture(scope="module")
def twins() -> list[tuple[CampaignSettings, Outcome]]:
    """Random twins that have been rehearsed: whatever a campaign chooses by, it has the same."""
    return []


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_turns_rounds_against_the_random_twin(
    table: Path,
    twins: list[tuple[CampaignSettings, Outcome]],
    monkeypatch: pytest.MonkeyPatch,
    strategy: str,
) -> None:
    def one_twin(plan: Plan, carry: Carry, watch: Callable[[CurvePoint], None]) -> Outcome:
        if plan.settings.strategy != "random" or strategy == "random":
            return run_campaign(plan, carry, watch)
        if plan.settings not in dict(twins):
            twins.append((plan.settings, run_campaign(plan, carry, watch)))
        return dict(twins)[plan.settings]

    monkeypatch.setattr("simulations.rehearsal.run_campaign", one_twin)
    report = run(scenario_of(table, strategy=strategy), seed=1)
    assert report.strategy == strategy
    assert [point.labels for point in report.curve] == [8, 12]
    if strategy == "random":
        assert report.curve == report.random_curve


@pytest.mark.parametrize(("said", "meant"), [("marginn", "margin"), ("fleat", "fleet")])
def test_an_unknown_strategy_names_the_nearest(table: Path, said: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"no strategy '{said}'.*'{meant}'"):
        run(scenario_of(table, strategy=said), seed=1)


def test_an_unknown_engine_names_the_nearest(table: Path) -> None:
    with pytest.raises(InputError, match=r"no engine 'in-proces'.*'in-process'"):
        run(scenario_of(table), seed=1, engine="in-proces")


def test_averaging_is_a_learner_too(table: Path) -> None:
    report = run(scenario_of(table, learner="averaged", exchanges=3), seed=1)
    assert report.rounds == 2


@pytest.mark.slow
def test_an_annotator_who_errs_is_as_wrong_as_the_scenario_says(
    table: Path, report: Report
) -> None:
    sloppy = run(scenario_of(table, rounds=2, error_rate=1.0), seed=1)
    assert report.annotator_accuracy > 0.9
    assert sloppy.annotator_accuracy < 0.1


def test_whoever_watches_is_told_of_every_round_of_both_arms(table: Path) -> None:
    seen: list[tuple[str, CurvePoint]] = []
    report = run(scenario_of(table), seed=1, watch=lambda arm, point: seen.append((arm, point)))
    assert seen == [
        *(("active", point) for point in report.curve),
        *(("random", point) for point in report.random_curve),
    ]


@pytest.mark.slow
def test_without_a_number_of_rounds_it_ends_at_its_score_or_with_an_empty_pool(
    tmp_path: Path,
) -> None:
    easy = run(scenario_of(rows_file(tmp_path / "easy.npz", noise=0.05), rounds=None), seed=1)
    last = [point.metric for point in easy.curve[-3:]]
    assert sum(last) / 3 >= 0.99 * easy.full_data_metric
    assert easy.rounds < 20
    # labels that mean nothing are never learnt: every item is bought, then it is over
    hopeless = rows_file(tmp_path / "noise.npz", noise=50.0, items=4)
    report = run(scenario_of(hopeless, rounds=None, labels_per_device=8), seed=1)
    assert report.random_curve[-1].labels <= 8 * 4


@pytest.mark.slow
def test_client_rounds_are_those_of_devices_that_took_part(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: list[Outcome] = []

    def watched(plan: Plan, carry: Carry, watch: Callable[[CurvePoint], None]) -> Outcome:
        outcomes.append(run_campaign(plan, carry, watch))
        return outcomes[-1]

    monkeypatch.setattr("simulations.rehearsal.run_campaign", watched)
    run(scenario_of(table, rounds=3), seed=1)
    # all 8 in the first round, a quarter of them in each of the others
    assert outcomes[0].client_rounds == 8 + 2 + 2


def test_a_task_about_other_classes_or_fields_is_refused(table: Path, tmp_path: Path) -> None:
    from tests.doubles.tasks import tabular_files, write_task

    folder = write_task(tmp_path / "task", tabular_files())
    with pytest.raises(InputError, match="the task's"):
        run(scenario_of(table, task=str(folder)), seed=1)


# messages


class Open(Redactor):
    """What a redactor would be that lets everything through."""

    def redact(self, text: str) -> Redaction:
        return replace(super().redact(text), text=text, spans=())


@pytest.mark.slow
def test_no_planted_string_of_the_generated_messages_crosses() -> None:
    report = run(replace(Scenario.load("messages"), rounds=2, devices=24, exchanges=3), seed=1)
    assert report.pii_planted > 1500
    assert report.pii_leaked == 0
    assert report.candidates > 20


@pytest.mark.slow
def test_a_device_without_its_two_locks_is_caught_leaking(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attack: first the redaction is gone, then the second scan too."""
    scenario = Scenario.load("messages")
    # without labeling functions: they cost time, and no text leaves by them
    small = replace(
        scenario, rounds=1, devices=8, text_width=32, exchanges=2, functions="", vote_weight=0.0
    )
    sound = run(small, seed=1)
    assert (sound.pii_leaked, sound.pii_planted > 200) == (0, True)
    monkeypatch.setattr("edge.redaction.Redactor", Open)
    stopped = run(small, seed=1)
    monkeypatch.setattr(outbox, "second_scan", lambda _text, _vocabulary: ())
    leaking = run(small, seed=1)
    assert leaking.pii_leaked > stopped.pii_leaked
    # an item the scan stops is not shipped and not paid for
    assert stopped.candidates < leaking.candidates == sound.candidates


def test_every_field_of_a_report_is_in_its_json(report: Report) -> None:
    assert list(json.loads(report.to_json())) == [field.name for field in fields(Report)]
