"""From a scenario and a seed to a report: the campaign, its random twin, and the yardsticks."""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.items import items_of, model_inputs
from fieldvote.errors import InputError, nearest
from fieldvote.portions import PORTION_KINDS
from fieldvote.records import MaskedItem
from fieldvote.rng import keyed_entropy
from privacy.pii import FieldPolicy, Vocabulary, mask_fields
from privacy.pii.fields import read_fields
from simulations.dataset import Dataset
from simulations.engines.in_process import in_process
from simulations.engines.seam import Account, Carry, Engine
from simulations.fleet import Outcome, Plan, run_campaign
from simulations.leaks import count_leaks
from simulations.oracle import ErringAnnotator
from simulations.oracle import MaskedItem as Shown
from simulations.population import Population, payloads_of, populate
from simulations.readers import RowReader, TextReader
from simulations.report import CurvePoint, LabelModelReport, Report, crossings
from simulations.scenario import Scenario
from simulations.yardstick import Everything, full_data_metric, own_ceiling_metric
from strategies.acquisition import ACQUISITIONS
from strategies.evaluation import choose_metric
from strategies.labeling import brier_score, majority_vote

ENGINES = ("in-process", "flower")
STRATEGIES = ("fleet", *sorted(ACQUISITIONS))
_TWIN = "random"
_STOP_SHARE = 0.99

Watch = Callable[[str, CurvePoint], None]
"""Told of every finished round: "active" or "random", and the point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """What only a rehearsal knows: every item of every device, scored and voted on."""

    population: Population
    everything: Everything
    votes: NDArray[np.int8]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arms:
    """The campaign and its twin, and how long the first one took."""

    active: Outcome
    twin: Outcome
    active_s: float


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
        MissingExtraError: the engine needs what is not installed.
    """
    if engine not in ENGINES:
        raise InputError(f"no engine '{engine}': {nearest(engine, ENGINES)}")
    if scenario.strategy not in STRATEGIES:
        raise InputError(
            f"no strategy '{scenario.strategy}': {nearest(scenario.strategy, STRATEGIES)}"
        )
    began = time.perf_counter()
    carried_by = _engine(engine)
    population = populate(scenario, seed)
    stage = _stage(population)
    full = full_data_metric(stage.everything)
    campaign = scenario.campaign(seed=seed)
    ceiling = own_ceiling_metric(
        stage.everything, campaign.inputs, l2=campaign.l2, seed=campaign.seed
    )
    plan = Plan(
        population=population,
        settings=campaign,
        rounds=scenario.rounds,
        stop_at=_STOP_SHARE * full,
        metric=stage.everything.metric,
        read=_reader(population),
    )
    arms = carried_by(population, lambda carry: _both_arms(plan, carry, watch))
    active, twin, account = arms.active, arms.twin, arms.active.account
    planted = _planted(population.dataset)
    own_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return Report(
        scenario=scenario.name,
        seed=seed,
        engine=engine,
        strategy=scenario.strategy,
        devices=population.dataset.devices,
        rounds=len(active.curve),
        metric=stage.everything.metric.value,
        full_data_metric=round(full, 6),
        own_ceiling_metric=round(ceiling, 6),
        curve=active.curve,
        labels_to=crossings(active.curve, full),
        random_curve=twin.curve,
        random_labels_to=crossings(twin.curve, full),
        bytes_up=account.traffic.up,
        bytes_up_by_kind=_by_kind(account),
        bytes_down=account.traffic.down,
        raw_bytes=_raw_bytes(stage),
        epsilon=None,
        candidates=account.candidates,
        pii_planted=len(planted),
        pii_leaked=_leaked(planted, active, population.shared.vocabulary),
        label_model=_judge_label_model(stage, active),
        annotator_accuracy=active.annotator_accuracy,
        labels_cost=active.cost,
        wall_s=round(time.perf_counter() - began, 3),
        client_rounds_per_s=round(active.client_rounds / arms.active_s, 1),
        peak_rss_mb=own_mb + max(account.workers_mb, twin.account.workers_mb),
    )


