"""Pseudo-labels: thresholds that hold what they promise, and a cap that nothing passes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Generator
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.governance.pseudo_labels import (
    BINS,
    NORMAL_90,
    PseudoLabelCounts,
    choose,
    confidence_bins,
)

K = 3


def overconfident(rng: Generator, items: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """A model that thinks better of itself than it is, most of all where it says class 2."""
    p = rng.dirichlet(np.full(K, 0.4), size=items)
    cooler = p ** np.where(p.argmax(axis=1) == 2, 0.25, 0.7)[:, None]
    cooler /= cooler.sum(axis=1, keepdims=True)
    truth = (cooler.cumsum(axis=1) < rng.random(items)[:, None]).sum(axis=1)
    return p, np.minimum(truth, K - 1).astype(np.int64)


@pytest.mark.parametrize("precision", [0.8, 0.9])
def test_fresh_items_reach_the_precision_that_was_asked_for(precision: float) -> None:
    # thresholds are chosen at a one-sided 90 % bound: at most a few in ten may fall below
    reached, fresh = [], np.random.default_rng(99)
    for seed in range(20):
        counts = PseudoLabelCounts.of(*overconfident(np.random.default_rng(seed), 1200))
        thresholds = counts.thresholds(precision=precision)
        judged = PseudoLabelCounts.of(*overconfident(fresh, 4000))
        reached += [share for share in judged.precision(thresholds) if share is not None]
    assert len(reached) > 25
    assert np.mean(reached) >= precision
    assert np.mean(np.asarray(reached) >= precision - 0.02) > 0.8


def test_one_threshold_for_all_would_not_do() -> None:
    counts = PseudoLabelCounts.of(*overconfident(np.random.default_rng(1), 20_000))
    thresholds = counts.thresholds(precision=0.8)
    assert thresholds[2] > thresholds[0] + 5


def test_a_threshold_is_the_lowest_that_a_search_by_hand_finds() -> None:
    p, truth = overconfident(np.random.default_rng(2), 500)
    said, bins, z = p.argmax(axis=1), confidence_bins(p), NORMAL_90
    expected = []
    for c in range(K):
        good = [BINS]
        for start in sorted(set(bins[said == c])):
            hits = truth[(said == c) & (bins >= start)] == c
            n, q = len(hits), hits.mean()
            half = z * np.sqrt(q * (1 - q) / n + z * z / (4 * n * n))
            if (q + z * z / (2 * n) - half) / (1 + z * z / n) >= 0.85:
                good.append(int(start))
        expected.append(min(good))
    assert PseudoLabelCounts.of(p, truth).thresholds(precision=0.85).tolist() == expected


def test_a_class_nobody_answered_for_gets_no_pseudo_labels() -> None:
    assert PseudoLabelCounts.none(classes=K).thresholds().tolist() == [BINS] * K
    few = PseudoLabelCounts.of([[1.0, 0.0, 0.0]] * 5, [0] * 5)
    assert few.thresholds().tolist() == [BINS] * K
    taken = choose(np.eye(K), few.thresholds(), labeled=100)
    assert len(taken.items) == 0


def test_nothing_vouches_for_confidence_below_the_lowest_answer() -> None:
    p = [[0.95, 0.03, 0.02]] * 50
    assert PseudoLabelCounts.of(p, [0] * 50).thresholds().tolist() == [95, BINS, BINS]


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    labeled=st.integers(0, 60),
    share=st.floats(0, 0.95),
)
def test_the_cap_is_never_passed_and_always_used(seed: int, labeled: int, share: float) -> None:
    p, _ = overconfident(np.random.default_rng(seed), 50)
    thresholds = np.array([50, 60, 70])
    taken = len(choose(p, thresholds, labeled=labeled, most_share=share).items)
    passed = int((confidence_bins(p) >= thresholds[p.argmax(axis=1)]).sum())
    assert taken <= share * (taken + labeled) + 1e-6
    assert taken == passed or taken + 1 > share * (taken + 1 + labeled) - 1e-6


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_the_order_of_items_is_of_no_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, _ = overconfident(rng, 40)
    p = np.round(p, 1)  # many ties
    p[:, 0] += 1 - p.sum(axis=1)
    p = np.abs(p) / np.abs(p).sum(axis=1, keepdims=True)
    ids, thresholds = rng.permutation(1000)[:40], np.array([40, 40, 40])
    there = rng.permutation(40)
    one = choose(p, thresholds, labeled=20, ids=ids)
    other = choose(p[there], thresholds, labeled=20, ids=ids[there])
    assert ids[one.items].tolist() == ids[there][other.items].tolist()
    assert one.labels.tolist() == other.labels.tolist()


def test_the_cap_falls_on_frequent_classes_and_not_on_rare_ones() -> None:
    p = np.r_[np.tile([0.99, 0.01], (90, 1)), np.tile([0.1, 0.9], (10, 1))]
    thresholds = np.array([80, 80])
    taken = choose(p, thresholds, labeled=80, most_share=0.2)
    assert len(taken.items) == 20
    assert (taken.labels == 1).sum() == 10  # though the 20 surest are all of class 0
    by_balance = choose(p, thresholds, labeled=80, most_share=0.2, balance=[0.9, 0.1])
    assert (by_balance.labels == 1).sum() == 2


def test_counts_of_any_split_add_up() -> None:
    p, truth = overconfident(np.random.default_rng(3), 100)
    whole = PseudoLabelCounts.of(p, truth)
    parts = PseudoLabelCounts.none(classes=K)
    for rows in (slice(0, 7), slice(7, 7), slice(7, 100)):
        parts = parts + PseudoLabelCounts.of(p[rows], truth[rows])
    assert np.array_equal(parts.said, whole.said)
    assert np.array_equal(parts.right, whole.right)


def test_bad_input_is_refused() -> None:
    counts = PseudoLabelCounts.none(classes=2)
    good = np.array([50, 50])
    for precision in (0.0, 1.0, np.nan):
        with pytest.raises(InputError):
            counts.thresholds(precision=precision)
    for wrong in ({"most_share": 1.0}, {"most_share": np.nan}, {"labeled": -1}):
        with pytest.raises(InputError):
            choose([[0.5, 0.5]], good, **{"labeled": 1, **wrong})  # type: ignore[arg-type]  # a table
    with pytest.raises(InputError, match="distinct"):
        choose([[0.5, 0.5]] * 2, good, labeled=1, ids=[3, 3])
    with pytest.raises(InputError, match="above 0"):
        choose([[0.5, 0.5]], good, labeled=1, balance=[1.0, 0.0])
    with pytest.raises(ShapeError):
        counts + PseudoLabelCounts.none(classes=3)
    with pytest.raises(InputError, match="no more can be right"):
        PseudoLabelCounts(said=counts.said, right=counts.right + 1)
