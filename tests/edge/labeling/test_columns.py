"""A model's probabilities are put right before they are asked for a vote."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.labeling import Items, compile_functions
from edge.labeling.columns import calibrated
from fieldvote.functions import IsotonicTable, ModelFunction, Temperature
from fieldvote.task import TextInput

CLASSES = ("a", "b", "c")


def votes_of(function: ModelFunction, said: list[list[float]]) -> tuple[list[int], int]:
    ready = compile_functions([function], TextInput(width=8), CLASSES)
    votes = ready.vote(Items(probabilities=np.array(said)))[:, 0]
    return votes.tolist(), ready.abstained_by_error["m"]


def model(minimum: float, calibration: Temperature | IsotonicTable | None) -> ModelFunction:
    return ModelFunction(
        id="m", owner="ann", class_name="b", minimum=minimum, calibration=calibration
    )


@pytest.mark.parametrize(
    ("calibration", "votes"),
    [
        (None, [1, -1, -1]),
        (Temperature(temperature=5.0), [-1, -1, -1]),
        (Temperature(temperature=0.3), [1, 1, -1]),
        (IsotonicTable(scores=(0.0, 1.0), probabilities=(0.0, 0.6)), [-1, -1, -1]),
        (IsotonicTable(scores=(0.5, 0.7), probabilities=(0.0, 0.9)), [1, 1, -1]),
    ],
)
def test_the_bar_is_for_the_calibrated_probability(
    calibration: Temperature | IsotonicTable | None, votes: list[int]
) -> None:
    said = [[0.05, 0.9, 0.05], [0.2, 0.7, 0.1], [0.4, 0.3, 0.3]]
    assert votes_of(model(0.85, calibration), said) == (votes, 0)


PROBABILITIES = st.lists(
    st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3).filter(lambda row: sum(row) > 1e-6),
    min_size=1,
    max_size=5,
).map(lambda rows: np.array(rows) / np.array(rows).sum(axis=1, keepdims=True))


@settings(deadline=None)
@given(PROBABILITIES, st.floats(0.05, 20.0))
def test_a_temperature_keeps_the_sum_and_the_order(
    said: np.ndarray[tuple[int, int], np.dtype[np.float64]], temperature: float
) -> None:
    given = np.column_stack(
        [calibrated(said, c, Temperature(temperature=temperature)) for c in range(3)]
    )
    assert np.allclose(given.sum(axis=1), 1.0)
    powers = said ** (1.0 / temperature)
    assert np.allclose(given, powers / powers.sum(axis=1, keepdims=True), atol=1e-6)


def test_a_table_is_read_between_its_points_and_extended_beyond_them() -> None:
    table = IsotonicTable(scores=(0.2, 0.4, 0.8), probabilities=(0.1, 0.5, 0.7))
    said = np.array([[0.0], [0.2], [0.3], [0.6], [1.0]])
    assert calibrated(said, 0, table) == pytest.approx([0.1, 0.1, 0.3, 0.6, 0.7])


def test_a_probability_that_is_none_abstains_and_is_counted() -> None:
    said = [[0.0, 1.0, 0.0], [float("nan")] * 3]
    for calibration in (None, Temperature(temperature=2.0)):
        assert votes_of(model(0.5, calibration), said) == ([1, -1], 1)
