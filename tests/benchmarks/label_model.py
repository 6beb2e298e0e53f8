"""The label model: accuracy and honesty on real and made votes, with copies, with noise.

    python tests/benchmarks/label_model.py [--peers] [--quick] [--json]

Real votes are looked for under FIELDVOTE_DATA; without them the command says so and exits with 4.
Snorkel's numbers come from its fit from summed overlaps, which is the same to six digits; with
--peers the real Snorkel runs on the real sets, in the venv `.venv-peers`. Ties in accuracy are
shared. Made sets are made in the image of real ones that cannot be shipped (_vote_regimes.py).
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from _table import Options, Row, run
from _vote_regimes import REGIMES, MadeSet, copied
from numpy.typing import NDArray

from fieldvote.errors import MissingDataError
from strategies.labeling import (
    AnchorSummary,
    LabelModel,
    VoteSummary,
    fit_across,
    log_loss,
    majority_vote,
)
from strategies.labeling.one_shot import fit_one_shot
from strategies.labeling.overlaps import OverlapSummary
from strategies.labeling.snorkel_mode import SnorkelModel
from strategies.labeling.temperature import temperature_losses, with_temperature

ROOT = Path(__file__).resolve().parents[2]
PEER_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
REAL_SETS = ("wrench_youtube", "wrench_sms", "wrench_trec", "crowd_dog")
ANSWERS, DRAWS = 50, 5
SNORKEL = """
import sys
import numpy as np
from snorkel.labeling.model import LabelModel
file = np.load(sys.argv[1])
model = LabelModel(cardinality=int(file["k"]), verbose=False)
model.fit(file["votes"], n_epochs=100, seed=0, progress_bar=False)
np.save(sys.argv[2], model.predict_proba(file["test"]))
"""
Matrix = NDArray[np.float64]


def real_set(name: str) -> tuple[MadeSet, MadeSet]:
    """Load one set, and the items whose answers may be asked for.

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
    votes, labels = data["L"].astype(np.int8), data["y"]
    # crowds have no held-out items: they are scored on those they were fitted on
    test, truth = data.get("Lt", votes).astype(np.int8), data.get("yt", labels)
    answered, answers = data.get("Lv", votes).astype(np.int8), data.get("yv", labels)
    k = int(data["k"])
    return (
        MadeSet(votes=votes, labels=labels, test=test, truth=truth, classes=k),
        MadeSet(votes=answered, labels=answers, test=test, truth=truth, classes=k),
    )


def accuracy(p: Matrix, labels: NDArray[np.int64]) -> float:
    """Return the accuracy in percent; who shares first place gets a share of the point."""
    first = np.isclose(p, p.max(axis=1, keepdims=True), atol=1e-12)
    return float(100 * (first[np.arange(len(p)), labels] / first.sum(axis=1)).mean())


def snorkel(made: MadeSet, *, peers: bool) -> Matrix:
    """Return Snorkel's probabilities: of the real one in its own venv, or from summed overlaps."""
    if not peers:
        total = OverlapSummary.from_votes(made.votes, classes=made.classes)
        return SnorkelModel.fit(total, seed=0).predict(made.test)
    with tempfile.TemporaryDirectory() as folder:
        given, answer = Path(folder) / "votes.npz", Path(folder) / "probabilities.npy"
        np.savez(given, votes=made.votes, test=made.test, k=made.classes)
        subprocess.run(
            [str(PEER_PYTHON), "-c", SNORKEL, str(given), str(answer)],
            check=True,
            capture_output=True,
        )
        return np.asarray(np.load(answer))


def against(what: str, ours: float, peer: float, name: str, least: float) -> Row:
    """Return a row in points: ours must be at least the peer's and so many more."""
    return Row(
        what=what,
        ours=ours,
        unit="%",
        peer=peer,
        peer_name=name,
        ratio=ours - peer,
        target=f"{name} {least:+.1f}",
        met=ours >= peer + least,
    )


