"""The rules against slow twins that say the same in other words, and against odd pools."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.acquisition import ACQUISITIONS, Candidates, facility
from strategies.acquisition.committee import disagreement, vote_entropy_scores
from strategies.acquisition.facility import greedy
from strategies.acquisition.gradients import badge, expected_lengths
from strategies.acquisition.k_center import Traversal
from strategies.acquisition.logo import logo
from strategies.acquisition.table import NEED_EMBEDDINGS
from strategies.acquisition.wrappers import affordable, class_quota, subset

seeds = st.integers(0, 2**32)
RNG = np.random.default_rng


def farthest_first(
    points: NDArray[np.float64], labeled: NDArray[np.float64], count: int
) -> list[int]:
    """The plain rule: look at every item for every pick."""
    centers, picks = list(labeled), list[int]()
    while len(picks) < count:
        if centers:
            gaps = [min(((point - c) ** 2).sum() for c in centers) for point in points]
            best = max((i for i in range(len(points)) if i not in picks), key=lambda i: gaps[i])
        else:
            best = int(((points - points.mean(axis=0)) ** 2).sum(axis=1).argmin())
        picks.append(best)
        centers.append(points[best])
    return picks


@settings(deadline=None, max_examples=60)
@given(seed=seeds, items=st.integers(1, 40), known=st.integers(0, 4), near=st.integers(1, 50))
def test_k_center_is_the_plain_rule(seed: int, items: int, known: int, near: int) -> None:
    rng = RNG(seed)
    points = rng.integers(-3, 4, (items, int(rng.integers(1, 4)))).astype(np.float64)
    labeled = rng.integers(-3, 4, (known, points.shape[1])).astype(np.float64)
    count = int(rng.integers(1, items + 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("strategies.acquisition.k_center.NEAR", near)
        patch.setattr("strategies.acquisition.k_center.WIDE", int(rng.integers(1, 20)))
        found = Traversal(points, labeled).picks(count)
    assert found.tolist() == farthest_first(points, labeled, count)


def test_k_center_on_a_large_pool_leaves_items_out_and_is_still_the_plain_rule() -> None:
    rng = RNG(4)
    middles = 50 * rng.integers(-9, 10, (40, 8))
    points = (middles[rng.integers(0, 40, 3_000)] + rng.integers(-5, 6, (3_000, 8))).astype(float)
    distances = np.full(len(points), np.inf)
    picks = [int(((points - points.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    for _ in range(299):
        distances = np.minimum(distances, ((points - points[picks[-1]]) ** 2).sum(axis=1))
        distances[picks] = -1
        picks.append(int(distances.argmax()))
    assert Traversal(points).picks(300).tolist() == picks


def test_badge_draws_by_squared_distance_between_gradients() -> None:
    rng = RNG(1)
    points, p = rng.standard_normal((6, 2)), rng.dirichlet(np.ones(3), 6)
    errors = p - np.eye(3)[p.argmax(axis=1)]
    gradients = (errors[:, :, None] * points[:, None, :]).reshape(6, -1)
    gaps = ((gradients[:, None] - gradients) ** 2).sum(axis=2)
    first = int((gradients**2).sum(axis=1).argmax())
    exact: dict[tuple[int, ...], float] = {}
    for second in range(6):
        after = np.minimum(gaps[first], gaps[second])
        for third in range(6):
            chance = gaps[first, second] / gaps[first].sum() * after[third] / after.sum()
            exact[first, second, third] = chance
    draws = 8_000
    items = Candidates(probabilities=p, embeddings=points)
    seen = Counter(tuple(badge(items, 3, rng).tolist()) for _ in range(draws))
    common = {picks: chance for picks, chance in exact.items() if chance * draws > 5}
    chi2 = sum((seen[picks] - draws * c) ** 2 / (draws * c) for picks, c in common.items())
    # at most 25 of them; a chi-square of 25 degrees passes 70 once in 200,000 runs
    assert len(common) <= 26
    assert chi2 < 70
    assert all(exact[picks] > 0 for picks in seen)


def test_the_first_of_badge_has_the_longest_gradient_and_repeats_come_last() -> None:
    p = [[0.6, 0.4]] * 4
    items = Candidates(probabilities=p, embeddings=[[1.0], [1.0], [3.0], [1.0]])
    picks = badge(items, 4, RNG(0)).tolist()
    assert picks[0] == 2
    assert picks[2:] == sorted(picks[2:])


@settings(deadline=None, max_examples=40)
@given(seed=seeds, items=st.integers(1, 25), compiled=st.booleans())
def test_facility_location_is_the_greedy_rule(seed: int, items: int, compiled: bool) -> None:
    rng = RNG(seed)
    alike = rng.integers(0, 9, (items, items)).astype(np.float32) / 8
    covered = rng.integers(0, 3, items).astype(np.float32) / 8
    count = int(rng.integers(1, items + 1))
    now, picks = covered.astype(np.float64), list[int]()
    for _ in range(count):
        gains = np.maximum(alike - now[:, None], 0).sum(axis=0)
        gains[picks] = -1
        picks.append(int(gains.argmax()))
        now = np.maximum(now, alike[:, picks[-1]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(facility, "BLOCK", 3)
        if compiled:  # what numba compiles, as plain Python: the compiled one is tested below
            patch.setattr(facility, "compiled_lower", lambda: facility._lower_loop)
        else:
            patch.setattr(facility, "compiled_lower", lambda: None)
        assert greedy(alike, covered, count).tolist() == picks


def test_facility_location_compiled_gains_what_numpy_gains() -> None:
    pytest.importorskip("numba")
    lower, rng = facility.compiled_lower(), RNG(2)
    assert lower is not None
    alike = rng.random((300, 300), dtype=np.float32)
    changed = np.sort(rng.permutation(300)[:70])
    old = rng.random(70, dtype=np.float32) / 2
    plain, fast = np.zeros(300), np.zeros(300)
    facility.lower_gains(alike, changed, old, old + np.float32(0.4), plain)
    lower(alike, changed, old, old + np.float32(0.4), fast)
    assert np.allclose(plain, fast, atol=1e-4)


@settings(deadline=None, max_examples=40)
@given(seed=seeds, members=st.integers(1, 4), items=st.integers(1, 8), classes=st.integers(1, 4))
def test_disagreement_is_the_mean_divergence_from_the_mean(
    seed: int, members: int, items: int, classes: int
) -> None:
    p = RNG(seed).dirichlet(np.ones(classes), (members, items))
    mean = p.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        divergence = np.nansum(p * np.log(p / mean), axis=2).mean(axis=0)
    assert np.allclose(disagreement(p), divergence, atol=1e-12)
    votes = [Counter(column) for column in p.argmax(axis=2).T.tolist()]
    entropies = [
        -sum(v / members * np.log(v / members) for v in counted.values()) for counted in votes
    ]
    assert np.allclose(vote_entropy_scores(p), entropies, atol=1e-12)


def test_a_committee_of_one_goes_by_entropy() -> None:
    items = Candidates(probabilities=[[0.9, 0.1], [0.5, 0.5], [0.7, 0.3]])
    for name in ("bald", "vote_entropy"):
        assert ACQUISITIONS[name](items, 3, RNG(0)).tolist() == [1, 2, 0]


def test_the_expected_gradient_is_the_mean_over_labels_drawn() -> None:
    p = RNG(3).dirichlet(np.ones(3), 4)
    by_hand = [sum(row[y] * np.linalg.norm(row - np.eye(3)[y]) for y in range(3)) for row in p]
    assert np.allclose(expected_lengths(p), by_hand)


def test_cluster_margin_and_clue_take_one_of_each_group() -> None:
    rng = RNG(5)
    groups = np.repeat(np.arange(4), 10)
    points = 100.0 * np.eye(4)[groups] + rng.random((40, 4))
    p = np.full((40, 2), 0.5) + np.outer(rng.random(40) / 20, [1, -1])
    items = Candidates(probabilities=p, embeddings=points)
    for name in ("cluster_margin", "clue", "typiclust", "facility_location", "k_center"):
        if name == "cluster_margin":  # four times the picks are grouped: here, all items
            picks = ACQUISITIONS[name](items, 10, RNG(0))
        else:
            picks = ACQUISITIONS[name](items, 4, RNG(0))
        assert set(groups[picks]) == {0, 1, 2, 3}, name


def test_herding_keeps_away_from_what_is_labeled() -> None:
    points = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]])
    p = np.full((6, 2), 0.5)
    fresh = Candidates(probabilities=p, embeddings=points)
    known = Candidates(probabilities=p, embeddings=points, labeled=[[5.1]])
    left, right = sorted(ACQUISITIONS["herding"](fresh, 2, RNG(0)).tolist())
    assert left < 3 <= right
    for name in ("herding", "k_center", "facility_location", "prob_cover", "typiclust"):
        assert ACQUISITIONS[name](known, 1, RNG(0))[0] < 3, name


def test_prob_cover_counts_what_is_not_covered_yet() -> None:
    points = np.array([[0.0]] * 11 + [[10.0]] * 5)
    items = Candidates(probabilities=np.ones((16, 1)), embeddings=points)
    picks = ACQUISITIONS["prob_cover"](items, 2, RNG(0)).tolist()
    assert picks == [0, 11]


def test_the_rarest_quota_is_filled_first_and_the_rest_goes_by_the_rule() -> None:
    p = [[0.9, 0.1], [0.6, 0.4], [0.55, 0.45], [0.2, 0.8]]
    items = Candidates(probabilities=p)
    picked = class_quota(ACQUISITIONS["margin"], [2, 5])
    assert picked(items, 1, RNG(0)).tolist() == [3]
    assert picked(items, 3, RNG(0)).tolist() == [3, 2, 1]
    assert sorted(picked(items, 9, RNG(0)).tolist()) == [0, 1, 2, 3]
    with pytest.raises(InputError):
        class_quota(ACQUISITIONS["margin"], [-1])


@settings(deadline=None, max_examples=40)
@given(seed=seeds, items=st.integers(0, 20))
def test_what_is_affordable_fits_the_budget_and_leaves_nothing_cheaper(
    seed: int, items: int
) -> None:
    rng = RNG(seed)
    scores, costs = rng.random(items), rng.random(items) + 0.1
    budget = float(5 * rng.random())
    picks = affordable(scores, costs, budget=budget)
    spent = costs[picks].sum()
    assert spent <= budget + 1e-9
    rest = np.setdiff1d(np.arange(items), picks)
    assert all(costs[item] > budget - spent - 1e-9 for item in rest)
    ratio = (scores / costs)[picks]
    assert (np.diff(ratio) <= 0).all()


@pytest.mark.parametrize(
    ("scores", "costs", "budget", "error"),
    [
        ([1.0], [0.0], 1.0, InputError),
        ([np.nan], [1.0], 1.0, InputError),
        ([-1.0], [1.0], 1.0, InputError),
        ([1.0], [1.0], np.inf, InputError),
        ([1.0], [1.0, 2.0], 1.0, ShapeError),
    ],
)
def test_costs_that_are_none_are_refused(
    scores: list[float], costs: list[float], budget: float, error: type[Exception]
) -> None:
    with pytest.raises(error):
        affordable(scores, costs, budget=budget)


def test_logo_takes_the_least_certain_of_each_local_group() -> None:
    local = np.array([[0.9, 0.1]] * 3 + [[0.1, 0.9]] * 3)
    points = np.array([[1.0]] * 3 + [[9.0]] * 3)
    p = np.array([[0.9, 0.1], [0.5, 0.5], [0.8, 0.2], [0.6, 0.4], [0.9, 0.1], [0.7, 0.3]])
    items = Candidates(probabilities=p, embeddings=points)
    assert logo(items, local, 2, RNG(0)).tolist() == [1, 3]
    assert sorted(logo(items, local, 9, RNG(0)).tolist()) == list(range(6))
    with pytest.raises(ShapeError):
        logo(items, local[:2], 2, RNG(0))


@pytest.mark.parametrize("name", sorted(ACQUISITIONS))
@pytest.mark.parametrize("items", [0, 1, 30])
def test_odd_pools_have_named_behaviour(name: str, items: int) -> None:
    """Empty, one class, all scores equal, duplicates only, more asked for than there are."""
    rule = ACQUISITIONS[name]
    for classes in (1, 3):
        same = Candidates(
            probabilities=np.full((items, classes), 1 / classes), embeddings=np.ones((items, 4))
        )
        picks = rule(same, items + 5, RNG(0))
        assert sorted(picks.tolist()) == list(range(items))
        assert rule(same, 0, RNG(0)).shape == (0,)


@pytest.mark.parametrize("name", sorted(NEED_EMBEDDINGS))
def test_a_rule_that_needs_embeddings_says_so(name: str) -> None:
    with pytest.raises(InputError, match=name):
        ACQUISITIONS[name](Candidates(probabilities=[[0.5, 0.5]]), 1, RNG(0))


@pytest.mark.parametrize("name", ["facility_location", "herding", "prob_cover", "typiclust"])
def test_a_rule_over_pairs_refuses_what_memory_does_not_hold(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strategies.acquisition.distances.MOST_PAIRED", 3)
    items = Candidates(probabilities=np.full((4, 2), 0.5), embeddings=np.ones((4, 1)))
    with pytest.raises(InputError, match="at most 3"):
        ACQUISITIONS[name](items, 1, RNG(0))


@pytest.mark.parametrize(
    ("members", "labeled", "error"),
    [
        (np.full((2, 3, 2), 0.5), None, ShapeError),
        (np.full((0, 1, 2), 0.5), None, ShapeError),
        (np.full((2, 1, 2), 0.6), None, InputError),
        (None, [[1.0, 2.0]], ShapeError),
        (None, [[np.nan]], InputError),
    ],
)
def test_committees_and_labeled_items_are_checked(
    members: NDArray[np.float64] | None, labeled: list[list[float]] | None, error: type[Exception]
) -> None:
    with pytest.raises(error):
        Candidates(
            probabilities=[[0.5, 0.5]],
            embeddings=[[1.0]],
            members=members,
            labeled=labeled,
        )


def test_a_subset_keeps_what_belongs_together() -> None:
    p = RNG(0).dirichlet(np.ones(2), 5)
    whole = Candidates(
        probabilities=p, embeddings=np.arange(5.0)[:, None], members=p[None], labeled=[[9.0]]
    )
    part = subset(whole, np.array([4, 1]))
    assert part.embeddings is not None
    assert part.members is not None
    assert part.embeddings.ravel().tolist() == [4.0, 1.0]
    assert np.array_equal(part.members[0], p[[4, 1]])
    assert part.labeled is whole.labeled
