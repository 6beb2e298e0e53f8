"""Sums by version: columns come and go, numbers stay."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.releases.keyed import KeyedSums
from strategies.labeling import AnchorSummary, VoteSummary

NAMES = ("a", "b", "c", "d", "e")
orders = st.permutations(NAMES).flatmap(lambda p: st.integers(0, 5).map(lambda n: tuple(p[:n])))


def sums_over(versions: tuple[str, ...], seed: int) -> KeyedSums:
    """Return the sums of some random votes of these functions."""
    rng = np.random.default_rng(seed)
    votes = rng.integers(-1, 2, size=(9, len(versions))).astype(np.int8)
    return KeyedSums(
        versions=versions,
        votes=VoteSummary.from_votes(votes, classes=2),
        anchors=AnchorSummary.from_votes(votes, rng.integers(0, 2, size=9), classes=2),
        seen=np.full(len(versions), 9, dtype=np.int64),
    )


def same(one: KeyedSums, other: KeyedSums) -> bool:
    there = other.select(one.versions)
    return (
        one.votes == there.votes
        and one.anchors == there.anchors
        and one.seen.tolist() == there.seen.tolist()
    )


@settings(deadline=None, max_examples=80)
@given(orders, orders, st.integers(0, 99))
def test_a_selection_and_what_is_left_add_up_to_the_whole(
    versions: tuple[str, ...], chosen: tuple[str, ...], seed: int
) -> None:
    whole = sums_over(versions, seed)
    assert same(whole, whole.select(chosen) + whole.without(chosen))


@settings(deadline=None, max_examples=80)
@given(orders, orders, st.integers(0, 99))
def test_adding_is_by_name_and_in_any_order(
    one: tuple[str, ...], two: tuple[str, ...], seed: int
) -> None:
    left, right = sums_over(one, seed), sums_over(two, seed + 1)
    assert same(left + right, right + left)
    assert same(left, (left + KeyedSums.empty(two, classes=2)).select(one))


@settings(deadline=None, max_examples=40)
@given(orders, st.integers(0, 99))
def test_another_order_of_columns_is_the_same_sums(versions: tuple[str, ...], seed: int) -> None:
    whole = sums_over(versions, seed)
    turned = whole.select(tuple(reversed(versions)))
    assert same(whole, turned)
    assert turned.select(versions).votes == whole.votes
