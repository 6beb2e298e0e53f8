"""What record-level epsilon costs a whole campaign, on real data cut into simulated devices.

    python tests/benchmarks/private_campaign.py [--quick] [--json]

Eight rounds at the shipped default (epsilon 4 with delta 1e-6 for one record; a tenth of the
devices may be missing from a sum, and a tenth corrupt): each round adds labels, every device sums
what it is asked for, its noise is planned from the policy, and the coordinator's own functions make
the next head. A sum does not hang on how records are dealt to devices, and masks cancel out of it,
so sums are formed over all records at once, with the noise that so many devices add. A last row
turns a campaign through agents, doors and ledgers instead, message by message.

Losses are against the learner that is the default where sums are exact, with the same labels, in
points of the scenario's metric on people, or phones, that took no part. "few": a fifth of the
records is labelled in the end; "all": every one. For 1,000 devices the records of 100 are drawn
anew, with replacement; what more people would have added is not in them.
"""

import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from _table import Options, Row, run
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))  # a script sees its own folder only
from coordinator.models.private_start import first_private_model
from coordinator.models.totals import Snapshot, dump_settings
from coordinator.models.training import head_of
from coordinator.rounds.judging import LegSums
from coordinator.rounds.private_sums import PrivateLeg, kept_as, next_leg, plan_for
from edge.items import model_inputs
from edge.learning.learner import representation_of
from fieldvote.codec import IntVector
from fieldvote.heads import HeadModel
from fieldvote.privacy_policy import PrivacySettings
from fieldvote.rng import keyed_entropy, stream
from privacy.dp.discrete_gaussian import discrete_gaussian
from simulations.dataset import Dataset
from simulations.engines.in_process import in_process
from simulations.fleet import Plan, run_campaign
from simulations.population import Population, payloads_of, populate
from simulations.scenario import Scenario
from simulations.yardstick import Everything, own_ceiling_metric
from strategies.aggregation.bounded_moments import BoundedMoments
from strategies.aggregation.private_steps import cross_products, gram_products
from strategies.aggregation.summed_head import predict
from strategies.evaluation import Metric, choose_metric, confusion, score

_ROUNDS, _REAL = 8, 100
_MOST_POINTS = 2.0
_LABELS = {"few": 0.2, "all": 1.0}
"""Which part of the records has a label in the end."""

_BOUNDS = {"har": 16.0, "sms": 1.5}
"""Length that embeddings are cut to: 265 sensor readings, most of them within 1, and the hashed
words of a short message."""

_NOTHING = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """A data set, who is held out, and what heads are judged by."""

    name: str
    population: Population
    embeddings: NDArray[np.float64]

    @property
    def labels(self) -> NDArray[np.int64]:
        """True classes. Shape (n,)."""
        return self.population.dataset.labels

    @property
    def test(self) -> NDArray[np.bool_]:
        """Which records are held out. Shape (n,)."""
        return self.population.held_out[self.population.dataset.device]

    @property
    def metric(self) -> Metric:
        """How heads are judged."""
        data = self.population.dataset
        return choose_metric(data.labels, len(data.classes), text=data.texts is not None)

    def score(self, model: HeadModel) -> float:
        """Return the scenario's metric on the held-out records, in points and without noise."""
        inputs = inputs_of(model, self.embeddings[self.test])
        predicted = predict(inputs, head_of(model)).argmax(axis=1)
        counts = confusion(self.labels[self.test], predicted, len(self.population.dataset.classes))
        return 100 * score(self.metric, counts)


def measure(options: Options) -> list[Row]:
    """Measure each data set at each size of fleet, with few labels and with all."""
    rows = []
    for name in ("har", "sms"):
        for devices in (_REAL,) if options.quick else (_REAL, 10 * _REAL):
            fleet = _fleet(name, devices)
            for labels, share in _LABELS.items():
                if not (options.quick and labels == "few"):
                    seeds = 1 if options.quick or devices > _REAL else 3
                    rows += _rows(fleet, devices, labels, share, seeds)
    if not options.quick:
        rows.append(_through_agents("har"))
    return rows


def _rows(fleet: Fleet, devices: int, labels: str, share: float, seeds: int) -> list[Row]:
    """Return what one fleet loses to epsilon."""
    runs = [_pair(fleet, devices, share, seed) for seed in range(seeds)]
    exact, private = (float(part) for part in np.mean(runs, axis=0))
    what = f"{fleet.name}, {devices:,} devices, {labels} labels"
    return [
        Row(
            what=f"{what}: points lost to epsilon 4",
            ours=exact - private,
            unit="points",
            target=f"<= {_MOST_POINTS:g}",
            met=exact - private <= _MOST_POINTS,
        ),
        Row(
            what=f"{what}: head of the campaign",
            ours=private,
            unit="points",
            peer=exact,
            peer_name="exact sums",
        ),
    ]


