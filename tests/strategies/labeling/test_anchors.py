"""Laws of anchor summaries."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from strategies.labeling import AnchorSummary
from tests.strategies.labeling.made_votes import any_votes


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    items=st.integers(0, 40),
    functions=st.integers(0, 5),
    classes=st.integers(2, 4),
    cut=st.integers(0, 40),
)
def test_anchors_add_up_and_are_what_counting_by_hand_gives(
    seed: int, items: int, functions: int, classes: int, cut: int
) -> None:
    rng = np.random.default_rng(seed)
    votes = any_votes(rng, items=items, functions=functions, classes=classes)
    labels = rng.integers(0, classes, items)
    whole = AnchorSummary.from_votes(votes, labels, classes=classes)
    for j in range(functions):
        for v in range(classes):
            for c in range(classes):
                expected = ((votes[:, j] == v) & (labels == c)).sum()
                assert whole.tables[j, v, c] == expected
    assert whole.items.tolist() == [(labels == c).sum() for c in range(classes)]
    a = AnchorSummary.from_votes(votes[:cut], labels[:cut], classes=classes)
    b = AnchorSummary.from_votes(votes[cut:], labels[cut:], classes=classes)
    start = AnchorSummary.empty(functions=functions, classes=classes)
    assert sum([b, a], start=start) == whole
    assert whole - b == a
    vector = whole.to_vector()
    assert vector.dtype == np.int64
    assert AnchorSummary.from_vector(vector, functions=functions, classes=classes) == whole


def test_right_and_given_count_votes() -> None:
    anchors = AnchorSummary.from_votes([[0, 1], [0, -1], [1, 1]], [0, 1, 1], classes=2)
    assert anchors.given.tolist() == [3, 2]
    assert anchors.right.tolist() == [2, 1]


def test_what_is_not_anchors_is_refused() -> None:
    votes = np.zeros((2, 3), dtype=np.int8)
    with pytest.raises(ShapeError):
        AnchorSummary.from_votes(votes, [0], classes=2)
    with pytest.raises(InputError):
        AnchorSummary.from_votes(votes, [0, 2], classes=2)
    with pytest.raises(InputError):
        AnchorSummary.from_votes(votes, [0.0, 1.0], classes=2)
    anchors = AnchorSummary.from_votes(votes, [0, 1], classes=2)
    with pytest.raises(ShapeError):
        anchors + AnchorSummary.empty(functions=2, classes=2)
    with pytest.raises(ShapeError):
        AnchorSummary.from_vector(anchors.to_vector()[1:], functions=3, classes=2)
