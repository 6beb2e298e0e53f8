"""Labels to 95 and 99 % of the full-data score, against random picking: medians over seeds.

    python tests/benchmarks/selection_labels.py [--peers] [--quick] [--json]

Whole campaigns on real data, trained across devices, each with its random twin; the peer is that
twin. A seed that does not get there within the rounds counts as infinite, and a median that is
infinite is printed as -1. --quick turns a few rounds of one seed on the data that are always there.
"""

import math
import statistics
import sys
from dataclasses import replace

from _table import Options, Row, run

from simulations import Scenario
from simulations import run as rehearse

SEEDS = (1, 2, 3, 4, 5)
ROUNDS = 14
GOALS = {"har": (80, 180), "sms": (130, 250), "digits": (75, 125)}


def measure(options: Options) -> list[Row]:
    """Return two rows for each data set."""
    names = ["digits"] if options.quick else list(GOALS)
    seeds, rounds = ((1,), 3) if options.quick else (SEEDS, ROUNDS)
    rows: list[Row] = []
    for name in names:
        scenario = replace(Scenario.load(name), rounds=rounds)
        reports = [rehearse(scenario, seed=seed) for seed in seeds]
        for target, goal in zip(("0.95", "0.99"), GOALS[name], strict=True):
            ours = median([report.labels_to[target] for report in reports])
            twin = median([report.random_labels_to[target] for report in reports])
            rows.append(
                Row(
                    what=f"{name}, labels to {target}, median of {len(seeds)} seeds",
                    ours=finite(ours),
                    unit="labels",
                    peer=finite(twin),
                    peer_name="random",
                    ratio=twin / ours if math.isfinite(twin) and math.isfinite(ours) else None,
                    target=f"<= {goal}",
                    met=None if options.quick else ours <= goal,
                )
            )
    return rows


def median(labels: list[float | None]) -> float:
    """Return the median; a campaign that never got there counts as infinite."""
    return statistics.median(math.inf if n is None else n for n in labels)


def finite(labels: float) -> float:
    """Return labels as JSON can hold them: -1 for never."""
    return labels if math.isfinite(labels) else -1.0


if __name__ == "__main__":
    sys.exit(run("selection_labels", "Labels needed, against random picking.", measure))
