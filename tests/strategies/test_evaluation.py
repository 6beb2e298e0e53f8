import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from fieldvote.errors import InputError, ShapeError
from strategies.evaluation import Metric, choose_metric, confusion, labels_to, score


def answers(seed: int, *, items: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, size=items, p=rng.dirichlet(np.ones(classes)))
    wrong = rng.random(items) < 0.4
    return labels, np.where(wrong, rng.integers(classes, size=items), labels)


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 2**32),
    items=st.integers(1, 80),
    classes=st.integers(2, 5),
    devices=st.integers(1, 9),
)
def test_summed_confusions_score_as_scikit_learn_scores_the_whole(
    seed: int, items: int, classes: int, devices: int
):
    labels, predicted = answers(seed, items=items, classes=classes)
    owner = np.random.default_rng(seed).integers(devices, size=items)

    total = sum(
        (confusion(labels[owner == e], predicted[owner == e], classes) for e in range(devices)),
        start=np.zeros((classes, classes), dtype=np.int64),
    )

    assert (total == confusion(labels, predicted, classes)).all()
    assert score(Metric.ACCURACY, total) == pytest.approx(accuracy_score(labels, predicted))
    macro = f1_score(labels, predicted, average="macro", zero_division=0.0)
    assert score(Metric.MACRO_F1, total) == pytest.approx(macro)


@pytest.mark.parametrize("rare", [0, 1])
def test_rare_f1_is_the_f1_of_the_class_with_fewer_items(rare: int):
    labels = np.where(np.arange(50) < 8, rare, 1 - rare)
    predicted = np.roll(labels, 3)

    value = score(Metric.RARE_F1, confusion(labels, predicted, 2))

    assert value == pytest.approx(f1_score(labels, predicted, pos_label=rare))


@pytest.mark.parametrize(
    ("metric", "counts", "expected"),
    [
        (Metric.ACCURACY, [[0, 0], [0, 0]], 0.0),
        (Metric.MACRO_F1, [[0, 0], [0, 0]], 0.0),
        (Metric.RARE_F1, [[0, 0], [0, 0]], 0.0),
        (Metric.MACRO_F1, [[5, 0], [0, 0]], 1.0),
        (Metric.MACRO_F1, [[5, 0], [2, 0]], 5 / 12),
        (Metric.RARE_F1, [[5, 0], [2, 0]], 0.0),
        (Metric.RARE_F1, [[5, 0], [0, 0]], 1.0),
        (Metric.RARE_F1, [[3, 0], [1, 2]], 0.8),
    ],
)
def test_empty_and_absent_classes_have_named_scores(
    metric: Metric, counts: list[list[int]], expected: float
):
    assert score(metric, np.array(counts)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("counts", "text", "expected"),
    [
        ([90, 10], True, Metric.RARE_F1),
        ([50, 50], True, Metric.RARE_F1),
        ([30, 10], False, Metric.ACCURACY),
        ([31, 10], False, Metric.MACRO_F1),
        ([30, 10, 20], True, Metric.ACCURACY),
        ([31, 10, 20], True, Metric.MACRO_F1),
        ([5, 5, 0], False, Metric.MACRO_F1),
    ],
)
def test_the_metric_follows_the_balance_of_the_classes(
    counts: list[int], text: bool, expected: Metric
):
    labels = np.repeat(np.arange(len(counts)), counts)

    assert choose_metric(labels, len(counts), text=text) is expected


@pytest.mark.parametrize(
    ("curve", "target", "expected"),
    [
        ([], 0.5, None),
        ([(24, 0.9)], 0.5, 24.0),
        ([(24, 0.4)], 0.5, None),
        ([(10, 0.5), (20, 0.5), (30, 0.5)], 0.5, 10.0),
        ([(10, 0.0), (20, 0.6), (30, 0.6), (40, 0.6)], 0.5, 25.0),
        ([(10, 0.0), (20, 0.9), (30, 0.0), (40, 0.0)], 0.5, None),
        ([(10, 0.0), (20, 0.0), (30, 0.9)], 0.6, 30.0),
    ],
)
def test_labels_to_a_target_are_read_from_the_smoothed_curve(
    curve: list[tuple[int, float]], target: float, expected: float | None
):
    got = labels_to(curve, target)

    assert got is None if expected is None else got == pytest.approx(expected)


@pytest.mark.parametrize("wrong", [-1, 2])
def test_a_class_that_does_not_exist_is_refused(wrong: int):
    with pytest.raises(InputError):
        confusion(np.array([0, wrong]), np.array([0, 1]), 2)
    with pytest.raises(InputError):
        confusion(np.array([0, 1]), np.array([0, wrong]), 2)


def test_answers_of_another_length_are_refused():
    with pytest.raises(ShapeError):
        confusion(np.array([0, 1]), np.array([0]), 2)
