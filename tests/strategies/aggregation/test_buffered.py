"""Buffered averaging: a fresh full buffer is plain averaging, and stale moves count for less."""

from dataclasses import replace

import numpy as np
import pytest

from fieldvote.errors import InputError, ShapeError
from fieldvote.rng import stream
from strategies.aggregation.adaptive import ServerRates, advance, begin
from strategies.aggregation.buffered import Buffer, share_of, take_in
from strategies.aggregation.deep_update import DeepUpdate

EMPTY = Buffer(held=DeepUpdate.empty(3))
RATES = ServerRates()
MOVES = [
    DeepUpdate(product=stream(1, "move", n).integers(-9999, 9999, 3) * (n + 1), items=n + 1)
    for n in range(4)
]


def test_fresh_moves_in_a_full_buffer_are_one_step_of_plain_averaging_in_any_order() -> None:
    whole = sum(MOVES[1:], start=MOVES[0])
    plain = advance(begin(np.zeros(3, np.int64), RATES), whole, server="averaging", rates=RATES)
    for order in (MOVES, MOVES[::-1]):
        buffer, state = EMPTY, begin(np.zeros(3, np.int64), RATES)
        for number, move in enumerate(order, start=1):
            buffer, state = take_in(buffer, state, move, began=0, goal=4)
            assert buffer.moves == number % 4
        np.testing.assert_array_equal(state.point, plain.point)
        assert buffer.steps == 1


@pytest.mark.parametrize("staleness", [0, 1, 3, 8, 24])
def test_a_stale_move_steps_less_far_by_the_root_of_its_age(staleness: int) -> None:
    buffer = replace(EMPTY, steps=staleness)
    move = DeepUpdate(product=np.full(3, 1 << 20), items=1)
    _, state = take_in(buffer, begin(np.zeros(3, np.int64), RATES), move, began=0, goal=1)
    assert state.point[0] / (1 << 20) == pytest.approx((1 + staleness) ** -0.5, abs=1 / 256)
    assert share_of(staleness) <= 256


def test_a_move_that_is_too_old_is_dropped() -> None:
    buffer, state = replace(EMPTY, steps=9), begin(np.zeros(3, np.int64), RATES)
    assert take_in(buffer, state, MOVES[0], began=0, goal=1, most_stale=8) == (buffer, state)


def test_a_move_from_the_future_or_of_another_network_changes_nothing() -> None:
    state = begin(np.zeros(3, np.int64), RATES)
    with pytest.raises(InputError):
        take_in(EMPTY, state, MOVES[0], began=1, goal=1)
    with pytest.raises(InputError):
        take_in(EMPTY, state, MOVES[0], began=0, goal=0)
    with pytest.raises(ShapeError):
        take_in(EMPTY, state, DeepUpdate.empty(4), began=0, goal=1)
