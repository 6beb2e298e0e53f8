"""Histograms of new items: they add up, hold every item once, and say where a change is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.arrivals import Layout, count_arrivals, grown_classes, standardised

LAYOUT = Layout(classes=3, functions=2)


def counted(rng: np.random.Generator, items: int, *, far: float = 0.0) -> NDArray[np.int64]:
    return count_arrivals(
        LAYOUT,
        probabilities=rng.dirichlet(np.ones(3), size=items),
        votes=rng.integers(-1, 3, size=(items, 2)).astype(np.int8),
        standard=rng.normal(far, 1.0, size=(items, 5)),
        seed=7,
    )


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), items=st.integers(0, 40), cut=st.integers(0, 40))
def test_counts_of_two_parts_add_up_to_those_of_the_whole(seed: int, items: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    whole = {
        "probabilities": rng.dirichlet(np.ones(3), size=items),
        "votes": rng.integers(-1, 3, size=(items, 2)).astype(np.int8),
        "standard": rng.normal(size=(items, 4)),
    }
    parts = [{name: rows[place] for name, rows in whole.items()} for place in
             (slice(None, cut), slice(cut, None))]  # fmt: skip
    first, second = (count_arrivals(LAYOUT, seed=1, **part) for part in parts)
    assert (first + second).tolist() == count_arrivals(LAYOUT, seed=1, **whole).tolist()
    assert LAYOUT.is_exact(first + second)


def test_the_histograms_cover_the_vector_without_a_gap_or_an_overlap() -> None:
    covered = [place for part in LAYOUT.parts.values() for place in range(part.start, part.stop)]
    assert covered == list(range(1, LAYOUT.length))


def test_a_count_that_was_moved_alone_is_not_exact() -> None:
    counts = counted(np.random.default_rng(1), 9)
    assert LAYOUT.is_exact(counts)
    for place in range(LAYOUT.length):
        forged = counts.copy()
        forged[place] += 1
        assert not LAYOUT.is_exact(forged)
    assert not LAYOUT.is_exact(-counts)
    assert not LAYOUT.is_exact(counts[:-1])


def test_items_far_from_the_mean_are_counted_as_far_and_odd_numbers_do_not_stop_it() -> None:
    rng = np.random.default_rng(2)
    near, far = (counted(rng, 50, far=far)[LAYOUT.parts["distance"]] for far in (0.0, 9.0))
    assert near[-1] < far[-1] == 50
    odd = np.array([[np.nan, np.inf, -np.inf]])
    ways = {"probabilities": np.ones((1, 3)) / 3, "votes": np.full((1, 2), -1, dtype=np.int8)}
    assert LAYOUT.is_exact(count_arrivals(LAYOUT, standard=odd, seed=1, **ways))


def test_what_grew_is_told_in_shares_and_noise_below_zero_counts_as_none() -> None:
    before, now = np.zeros((2, LAYOUT.length))
    part = LAYOUT.parts["predicted class"]
    before[part], now[part] = (50, 30, 20), (20, 60, 20)
    assert grown_classes(LAYOUT, before, now) == (0.0, 1.0, 0.0)
    assert grown_classes(LAYOUT, before, before) == (0.0, 0.0, 0.0)
    now[part] = (-5, 3, 5)
    assert sum(grown_classes(LAYOUT, before, now)) == pytest.approx(1.0)


def test_what_does_not_fit_is_refused() -> None:
    good = {
        "probabilities": np.ones((2, 3)) / 3,
        "votes": np.full((2, 2), -1, dtype=np.int8),
        "standard": np.zeros((2, 4)),
    }
    for name, bad in (
        ("probabilities", np.ones((2, 2)) / 2),
        ("votes", np.full((2, 1), -1, dtype=np.int8)),
        ("standard", np.zeros((1, 4))),
    ):
        with pytest.raises(ShapeError):
            count_arrivals(LAYOUT, seed=1, **{**good, name: bad})
    with pytest.raises(ShapeError):
        standardised(np.zeros((2, 3)), mean=np.zeros(2), scale=np.ones(2))
    with pytest.raises(InputError):
        grown_classes(LAYOUT, np.zeros(3), np.zeros(3))
