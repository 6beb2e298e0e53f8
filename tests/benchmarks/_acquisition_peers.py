"""The peers' side of `acquisition.py`: their own Python prints milliseconds by rule and peer.

python _acquisition_peers.py FOLDER REPEATS, the folder with probabilities, members and points
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np


def best_ms(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1e3 * min(times)


def main() -> None:
    from apricot import FacilityLocationSelection
    from baal.active.heuristics import BALD, Entropy, Margin
    from modAL.uncertainty import entropy_sampling, margin_sampling
    from skactiveml.classifier import SklearnClassifier
    from skactiveml.pool import Badge, CoreSet, TypiClust
    from sklearn.linear_model import LogisticRegression
    from small_text.query_strategies.coresets import greedy_coreset

    names = ("probabilities", "members", "points")
    probabilities, members, points = (np.load(Path(sys.argv[1]) / f"{name}.npy") for name in names)
    repeats = int(sys.argv[2])
    drawn = np.ascontiguousarray(members.transpose(1, 2, 0))  # (items, classes, draws)

    class Model:
        def predict_proba(self, pool: np.ndarray, **_: object) -> np.ndarray:
            return pool

    model = Model()
    unknown = np.full(len(points), np.nan)
    gaps = ((points[:, None, :8] - points[None, :, :8]) ** 2).sum(axis=2)
    alike = (1 - gaps / gaps.max()).astype(np.float64)
    labeled, free = np.array([0]), np.arange(1, len(points))
    first = unknown.copy()
    first[0] = 0
    some = unknown.copy()
    some[:100] = np.arange(100) % 10
    learner = SklearnClassifier(LogisticRegression(max_iter=50), classes=list(range(10)))
    learner.fit(points, some)
    scikit, seed = {"X": points, "batch_size": 100}, {"random_state": 0}
    facility = FacilityLocationSelection(200, metric="precomputed", optimizer="lazy")
    work: dict[str, dict[str, Callable[[], object]]] = {
        "margin": {
            "modAL": lambda: margin_sampling(model, probabilities, 1000),
            "Baal": lambda: Margin()(probabilities[..., None])[:1000],
        },
        "entropy": {
            "modAL": lambda: entropy_sampling(model, probabilities, 1000),
            "Baal": lambda: Entropy()(probabilities[..., None])[:1000],
        },
        "bald": {"Baal": lambda: BALD()(drawn)[:1000]},
        "k_center": {
            "scikit-activeml": lambda: CoreSet(**seed).query(**scikit, y=first),
            "small-text": lambda: greedy_coreset(points, free, labeled, 100),
        },
        "typiclust": {"scikit-activeml": lambda: TypiClust(**seed).query(**scikit, y=first)},
        "badge": {
            "scikit-activeml": lambda: Badge(**seed).query(
                **scikit, y=some, clf=learner, fit_clf=False
            )
        },
        "facility_location": {"apricot": lambda: facility.fit(alike)},
    }
    quick = ("margin", "entropy", "bald")
    found = {
        rule: {
            peer: best_ms(asked, repeats if rule in quick else 1) for peer, asked in peers.items()
        }
        for rule, peers in work.items()
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
