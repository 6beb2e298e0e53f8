"""The temperature that is suggested is the one the labels ask for."""

import numpy as np
import pytest

from edge.check_calibration import model_calibration
from edge.labeling.columns import calibrated
from fieldvote.functions import Temperature
from fieldvote.rng import stream


@pytest.mark.parametrize("heat", [0.5, 2.0, 4.0])
def test_a_model_that_is_too_sure_or_too_shy_is_given_the_temperature_it_needs(
    heat: float,
) -> None:
    rng = stream(7, "calibration")
    logits = rng.normal(0.0, 1.5, (20_000, 3))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (rng.random((20_000, 1)) > true.cumsum(axis=1)).sum(axis=1)
    said = true**heat / (true**heat).sum(axis=1, keepdims=True)
    found = model_calibration(said, labels)
    assert found.temperature == pytest.approx(heat, rel=0.05)
    assert found.calibrated_log_loss < found.log_loss
    by = Temperature(temperature=found.temperature)
    put_right = np.column_stack([calibrated(said, c, by) for c in range(3)])
    loss = -np.log(put_right[np.arange(len(labels)), labels]).mean()
    assert loss == pytest.approx(found.calibrated_log_loss, abs=1e-3)


def test_a_model_that_knows_nothing_or_is_right_already_is_left_alone() -> None:
    flat = model_calibration(np.full((10, 2), 0.5), np.array([0, 1] * 5))
    assert (flat.temperature, flat.log_loss) == (1.0, pytest.approx(np.log(2)))
    assert flat.calibrated_log_loss == flat.log_loss


def test_a_model_that_was_sure_and_wrong_costs_much_and_not_infinitely() -> None:
    found = model_calibration(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1]))
    assert np.isfinite(found.log_loss)
    assert found.log_loss > 5.0
    assert found.temperature > 10.0