def answered_losses(made: MadeSet, pool: MadeSet) -> tuple[float, float, float]:
    """Return log-loss and accuracy with fifty answers, and of a majority tie-broken by them."""
    rng = np.random.default_rng(0)
    losses, right, tied = [], [], []
    for _ in range(DRAWS):
        picked = rng.permutation(len(pool.labels))[:ANSWERS]
        votes, labels = pool.votes[picked], pool.labels[picked]
        anchors = AnchorSummary.from_votes(votes, labels, classes=made.classes)
        model = fit_across([made.votes], classes=made.classes, anchors=anchors)
        model = with_temperature(model, temperature_losses(model, votes, labels))
        p = model.predict(made.test)
        losses.append(log_loss(p, made.truth))
        right.append(accuracy(p, made.truth))
        shares = anchors.items / anchors.items.sum()
        broken = majority_vote(made.test, made.classes) + 1e-3 * shares
        tied.append(accuracy(broken, made.truth))
    return float(np.mean(losses)), float(np.mean(right)), float(np.mean(tied))


def real_rows(peers: bool) -> list[Row]:
    """Accuracy and log-loss on real votes, per set and on average."""
    rows: list[Row] = []
    ours, theirs, losses, told = [], [], [], []
    for name in REAL_SETS:
        made, pool = real_set(name)
        p = fit_across([made.votes], classes=made.classes).predict(made.test)
        ours.append(accuracy(p, made.truth))
        losses.append(log_loss(p, made.truth))
        theirs.append(accuracy(snorkel(made, peers=peers), made.truth))
        told.append(answered_losses(made, pool)[0])
        voted = accuracy(majority_vote(made.test, made.classes), made.truth)
        rows.append(against(f"accuracy, {name}", ours[-1], voted, "majority", -0.5))
    rows.append(
        against(
            "accuracy, mean of the sets",
            float(np.mean(ours)),
            float(np.mean(theirs)),
            "snorkel",
            4.0,
        )
    )
    return [*rows, *_loss_rows("real sets", losses, told)]


def made_rows(quick: bool) -> list[Row]:
    """The same on made sets: where we lose to a majority vote, it stands here."""
    rows: list[Row] = []
    losses, told = [], []
    for name, make in REGIMES.items():
        ours, voted, right, tied = [], [], [], []
        for seed in range(1 if quick else 5):
            made = make(np.random.default_rng([seed, 7]))
            p = fit_across([made.votes], classes=made.classes).predict(made.test)
            ours.append(accuracy(p, made.truth))
            losses.append(log_loss(p, made.truth))
            voted.append(accuracy(majority_vote(made.test, made.classes), made.truth))
            answered = answered_losses(made, made)
            told.append(answered[0])
            right.append(answered[1])
            tied.append(answered[2])
        rows.append(
            against(
                f"accuracy, made: {name}",
                float(np.mean(ours)),
                float(np.mean(voted)),
                "majority",
                -0.5,
            )
        )
        if name == "relations":
            rows.append(
                against(
                    f"accuracy with {ANSWERS} answers, made: {name}",
                    float(np.mean(right)),
                    float(np.mean(tied)),
                    "tie-broken majority",
                    0.0,
                )
            )
    return [*rows, *_loss_rows("made sets", losses, told)]


def _loss_rows(sets: str, losses: list[float], told: list[float]) -> list[Row]:
    bare, answered = float(np.mean(losses)), float(np.mean(told))
    return [
        Row(
            what=f"log-loss, mean of the {sets}",
            ours=bare,
            unit="nats",
            target="<= 0.95",
            met=bare <= 0.95,
        ),
        Row(
            what=f"log-loss with {ANSWERS} answers, mean of the {sets}",
            ours=answered,
            unit="nats",
            target="<= 0.80",
            met=answered <= 0.80,
        ),
    ]


