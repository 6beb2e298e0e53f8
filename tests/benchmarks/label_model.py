"""The label model: accuracy and honesty on real votes, speed on many, copies seen through.

    python tests/benchmarks/label_model.py [--peers] [--quick] [--json]

Real votes are looked for under FIELDVOTE_DATA; without them the command says so and exits with 4.
With --peers, Snorkel runs beside ours on the same votes, in the venv `.venv-peers`. Ties in
accuracy are shared. Times are seconds of processor time.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _table import Options, Row, run
from numpy.typing import NDArray

from fieldvote.errors import MissingDataError
from strategies.labeling import LabelModel, VoteSummary, fit_across, log_loss, majority_vote

ROOT = Path(__file__).resolve().parents[2]
PEER_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
REAL_SETS = ("wrench_youtube", "wrench_sms", "wrench_trec", "crowd_dog")
SNORKEL = """
import json, sys, time
import numpy as np
from snorkel.labeling.model import LabelModel
file = np.load(sys.argv[1])
model = LabelModel(cardinality=int(file["k"]), verbose=False)
start = time.process_time()
model.fit(file["votes"], n_epochs=100, seed=0, progress_bar=False)
seconds = time.process_time() - start
np.save(sys.argv[2], model.predict_proba(file["test"]))
print(json.dumps({"seconds": seconds}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerFit:
    """What Snorkel made of the votes."""

    probabilities: NDArray[np.float64]
    seconds: float


def real_votes(name: str) -> dict[str, NDArray[np.int64]]:
    """Load one set: L to fit, Lt and yt to score, k classes.

    Raises:
        MissingDataError: It is not there.
    """
    root = os.environ.get("FIELDVOTE_DATA")
    path = Path(root or ".") / "votes" / f"{name}.npz"
    if not root or not path.exists():
        raise MissingDataError(
            f"no votes/{name}.npz: set FIELDVOTE_DATA to a folder that holds it, "
            "or convert that set's votes to L, y, Lt, yt, k"
        )
    with np.load(path) as file:
        data = dict(file)
    # crowds have no held-out items: they are scored on those they were fitted on
    return {"Lt": data["L"], "yt": data["y"], **data}


def accuracy(p: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the accuracy in percent; who shares first place gets a share of the point."""
    first = np.isclose(p, p.max(axis=1, keepdims=True), atol=1e-12)
    return float(100 * (first[np.arange(len(p)), labels] / first.sum(axis=1)).mean())


def snorkel(votes: NDArray[np.int8], test: NDArray[np.int8], classes: int) -> PeerFit:
    """Fit Snorkel in its own venv."""
    with tempfile.TemporaryDirectory() as folder:
        given, answer = Path(folder) / "votes.npz", Path(folder) / "probabilities.npy"
        np.savez(given, votes=votes, test=test, k=classes)
        run = subprocess.run(
            [str(PEER_PYTHON), "-c", SNORKEL, str(given), str(answer)],
            check=True,
            capture_output=True,
            text=True,
        )
        seconds = float(json.loads(run.stdout.splitlines()[-1])["seconds"])
        return PeerFit(probabilities=np.load(answer), seconds=seconds)


def real_rows(peers: bool) -> list[Row]:
    """Accuracy and log-loss on real votes, per set and on average."""
    rows: list[Row] = []
    ours: list[float] = []
    losses: list[float] = []
    theirs: list[float] = []
    for name in REAL_SETS:
        data = real_votes(name)
        classes = int(data["k"])
        p = fit_across([data["L"]], classes=classes, rounds=30).predict(data["Lt"])
        ours.append(accuracy(p, data["yt"]))
        losses.append(log_loss(p, data["yt"]))
        voted = accuracy(majority_vote(data["Lt"], classes), data["yt"])
        rows.append(
            Row(
                what=f"accuracy, {name}",
                ours=ours[-1],
                unit="%",
                peer=voted,
                peer_name="majority",
                ratio=ours[-1] - voted,
                target="majority - 0.5",
                met=ours[-1] >= voted - 0.5,
            )
        )
        if peers:
            theirs.append(
                accuracy(snorkel(data["L"], data["Lt"], classes).probabilities, data["yt"])
            )
    mean, mean_peer = float(np.mean(ours)), float(np.mean(theirs)) if theirs else None
    rows.append(
        Row(
            what="accuracy, mean of the sets",
            ours=mean,
            unit="%",
            peer=mean_peer,
            peer_name="snorkel" if theirs else None,
            ratio=None if mean_peer is None else mean - mean_peer,
            target="snorkel + 4",
            met=None if mean_peer is None else mean >= mean_peer + 4,
        )
    )
    loss = float(np.mean(losses))
    rows.append(
        Row(what="log-loss, mean", ours=loss, unit="nats", target="<= 0.95", met=loss <= 0.95)
    )
    return rows


def made_votes(
    seed: int, *, items: int, functions: int, classes: int, copies: int, abstain: float
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Independent functions of accuracy .55 to .85 and copies of the worst, 5 % of them flipped."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, items)
    accuracies = rng.uniform(0.55, 0.85, functions - copies)
    columns = []
    for right in accuracies:
        another = (labels + rng.integers(1, classes, items)) % classes
        votes = np.where(rng.random(items) < right, labels, another)
        columns.append(np.where(rng.random(items) < abstain, -1, votes))
    worst = columns[int(accuracies.argmin())]
    for _ in range(copies):
        another = (worst + rng.integers(1, classes, items)) % classes
        columns.append(np.where((rng.random(items) < 0.05) & (worst >= 0), another, worst))
    return np.stack(columns, axis=1).astype(np.int8), labels


def copies_rows(quick: bool, peers: bool) -> list[Row]:
    """Accuracy with copies of the worst function, on the seed where we gain least."""
    rows = []
    peer_name = "snorkel" if peers else "majority"
    for items, copies in ((20_000, 8), (2_000, 6)):
        seeds = 3 if quick else 20
        results = []
        for seed in range(seeds):
            votes, labels = made_votes(
                seed, items=items, functions=20, classes=2, copies=copies, abstain=0.5
            )
            ours = accuracy(fit_across([votes], classes=2).predict(votes), labels)
            other = snorkel(votes, votes, 2).probabilities if peers else majority_vote(votes, 2)
            results.append((ours - accuracy(other, labels), ours, accuracy(other, labels)))
        gain, ours, theirs = min(results)
        rows.append(
            Row(
                what=f"accuracy, {copies} of 20 copied, n={items}, worst of {seeds} seeds",
                ours=ours,
                unit="%",
                peer=theirs,
                peer_name=peer_name,
                ratio=gain,
                target=f"{peer_name} + 8",
                met=gain >= 8,
            )
        )
    return rows


def speed_rows(quick: bool, peers: bool) -> list[Row]:
    """Seconds to fit from raw votes, one shot and with three exchanges."""
    rows = []
    for functions, classes, abstain in ((20, 2, 0.8), (50, 5, 0.9)):
        items = 100_000 if quick else 1_000_000
        votes, _ = made_votes(
            0, items=items, functions=functions, classes=classes, copies=0, abstain=abstain
        )
        peer = snorkel(votes, votes[:1], classes).seconds if peers else None

        def one_shot(votes: NDArray[np.int8] = votes, classes: int = classes) -> None:
            LabelModel.fit(VoteSummary.from_votes(votes, classes=classes))

        def exchanged(votes: NDArray[np.int8] = votes, classes: int = classes) -> None:
            fit_across([votes], classes=classes, rounds=3)

        for kind, work, target in (
            ("one shot", one_shot, 100.0),
            ("three exchanges", exchanged, 30.0),
        ):
            seconds = processor_seconds(work)
            ratio = None if peer is None else peer / seconds
            rows.append(
                Row(
                    what=f"fit, {kind}, n={items} m={functions} k={classes} abstain={abstain}",
                    ours=seconds,
                    unit="s",
                    peer=peer,
                    peer_name=None if peer is None else "snorkel",
                    ratio=ratio,
                    target=f">= {target:.0f}x",
                    met=None if ratio is None else ratio >= target,
                )
            )
    return rows


def processor_seconds(work: Callable[[], None]) -> float:
    """Return the best of three, in seconds of processor time."""
    times = []
    for _ in range(3):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def peers_at_hand() -> bool:
    """Say whether Snorkel can be asked, and on stderr why not."""
    asked = [str(PEER_PYTHON), "-c", "import snorkel"]
    if PEER_PYTHON.exists() and not subprocess.run(asked, capture_output=True).returncode:
        return True
    print("snorkel is not importable from .venv-peers: peer columns stay empty", file=sys.stderr)
    return False


def measure(options: Options) -> list[Row]:
    """Return all rows."""
    peers = options.peers and peers_at_hand()
    rows = real_rows(peers)
    return rows + copies_rows(options.quick, peers) + speed_rows(options.quick, peers)


if __name__ == "__main__":
    sys.exit(run("label_model", "The label model on real and made votes.", measure))
