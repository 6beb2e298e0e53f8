"""Numbers of new functions: with those of the old alone they are the whole, and nothing twice."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.labeling import AnchorSummary, VoteSummary
from strategies.new_columns import new_anchors, new_votes, spread


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 5), st.integers(0, 4), st.integers(2, 4), st.integers(0, 99))
def test_old_and_new_numbers_are_the_whole_summary(
    old: int, brought: int, classes: int, seed: int
) -> None:
    rng, m = np.random.default_rng(seed), old + brought
    votes = rng.integers(-1, classes, size=(11, m)).astype(np.int8)
    labels = rng.integers(0, classes, size=11)
    whole = VoteSummary.from_votes(votes, classes=classes).to_vector()
    before = np.full((11, m), -1, dtype=np.int8)
    before[:, :old] = votes[:, :old]
    alone = VoteSummary.from_votes(before, classes=classes).to_vector()
    mask = new_votes(m, brought, classes=classes)
    assert (spread(whole[mask], mask) + alone).tolist() == whole.tolist()
    anchors = AnchorSummary.from_votes(votes, labels, classes=classes).to_vector()
    alone = AnchorSummary.from_votes(before, labels, classes=classes).to_vector()
    mask = new_anchors(m, brought, classes=classes)
    assert (spread(anchors[mask], mask) + alone).tolist() == anchors.tolist()
