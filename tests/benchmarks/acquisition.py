"""Picking the most uncertain of 100,000 items, and selection over a fleet's offers.

    python tests/benchmarks/acquisition.py [--peers] [--quick] [--json]

With --peers, modAL picks beside ours from the same probabilities, in the venv `.venv-peers`. The
probabilities are made up, so no data is needed. Times are the best of several, in milliseconds.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _table import Options, Row, run
from numpy.typing import NDArray

from strategies.acquisition import ACQUISITIONS, Candidates, Offers, select_fleet

ROOT = Path(__file__).resolve().parents[2]
PEER_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
MODAL = """
import json, sys, time
import numpy as np
from modAL.uncertainty import entropy_sampling, margin_sampling
p, repeats = np.load(sys.argv[1]), int(sys.argv[2])
class Model:
    def predict_proba(self, pool, **_):
        return pool
best = {}
for name, rule in (("margin", margin_sampling), ("entropy", entropy_sampling)):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        rule(Model(), p, n_instances=100)
        times.append(time.perf_counter() - start)
    best[name] = 1e3 * min(times)
print(json.dumps(best))
"""


def best_ms(work: Callable[[], object], repeats: int) -> float:
    """Return the best time in milliseconds, after one run to load and compile."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def made_probabilities(items: int, classes: int) -> NDArray[np.float64]:
    """Draw softmax outputs of a model that is neither sure nor lost."""
    logits = 2 * np.random.default_rng(0).standard_normal((items, classes))
    p = np.exp(logits)
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def rule_rows(repeats: int, peer: dict[str, float]) -> list[Row]:
    """The 100 best of 100,000 items with 10 classes."""
    rng = np.random.default_rng(0)
    candidates = Candidates(probabilities=made_probabilities(100_000, 10))
    rows = []
    for name in sorted(ACQUISITIONS):
        rule = ACQUISITIONS[name]
        ours = best_ms(lambda rule=rule: rule(candidates, 100, rng), repeats)
        theirs = peer.get(name)
        rows.append(
            Row(
                what=f"{name}, 100 of 100000 x 10",
                ours=ours,
                unit="ms",
                peer=theirs,
                peer_name=None if theirs is None else "modAL",
                ratio=None if theirs is None else theirs / ours,
                target="<= 1 ms" if name == "margin" else None,
                met=ours <= 1 if name == "margin" else None,
            )
        )
    return rows


def fleet_rows(repeats: int) -> list[Row]:
    """Selection over the offers of 1,000 devices, 16 each."""
    rng = np.random.default_rng(0)
    items = 16_000
    offers = Offers(
        device=np.repeat(np.arange(1_000), 16),
        score=rng.random(items),
        predicted=rng.integers(0, 10, items),
        sketch=rng.integers(0, 256, (items, 8), dtype=np.uint8),
    )
    return [
        Row(
            what=f"fleet, {budget} of {items} offers",
            ours=best_ms(lambda b=budget: select_fleet(offers, b, rng), repeats),
            unit="ms",
        )
        for budget in (24, 100, 400)
    ]


def modal_times(repeats: int) -> dict[str, float]:
    """Return modAL's milliseconds per rule; nothing, and why on stderr, where it is not at hand."""
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "probabilities.npy"
        np.save(given, made_probabilities(100_000, 10))
        if PEER_PYTHON.exists():
            asked = [str(PEER_PYTHON), "-c", MODAL, str(given), str(repeats)]
            run = subprocess.run(asked, capture_output=True, text=True)
            if run.returncode == 0:
                return {
                    str(name): float(ms)
                    for name, ms in json.loads(run.stdout.splitlines()[-1]).items()
                }
    print("modAL is not importable from .venv-peers: peer columns stay empty", file=sys.stderr)
    return {}


def measure(options: Options) -> list[Row]:
    """Return all rows."""
    repeats = 5 if options.quick else 30
    rows = rule_rows(repeats, modal_times(repeats) if options.peers else {})
    return rows + fleet_rows(3 if options.quick else 10)


if __name__ == "__main__":
    sys.exit(run("acquisition", "Picking items to ask about.", measure))
