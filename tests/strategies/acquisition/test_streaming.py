"""One pass, bounded memory: as good as looking at everything, or nearly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from strategies.acquisition.other_targets import multi_label_scores, variance_scores
from strategies.acquisition.streaming import Quota, StreamingCenters, TopK


@settings(deadline=None, max_examples=60)
@given(scores=st.lists(st.integers(-3, 3), max_size=40), count=st.integers(0, 45))
def test_the_heap_is_a_stable_sort_cut_short(scores: list[int], count: int) -> None:
    best = TopK(count)
    for position, score in enumerate(scores):
        best.see(position, float(score))
    assert best.picks() == sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:count]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shape", ["even", "skewed", "heavy"])
def test_deciding_at_once_reaches_99_percent_of_looking_twice(seed: int, shape: str) -> None:
    rng = np.random.default_rng(seed)
    scores = {
        "even": rng.random(20_000),
        "skewed": rng.random(20_000) ** 4,
        "heavy": rng.exponential(1.0, 20_000),
    }[shape]
    quota = Quota(1_000, len(scores))
    taken = np.array([quota.takes(float(score)) for score in scores])
    best = np.sort(scores)[-1_000:]
    assert 980 <= taken.sum() <= 1_000
    assert scores[taken].sum() >= 0.97 * best.sum()


def test_a_stream_no_longer_than_the_quota_is_taken_whole() -> None:
    quota = Quota(5, 3)
    assert [quota.takes(score) for score in (0.0, 1.0, 0.5)] == [True] * 3
    assert not quota.takes(9.0)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), items=st.integers(1, 60), count=st.integers(1, 8))
def test_kept_centers_are_apart_and_cover_what_was_seen(seed: int, items: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.integers(-5, 6, (items, 2)).astype(np.float64)
    centers = StreamingCenters(count, 2)
    for item, point in enumerate(points):
        centers.see(item, point)
    kept = centers.picks()
    assert 1 <= len(kept) <= count
    gaps = np.linalg.norm(points[kept][:, None] - points[kept], axis=2)
    assert (gaps[np.triu_indices(len(kept), 1)] > centers.radius).all()
    nearest = np.linalg.norm(points[:, None] - points[kept], axis=2).min(axis=1)
    # each time the radius grew by a tenth, an item's center may have gone to another's: the sum
    # of all these radii is a geometric series
    assert nearest.max() <= 11 * centers.radius * StreamingCenters.GROWTH + 1e-9


@pytest.mark.parametrize("work", [
    lambda: TopK(-1),
    lambda: Quota(-1, 3),
    lambda: StreamingCenters(0, 1),
    lambda: TopK(1).see(0, float("nan")),
    lambda: Quota(1, 1).takes(float("nan")),
    lambda: StreamingCenters(1, 1).see(0, [float("nan")]),
    lambda: variance_scores([[float("nan")]]),
    lambda: multi_label_scores([[1.5]]),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(work: object) -> None:
    assert callable(work)
    with pytest.raises(InputError):
        work()


def test_shapes_are_checked() -> None:
    with pytest.raises(ShapeError):
        StreamingCenters(1, 2).see(0, [1.0])
    with pytest.raises(ShapeError):
        variance_scores(np.zeros((0, 3)))
    with pytest.raises(ShapeError):
        multi_label_scores([0.5])
    assert multi_label_scores(np.zeros((2, 0))).tolist() == [0.0, 0.0]
