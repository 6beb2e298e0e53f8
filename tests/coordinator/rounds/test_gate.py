"""The gate knows counts alone; a table of cases, and laws."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.rounds.gate import compared, is_clearly_worse, right_of
from fieldvote.rng import stream

DOUBTS = st.floats(0.01, 10.0)


def counted(right: int, wrong: int) -> tuple[int, ...]:
    """Return the confusion counts of two classes with so many right and wrong."""
    return right, wrong, 0, 0


@st.composite
def counts(draw: st.DrawFn) -> tuple[int, ...]:
    """Draw confusion counts of a few classes, or none at all."""
    k = draw(st.integers(1, 4))
    return tuple(draw(st.lists(st.integers(0, 500), min_size=k * k, max_size=k * k)))


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 99), min_size=3, max_size=3), min_size=3, max_size=3))
def test_right_is_what_lies_on_the_diagonal(matrix: list[list[int]]) -> None:
    flat = tuple(count for row in matrix for count in row)
    assert right_of(flat) == (sum(matrix[n][n] for n in range(3)), sum(flat))


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [
        # how many standard errors the second share is below the first, by the paper's formula
        ((90, 10), (60, 40), True),  # 5.12
        ((90, 10), (85, 15), False),  # 1.04
        ((90, 10), (80, 20), False),  # 1.94
        ((90, 10), (79, 21), True),  # 2.11
        ((900, 100), (860, 140), True),  # 2.75
        ((3, 0), (2, 1), False),  # 0.71
        ((2, 0), (0, 2), False),  # 1.63
        ((3, 0), (0, 3), True),  # 2.37
        ((60, 40), (90, 10), False),  # -5.12
    ],
)
def test_clearly_is_beyond_the_interval_of_two_independent_shares(
    before: tuple[int, int], after: tuple[int, int], worse: bool
) -> None:
    assert is_clearly_worse(counted(*before), counted(*after), doubt=1.96) is worse


@settings(deadline=None)
@given(counts(), DOUBTS)
def test_a_head_with_equal_counts_is_never_refused(same: tuple[int, ...], doubt: float) -> None:
    assert not is_clearly_worse(same, same, doubt=doubt)


@settings(deadline=None)
@given(counts(), DOUBTS)
def test_nothing_is_refused_that_cannot_be_compared(some: tuple[int, ...], doubt: float) -> None:
    for nothing in ((), (0,) * len(some)):
        assert not is_clearly_worse(nothing, some, doubt=doubt)
        assert not is_clearly_worse(some, nothing, doubt=doubt)


@settings(deadline=None)
@given(
    st.integers(1, 300), st.integers(1, 300), st.data(), st.floats(0.1, 5.0), st.floats(0.0, 5.0)
)
def test_fewer_right_of_as_many_or_less_doubt_never_turns_a_refusal_into_a_pass(
    items: int, items_new: int, data: st.DataObject, doubt: float, more: float
) -> None:
    right = data.draw(st.integers(0, items))
    right_new = data.draw(st.integers(0, items_new))
    before = counted(right, items - right)
    after = counted(right_new, items_new - right_new)
    refused = is_clearly_worse(before, after, doubt=doubt)
    if is_clearly_worse(before, after, doubt=doubt + more):
        assert refused
    if refused and right_new:
        worse = counted(right_new - 1, items_new - right_new + 1)
        assert is_clearly_worse(before, worse, doubt=doubt)
    if refused and right < items:
        better = counted(right + 1, items - right - 1)
        assert is_clearly_worse(better, after, doubt=doubt)


@settings(deadline=None)
@given(counts(), counts(), DOUBTS)
def test_of_two_heads_at_most_one_is_clearly_worse(
    one: tuple[int, ...], other: tuple[int, ...], doubt: float
) -> None:
    assert not (
        is_clearly_worse(one, other, doubt=doubt) and is_clearly_worse(other, one, doubt=doubt)
    )


def test_a_head_as_good_is_refused_no_more_often_than_the_doubt_says() -> None:
    # 4,000 pairs of 50 items with the same chance to be right: one in forty is 100, standard
    # deviation 9.9; a bound of 150 is five of them (false alarm below one in 10^6)
    rng = stream(1, "gate")
    for chance in (0.5, 0.8, 0.95):
        rights = rng.binomial(50, chance, size=(4000, 2)).tolist()
        refused = sum(
            is_clearly_worse(counted(a, 50 - a), counted(b, 50 - b), doubt=1.96) for a, b in rights
        )
        assert refused <= 150


def test_the_sentence_says_what_was_compared() -> None:
    assert compared((), (3, 1, 0, 4)) == "7 of 8 right, nothing to compare with"
    assert compared((0, 0, 0, 0), (3, 1, 0, 4)) == "7 of 8 right, nothing to compare with"
    assert compared((5, 0, 1, 4), (3, 1, 0, 4)) == "7 of 8 right, before 9 of 10"
