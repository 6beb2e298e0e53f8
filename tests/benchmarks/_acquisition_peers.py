"""The peers' side of `acquisition.py`: run by the peers' own Python, prints milliseconds as JSON.

python _acquisition_peers.py PROBABILITIES.npy EMBEDDINGS.npy REPEATS
"""

import json
import sys
import time
from collections.abc import Callable

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
    from modAL.uncertainty import entropy_sampling, margin_sampling
    from skactiveml.pool import Badge, CoreSet, TypiClust
    from small_text.query_strategies.coresets import greedy_coreset

    probabilities, points = np.load(sys.argv[1]), np.load(sys.argv[2])
    repeats = int(sys.argv[3])

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
    found = {
        "margin": best_ms(lambda: margin_sampling(model, probabilities, 1000), repeats),
        "entropy": best_ms(lambda: entropy_sampling(model, probabilities, 1000), repeats),
        "k_center": best_ms(
            lambda: CoreSet(random_state=0).query(X=points, y=first, batch_size=100), 1
        ),
        "k_center small-text": best_ms(lambda: greedy_coreset(points, free, labeled, 100), 1),
        "typiclust": best_ms(
            lambda: TypiClust(random_state=0).query(X=points, y=first, batch_size=100), 1
        ),
        "facility_location": best_ms(
            lambda: FacilityLocationSelection(200, metric="precomputed", optimizer="lazy").fit(
                alike
            ),
            1,
        ),
    }
    from skactiveml.classifier import SklearnClassifier
    from sklearn.linear_model import LogisticRegression

    some = unknown.copy()
    some[:100] = np.arange(100) % 10
    learner = SklearnClassifier(LogisticRegression(max_iter=50), classes=list(range(10)))
    learner.fit(points, some)
    found["badge"] = best_ms(
        lambda: Badge(random_state=0).query(
            X=points, y=some, clf=learner, fit_clf=False, batch_size=100
        ),
        1,
    )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
