"""Picking by every rule: doubt over 100,000 items, spread over 50,000, offers of a fleet, streams.

    python tests/benchmarks/acquisition.py [--peers] [--quick] [--json]

With --peers, modAL, Baal, scikit-activeml, small-text and apricot pick from the same arrays, in the
venv `.venv-peers`; rules that spread out are compared on 5,000 items, where peers are done
in seconds. All arrays are made up, so no data is needed. Times are CPU time,
the best of several runs.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from _table import Options, Row, run
from numpy.typing import NDArray

from strategies.acquisition import ACQUISITIONS, Candidates
from strategies.acquisition.facility import greedy, similarities
from strategies.acquisition.fleet import select_fleet
from strategies.acquisition.offers import Offers
from strategies.acquisition.streaming import Quota

ROOT = Path(__file__).resolve().parents[2]
PEER_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
PEER_ITEMS, PEER_WIDTH = 5_000, 64
MEMBERS = 20
PEER_SIDE = Path(__file__).with_name("_acquisition_peers.py")

PeerTimes: TypeAlias = dict[str, dict[str, float]]
"""Milliseconds by rule, then by peer."""


def best_ms(work: Callable[[], object], repeats: int) -> float:
    """Return the best time in milliseconds, after one run to load and compile."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1e3 * min(times)


def made_probabilities(items: int, classes: int) -> NDArray[np.float64]:
    """Draw softmax outputs of a model that is neither sure nor lost."""
    logits = 2 * np.random.default_rng(0).standard_normal((items, classes))
    p = np.exp(logits)
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def made_members(items: int, classes: int) -> NDArray[np.float32]:
    """Draw what the members of a committee say of each item. Shape (members, items, classes)."""
    rng = np.random.default_rng(2)
    logits = rng.standard_normal((MEMBERS, items, classes)) + 2 * rng.standard_normal(
        (items, classes)
    )
    p = np.exp(logits)
    return np.asarray(p / p.sum(axis=2, keepdims=True), dtype=np.float32)


def made_points(items: int, width: int) -> NDArray[np.float32]:
    """Draw embeddings in 200 groups that overlap."""
    rng = np.random.default_rng(1)
    middles = 3 * rng.standard_normal((200, width))
    points = middles[rng.integers(0, 200, items)] + rng.standard_normal((items, width))
    return points.astype(np.float32)


def rows_of(what: str, ours: float, most: float | None, peers: dict[str, float]) -> list[Row]:
    """Return a row in milliseconds, and one for each peer beside it; the limit is said once."""
    met = None if most is None else ours <= most
    plain = Row(
        what=what,
        ours=ours,
        unit="ms",
        target=None if most is None else f"<= {most:g} ms",
        met=met,
    )
    beside = [
        replace(plain, peer=theirs, peer_name=peer, ratio=theirs / ours)
        for peer, theirs in peers.items()
    ]
    return (
        [beside[0], *(replace(each, target=None, met=None) for each in beside[1:])]
        if beside
        else [plain]
    )


def doubt_rows(repeats: int, peers: PeerTimes) -> list[Row]:
    """The 1,000 best of 100,000 items with 10 classes."""
    rng = np.random.default_rng(0)
    candidates = Candidates(probabilities=made_probabilities(100_000, 10).astype(np.float32))
    rows: list[Row] = []
    for name in ("margin", "entropy", "least_confidence"):
        rule = ACQUISITIONS[name]
        ours = best_ms(lambda rule=rule: rule(candidates, 1000, rng), repeats)
        most = None if name == "least_confidence" else 1.0
        rows += rows_of(f"{name}, 1000 of 100000 x 10", ours, most, peers.get(name, {}))
    members = made_members(10_000, 10)
    committee = Candidates(probabilities=members.mean(axis=0), members=members)
    ours = best_ms(lambda: ACQUISITIONS["bald"](committee, 1000, rng), repeats)
    what = f"bald, 1000 of 10000 x 10, {MEMBERS} members"
    return rows + rows_of(what, ours, None, peers.get("bald", {}))


def spread_rows(repeats: int, peers: PeerTimes, *, large: int) -> list[Row]:
    """Rules over embeddings: a large pool, a device's, and the one peers are compared on."""
    rng = np.random.default_rng(0)
    rows: list[Row] = []
    for items, width, picks, limits in (
        (large, 256, 1_000, {"k_center": 500.0, "badge": 1000.0}),
        (10_000, 256, 100, {"k_center": 100.0, "badge": 100.0, "cluster_margin": 100.0}),
        (PEER_ITEMS, PEER_WIDTH, 100, {"k_center": None, "badge": None, "typiclust": None}),
    ):
        candidates = Candidates(
            probabilities=made_probabilities(items, 10), embeddings=made_points(items, width)
        )
        beside = peers if items == PEER_ITEMS else {}
        for name, most in limits.items():
            rule = ACQUISITIONS[name]
            ours = best_ms(lambda rule=rule, c=candidates, k=picks: rule(c, k, rng), repeats)
            what = f"{name}, {picks} of {items} x {width}"
            rows += rows_of(what, ours, most, beside.get(name, {}))
    points = made_points(PEER_ITEMS, PEER_WIDTH)[:, :8]
    alike, covered = similarities(points)
    ours = best_ms(lambda: greedy(alike, covered, 200), repeats)
    beside = peers.get("facility_location", {})
    [found] = rows_of("facility location, 200 of 5000", ours, None, beside)
    met = None if found.ratio is None else found.ratio >= 30
    return [*rows, replace(found, target=">= 30x apricot", met=met)]


def stream_rows() -> list[Row]:
    """Deciding at once: how much of the best 1,000 of 100,000 scores is taken."""
    scores = np.random.default_rng(0).exponential(1.0, 100_000)
    quota = Quota(1_000, len(scores))
    taken = np.array([quota.takes(float(score)) for score in scores])
    share = 100 * scores[taken].sum() / np.sort(scores)[-1_000:].sum()
    return [
        Row(
            what="streaming, 1000 of 100000 scores",
            ours=share,
            unit="% of offline",
            target=">= 99 %",
            met=bool(share >= 99),
        )
    ]


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


def peer_times(repeats: int) -> PeerTimes:
    """Return the peers' milliseconds; nothing, and why on stderr, where they are not at hand."""
    arrays = {
        "probabilities": made_probabilities(100_000, 10).astype(np.float32),
        "members": made_members(10_000, 10),
        "points": made_points(PEER_ITEMS, PEER_WIDTH),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, array in arrays.items():
            np.save(Path(folder) / f"{name}.npy", array)
        if PEER_PYTHON.exists():
            asked = [str(PEER_PYTHON), str(PEER_SIDE), folder, str(repeats)]
            run = subprocess.run(asked, capture_output=True, text=True)
            if run.returncode == 0:
                told: PeerTimes = json.loads(run.stdout.splitlines()[-1])
                return told
            print(run.stderr[-400:], file=sys.stderr)
    print("the peers are not importable from .venv-peers: see make bench-peers", file=sys.stderr)
    return {}


def measure(options: Options) -> list[Row]:
    """Return all rows."""
    repeats = 3 if options.quick else 20
    peers = peer_times(repeats) if options.peers else {}
    large = 5_000 if options.quick else 50_000
    rows = doubt_rows(3 * repeats, peers) + spread_rows(max(repeats // 5, 1), peers, large=large)
    return rows + stream_rows() + fleet_rows(1 if options.quick else 10)


if __name__ == "__main__":
    sys.exit(run("acquisition", "Picking items to ask about.", measure))
