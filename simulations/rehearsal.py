"""From a scenario and a seed to a report: the campaign, its random twin, and the yardsticks."""

import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from coordinator.settings import STRATEGIES
from edge.items import items_of
from fieldvote.errors import InputError, nearest
from fieldvote.portions import PORTION_KINDS
from fieldvote.records import MaskedItem
from fieldvote.rng import keyed_entropy
from privacy.dp import Accountant
from privacy.pii import FieldPolicy, Vocabulary, mask_fields
from privacy.pii.fields import read_fields
from simulations.dataset import Dataset
from simulations.engines.in_process import in_process
from simulations.engines.seam import Account, Carry, Engine
from simulations.fleet import Outcome, Plan, run_campaign
from simulations.leaks import count_leaks
from simulations.network_ceiling import network_ceiling
from simulations.oracle import ErringAnnotator
from simulations.oracle import MaskedItem as Shown
from simulations.population import Population, payloads_of, populate
from simulations.readers import RowReader, TextReader
from simulations.report import CurvePoint, GainReport, LabelModelReport, Report, crossings
from simulations.scenario import Scenario
from simulations.yardstick import Everything, full_data_metric, judged, own_ceiling_metric
from strategies.aggregation.fixed_point import MAX_WIDTH
from strategies.evaluation import choose_metric
from strategies.labeling import brier_score, majority_vote

ENGINES = ("in-process", "flower")
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
    paired: bool = False,
) -> Report:
    """Rehearse a scenario and report.

    Args:
        scenario: What to rehearse.
        seed: Names every random decision; the same seed gives the same report but for timings.
        engine: How messages are carried.
        watch: Told of every finished round of the campaign and of its random twin.
        paired: Whether the twin turns as many rounds as the campaign did, and no more.

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
    _check_width(scenario, stage.everything.embeddings.shape[1])
    full = full_data_metric(stage.everything)
    campaign = scenario.campaign(seed=seed)
    plan = Plan(
        population=population,
        settings=campaign,
        rounds=_rounds(scenario),
        stop_at=_STOP_SHARE * full,
        metric=stage.everything.metric,
        read=_reader(population),
        judge=(lambda head: judged(stage.everything, head)) if scenario.privacy.on else None,
    )
    arms = carried_by(population, lambda carry: _both_arms(plan, carry, watch, paired=paired))
    active, twin, account = arms.active, arms.twin, arms.active.account
    if network := population.shared.scorer.network:
        ceiling = network_ceiling(network, stage.everything, scenario, seed=campaign.seed)
    else:
        ceiling = own_ceiling_metric(
            stage.everything, active.inputs, l2=campaign.l2, seed=campaign.seed
        )
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
        epsilon=_epsilon(scenario, account),
        candidates=account.candidates,
        pii_planted=len(planted),
        pii_leaked=_leaked(planted, active, population.shared.vocabulary),
        label_model=_judge_label_model(stage, active),
        annotator_accuracy=active.annotator_accuracy,
        labels_cost=active.cost,
        gain=_gain(active),
        drift_alarms=active.alarms,
        stopped=active.steering.stopped,
        wall_s=round(time.perf_counter() - began, 3),
        client_rounds_per_s=round(active.client_rounds / arms.active_s, 1),
        peak_rss_mb=own_mb + max(account.workers_mb, twin.account.workers_mb),
        sums=population.shared.task.policy.cohort.in_words(noised=scenario.privacy.on),
    )


def _both_arms(plan: Plan, carry: Carry, watch: Watch, *, paired: bool) -> _Arms:
    """Rehearse the campaign, then its twin that picks at random."""
    turning = time.perf_counter()
    active = run_campaign(plan, carry, lambda point: watch("active", point))
    active_s = time.perf_counter() - turning
    rounds = len(active.curve) if paired else plan.rounds
    twin = run_campaign(
        replace(plan, rounds=rounds, settings=replace(plan.settings, strategy=_TWIN)),
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
    seen = shared.model_inputs(payloads, fields)
    scores = shared.scorer.score(seen)
    votes = shared.functions.vote(items_of(payloads, fields, scores.probabilities.astype(float)))
    metric = choose_metric(dataset.labels, len(dataset.classes), text=dataset.texts is not None)
    return _Stage(
        population=population,
        everything=Everything(
            # a network's first day is no yardstick: the plain head is given what the network is
            embeddings=scores.embeddings if shared.scorer.network is None else seen,
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
        content = item.text if dataset.texts is not None else read_fields(shown, policy)
        return annotator.answer(Shown(item_id=item.item, content=content))

    return read


def _check_width(scenario: Scenario, width: int) -> None:
    """Refuse items that no head takes, before a round is turned and quarantined over them."""
    waves = max([scenario.inputs.fourier, *(each.fourier for each in scenario.recipes.variants)])
    if scenario.learner != "deep" and width + waves + 1 > MAX_WIDTH:
        said = f" with inputs of {waves} Fourier features" if waves else ""
        raise InputError(
            f"items have {width} features, and a head takes at most {MAX_WIDTH - waves - 1}{said}:"
            " bring them down first, for instance by principal components"
        )


def _rounds(scenario: Scenario) -> int | None:
    """Return how many rounds to turn; a privacy budget is for so many and no more."""
    if not scenario.privacy.on:
        return scenario.rounds
    return min(scenario.rounds or scenario.privacy.rounds, scenario.privacy.rounds)


def _epsilon(scenario: Scenario, account: Account) -> float | None:
    """Return what the device that told most has spent, at its delta; None without noise."""
    if not scenario.privacy.on:
        return None
    spent = Accountant(micro_rho=account.micro_rho)
    return round(spent.epsilon(delta=scenario.privacy.delta), 6)


def _gain(outcome: Outcome) -> GainReport | None:
    """Return what choosing was last measured to bring; None where it never was."""
    gain = outcome.steering.gain
    return GainReport(**asdict(gain)) if gain.round else None


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
