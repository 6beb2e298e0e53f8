"""The acquisition rules: what they pick, in which order, and what they refuse."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.acquisition import ACQUISITIONS, Acquisition, Candidates, kernels, uncertainty
from strategies.acquisition.ranking import highest
from strategies.acquisition.table import NEED_EMBEDDINGS
from strategies.acquisition.uncertainty import entropy_scores, margin_scores

seeds = st.integers(0, 2**32)


def drawn(rng: np.random.Generator, items: int, classes: int, *, coarse: bool) -> Candidates:
    """Candidates at random; coarse ones have many equal scores."""
    p = rng.dirichlet(np.ones(classes), items) if items else np.zeros((0, classes))
    if coarse and items:
        counts = rng.multinomial(4, p)
        p = counts / 4
    return Candidates(probabilities=p, embeddings=rng.integers(-2, 3, (items, 3)))


def gap(row: list[float]) -> float:
    first, second = sorted([*row, 0.0], reverse=True)[:2]
    return first - second


def test_the_table_holds_the_rules_there_are() -> None:
    assert len(ACQUISITIONS) == 16
    assert list(ACQUISITIONS) == sorted(ACQUISITIONS)
    assert set(ACQUISITIONS) > NEED_EMBEDDINGS
    with pytest.raises(TypeError):
        ACQUISITIONS["best"] = ACQUISITIONS["margin"]  # type: ignore[index]  # that is the point


@pytest.mark.parametrize("name", sorted(ACQUISITIONS))
@settings(deadline=None, max_examples=30)
@given(seed=seeds, items=st.integers(0, 40), classes=st.integers(1, 5), k=st.integers(0, 50))
def test_a_rule_returns_distinct_positions_and_no_more_than_there_are(
    name: str, seed: int, items: int, classes: int, k: int
) -> None:
    candidates = drawn(np.random.default_rng(seed), items, classes, coarse=True)
    rule: Acquisition = ACQUISITIONS[name]
    picked = rule(candidates, k, np.random.default_rng(seed))
    assert picked.dtype == np.int64
    assert picked.shape == (min(k, items),)
    assert len(set(picked.tolist())) == len(picked)
    assert all(0 <= position < items for position in picked)
    again = rule(candidates, k, np.random.default_rng(seed))
    assert np.array_equal(picked, again)


@settings(deadline=None, max_examples=60)
@given(
    seed=seeds,
    items=st.integers(0, 60),
    classes=st.integers(1, 5),
    k=st.integers(0, 70),
    coarse=st.booleans(),
)
def test_margin_picks_the_smallest_gaps_and_the_first_of_equals(
    seed: int, items: int, classes: int, k: int, coarse: bool
) -> None:
    rng = np.random.default_rng(seed)
    candidates = drawn(rng, items, classes, coarse=coarse)
    gaps = [gap(row) for row in candidates.probabilities.tolist()]
    expected = sorted(range(items), key=lambda i: (gaps[i], i))[:k]
    assert ACQUISITIONS["margin"](candidates, k, rng).tolist() == expected


@settings(deadline=None, max_examples=60)
@given(seed=seeds, items=st.integers(0, 60), classes=st.integers(1, 5), k=st.integers(0, 70))
def test_entropy_picks_the_highest_scores_and_the_first_of_equals(
    seed: int, items: int, classes: int, k: int
) -> None:
    rng = np.random.default_rng(seed)
    candidates = drawn(rng, items, classes, coarse=True)
    scores = entropy_scores(candidates.probabilities)
    expected = sorted(range(items), key=lambda i: (-scores[i], i))[:k]
    assert ACQUISITIONS["entropy"](candidates, k, rng).tolist() == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_are_what_the_definitions_say(dtype: type[np.floating]) -> None:
    p = np.random.default_rng(3).dirichlet(np.ones(4), 20_000).astype(dtype)
    ordered = np.sort(p.astype(np.float64), axis=1)
    tolerance = 4 * np.finfo(dtype).eps
    margins, entropies = margin_scores(p), entropy_scores(p)
    assert margins.dtype == entropies.dtype == dtype
    assert np.abs(margins - (1 - (ordered[:, -1] - ordered[:, -2]))).max() < tolerance
    exact = -(ordered * np.log(np.maximum(ordered, 1e-300))).sum(axis=1)
    assert np.abs(entropies - exact).max() < 4 * tolerance


def test_certainty_and_ties_have_known_scores() -> None:
    p = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    assert margin_scores(p).tolist() == [0, 1, 1]
    assert np.allclose(entropy_scores(p), [0, np.log(2), np.log(3)])
    assert margin_scores(np.ones((2, 1))).tolist() == [0, 0]
    assert entropy_scores(np.ones((2, 1))).tolist() == [0, 0]


def test_chance_picks_everything_equally_often() -> None:
    candidates = Candidates(probabilities=np.full((5, 2), 0.5))
    rng = np.random.default_rng(1)
    rule = ACQUISITIONS["random"]
    picks = np.stack([rule(candidates, 2, rng) for _ in range(4_000)])
    # each of 5 first in 4,000 draws: 800 expected, 25 the standard deviation, 6 of them allowed
    assert np.abs(np.bincount(picks[:, 0], minlength=5) - 800).max() < 150
    assert np.abs(np.bincount(picks.ravel(), minlength=5) - 1_600).max() < 200


@settings(deadline=None, max_examples=60)
@given(
    scores=st.lists(st.integers(-3, 3), max_size=40),
    count=st.integers(0, 40),
)
def test_highest_is_a_stable_sort_cut_short(scores: list[int], count: int) -> None:
    expected = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:count]
    found = highest(np.array(scores, dtype=np.float64), min(count, len(scores)))
    assert found.tolist() == expected


@settings(deadline=None, max_examples=40)
@given(seed=seeds, items=st.integers(1, 80), classes=st.integers(1, 4), coarse=st.booleans())
def test_the_kernel_picks_what_numpy_picks(
    seed: int, items: int, classes: int, coarse: bool
) -> None:
    rng = np.random.default_rng(seed)
    p = drawn(rng, items, classes, coarse=coarse).probabilities
    count = int(rng.integers(1, items + 1))
    gaps = [gap(row) for row in p.tolist()]
    expected = sorted(range(items), key=lambda i: (gaps[i], i))[:count]
    # the plain function is what numba compiles; the compiled one is tested below
    assert sorted(kernels.least_margin(p, count).tolist()) == sorted(expected)


@settings(deadline=None, max_examples=40)
@given(seed=seeds, items=st.integers(1, 300), classes=st.integers(2, 4), coarse=st.booleans())
def test_rows_that_are_passed_over_are_none_of_the_most_uncertain(
    seed: int, items: int, classes: int, coarse: bool
) -> None:
    rng = np.random.default_rng(seed)
    p = drawn(rng, items, classes, coarse=coarse).probabilities
    count = int(rng.integers(1, items + 1))
    rows = uncertainty.uncertain_rows(p, count)
    assert (np.diff(rows) > 0).all()
    expected = highest(entropy_scores(p), count)
    assert rows[highest(entropy_scores(p[rows]), count)].tolist() == expected.tolist()


@pytest.mark.parametrize("rule", ["margin", "entropy"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_pools_get_the_same_answer_by_the_quick_way(
    dtype: type[np.floating], rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    rng = np.random.default_rng(5)
    p = np.exp(2 * rng.standard_normal((60_000, 10)))
    candidates = Candidates(probabilities=(p / p.sum(axis=1, keepdims=True)).astype(dtype))
    assert candidates.probabilities.size >= uncertainty.KERNEL_CELLS
    quick = ACQUISITIONS[rule](candidates, 500, rng)
    monkeypatch.setattr(uncertainty, "_pays", lambda *_: False)
    assert np.array_equal(ACQUISITIONS[rule](candidates, 500, rng), quick)


def test_probabilities_are_checked_once_on_birth() -> None:
    kept = Candidates(probabilities=np.full((3, 2), 0.5, dtype=np.float32))
    assert kept.probabilities.dtype == np.float32
    assert (kept.items, kept.embeddings) == (3, None)
    assert Candidates(probabilities=[[1, 0]]).probabilities.dtype == np.float64


@pytest.mark.parametrize(
    ("probabilities", "embeddings", "error"),
    [
        pytest.param([[0.5, 0.6]], None, InputError, id="more than certain"),
        pytest.param([[1.5, -0.5]], None, InputError, id="negative"),
        pytest.param([[np.nan, 1.0]], None, InputError, id="nan"),
        pytest.param([[np.inf, 0.0]], None, InputError, id="infinite"),
        pytest.param([0.5, 0.5], None, ShapeError, id="a row"),
        pytest.param(np.zeros((2, 0)), None, ShapeError, id="no classes"),
        pytest.param([[0.5, 0.5]], [[1.0], [2.0]], ShapeError, id="an embedding too many"),
        pytest.param([[0.5, 0.5]], [1.0], ShapeError, id="embeddings in a row"),
        pytest.param([[0.5, 0.5]], [[np.nan]], InputError, id="an embedding of nan"),
    ],
)
def test_what_are_not_candidates_is_refused(
    probabilities: NDArray[np.float64],
    embeddings: NDArray[np.float64] | None,
    error: type[Exception],
) -> None:
    with pytest.raises(error):
        Candidates(probabilities=probabilities, embeddings=embeddings)


@pytest.mark.parametrize("rule", [pytest.param(ACQUISITIONS[n], id=n) for n in ACQUISITIONS])
def test_a_negative_number_of_picks_is_refused(rule: Callable[..., object]) -> None:
    one = Candidates(probabilities=[[0.5, 0.5]], embeddings=[[1.0]])
    with pytest.raises(InputError):
        rule(one, -1, np.random.default_rng(0))