def _pair(fleet: Fleet, devices: int, share: float, seed: int) -> tuple[float, float]:
    """Return the scores of a campaign with exact sums and of one with noise."""
    rng = stream(seed, "records", devices)
    pool = np.flatnonzero(~fleet.test)
    records = rng.permutation(pool)
    if devices > _REAL:
        records = rng.choice(pool, size=len(pool) * devices // _REAL)
    labelled = records[: round(share * len(records))]
    return _exact(fleet, labelled), _private(fleet, devices, records, labelled, seed)


def _exact(fleet: Fleet, labelled: NDArray[np.int64]) -> float:
    """Return the score of the head that exact sums over these records give."""
    data, test = fleet.population.dataset, np.flatnonzero(fleet.test)
    rows = np.concatenate([labelled, test])
    everything = Everything(
        embeddings=fleet.embeddings[rows].astype(np.float32),
        labels=fleet.labels[rows],
        device=data.device[rows],
        trains=np.arange(len(rows)) < len(labelled),
        classes=len(data.classes),
        metric=fleet.metric,
    )
    settings = fleet.population.scenario.campaign(seed=1)
    return 100 * own_ceiling_metric(everything, settings.inputs, l2=settings.l2, seed=1)


def _private(
    fleet: Fleet,
    devices: int,
    records: NDArray[np.int64],
    labelled: NDArray[np.int64],
    seed: int,
) -> float:
    """Return the score of the last head of a campaign over noised sums."""
    task = fleet.population.shared.task
    settings = fleet.population.scenario.campaign(seed=1)
    model, kept = first_private_model(task, settings), dict[str, IntVector]()
    for turn in range(_ROUNDS):
        known = labelled[: len(labelled) * (turn + 1) // _ROUNDS]
        snapshot = Snapshot(
            task=task.digest,
            settings=dump_settings(settings),
            environment="",
            votes=_NOTHING,
            voted_items=_NOTHING,
            anchors=_NOTHING,
            labeled=np.array([len(known)], dtype=np.int64),
            voted=kept.get("voted", _NOTHING),
        )
        sums = list[LegSums]()
        while isinstance(leg := next_leg(task, model, snapshot, turn, sums), PrivateLeg):
            plan, values = plan_for(task, leg), _summed(fleet, leg, records, known)
            noise = discrete_gaussian(
                len(values),
                variance=plan.noise.share_variance * devices,
                entropy=keyed_entropy(seed, leg.about, turn),
            )
            many = np.array([devices], dtype=np.int64)
            sums.append(LegSums(held_out=values * plan.steps + noise, random_arm=many))
            kept |= kept_as(leg.about, leg.turn, sums[-1], task)
        model = leg.model
    return fleet.score(model)


def _summed(
    fleet: Fleet, leg: PrivateLeg, records: NDArray[np.int64], known: NDArray[np.int64]
) -> IntVector:
    """Return what all devices together sum for a leg."""
    privacy, rows = fleet.population.shared.task.policy.privacy, fleet.embeddings
    if leg.about == "moments":
        return BoundedMoments.from_embeddings(rows[records], longest=privacy.bound).totals
    assert leg.model is not None
    if leg.about == "gram":
        return gram_products(inputs_of(leg.model, rows[records]))
    return cross_products(
        inputs_of(leg.model, rows[known]),
        np.eye(leg.model.classes)[fleet.labels[known]],
        np.ones(len(known)),
        head_of(leg.model),
        reach=leg.reach,
    )


def inputs_of(model: HeadModel, embeddings: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a head's inputs, none of which hangs on another record."""
    made = representation_of(model)
    return made.inputs(embeddings, np.zeros(embeddings.shape[1]))


def _through_agents(name: str) -> Row:
    """Turn the campaign of 100 devices with all labels message by message."""
    fleet = _fleet(name, _REAL)
    population = _dealt(fleet.population)
    held = int((population.dataset.device == 0).sum())
    truth = population.truth()
    scenario = replace(population.scenario, labels_per_device=math.ceil(held / (_ROUNDS - 1)))
    plan = Plan(
        population=population,
        settings=replace(
            scenario.campaign(seed=1), strategy="random", surveyed_share=1.0, random_share=0.0
        ),
        rounds=_ROUNDS,
        stop_at=1.0,
        metric=fleet.metric,
        read=lambda item: truth[item.item],
        judge=fleet.score,
    )
    outcome = in_process(population, lambda carry: run_campaign(plan, carry))
    what = f"{name}, {_REAL} devices, all labels, through agents: head of the campaign"
    return Row(what=what, ours=outcome.curve[-1].metric, unit="points")


def _dealt(population: Population) -> Population:
    """Deal the training records of each person to devices, 100 in all; keep who is held out."""
    data, held_out = population.dataset, population.held_out
    test = held_out[data.device]
    order = np.argsort(data.device, kind="stable")
    rows = np.concatenate([order[~test[order]], order[test[order]]])
    trains = int((~test).sum())
    _, judges = np.unique(data.device[rows[trains:]], return_inverse=True)
    device = np.concatenate([np.arange(trains) * _REAL // trains, _REAL + judges])
    return replace(
        population,
        dataset=_taken(data, rows, device),
        held_out=np.arange(int(device.max()) + 1) >= _REAL,
        comes=np.zeros(len(rows), dtype=np.int64),
    )


def _taken(data: Dataset, rows: NDArray[np.int64], device: NDArray[np.int64]) -> Dataset:
    """Return these records, on these devices."""
    return replace(
        data,
        labels=data.labels[rows],
        device=device,
        features=None if data.features is None else data.features[rows],
        texts=None if data.texts is None else tuple(data.texts[row] for row in rows.tolist()),
        planted=(),
    )


def _fleet(name: str, devices: int) -> Fleet:
    """Load a scenario's data and task, under the shipped policy for so many devices."""
    privacy = PrivacySettings(
        unit="record",
        against="outsiders",  # with masks the numbers are the same
        cohort=devices,
        rounds=_ROUNDS,
        bound=_BOUNDS[name],
        centre=name != "sms",
    )
    population = populate(replace(Scenario.load(name), privacy=privacy), 1)
    data, shared = population.dataset, population.shared
    items = model_inputs(payloads_of(data, np.arange(len(data.labels))), shared.task.input)
    embeddings = shared.scorer.score(items).embeddings.astype(np.float64)
    return Fleet(name=name, population=population, embeddings=embeddings)


if __name__ == "__main__":
    sys.exit(run("private_campaign", __doc__.split("\n")[0], measure))
