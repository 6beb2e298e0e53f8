"""The exponential that is the same everywhere, against one that is right."""

import hashlib
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from strategies.labeling.exponential import FARTHEST, UNIT, exp_negative, table


@given(st.integers(0, int(FARTHEST * UNIT) - 1))
def test_it_is_the_exponential(distance: int) -> None:
    value = float(exp_negative(np.array([float(distance)]))[0])
    assert math.isclose(value, math.exp(-distance / UNIT), rel_tol=1e-11)


def test_far_beyond_it_is_next_to_nothing_and_at_zero_it_is_one() -> None:
    near, far, farther = exp_negative(np.array([0.0, 50 * UNIT, 1e6 * UNIT]))
    assert near == 1.0
    assert 0 < far == farther < 1e-19


def test_it_never_grows() -> None:
    around = np.arange(-2_000.0, 2_000.0)[None] + (np.arange(1, 90) * UNIT / 3)[:, None]
    values = exp_negative(np.floor(around))
    assert (np.diff(values, axis=1) <= 0).all()


def test_its_bits_are_those_of_every_other_machine() -> None:
    distances = np.floor(np.linspace(0, 40 * UNIT, 5_000))
    assert hashlib.sha256(table().astype("<f8").tobytes()).hexdigest() == TABLE
    assert hashlib.sha256(exp_negative(distances).astype("<f8").tobytes()).hexdigest() == VALUES


# known answers, from the machine this was written on
TABLE = "167f0c560e704c8c6975c1947b684a83c2f83eb1319a6c2f44e6d83fa615a208"
VALUES = "854daa8e689999952a970f916e9fd0f3aa05d4d0106b94df465552265ed6071e"
