"""From a scenario and a seed to a report: the campaign, its random twin, and the yardsticks."""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.items import items_of, model_inputs
from edge.labeling import compile_functions
from edge.scorer import Scorer
from fieldvote.errors import InputError, nearest
from fieldvote.portions import PORTION_KINDS
from fieldvote.records import MaskedItem
from fieldvote.rng import stream
from fieldvote.task import Task
from privacy.pii import FieldPolicy, KeptField, Redactor, Vocabulary, mask_fields
from simulations.dataset import Dataset, fill_missing, training_medians
from simulations.datasets import DATASETS, load_dataset, load_npz
from simulations.fleet import Outcome, Plan, Shared, payloads_of, run_campaign
from simulations.leaks import count_leaks
from simulations.oracle import ErringAnnotator
from simulations.oracle import MaskedItem as Shown
from simulations.partition import hold_out, sample_devices
from simulations.readers import RowReader, TextReader
from simulations.report import CurvePoint, LabelModelReport, Report, crossings
from simulations.scenario import Scenario
from simulations.tasks import build_task
from simulations.yardstick import Everything, full_data_metric, own_ceiling_metric
from strategies.acquisition import ACQUISITIONS
from strategies.evaluation import choose_metric
from strategies.labeling import brier_score, majority_vote

ENGINES = ("in-process",)
STRATEGIES = ("fleet", *sorted(ACQUISITIONS))
_TWIN = "random"
_STOP_SHARE = 0.99

Watch = Callable[[str, CurvePoint], None]
"""Told of every finished round: "active" or "random", and the point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """Everything a campaign and its twin have in common."""

    dataset: Dataset
    held_out: NDArray[np.bool_]
    task: Task
    shared: Shared
    everything: Everything
    votes: NDArray[np.int8]
    read: Callable[[MaskedItem], int]


def run(
    scenario: Scenario,
    *,
    seed: int = 1,
    engine: str = "in-process",
    watch: Watch = lambda _arm, _point: None,
) -> Report:
    """Rehearse a scenario and report.

    Args:
        scenario: What to rehearse.
        seed: Names every random decision; the same seed gives the same report but for timings.
        engine: How messages are carried.
        watch: Told of every finished round of the campaign and of its random twin.

    Raises:
        InputError: no such engine or strategy, or the scenario does not fit its data.
        MissingDataError: the data are neither here nor reachable.
    """
    if engine not in ENGINES:
        raise InputError(f"no engine '{engine}': {nearest(engine, ENGINES)}")
    if scenario.strategy not in STRATEGIES:
        raise InputError(
            f"no strategy '{scenario.strategy}': {nearest(scenario.strategy, STRATEGIES)}"
        )
    began = time.perf_counter()
    stage = _stage(scenario, seed)
    full = full_data_metric(stage.everything)
    campaign = scenario.campaign(seed=seed)
    ceiling = own_ceiling_metric(
        stage.everything, campaign.inputs, l2=campaign.l2, seed=campaign.seed
    )
    plan = Plan(
        dataset=stage.dataset,
        held_out=stage.held_out,
        shared=stage.shared,
        settings=campaign,
        seed=seed,
        rounds=scenario.rounds,
        stop_at=_STOP_SHARE * full,
        metric=stage.everything.metric,
        read=stage.read,
    )
    turning = time.perf_counter()
    active = run_campaign(plan, lambda point: watch("active", point))
    turned_s = time.perf_counter() - turning
    twin = run_campaign(
        replace(plan, settings=replace(campaign, strategy=_TWIN)),
        lambda point: watch("random", point),
    )
    planted = _planted(stage.dataset)
    return Report(
        scenario=scenario.name,
        seed=seed,
        engine=engine,
        strategy=scenario.strategy,
        devices=stage.dataset.devices,
        rounds=len(active.curve),
        metric=stage.everything.metric.value,
        full_data_metric=round(full, 6),
        own_ceiling_metric=round(ceiling, 6),
        curve=active.curve,
        labels_to=crossings(active.curve, full),
        random_curve=twin.curve,
        random_labels_to=crossings(twin.curve, full),
        bytes_up=active.traffic.up,
        bytes_up_by_kind=_by_kind(active),
        bytes_down=active.traffic.down,
        raw_bytes=_raw_bytes(stage),
        epsilon=None,
        candidates=active.candidates,
        pii_planted=len(planted),
        pii_leaked=_leaked(planted, active, stage.shared.vocabulary),
        label_model=_judge_label_model(stage, active),
        annotator_accuracy=active.annotator_accuracy,
        labels_cost=active.cost,
        wall_s=round(time.perf_counter() - began, 3),
        client_rounds_per_s=round(active.client_rounds / turned_s, 1),
        peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    )


def load_data(scenario: Scenario, seed: int) -> Dataset:
    """Return the scenario's data, with as many devices as it asks for."""
    if scenario.data in DATASETS:
        dataset = load_dataset(scenario.data, seed)
    else:
        dataset = load_npz(Path(scenario.data))
    if scenario.devices is None:
        return dataset
    return sample_devices(dataset, scenario.devices, stream(seed, "sample devices"))


