"""How well a planted record can be found in what a campaign releases at the shipped default.

    python tests/benchmarks/canary.py [--quick] [--json]

One record with features that nobody else has is planted on one device; 512 candidates might have
been it. Exposure is 9 bits where it is found for sure and 1.44 where nothing is known. Two
attackers: one has the trained head, the other the noised sums and every other record. The noise is
drawn by a ledger that charges for it, with what the default policy leaves for training.
"""

import sys
from pathlib import Path

import numpy as np
from _table import Options, Row, run

sys.path.insert(0, str(Path(__file__).parents[2]))  # a script sees its own folder only
from tests.privacy.dp.attacks import auc, canary, highest_auc, likelihood_ratios, memberships

_TARGET_BITS = 2.5


def measure(options: Options) -> list[Row]:
    """Run the attacks."""
    seeds = 30 if options.quick else 300
    rows = []
    for noised, said in ((True, "shipped default"), (False, "no noise")):
        count = seeds if noised else 3
        found = np.mean([canary(seed, noised=noised) for seed in range(count)], axis=0)
        for bits, by in zip(found, ("the head", "the sums"), strict=True):
            rows.append(
                Row(
                    what=f"canary exposure by {by}, {said}",
                    ours=float(bits),
                    unit="bits",
                    target="<= 2.5" if noised else "9 shows it works",
                    met=bool(bits <= _TARGET_BITS) if noised else bool(bits > 8.0),
                )
            )
    return rows + _memberships(96 if options.quick else 300)


def _memberships(runs: int) -> list[Row]:
    """Return how often a member scores above one who is none."""
    bound = highest_auc(_training_share())
    inside, confidence, pointing = memberships(noised=True, runs=runs)
    scores = {
        "loss threshold": confidence,
        "LiRA": likelihood_ratios(inside, confidence),
        "reader of the sums": pointing,
    }
    tolerance = 3 * 0.5 / float(np.sqrt(inside.size / 2))
    return [
        Row(
            what=f"membership AUC, {name}",
            ours=auc(score, inside),
            unit="",
            target=f"<= {bound + tolerance:.3f}",
            met=auc(score, inside) <= bound + tolerance,
        )
        for name, score in scores.items()
    ]


def _training_share() -> int:
    from privacy.dp.policy import TRAINING, PrivacyPolicy

    return PrivacyPolicy().micro_rho_by_kind[TRAINING]


if __name__ == "__main__":
    sys.exit(run("canary", __doc__.split("\n")[0], measure))
