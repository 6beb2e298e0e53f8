"""The label model's fit on many votes: seconds, memory, and what a device uploads for it.

    python tests/benchmarks/label_fit.py [--peers] [--quick] [--json]

Every measurement is a process of its own, one thread each, taking turns with the peer; times are
the best of the turns, in seconds of processor time, loading left out; memory is the largest
resident set, everything included. "Compiled" is numba, warmed up on a few rows. With --peers,
Snorkel fits the same votes with 100 epochs, in the venv `.venv-peers`.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _table import Options, Row, run
from numpy.typing import NDArray

from fieldvote.codec import field_sizes
from fieldvote.records import SurveyReply
from strategies.labeling import VoteSummary

ROOT = Path(__file__).resolve().parents[2]
PEER_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
ONE_THREAD = {
    f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA")
}
SCORED = 100_000  # rows that accuracy is taken over

OURS = """
import json, resource, sys, time
import numpy as np
from strategies.labeling import LabelModel, VoteSummary, fit_across
from strategies.labeling.kernels import NUMPY, compiled
file, kind, way = np.load(sys.argv[1]), sys.argv[2], sys.argv[3]
votes, classes = file["votes"], int(file["k"])
kernels = compiled() if way == "compiled" else NUMPY

def fit(votes):
    if kind == "one shot":
        return LabelModel.fit(VoteSummary.from_votes(votes, classes=classes, kernels=kernels))
    return fit_across([votes], classes=classes, rounds=3, kernels=kernels)

if way == "compiled":
    fit(votes[:2000])