def _both_arms(plan: Plan, carry: Carry, watch: Watch) -> _Arms:
    """Rehearse the campaign, then its twin that picks at random."""
    turning = time.perf_counter()
    active = run_campaign(plan, carry, lambda point: watch("active", point))
    active_s = time.perf_counter() - turning
    twin = run_campaign(
        replace(plan, settings=replace(plan.settings, strategy=_TWIN)),
        carry,
        lambda point: watch("random", point),
    )
    return _Arms(active=active, twin=twin, active_s=active_s)


def _engine(name: str) -> Engine:
    """Return the engine of this name.

    Raises:
        MissingExtraError: it needs what is not installed.
    """
    if name == "flower":
        from simulations.engines.flower import flower_engine

        return flower_engine()
    return in_process


def _stage(population: Population) -> _Stage:
    """Score every item and vote on it, as a yardstick may and a coordinator may not."""
    dataset, shared = population.dataset, population.shared
    fields = shared.task.input
    payloads = payloads_of(dataset, np.arange(len(dataset.labels)))
    scores = shared.scorer.score(model_inputs(payloads, fields))
    votes = shared.functions.vote(items_of(payloads, fields, scores.probabilities.astype(float)))
    metric = choose_metric(dataset.labels, len(dataset.classes), text=dataset.texts is not None)
    return _Stage(
        population=population,
        everything=Everything(
            embeddings=scores.embeddings,
            labels=dataset.labels,
            device=dataset.device,
            trains=~population.held_out[dataset.device],
            classes=len(dataset.classes),
            metric=metric,
        ),
        votes=votes,
    )


def _reader(population: Population) -> Callable[[MaskedItem], int]:
    """Return what an annotator answers from a masked item: read it, and sometimes slip."""
    dataset, task = population.dataset, population.shared.task
    policy = FieldPolicy.of(task.policy.candidates)
    trains = ~population.held_out[dataset.device]
    labels = dataset.labels[trains]
    if dataset.texts is not None:
        texts = [text for text, train in zip(dataset.texts, trains, strict=True) if train]
        reader: TextReader | RowReader = TextReader(texts, labels)
    else:
        noise = keyed_entropy(population.seed, "noise of the reader")
        assert dataset.features is not None  # noqa: S101  # a data set has one of the two
        reader = RowReader(
            dataset.features[trains],
            labels,
            names=dataset.feature_names,
            mask=lambda names, values: mask_fields(names, values, policy, noise),
        )
    annotator = ErringAnnotator(
        reader,
        classes=len(dataset.classes),
        error_rate=population.scenario.error_rate,
        seed=population.seed,
    )

    def read(item: MaskedItem) -> int:
        shown = tuple(zip(item.names, item.values, strict=True))
        content = item.text or read_fields(shown, policy)
        return annotator.answer(Shown(item_id=item.item, content=content))

    return read


def _by_kind(account: Account) -> dict[str, int]:
    """Return bytes up by kind; what no ledger calls content is overhead."""
    kinds = {kind: account.spent.get(kind, 0) for kind in PORTION_KINDS}
    kinds["overhead"] = account.traffic.up - sum(
        size for kind, size in kinds.items() if kind != "overhead"
    )
    return kinds


def _raw_bytes(stage: _Stage) -> int:
    """Return what it would have taken to collect the training devices' pools."""
    rows = np.flatnonzero(stage.everything.trains)
    return sum(len(payload) for payload in payloads_of(stage.population.dataset, rows))


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
    return count_leaks(planted, vocabulary, [*outcome.account.sent, *opened])


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
    majority = majority_vote(votes[voted], stage.everything.classes)
    return LabelModelReport(
        accuracy=round(float((soft.argmax(axis=1) == truth[voted]).mean()), 6),
        brier=round(brier_score(soft, truth[voted]), 6),
        majority_accuracy=round(float((majority.argmax(axis=1) == truth[voted]).mean()), 6),
        coverage=coverage,
    )
