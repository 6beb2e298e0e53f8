"""Memories of windows: exact ones, and fading ones that err by what they say."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from strategies.labeling import VoteSummary
from strategies.labeling.windows import FadingSum, SlidingWindow
from tests.strategies.labeling.made_votes import any_votes


def windows(seed: int, number: int) -> list[VoteSummary]:
    rng = np.random.default_rng(seed)
    return [
        VoteSummary.from_votes(
            any_votes(rng, items=int(rng.integers(0, 30)), functions=4, classes=3), classes=3
        )
        for _ in range(number)
    ]


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32), number=st.integers(0, 12), length=st.integers(1, 6))
def test_a_sliding_window_is_the_sum_of_the_last(seed: int, number: int, length: int) -> None:
    pushed = windows(seed, number)
    memory = SlidingWindow.empty(length, functions=4, classes=3)
    for window in pushed:
        memory = memory.push(window)
    start = VoteSummary.empty(functions=4, classes=3)
    assert memory.total == sum(pushed[-length:], start=start)
    retired = memory.retire((1, 3)).push(VoteSummary.empty(functions=2, classes=3))
    kept = sum((w.retire((1, 3)) for w in pushed[-length:]), start=start.retire((1, 3)))
    if number < length:
        assert retired.total == kept


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**32),
    number=st.integers(1, 25),
    factor=st.sampled_from([0.0, 0.25, 0.5, 0.9, 0.99, 1.0]),
)
def test_a_fading_sum_is_short_by_no_more_than_it_says(
    seed: int, number: int, factor: float
) -> None:
    memory = FadingSum.empty(factor, functions=4, classes=3)
    exact = [Fraction(0)] * len(memory.vector)
    share = Fraction(memory.factor, 1 << 16)
    short = Fraction(0)
    for window in windows(seed, number):
        memory = memory.push(window)
        exact = [
            old * share + new for old, new in zip(exact, window.to_vector().tolist(), strict=True)
        ]
        short = short * share + Fraction(1, 1 << 16)
    gaps = [e - Fraction(int(n), 1 << 16) for e, n in zip(exact, memory.vector, strict=True)]
    assert min(gaps) >= 0
    assert max(gaps) <= short
    total = memory.total
    assert (total.agreements <= total.co_votes).all()


def test_the_ends_of_the_factor_are_the_last_window_and_the_plain_sum() -> None:
    pushed = windows(5, 6)
    last, all_of_them = (FadingSum.empty(f, functions=4, classes=3) for f in (0.0, 1.0))
    for window in pushed:
        last, all_of_them = last.push(window), all_of_them.push(window)
    assert last.total == pushed[-1]
    assert all_of_them.total == sum(pushed, start=VoteSummary.empty(functions=4, classes=3))


def test_a_fading_sum_of_billions_does_not_overflow() -> None:
    one = VoteSummary.from_votes(np.zeros((1, 2), dtype=np.int8), classes=2)
    billions = VoteSummary.from_vector(one.to_vector() << 40, functions=2, classes=2)
    memory = FadingSum.empty(0.5, functions=2, classes=2).push(billions).push(billions)
    assert memory.total.items == 3 << 39


def test_a_memory_of_other_functions_or_of_no_sense_is_refused() -> None:
    other = VoteSummary.empty(functions=5, classes=3)
    with pytest.raises(ShapeError):
        SlidingWindow.empty(2, functions=4, classes=3).push(other)
    with pytest.raises(ShapeError):
        FadingSum.empty(0.5, functions=4, classes=3).push(other)
    with pytest.raises(InputError):
        SlidingWindow.empty(0, functions=4, classes=3)
    with pytest.raises(InputError):
        FadingSum.empty(1.5, functions=4, classes=3)
