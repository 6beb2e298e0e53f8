"""Quality against gold as sums: the same as with all rows in one place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from strategies.labeling import brier_score, expected_calibration_error
from strategies.labeling.quality import BINS, LabelQuality


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    items=st.integers(1, 80),
    classes=st.integers(2, 5),
    pieces=st.integers(1, 6),
)
def test_sums_say_what_the_rows_say_however_they_are_dealt(
    seed: int, items: int, classes: int, pieces: int
) -> None:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(classes), items)
    labels = rng.integers(0, classes, items)
    owner = rng.integers(0, pieces, items)
    parts = [LabelQuality.of(p[owner == i], labels[owner == i]) for i in range(pieces)]
    total = sum(parts, start=LabelQuality.none(classes=classes))
    whole = LabelQuality.of(p, labels)
    assert np.array_equal(total.to_vector(), whole.to_vector())
    copy = LabelQuality.from_vector(whole.to_vector(), classes=classes)
    assert np.array_equal(copy.to_vector(), whole.to_vector())
    assert whole.accuracy == (p.argmax(axis=1) == labels).mean()
    assert whole.noise_rate == pytest.approx(1 - (p.argmax(axis=1) == labels).mean())
    assert whole.brier_score == pytest.approx(brier_score(p, labels), abs=1e-5)
    expected = expected_calibration_error(p, labels, bins=BINS)
    assert whole.expected_calibration_error == pytest.approx(expected, abs=1e-5)
    for c, found in enumerate(whole.recall):
        of_class = labels == c
        if of_class.any():
            assert found == pytest.approx((p.argmax(axis=1)[of_class] == c).mean())
        else:
            assert found is None


def test_without_gold_quality_is_unknown() -> None:
    nothing = LabelQuality.none(classes=3)
    assert (nothing.items, nothing.accuracy, nothing.noise_rate) == (0, None, None)
    assert (nothing.brier_score, nothing.expected_calibration_error) == (None, None)
    assert nothing.accuracy_interval == (0.0, 1.0)
    assert nothing.recall == (None, None, None)


def test_the_interval_is_wilsons() -> None:
    quality = LabelQuality.of([[0.9, 0.1]] * 10, [0] * 8 + [1] * 2)
    assert quality.accuracy_interval == pytest.approx((0.4902, 0.9433), abs=1e-4)
    sure = LabelQuality.of([[0.9, 0.1]] * 1_000, [0] * 800 + [1] * 200)
    assert np.ptp(sure.accuracy_interval) < 0.06


def test_what_is_not_quality_is_refused() -> None:
    with pytest.raises(ShapeError):
        LabelQuality.of([0.5], [0])
    for bad in ([[1.5, -0.5]], [[np.nan, 1.0]]):
        with pytest.raises(InputError):
            LabelQuality.of(bad, [0])
    with pytest.raises(ShapeError):
        LabelQuality.none(classes=2) + LabelQuality.none(classes=3)
    with pytest.raises(ShapeError):
        LabelQuality.from_vector(np.zeros(3, dtype=np.int64), classes=2)
    with pytest.raises(InputError):
        LabelQuality.from_vector(np.zeros(4 + 3 * BINS + 1), classes=2)
