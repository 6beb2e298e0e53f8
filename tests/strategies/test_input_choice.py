import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.input_choice import (
    PENALTIES,
    better_way,
    fold_sums,
    left_out_error,
    sums_length,
)

Ints = NDArray[np.int64]


def labeled(
    items: int, width: int, seed: int, *, classes: int = 3
) -> tuple[NDArray[np.float64], Ints]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, size=items)
    inputs = np.rint(rng.normal(0, 512, size=(items, width)) + 700 * np.eye(classes, width)[labels])
    inputs[:, -1] = 512.0
    return inputs, labels


def sums_of(inputs: NDArray[np.float64], labels: Ints, *, rank: int = 8, classes: int = 3) -> Ints:
    return fold_sums(inputs, labels, classes=classes, rank=rank, seed=5)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 20), st.integers(0, 99), st.integers(0, 40))
def test_the_sums_of_any_split_have_the_same_bits(
    items: int, width: int, seed: int, cut: int
) -> None:
    inputs, labels = labeled(items, width, seed)
    parts = sums_of(inputs[:cut], labels[:cut]) + sums_of(inputs[cut:], labels[cut:])
    assert np.array_equal(parts, sums_of(inputs, labels))
    assert len(parts) == sums_length(width=width, classes=3, rank=8)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 99), st.integers(2, 4), st.integers(2, 4))
def test_the_error_is_that_of_ridge_fits_on_the_rows_themselves(
    seed: int, folds: int, classes: int
) -> None:
    inputs, labels = labeled(12 * folds, 6, seed, classes=classes)
    fold = np.arange(len(labels)) % folds
    found = left_out_error(
        [sums_of(inputs[fold == n], labels[fold == n], classes=classes) for n in range(folds)],
        classes=classes,
    )
    # as few inputs as this stand for themselves, in steps of 2^-5
    rows, targets = np.rint(inputs / 16) / 32, np.eye(classes)[labels] - 1 / classes
    errors = []
    for penalty in PENALTIES:
        error = 0.0
        for n in range(folds):
            kept, left = rows[fold != n], rows[fold == n]
            weights = np.linalg.solve(
                kept.T @ kept + penalty * np.eye(6), kept.T @ targets[fold != n]
            )
            error += float(((left @ weights - targets[fold == n]) ** 2).sum())
        errors.append(error / len(labels))
    assert math.isclose(found, min(errors), rel_tol=1e-9)


def test_inputs_without_the_devices_offsets_err_less_on_a_device_left_out() -> None:
    rng = np.random.default_rng(1)
    device, labels = np.repeat(np.arange(8), 12), np.tile(np.arange(2), 48)
    clean = rng.normal(0, 300, size=(96, 5)) + np.outer(2 * labels - 1, [600, 0, 0, 0, 0])
    shifted = clean + rng.normal(0, 2000, size=(8, 5))[device]

    def error(inputs: NDArray[np.float64]) -> float:
        fitting = np.clip(np.rint(inputs), -8192, 8192)
        return left_out_error(
            [
                sums_of(fitting[device % 4 == n], labels[device % 4 == n], classes=2)
                for n in range(4)
            ],
            classes=2,
        )

    assert error(clean) < 0.8 * error(shifted)


def test_with_labels_in_one_fold_only_there_is_nothing_to_compare() -> None:
    inputs, labels = labeled(10, 5, 1)
    nothing = sums_of(inputs[:0], labels[:0])
    assert left_out_error([sums_of(inputs, labels), nothing, nothing], classes=3) == math.inf
    assert left_out_error([], classes=3) == math.inf


def test_one_class_only_has_a_finite_error() -> None:
    inputs, _ = labeled(10, 5, 1)
    ones = np.ones(5, dtype=np.int64)
    folds = [sums_of(inputs[:5], ones), sums_of(inputs[5:], ones)]
    assert math.isfinite(left_out_error(folds, classes=3))


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 10.0), min_size=1, max_size=8), st.floats(0.0, 0.5))
def test_the_way_in_use_stays_unless_another_errs_clearly_less(
    errors: list[float], better_by: float
) -> None:
    found = better_way(errors, used=0, better_by=better_by)
    if min(errors) < (1 - better_by) * errors[0]:
        assert errors[found] == min(errors)
    else:
        assert found == 0


def test_what_is_no_question_of_ours_is_refused() -> None:
    inputs, labels = labeled(4, 5, 1)
    with pytest.raises(InputError, match="rank"):
        sums_of(inputs, labels, rank=0)
    with pytest.raises(InputError, match="rank"):
        sums_of(inputs, labels, rank=10_000)
    with pytest.raises(InputError, match="labels"):
        fold_sums(inputs, labels + 7, classes=3, rank=8, seed=1)
    with pytest.raises(ShapeError):
        left_out_error([np.zeros(3, dtype=np.int64) + 1] * 2, classes=3)
