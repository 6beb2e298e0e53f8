"""Odd inputs, each with a behaviour of its own."""

import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from strategies.labeling import AnchorSummary, LabelModel, VoteSummary, fit_across

CASES = [
    pytest.param([[0]] * 9 + [[1]] * 9, 2, [0], (0.6, 0.75), id="one function: a typical one"),
    pytest.param([[0]] * 30, 2, [0], (0.6, 0.75), id="one function of one class"),
    pytest.param([[0, 0], [1, 1]] * 40, 2, [0, 0], (0.65, 0.98), id="two that always agree"),
    pytest.param(
        [[0, 0], [1, 1], [0, 1], [1, 0]] * 40, 2, [0, 1], (0.35, 0.65), id="two at odds: undecided"
    ),
    pytest.param([[-1, -1, -1]] * 50, 3, [0, -1, -1], (0.5, 0.8), id="all abstained till now"),
    pytest.param([[0, 0, 0]] * 50, 2, [0, 0, 0], (0.8, 0.98), id="one class only: that class"),
    pytest.param([[1] * 6, [0] * 6] * 200, 2, [1] * 6, (0.0, 0.1), id="all identical: sure"),
    pytest.param([[2] * 5] * 200, 4, [2] * 5, (0.0, 0.1), id="unanimous: sure, never the opposite"),
]


@pytest.mark.parametrize(("votes", "classes", "row", "bounds"), CASES)
def test_class_zero_is_as_probable_as_the_name_says(
    votes: list[list[int]], classes: int, row: list[int], bounds: tuple[float, float]
) -> None:
    for model in (
        LabelModel.fit(VoteSummary.from_votes(votes, classes=classes)),
        fit_across([votes], classes=classes),
    ):
        p = model.predict([row])[0]
        assert bounds[0] <= p[0] <= bounds[1]
        assert p.sum() == pytest.approx(1)


@pytest.mark.parametrize("functions", [0, 1, 2, 3])
@pytest.mark.parametrize("classes", [2, 7])
def test_any_few_functions_fit_with_and_without_votes_answers_and_noise(
    functions: int, classes: int
) -> None:
    rng = np.random.default_rng(functions)
    for items in (0, 1, 300):
        votes = rng.integers(-1, classes, (items, functions)).astype(np.int8)
        total = VoteSummary.from_votes(votes, classes=classes)
        anchors = AnchorSummary.from_votes(votes, rng.integers(0, classes, items), classes=classes)
        for model in (
            LabelModel.fit(total),
            LabelModel.fit(total, anchors),
            LabelModel.fit(total, noise=30.0),
            fit_across([votes], classes=classes, anchors=anchors),
        ):
            predicted = model.predict(votes)
            assert np.isfinite(predicted).all()
            assert np.allclose(predicted.sum(axis=1), 1)


def test_a_class_nobody_votes_for_is_never_first_where_somebody_voted() -> None:
    rng = np.random.default_rng(3)
    votes = rng.integers(-1, 2, (500, 8)).astype(np.int8)  # of classes 0, 1, 2
    for rounds in (0, 3):
        predicted = fit_across([votes], classes=3, rounds=rounds).predict(votes)
        assert (predicted[(votes >= 0).any(axis=1)].argmax(axis=1) < 2).all()


LARGE = """
import time
import numpy as np
from strategies.labeling import LabelModel, VoteSummary
rng = np.random.default_rng(0)
items, functions, classes = 5_000, 1_200, 56
labels = rng.integers(0, classes, items)
votes = np.full((items, functions), -1, dtype=np.int8)
for j in range(functions):
    votes[rng.random(items) < np.where(labels == j % classes, 0.3, 0.01), j] = j % classes
total = VoteSummary.from_votes(votes, classes=classes)
start = time.process_time()
model = LabelModel.fit(total)
seconds = time.process_time() - start
right = (model.predict(votes[:500]).argmax(axis=1) == labels[:500]).mean()
# of this program alone: what getrusage says holds the size of whoever started it
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(seconds, int(peak.split()[1]) / 1024, right)
"""


def test_twelve_hundred_functions_of_56_classes_fit_in_half_a_gigabyte() -> None:
    done = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True)
    seconds, megabytes, right = (float(word) for word in done.stdout.split())
    assert megabytes < 500
    assert seconds < 10  # a tenth of a minute on a busy machine; about one second on a free one
    assert right > 0.95


def test_bits_do_not_depend_on_sharding_with_answers_and_calibration() -> None:
    rng = np.random.default_rng(9)
    labels = rng.integers(0, 3, 2_000)
    right = rng.random((2_000, 9)) < np.linspace(0.5, 0.9, 9)
    votes: NDArray[np.int8] = np.where(right, labels[:, None], (labels[:, None] + 1) % 3)
    votes = np.where(rng.random(votes.shape) < 0.5, -1, votes).astype(np.int8)
    anchors = AnchorSummary.from_votes(votes[:50], labels[:50], classes=3)
    whole = fit_across([votes], classes=3, anchors=anchors).to_vector().tobytes()
    for pieces in (10, 100):
        owner = rng.integers(0, pieces, 2_000)
        dealt = [votes[owner == piece] for piece in range(pieces)]
        assert fit_across(dealt, classes=3, anchors=anchors).to_vector().tobytes() == whole
