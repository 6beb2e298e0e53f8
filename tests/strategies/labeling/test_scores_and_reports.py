"""Majority vote, calibration scores and function reports, against the slow and plain way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from strategies.labeling import (
    analyse,
    brier_score,
    expected_calibration_error,
    log_loss,
    majority_vote,
)
from tests.strategies.labeling.made_votes import any_votes

seeds = st.integers(0, 2**32)


@settings(deadline=None, max_examples=40)
@given(seed=seeds, items=st.integers(0, 30), functions=st.integers(0, 6), classes=st.integers(2, 4))
def test_the_winners_of_a_majority_share_it(
    seed: int, items: int, functions: int, classes: int
) -> None:
    rng = np.random.default_rng(seed)
    votes = any_votes(rng, items=items, functions=functions, classes=classes)
    shares = majority_vote(votes, classes)
    assert shares.shape == (items, classes)
    for row, share in zip(votes.tolist(), shares.tolist(), strict=True):
        counts = [row.count(c) for c in range(classes)]
        winners = [c for c in range(classes) if counts[c] == max(counts)]
        assert share == [1 / len(winners) if c in winners else 0.0 for c in range(classes)]


@settings(deadline=None, max_examples=30)
@given(seed=seeds, items=st.integers(1, 60), classes=st.integers(2, 5), bins=st.integers(1, 20))
def test_scores_are_what_the_definitions_say(
    seed: int, items: int, classes: int, bins: int
) -> None:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(classes), items)
    labels = rng.integers(0, classes, items)
    squares = [sum((p[i, c] - (labels[i] == c)) ** 2 for c in range(classes)) for i in range(items)]
    assert brier_score(p, labels) == pytest.approx(np.mean(squares))
    assert log_loss(p, labels) == pytest.approx(-np.mean(np.log(p[np.arange(items), labels])))
    error = 0.0
    for low in range(bins):
        inside = [i for i in range(items) if min(int(p[i].max() * bins), bins - 1) == low]
        if inside:
            confidence = np.mean([p[i].max() for i in inside])
            accuracy = np.mean([p[i].argmax() == labels[i] for i in inside])
            error += len(inside) / items * abs(confidence - accuracy)
    assert expected_calibration_error(p, labels, bins=bins) == pytest.approx(error)


def test_known_scores() -> None:
    sure, torn = [[1.0, 0.0]], [[0.5, 0.5]]
    assert (brier_score(sure, [0]), brier_score(sure, [1]), brier_score(torn, [0])) == (0, 2, 0.5)
    assert log_loss(sure, [0]) == 0
    assert log_loss(sure, [1]) == pytest.approx(12 * np.log(10))
    assert expected_calibration_error(sure, [1]) == 1


@pytest.mark.parametrize("score", [brier_score, log_loss, expected_calibration_error])
def test_what_cannot_be_scored_is_refused(score: object) -> None:
    assert callable(score)
    with pytest.raises(InputError):
        score(np.zeros((0, 2)), [])
    with pytest.raises(InputError):
        score([[np.nan, 0.5]], [0])
    with pytest.raises(InputError):
        score([[0.5, 0.5]], [2])
    with pytest.raises(ShapeError):
        score([0.5, 0.5], [0, 1])
    with pytest.raises(ShapeError):
        score([[0.5, 0.5]], [0, 1])


@settings(deadline=None, max_examples=40)
@given(seed=seeds, items=st.integers(0, 30), functions=st.integers(0, 5), classes=st.integers(2, 4))
def test_reports_count_what_they_say(seed: int, items: int, functions: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    votes = any_votes(rng, items=items, functions=functions, classes=classes)
    labels = rng.integers(0, classes, items)
    reports = analyse(votes, classes=classes, labels=labels)
    assert [report.position for report in reports] == list(range(functions))
    for report in reports:
        spoken = overlapped = conflicted = right = 0
        per_class = [0] * classes
        for row, label in zip(votes.tolist(), labels.tolist(), strict=True):
            own = row[report.position]
            if own < 0:
                continue
            others = [v for j, v in enumerate(row) if v >= 0 and j != report.position]
            spoken += 1
            per_class[own] += 1
            overlapped += bool(others)
            conflicted += any(v != own for v in others)
            right += own == label
        n = max(items, 1)
        assert report.coverage == spoken / n
        assert report.overlap == overlapped / n
        assert report.conflict == conflicted / n
        assert report.class_coverage == tuple(count / n for count in per_class)
        assert report.accuracy == (right / spoken if spoken else None)


def test_without_labels_nobody_knows_the_accuracy() -> None:
    assert [r.accuracy for r in analyse([[0, 1]], classes=2)] == [None, None]
