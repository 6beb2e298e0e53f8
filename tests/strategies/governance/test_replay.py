"""What is shown again stands for the class, and teaches only what was not corrected."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.governance.replay import (
    choose_replay,
    class_quotas,
    distillation_targets,
    teacher_share,
)


def test_replay_stands_for_the_class_better_than_chance() -> None:
    rng = np.random.default_rng(4)
    points, labels = rng.normal(size=(300, 6)), rng.integers(0, 3, 300)

    def apart(rows: NDArray[np.int64]) -> float:
        gaps = [
            points[labels == c].mean(axis=0) - points[rows][labels[rows] == c].mean(axis=0)
            for c in range(3)
        ]
        return float(np.abs(gaps).sum())

    herded = choose_replay(points, labels, classes=3, most=30)
    drawn = [
        np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:10] for c in range(3)])
        for _ in range(50)
    ]
    assert np.bincount(labels[herded]).tolist() == [10, 10, 10]
    assert apart(herded) < 0.5 * min(apart(rows) for rows in drawn)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), most=st.integers(0, 50))
def test_replay_is_of_the_size_asked_for_and_in_no_order_of_the_items(seed: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 3, (30, 2)).astype(np.float64)  # many ties
    labels, ids, there = rng.integers(0, 3, 30), rng.permutation(99)[:30], rng.permutation(30)
    one = choose_replay(points, labels, classes=4, most=most, ids=ids)
    other = choose_replay(points[there], labels[there], classes=4, most=most, ids=ids[there])
    assert len(set(one.tolist())) == len(one) == min(most, 30)
    assert ids[one].tolist() == ids[there][other].tolist()


@settings(deadline=None, max_examples=60)
@given(available=st.lists(st.integers(0, 9), min_size=1, max_size=6), most=st.integers(0, 40))
def test_places_are_shared_as_evenly_as_what_is_there_allows(
    available: list[int], most: int
) -> None:
    quotas = class_quotas(np.array(available), most)
    assert quotas.sum() == min(most, sum(available))
    assert np.all(quotas <= available)
    unfilled = quotas[quotas < available]
    assert not len(unfilled) or quotas.max() <= unfilled.min() + 1


def test_the_previous_model_teaches_nothing_where_a_vote_was_corrected() -> None:
    before = [[0, 1], [0, 1], [0, -1], [0, 1], [-1, -1]]
    now = [[1, -1], [0, 1], [-1, -1], [-1, 1], [-1, 1]]
    share = teacher_share(before, now, classes=2, share=0.3)
    assert share.tolist() == [0.0, 0.3, 1.0, 1.0, 0.0]
    labels, teacher = np.tile([1.0, 0.0], (5, 1)), np.tile([0.0, 1.0], (5, 1))
    targets = distillation_targets(labels, teacher, share)
    assert targets[:, 1].tolist() == pytest.approx(share.tolist())


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), temperature=st.floats(0.01, 100))
def test_distillation_targets_are_probabilities(seed: int, temperature: float) -> None:
    rng = np.random.default_rng(seed)
    labels, teacher = rng.dirichlet(np.full(3, 0.1), size=(2, 20))
    share = rng.random(20)
    targets = distillation_targets(labels, teacher, share, temperature=temperature)
    assert np.all(targets >= 0)
    assert targets.sum(axis=1) == pytest.approx(np.ones(20))


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="distinct"):
        choose_replay(np.ones((2, 1)), [0, 0], classes=2, most=1, ids=[1, 1])
    with pytest.raises(InputError):
        choose_replay(np.full((1, 1), np.inf), [0], classes=2, most=1)
    with pytest.raises(ShapeError):
        teacher_share([[0]], [[0], [1]], classes=2)
    with pytest.raises(InputError):
        distillation_targets([[1.0, 0.0]], [[1.0, 0.0]], [1.5])