def _stage(scenario: Scenario, seed: int) -> _Stage:
    """Load the data, hold devices out, build or load the task, and set up what devices share."""
    dataset = load_data(scenario, seed)
    held_out = hold_out(dataset.devices, stream(seed, "hold out"), scenario.held_out)
    trains = ~held_out[dataset.device]
    if dataset.features is not None:
        medians = training_medians(dataset.features, trains)
        dataset = replace(dataset, features=fill_missing(dataset.features, medians))
    task = (
        Task.load(Path(scenario.task)) if scenario.task else build_task(dataset, trains, scenario)
    )
    _check_fits(task, dataset)
    names = (task.names.input, task.names.probabilities, task.names.embedding)
    scorer = Scorer(task.model, names=names, where=task.names.file)
    functions = compile_functions(task.functions, task.input, task.classes)
    payloads = payloads_of(dataset, np.arange(len(dataset.labels)))
    scores = scorer.score(model_inputs(payloads, task.input))
    votes = functions.vote(items_of(payloads, task.input, scores.probabilities.astype(float)))
    locales = task.policy.candidates.locales
    shared = Shared(
        task=task,
        scorer=scorer,
        functions=functions,
        redactor=Redactor(mode=task.policy.candidates.redaction.value, locales=locales),
        vocabulary=Vocabulary.load(locales[0]),
    )
    metric = choose_metric(dataset.labels, len(dataset.classes), text=dataset.texts is not None)
    return _Stage(
        dataset=dataset,
        held_out=held_out,
        task=task,
        shared=shared,
        everything=Everything(
            embeddings=scores.embeddings,
            labels=dataset.labels,
            device=dataset.device,
            trains=trains,
            classes=len(dataset.classes),
            metric=metric,
        ),
        votes=votes,
        read=_reader(scenario, dataset, trains, task, seed),
    )


def _check_fits(task: Task, dataset: Dataset) -> None:
    """Refuse a task folder that is about other classes or fields than the data."""
    # a file of anyone's own numbers its classes; the task knows what they are called
    named = not all(name.lstrip("-").isdigit() for name in dataset.classes)
    if len(task.classes) != len(dataset.classes) or (named and task.classes != dataset.classes):
        raise InputError(
            f"the task's classes {list(task.classes)} are not the data's {list(dataset.classes)}"
        )
    fields = task.input.field_names
    if (fields is None) != (dataset.texts is not None) or (fields or ()) != dataset.feature_names:
        raise InputError("the task's [input] is not what the data hold: compare the two")


def _reader(
    scenario: Scenario,
    dataset: Dataset,
    trains: NDArray[np.bool_],
    task: Task,
    seed: int,
) -> Callable[[MaskedItem], int]:
    """Return what an annotator answers from a masked item: read it, and sometimes slip."""
    labels = dataset.labels[trains]
    if dataset.texts is not None:
        texts = [text for text, train in zip(dataset.texts, trains, strict=True) if train]
        reader: TextReader | RowReader = TextReader(texts, labels)
    else:
        policy = FieldPolicy(
            keep=tuple(KeptField(name, d) for name, d in task.policy.candidates.keep)
        )
        assert dataset.features is not None  # noqa: S101  # a data set has one of the two
        reader = RowReader(
            dataset.features[trains],
            labels,
            names=dataset.feature_names,
            mask=lambda names, values: mask_fields(names, values, policy),
        )
    annotator = ErringAnnotator(
        reader, classes=len(dataset.classes), error_rate=scenario.error_rate, seed=seed
    )

    def read(item: MaskedItem) -> int:
        fields = zip(item.names, item.values, strict=True)
        content = item.text or tuple((name, float(v) if v else None) for name, v in fields)
        return annotator.answer(Shown(item_id=item.item, content=content))

    return read


def _by_kind(outcome: Outcome) -> dict[str, int]:
    """Return bytes up by kind; what no ledger calls content is overhead."""
    kinds = {kind: outcome.spent.get(kind, 0) for kind in PORTION_KINDS}
    kinds["overhead"] = outcome.traffic.up - sum(
        size for kind, size in kinds.items() if kind != "overhead"
    )
    return kinds


def _raw_bytes(stage: _Stage) -> int:
    """Return what it would have taken to collect the training devices' pools."""
    rows = np.flatnonzero(stage.everything.trains)
    return sum(len(payload) for payload in payloads_of(stage.dataset, rows))


def _planted(dataset: Dataset) -> list[str]:
    """Return every planted string."""
    if dataset.texts is None or not dataset.planted:
        return []
    return [
        text[span.start : span.end]
        for text, spans in zip(dataset.texts, dataset.planted, strict=True)
        for span in spans
    ]


def _leaked(planted: list[str], outcome: Outcome, vocabulary: Vocabulary) -> int:
    """Count planted strings in what crossed, sealed and opened."""
    if not planted:
        return 0
    opened = [text.encode() for text in outcome.shown]
    return count_leaks(planted, vocabulary, [*outcome.sent, *opened])


def _judge_label_model(stage: _Stage, outcome: Outcome) -> LabelModelReport:
    """Compare the probabilistic labels with the truth, on voted items of training devices."""
    votes = stage.votes[stage.everything.trains]
    truth = stage.everything.labels[stage.everything.trains]
    voted = (votes >= 0).any(axis=1)
    coverage = round(float(voted.mean()), 6)
    if not voted.any():
        return LabelModelReport(
            accuracy=None, brier=None, majority_accuracy=None, coverage=coverage
        )
    soft = outcome.label_model.predict(votes[voted])
    majority = majority_vote(votes[voted], len(stage.task.classes))
    return LabelModelReport(
        accuracy=round(float((soft.argmax(axis=1) == truth[voted]).mean()), 6),
        brier=round(brier_score(soft, truth[voted]), 6),
        majority_accuracy=round(float((majority.argmax(axis=1) == truth[voted]).mean()), 6),
        coverage=coverage,
    )