start = time.process_time()
model = fit(votes)
seconds = time.process_time() - start
scored = slice(0, int(sys.argv[4]))
right = model.predict(votes[scored]).argmax(axis=1) == file["labels"][scored]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": seconds, "peak_mb": peak / 1024, "accuracy": 100 * right.mean()}))
"""
SNORKEL = """
import json, resource, sys, time
import numpy as np
import torch
from snorkel.labeling.model import LabelModel
torch.set_num_threads(1)
file = np.load(sys.argv[1])
votes = file["votes"]
model = LabelModel(cardinality=int(file["k"]), verbose=False)
start = time.process_time()
model.fit(votes, n_epochs=100, seed=0, progress_bar=False)
seconds = time.process_time() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
scored = slice(0, int(sys.argv[4]))
right = model.predict_proba(votes[scored]).argmax(axis=1) == file["labels"][scored]
print(json.dumps({"seconds": seconds, "peak_mb": peak / 1024, "accuracy": 100 * right.mean()}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """One fit, or the best of several."""

    seconds: float
    peak_mb: float
    accuracy: float

    def or_better(self, other: "Fit") -> "Fit":
        """Return the faster one's time and the smaller memory."""
        return Fit(
            seconds=min(self.seconds, other.seconds),
            peak_mb=min(self.peak_mb, other.peak_mb),
            accuracy=self.accuracy,
        )


def made_votes(
    items: int, functions: int, classes: int, abstain: float, *, one_class: bool = False
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Independent functions of accuracy .55 to .85; of one class each, if so asked for."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, items).astype(np.int8)
    votes = np.empty((items, functions), dtype=np.int8)
    for j, right in enumerate(rng.uniform(0.55, 0.85, functions)):
        another = (labels + rng.integers(1, classes, items)) % classes
        column = np.where(rng.random(items) < right, labels, another)
        column[rng.random(items) < abstain] = -1
        if one_class:
            column[column != j % classes] = -1
        votes[:, j] = column
    return votes, labels


def fit_in_process(python: Path | str, program: str, *arguments: str) -> Fit:
    """Run a program on one thread and return what it measured."""
    done = subprocess.run(
        [str(python), "-c", program, *arguments],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **ONE_THREAD},
    )
    return Fit(**json.loads(done.stdout.splitlines()[-1]))


def speed_rows(options: Options, folder: Path) -> list[Row]:
    """Seconds, memory and accuracy beside the peer's."""
    rows = []
    items = 20_000 if options.quick else 1_000_000
    settings = ((20, 2, 0.8), (50, 5, 0.9))
    # quickly: each kind and each way once, as it is starting the processes that takes long
    for functions, classes, abstain in settings[:1] if options.quick else settings:
        path = folder / f"{functions}.npz"
        votes, labels = made_votes(items, functions, classes, abstain)
        np.savez(path, votes=votes, labels=labels, k=classes)
        best: dict[tuple[str, str], Fit] = {}
        for _ in range(1 if options.quick else 3):
            turns: list[tuple[tuple[str, str], Path | str, str]] = [
                ((kind, way), sys.executable, OURS)
                for kind in ("one shot", "three exchanges")
                for way in ("numpy", "compiled")
            ]
            if options.peers:
                turns.insert(2, (("snorkel", ""), PEER_PYTHON, SNORKEL))
            for key, python, program in turns:
                fit = fit_in_process(python, program, str(path), *key, str(SCORED))
                best[key] = fit.or_better(best[key]) if key in best else fit
        peer = best.pop(("snorkel", ""), None)
        setting = f"n={items} m={functions} k={classes} abstain={abstain}"
        for (kind, way), fit in best.items():
            rows += beside(
                f"{kind}, {way}, {setting}", fit, peer, 100 if kind == "one shot" else 30
            )
    return rows


def beside(what: str, ours: Fit, peer: Fit | None, faster: float) -> list[Row]:
    """Return the rows of one fit beside the peer's."""
    name = None if peer is None else "snorkel"
    speed = None if peer is None else peer.seconds / ours.seconds
    memory = None if peer is None else peer.peak_mb / ours.peak_mb
    gain = None if peer is None else ours.accuracy - peer.accuracy
    return [
        Row(
            what=f"fit, {what}",
            ours=ours.seconds,
            unit="s",
            peer=None if peer is None else peer.seconds,
            peer_name=name,
            ratio=speed,
            target=f">= {faster:.0f}x",
            met=None if speed is None else speed >= faster,
        ),
        Row(
            what=f"memory, {what}",
            ours=ours.peak_mb,
            unit="MB",
            peer=None if peer is None else peer.peak_mb,
            peer_name=name,
            ratio=memory,
            target="<= half",
            met=None if memory is None else memory >= 2,
        ),
        Row(
            what=f"accuracy, {what}",
            ours=ours.accuracy,
            unit="%",
            peer=None if peer is None else peer.accuracy,
            peer_name=name,
            ratio=gain,
            target="peer - 0.1",
            met=None if gain is None else gain >= -0.1,
        ),
    ]


def large_rows(options: Options, folder: Path) -> list[Row]:
    """1,200 functions of 56 classes: one shot, and with exchanges."""
    rows = []
    items = 500 if options.quick else 20_000
    for about, one_class, abstain in (("one class each", True, 0.5), ("all classes", False, 0.9)):
        path = folder / "large.npz"
        votes, labels = made_votes(items, 1200, 56, abstain, one_class=one_class)
        np.savez(path, votes=votes, labels=labels, k=56)
        for kind in ("one shot",) if options.quick else ("one shot", "three exchanges"):
            fit = fit_in_process(sys.executable, OURS, str(path), kind, "numpy", "2000")
            what = f"{kind}, n={items} m=1200 k=56, {about}"
            rows.append(Row(what=f"fit, {what}", ours=fit.seconds, unit="s"))
            rows.append(
                Row(
                    what=f"memory, {what}",
                    ours=fit.peak_mb,
                    unit="MB",
                    target="<= 500",
                    met=fit.peak_mb <= 500,
                )
            )
    return rows


def upload_rows() -> list[Row]:
    """Bytes of a one-shot summary inside the message that carries it."""
    rows = []
    for functions, classes, most in ((20, 4, 2_000), (68, 6, 20_000)):
        votes, _ = made_votes(40_000, functions, classes, 0.5)
        reply = SurveyReply(
            round=1,
            items=len(votes),
            voted=len(votes),
            votes=VoteSummary.from_votes(votes, classes=classes).to_vector(),
            moments=np.empty(0, dtype=np.int64),
            offers=(),
        )
        size = field_sizes(reply)["votes"]
        rows.append(
            Row(
                what=f"upload, one shot, m={functions} k={classes}, 40,000 items",
                ours=size,
                unit="bytes",
                target=f"<= {most}",
                met=size <= most,
            )
        )
    return rows


def peers_at_hand() -> bool:
    """Say whether Snorkel can be asked, and on stderr why not."""
    asked = [str(PEER_PYTHON), "-c", "import snorkel"]
    if PEER_PYTHON.exists() and not subprocess.run(asked, capture_output=True).returncode:
        return True
    print("snorkel is not importable from .venv-peers: peer columns stay empty", file=sys.stderr)
    return False


def measure(options: Options) -> list[Row]:
    """Return all rows."""
    usable = Options(peers=options.peers and peers_at_hand(), quick=options.quick)
    with tempfile.TemporaryDirectory() as folder:
        return [
            *upload_rows(),
            *speed_rows(usable, Path(folder)),
            *large_rows(usable, Path(folder)),
        ]


if __name__ == "__main__":
    sys.exit(run("label_fit", "Seconds, memory and uploads of the label model's fit.", measure))
