"""A head from noised products and errors: bounded by record, right without noise, sane with it."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from fieldvote.rng import stream
from strategies.aggregation.head import Head
from strategies.aggregation.private_steps import (
    CROSS_L2_SQUARED,
    GRAM_L2_SQUARED,
    NoisedSum,
    cross_products,
    gram_length,
    gram_products,
    improved,
)
from strategies.aggregation.summed_head import predict

WIDTH, CLASSES = 6, 3


def data(items: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    rng = stream(1, "rows")
    rows = rng.normal(size=(items, WIDTH)) * (4.0, 3.0, 2.0, 1.0, 0.5, 0.1)
    labels = (rows[:, :3] @ rng.normal(size=(3, CLASSES))).argmax(axis=1)
    rows[:, -1] = 1.0
    return np.rint(rows * 512), labels


def rounds(inputs, labels, *, noise: float, count: int = 8) -> float:
    """Return how often the head of so many rounds is right."""
    rng = stream(2, "noise")
    targets, ones = np.eye(CLASSES)[labels], np.ones(len(labels))
    gram_stddev = noise * math.sqrt(GRAM_L2_SQUARED)
    exact = gram_products(inputs)
    gram = NoisedSum(values=exact + rng.normal(0, gram_stddev, len(exact)), stddev=gram_stddev)
    head = Head.zeros(width=WIDTH, classes=CLASSES)
    for _ in range(count):
        stddev = noise * math.sqrt(CROSS_L2_SQUARED)
        cross = cross_products(inputs, targets, ones, head, reach=1.0)
        noised = NoisedSum(values=cross + rng.normal(0, stddev, len(cross)), stddev=stddev)
        head = improved(head, gram, noised, reach=1.0, weight=float(len(labels)))
    return float((predict(inputs, head).argmax(axis=1) == labels).mean())


@given(
    st.lists(st.integers(-8192, 8192), min_size=WIDTH, max_size=WIDTH),
    st.integers(0, CLASSES - 1),
    st.floats(0.0, 1.0),
    st.floats(1e-3, 1.0),
    st.integers(-(2**36), 2**36),
)
@settings(deadline=None)
def test_no_record_moves_them_by_more_than_what_is_accounted(row, label, weight, reach, by):
    inputs, targets = np.array([row], dtype=np.float64), np.eye(CLASSES)[[label]]
    head = Head(weights=np.full((WIDTH, CLASSES), by // WIDTH))
    gram = gram_products(inputs)
    cross = cross_products(inputs, targets, np.array([weight]), head, reach=reach)
    assert len(gram) == gram_length(WIDTH)
    assert sum(int(number) ** 2 for number in gram) <= GRAM_L2_SQUARED
    assert sum(int(number) ** 2 for number in cross) <= CROSS_L2_SQUARED


def test_sums_over_any_split_are_those_of_all_records():
    inputs, labels = data(100)
    targets, ones = np.eye(CLASSES)[labels], np.ones(len(labels))
    head = Head(weights=stream(3, "head").integers(-(2**18), 2**18, (WIDTH, CLASSES)))
    parts = [slice(a, None, 3) for a in range(3)]
    assert np.array_equal(sum(gram_products(inputs[part]) for part in parts), gram_products(inputs))
    whole = cross_products(inputs, targets, ones, head, reach=0.7)
    split = sum(cross_products(inputs[p], targets[p], ones[p], head, reach=0.7) for p in parts)
    assert np.array_equal(split, whole)


def test_without_noise_the_rounds_come_to_ridge_regression():
    inputs, labels = data()
    rows = inputs / 512
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    short = rows * np.minimum(1.0, 6.0 / lengths)
    centred = np.eye(CLASSES)[labels] - 1 / CLASSES
    best = np.linalg.lstsq(short, centred, rcond=None)[0]
    ridge = float(((rows @ best).argmax(axis=1) == labels).mean())
    assert rounds(inputs, labels, noise=0.0) == pytest.approx(ridge, abs=0.01)


def test_noise_costs_and_more_rounds_mend_what_early_noise_spoiled():
    inputs, labels = data()
    exact, noised = (rounds(inputs, labels, noise=noise) for noise in (0.0, 3.0))
    drowned = rounds(inputs, labels, noise=1e4)
    assert abs(exact - noised) < 0.05
    assert noised > drowned + 0.2


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"weight": np.array([1.5])}, InputError),
        ({"reach": 0.0}, InputError),
        ({"reach": 1.01}, InputError),
        ({"reach": float("nan")}, InputError),
        ({"targets": np.array([[0.5, 0.2, 0.1]])}, InputError),
        ({"targets": np.array([[1.0]])}, ShapeError),
        ({"head": Head.zeros(width=WIDTH + 1, classes=CLASSES)}, ShapeError),
        ({"inputs": np.full((1, WIDTH), 0.5)}, InputError),
    ],
)
def test_what_would_break_the_bound_is_refused(change, error) -> None:
    said = {
        "inputs": np.ones((1, WIDTH)),
        "targets": np.eye(CLASSES)[[0]],
        "weight": np.ones(1),
        "head": Head.zeros(width=WIDTH, classes=CLASSES),
        "reach": 1.0,
    } | change
    with pytest.raises(error):
        cross_products(
            said["inputs"], said["targets"], said["weight"], said["head"], reach=said["reach"]
        )


def test_sums_of_another_width_are_refused():
    head = Head.zeros(width=WIDTH, classes=CLASSES)
    gram = NoisedSum(values=np.zeros(gram_length(WIDTH)), stddev=1.0)
    cross = NoisedSum(values=np.zeros(WIDTH * CLASSES), stddev=1.0)
    for one, two in ((gram, gram), (cross, cross)):
        with pytest.raises(ShapeError):
            improved(head, one, two, reach=1.0, weight=1.0)
    with pytest.raises(InputError):
        NoisedSum(values=np.zeros(3), stddev=-1.0)
