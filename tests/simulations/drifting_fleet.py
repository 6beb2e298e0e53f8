"""A rehearsal of a fleet whose items go on coming, and change on the way."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from coordinator.settings import RolloutSettings
from coordinator.steering_settings import AllocationSettings, ClassShare, DriftSettings
from fieldvote.records import MaskedItem
from simulations.arrivals import ArrivalSettings
from simulations.engines.in_process import in_process
from simulations.fleet import Outcome, Plan, run_campaign
from simulations.population import populate
from simulations.scenario import Scenario
from strategies.evaluation import Metric

CLASSES, WIDTH, DEVICES = 4, 6, 12
NEW = CLASSES - 1
QUOTA = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What came of it.

    Attributes:
        outcome: Of the campaign.
        labels: Class of every label, in the order they were given.
    """

    outcome: Outcome
    labels: list[int]

    @property
    def share_of_new(self) -> float:
        """Share of all labels that are of the class that was not there at first."""
        return self.labels.count(NEW) / len(self.labels)


def fleet_file(folder: Path, seed: int, *, items: int) -> Path:
    """Write rows of four classes on twelve devices, each with habits and a mix of its own."""
    rng = np.random.default_rng(seed)
    mixes = rng.dirichlet(np.full(CLASSES, 5.0), size=DEVICES)
    labels = np.concatenate([rng.choice(CLASSES, size=items, p=mix) for mix in mixes])
    device = np.repeat(np.arange(DEVICES), items)
    habits = 0.2 * rng.normal(size=(DEVICES, WIDTH))
    noise = 0.6 * rng.normal(size=(len(labels), WIDTH))
    rows = 2.0 * np.eye(CLASSES, WIDTH)[labels] + habits[device] + noise
    file = folder / f"fleet{seed}.npz"
    np.savez(file, X=rows, y=labels, device=device)
    return file


def rehearse(
    folder: Path, change: str, *, seed: int, quiet: int, rounds: int, per_round: int = 8
) -> Rehearsed:
    """Rehearse a campaign in which items change after some quiet rounds.

    Args:
        folder: For the data.
        change: "shift", "new" for a class that was not there before, or "none".
        seed: Of the data and of the campaign.
        quiet: Rounds before the change.
        rounds: How many in all.
        per_round: Items that come to a device in a round.
    """
    file = fleet_file(folder, seed, items=per_round * (rounds + 8))
    arrivals = ArrivalSettings(
        rounds=rounds,
        initial=0.15,
        shift_from=quiet + 1 if change == "shift" else 0,
        shift=0.7,
        new_class=NEW if change == "new" else -1,
        new_from=quiet + 1 if change == "new" else 0,
    )
    quota = ClassShare(name=str(NEW), share=QUOTA)
    scenario = Scenario.for_data(file)
    scenario = replace(
        scenario,
        rounds=rounds,
        online_share=1.0,
        labels_per_device=1,
        exchanges=2,
        inputs=replace(scenario.inputs, fourier=0),
        arrivals=arrivals,
        drift=DriftSettings(watch=True),
        allocation=AllocationSettings(classes=(quota,) if change == "new" else ()),
    )
    population = populate(scenario, seed)
    settings = replace(scenario.campaign(seed=seed), rollout=RolloutSettings(enabled=False))
    truth, labels = population.truth(), list[int]()

    def read(item: MaskedItem) -> int:
        labels.append(truth[item.item])
        return labels[-1]

    plan = Plan(
        population=population,
        settings=settings,
        rounds=rounds,
        stop_at=2.0,
        metric=Metric.ACCURACY,
        read=read,
    )
    outcome = in_process(population, lambda carry: run_campaign(plan, carry))
    return Rehearsed(outcome=outcome, labels=labels)