def copies_rows(quick: bool) -> list[Row]:
    """Accuracy with copies of the worst function, on the seed where we gain least."""
    rows = []
    for items, functions, classes, copies, abstain, flips in (
        (20_000, 20, 2, 8, 0.5, 0.05),
        (2_000, 20, 2, 6, 0.5, 0.05),
        (20_000, 20, 4, 6, 0.7, 0.05),
        (20_000, 30, 5, 12, 0.7, 0.05),
        (20_000, 20, 2, 8, 0.5, 0.2),
        (2_000, 20, 2, 6, 0.5, 0.3),
    ):
        gains, found = [], []
        for seed in range(2000, 2001 if quick else 2020):
            made, pairs, oracle = copied(
                seed,
                items=items,
                functions=functions,
                classes=classes,
                copies=copies,
                abstain=abstain,
                flips=flips,
            )
            ours = accuracy(
                fit_across([made.votes], classes=classes).predict(made.test), made.truth
            )
            voted = accuracy(majority_vote(made.test, classes), made.truth)
            theirs = accuracy(snorkel(made, peers=False), made.truth)
            edges = fit_one_shot(VoteSummary.from_votes(made.votes, classes=classes)).copies
            hits = (edges & pairs).sum()
            found.append((hits / max(edges.sum(), 1), hits / pairs.sum()))
            if flips > 0.1:
                gains.append((ours - voted, ours, voted))
            elif oracle - theirs >= 8:
                gains.append((ours - theirs, ours, theirs))
        what = f"{copies} of {functions} copied, {flips:.0%} flips, n={items} k={classes}"
        _, ours, theirs = min(gains)
        name, least = ("majority", 0.0) if flips > 0.1 else ("snorkel", 8.0)
        rows.append(against(f"accuracy, {what}, worst seed", ours, theirs, name, least))
        if flips < 0.1:
            worst = float(np.min(found))
            rows.append(
                Row(
                    what=f"precision and recall of edges, {what}, worst seed",
                    ours=worst,
                    unit="",
                    target=">= 0.95",
                    met=worst >= 0.95,
                )
            )
    return rows


def noisy(total: VoteSummary, sigma: float, rng: np.random.Generator) -> VoteSummary:
    """Put rounded Gaussian noise on every number but the items."""

    def symmetric(counts: NDArray[np.int64]) -> NDArray[np.int64]:
        noise = np.triu(np.rint(rng.normal(0, sigma, counts.shape)).astype(np.int64), 1)
        return counts + noise + noise.T

    counts = total.counts + np.rint(rng.normal(0, sigma, total.counts.shape)).astype(np.int64)
    return VoteSummary(
        items=total.items,
        counts=counts,
        co_votes=symmetric(total.co_votes),
        agreements=symmetric(total.agreements),
    )


def noise_rows(sigma: float = 30.0) -> list[Row]:
    """Accuracy under noise on the sums, the worst of three draws, one shot."""
    sets = {f"real: {name}": real_set(name)[0] for name in REAL_SETS}
    sets |= {f"made: {name}": REGIMES[name](np.random.default_rng([0, 7])) for name in REGIMES}
    for items, copies, abstain in ((10_000, 0, 0.5), (100_000, 0, 0.8), (20_000, 8, 0.5)):
        made, _, _ = copied(1, items=items, functions=20, classes=2, copies=copies, abstain=abstain)
        sets[f"made: n={items}, {copies} of 20 copied"] = made
    rows = []
    for name, made in sets.items():
        total = VoteSummary.from_votes(made.votes, classes=made.classes)
        worst = min(
            accuracy(
                LabelModel.fit(
                    noisy(total, sigma, np.random.default_rng(seed)), noise=sigma
                ).predict(made.test),
                made.truth,
            )
            for seed in range(3)
        )
        bare = accuracy(LabelModel.fit(total).predict(made.test), made.truth)
        voted = accuracy(majority_vote(made.test, made.classes), made.truth)
        what = f"accuracy under noise of {sigma:.0f}, {name}"
        rows.append(against(what, worst, voted, "majority", -1.5))
        if made.votes.shape[0] >= 10_000:
            rows.append(against(what, worst, bare, "no noise", -0.5))
    return rows


def peers_at_hand() -> bool:
    """Say whether Snorkel can be asked, and on stderr why not."""
    asked = [str(PEER_PYTHON), "-c", "import snorkel"]
    if PEER_PYTHON.exists() and not subprocess.run(asked, capture_output=True).returncode:
        return True
    print("snorkel is not importable from .venv-peers: its summed fit stands in", file=sys.stderr)
    return False


def measure(options: Options) -> list[Row]:
    """Return all rows."""
    peers = options.peers and peers_at_hand()
    rows = real_rows(peers) + made_rows(options.quick)
    return rows + copies_rows(options.quick) + noise_rows()


if __name__ == "__main__":
    sys.exit(run("label_model", "The label model on real and made votes.", measure))
