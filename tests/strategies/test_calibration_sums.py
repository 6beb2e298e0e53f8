"""What is summed of how sure a model is, and the temperature that is read off the sums."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.check_calibration import model_calibration
from fieldvote.errors import InputError, ShapeError
from fieldvote.rng import stream
from strategies.calibration_sums import (
    FRACTION,
    TEMPERATURES,
    CalibrationSums,
    calibration_of,
    length_of,
    tempered,
)

STEP = 2.0**-FRACTION
PLAIN = TEMPERATURES.index(1.0)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    made = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(made / made.sum(axis=1, keepdims=True))


def judged(
    seed: int, n: int, k: int, *, heat: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return what a model says that is right at a temperature of heat, and what is true."""
    rng = stream(seed, "judged")
    logits = rng.normal(0.0, 1.5, (n, k))
    labels = (rng.random((n, 1)) > softmax(logits).cumsum(axis=1)).sum(axis=1)
    return softmax(logits * heat), np.minimum(labels, k - 1).astype(np.int64)


def test_the_sums_are_those_of_the_formulas_item_by_item() -> None:
    said, labels = judged(1, 40, 4)
    sums = CalibrationSums.of([said, said[:, ::-1]], labels)
    for made, shares in zip(sums.heads, (said, said[:, ::-1]), strict=True):
        for place, heat in enumerate(TEMPERATURES):
            powers = shares ** (1 / heat)
            hot = powers / powers.sum(axis=1, keepdims=True)
            truth = [
                sum(-np.log(row[label]) for row, label in zip(hot, labels, strict=True)),
                -(hot * np.log(hot)).sum(),
                hot.max(axis=1).sum(),
            ]
            # each item is rounded to the nearest step
            assert made[:, place] * STEP == pytest.approx(truth, abs=len(labels) * STEP / 2)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 99), n=st.integers(0, 30), k=st.integers(1, 5), cut=st.integers(0, 30))
def test_any_split_of_the_items_adds_up_and_no_honest_sum_is_refused(
    seed: int, n: int, k: int, cut: int
) -> None:
    rng = stream(seed, "said")
    said = softmax(rng.normal(0.0, 1.0 + seed, (n, k)))  # some of them 0 and 1
    labels, other = rng.integers(0, k, n), np.full((n, k), 1 / k)
    rows = rng.permutation(n)
    whole = CalibrationSums.of([said, other], labels).to_vector()
    parts = [CalibrationSums.of([said[p], other[p]], labels[p]) for p in np.split(rows, [cut])]
    assert whole.tolist() == sum(part.to_vector() for part in parts).tolist()  # type: ignore[union-attr]  # two parts
    right = int((said.argmax(axis=1) == labels).sum())
    CalibrationSums.from_vector(whole, heads=2).check(right=right, items=n, classes=k)


@pytest.mark.parametrize("heat", [0.25, 0.8, 1.0, 3.0, 6.0])
def test_the_temperature_is_the_one_the_items_themselves_ask_for(heat: float) -> None:
    said, labels = judged(2, 4000, 3, heat=heat)
    found, alone = (
        calibration_of(CalibrationSums.of([said], labels)),
        model_calibration(said, labels),
    )
    assert found.temperature == pytest.approx(alone.temperature, rel=0.05)
    assert found.log_loss == pytest.approx(alone.log_loss, rel=0.01)  # another floor
    assert found.calibrated_log_loss == pytest.approx(alone.calibrated_log_loss, abs=3e-3)
    at_it = tempered(said, found.temperature)
    assert found.entropy == pytest.approx(-(at_it * np.log(at_it)).sum(axis=1).mean(), abs=5e-3)
    assert found.calibrated_confidence == pytest.approx(at_it.max(axis=1).mean(), abs=5e-3)
    right = (said.argmax(axis=1) == labels).mean()
    assert found.calibrated_confidence == pytest.approx(right, abs=0.02)


def test_how_hot_a_model_was_told_changes_nothing_of_how_unsure_it_is_once_calibrated() -> None:
    said, labels = judged(3, 2000, 4)
    shy, bold = tempered(said, 2.0), tempered(said, 0.5)
    sums = CalibrationSums.of([shy, bold], labels)
    one, other = calibration_of(sums, 0), calibration_of(sums, 1)
    assert one.entropy == pytest.approx(other.entropy, rel=0.02)
    assert one.temperature * 4 == pytest.approx(other.temperature, rel=0.05)
    assert one.confidence < one.calibrated_confidence < other.confidence


def test_a_few_items_that_are_all_right_do_not_make_a_model_certain() -> None:
    said = np.array([[0.7, 0.3], [0.3, 0.7]] * 10)
    labels = np.array([0, 1] * 10)
    few = calibration_of(CalibrationSums.of([said[:4]], labels[:4]))
    more = calibration_of(CalibrationSums.of([said], labels))
    assert TEMPERATURES[0] < more.temperature < few.temperature < 1.0


def test_a_temperature_keeps_the_likeliest_class_and_one_keeps_all() -> None:
    said, _ = judged(4, 50, 4)
    for heat in TEMPERATURES:
        assert (tempered(said, heat).argmax(axis=1) == said.argmax(axis=1)).all()
    assert tempered(said, 1.0) == pytest.approx(said, abs=1e-12)
    for bad in (0.0, -1.0, 0.1, 9.0, float("nan")):
        with pytest.raises(InputError):
            tempered(said, bad)


LIES = {
    "other items": lambda s: s.__setitem__(0, s[0] + 1),
    "less lost than mistakes cost": lambda s: s.__setitem__(slice(1, 14), 0),
    "more lost than anything can": lambda s: s.__setitem__(1, 2**40),
    "surer than certain": lambda s: s.__setitem__(27 + PLAIN, 2 * 40 * 2**FRACTION),
    "less sure than a die": lambda s: s.__setitem__(27 + PLAIN, 0),
    "more in doubt than a die": lambda s: s.__setitem__(14 + PLAIN, 40 * 2**FRACTION * 3),
    "surer when it is hotter": lambda s: s.__setitem__(slice(27, 40), s[27:40][::-1].copy()),
    "the second one too": lambda s: s.__setitem__(40 + 13 + PLAIN, 40 * 2**FRACTION * 3),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_sums_that_no_model_comes_to_are_refused(lie: object) -> None:
    said, labels = judged(5, 40, 4)
    vector = CalibrationSums.of([said, said], labels).to_vector()
    right = int((said.argmax(axis=1) == labels).sum())
    CalibrationSums.from_vector(vector, heads=2).check(right=right, items=40, classes=4)
    lie(vector)  # type: ignore[operator]  # one of the table
    with pytest.raises(InputError):
        CalibrationSums.from_vector(vector, heads=2).check(right=right, items=40, classes=4)


def test_sums_of_another_shape_are_refused() -> None:
    with pytest.raises(ShapeError):
        CalibrationSums.from_vector(np.zeros(length_of(1), dtype=np.int64), heads=2)
    with pytest.raises(ShapeError):
        CalibrationSums.of([np.full((3, 2), 0.5)], np.array([0, 1]))
