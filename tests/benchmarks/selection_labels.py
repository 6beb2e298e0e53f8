"""Labels to 95 and 99 % of the full-data score, against random picking: medians over seeds.

    python tests/benchmarks/selection_labels.py [--peers] [--quick] [--json]

Whole campaigns on real data, trained across devices, each with its random twin of as many rounds;
the peer is that twin. A seed that does not get there counts as infinite, and a median that is
infinite is printed as -1. Targets are shares of one yardstick, the plain head on all labels; beside
each stands what share of the campaign's own ceiling that is.

Restricted: a tenth of the devices online instead of a quarter, and sketches of 64 bits; items leave
strictly masked in every campaign. --quick turns a few rounds of one seed on a few devices of the
data that are always there.
"""

import math
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from _table import Options, Row, run

from simulations import Report, Scenario
from simulations import run as rehearse

SEEDS = range(1, 21)
GOALS = {"har": (80, 180), "sms": (130, 250), "digits": (75, 125)}
TARGETS = ("0.95", "0.99")
WEAKEST = ("prize_words", "everyday_words")
_MORE = 1.1  # so many times the labels a restricted campaign may need


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is rehearsed, under a name."""

    name: str
    scenario: Scenario
    goals: tuple[float, float] | None = None


def cases(folder: Path) -> list[Case]:
    """Return everything that is measured; functions files are written to this folder."""
    plain = {name: Scenario.load(name) for name in GOALS}
    weak = replace(plain["sms"], functions=str(weakest_functions(folder)))
    plain["sms"] = replace(plain["sms"], functions="", vote_weight=0.0)
    found = [Case(name=name, scenario=plain[name], goals=GOALS[name]) for name in GOALS]
    found.append(Case(name="sms, two weakest functions", scenario=weak))
    for name in GOALS:
        restricted = replace(plain[name], online_share=0.1, sketch_bits=64)
        found.append(Case(name=f"{name}, restricted", scenario=restricted))
    return found


def weakest_functions(folder: Path) -> Path:
    """Write a functions file with two of the message functions: plain lists of words."""
    whole = Scenario.load("sms").functions_file().decode().split("[[function]]")[1:]
    kept = [part for part in whole if any(f'"{name}"' in part for name in WEAKEST)]
    path = folder / "weakest.toml"
    path.write_text("".join(f"[[function]]{part}" for part in kept), encoding="utf-8")
    return path


def measure(options: Options) -> list[Row]:
    """Return two rows for each case."""
    rows: list[Row] = []
    medians: dict[tuple[str, str], float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(Path(folder)):
            if options.quick and case.name != "digits":
                continue
            scenario = case.scenario
            if options.quick:
                scenario = replace(scenario, rounds=2, devices=10)
            seeds = SEEDS[:1] if options.quick else SEEDS
            reports = [rehearse(scenario, seed=seed, paired=True) for seed in seeds]
            for place, target in enumerate(TARGETS):
                goal = _goal(case, place, target, medians)
                row = row_of(case.name, target, reports, None if options.quick else goal)
                medians[case.name, target] = row.ours if row.ours >= 0 else math.inf
                rows.append(row)
    return rows


def _goal(
    case: Case, place: int, target: str, medians: dict[tuple[str, str], float]
) -> float | None:
    """Return how many labels a case may need: its own goal, or what the plain case needs."""
    if case.goals is not None:
        return case.goals[place]
    name, _, kind = case.name.partition(", ")
    plain = medians.get((name, target))
    return None if plain is None else plain * (_MORE if kind == "restricted" else 1.0)


def row_of(name: str, target: str, reports: Sequence[Report], goal: float | None) -> Row:
    """Return one line: labels to a target, ours against the random twins'."""
    needed = [_labels(report.labels_to[target]) for report in reports]
    drawn = [_labels(report.random_labels_to[target]) for report in reports]
    ours, twin = statistics.median(needed), statistics.median(drawn)
    reached = sum(math.isfinite(labels) for labels in needed)
    lost = sum(own > other for own, other in zip(needed, drawn, strict=True))
    own = statistics.median(
        float(target) * report.full_data_metric / max(report.own_ceiling_metric, 1e-9)
        for report in reports
    )
    return Row(
        what=(
            f"{name}: labels to {target} ({own:.3f} of its own ceiling),"
            f" {reached} of {len(reports)} seeds, behind random in {lost}"
        ),
        ours=_finite(ours),
        unit="labels",
        peer=_finite(twin),
        peer_name="random",
        ratio=twin / ours if math.isfinite(twin) and math.isfinite(ours) else None,
        target=None if goal is None else f"<= {goal:g}",
        met=None if goal is None else ours <= goal,
    )


def _labels(labels: float | None) -> float:
    """Return labels; a campaign that never got there needs infinitely many."""
    return math.inf if labels is None else labels


def _finite(labels: float) -> float:
    """Return labels as JSON can hold them: -1 for never."""
    return labels if math.isfinite(labels) else -1.0


if __name__ == "__main__":
    sys.exit(run("selection_labels", "Labels needed, against random picking.", measure))
