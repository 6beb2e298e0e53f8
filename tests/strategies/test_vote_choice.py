"""Labels judge heads by sums alone, and votes must earn their weight."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.fixed_point import INPUT_FRACTION
from strategies.aggregation.head import Head
from strategies.vote_choice import MOST_NATS, better_weight, loss_sums, losses_of

Rows = tuple[NDArray[np.float64], NDArray[np.int64], list[Head]]


def drawn(seed: int, *, n: int = 12, heads: int = 3, classes: int = 3, spread: float = 0.5) -> Rows:
    """Return inputs, labels and heads by lot."""
    rng = np.random.default_rng(seed)
    inputs = np.rint(rng.normal(size=(n, 4)) * 2.0**INPUT_FRACTION)
    made = [Head.from_values(rng.normal(size=(4, classes)) * spread) for _ in range(heads)]
    return inputs, rng.integers(0, classes, size=n), made


def nats(rows: Rows) -> NDArray[np.float64]:
    """Return the loss of every label under every head, by the textbook. Shape (n, h)."""
    inputs, labels, heads = rows
    found = []
    for head in heads:
        said = (inputs * 2.0**-INPUT_FRACTION) @ head.values
        log = said - np.log(np.exp(said).sum(axis=1, keepdims=True))
        found.append(np.minimum(-log[np.arange(len(labels)), labels], MOST_NATS))
    return np.stack(found, axis=1)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 999), cut=st.integers(0, 12))
def test_the_sums_over_any_split_of_the_labels_have_the_same_bits(seed: int, cut: int) -> None:
    inputs, labels, heads = drawn(seed)
    halves = [
        loss_sums(inputs[rows], labels[rows], heads) for rows in (slice(cut), slice(cut, None))
    ]
    assert np.array_equal(sum(halves), loss_sums(inputs, labels, heads))


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 999))
def test_losses_are_those_of_the_textbook(seed: int) -> None:
    rows = drawn(seed)
    assert losses_of(loss_sums(*rows)) == pytest.approx(nats(rows).mean(axis=0), abs=1e-3)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 999),
    spread=st.sampled_from([0.1, 1.0]),
    better_by=st.sampled_from([0.0, 0.05]),
    doubt=st.sampled_from([0.0, 1.0]),
)
def test_a_weight_is_taken_where_the_labels_one_by_one_would_say_so(
    seed: int, spread: float, better_by: float, doubt: float
) -> None:
    rows = drawn(seed, n=20, spread=spread)
    each = nats(rows)
    clear = []
    for place in range(1, each.shape[1]):
        gains = each[:, 0] - each[:, place]
        bar = max(
            doubt * gains.std(ddof=1) * math.sqrt(len(gains)), better_by * float(each[:, 0].sum())
        )
        if abs(gains.sum() - bar) < 0.03:
            return  # the rounding of losses decides
        clear += [(float(each[:, place].sum()), place)] if gains.sum() > bar else []
    wanted = min(clear)[1] if clear else 0
    assert better_weight(loss_sums(*rows), better_by=better_by, doubt=doubt) == wanted


def test_a_head_that_is_sure_of_another_class_costs_so_much_and_no_more() -> None:
    inputs = np.array([[512.0]])
    sure = Head.from_values(np.array([[900.0, -900.0]]))
    sums = loss_sums(inputs, np.array([1]), [sure, Head.zeros(width=1, classes=2)])
    assert losses_of(sums).tolist() == [MOST_NATS, pytest.approx(math.log(2.0), abs=1e-3)]


@pytest.mark.parametrize("labels", [0, 1])
def test_too_few_labels_leave_votes_out(labels: int) -> None:
    inputs, truth, heads = drawn(1, n=labels)
    assert better_weight(loss_sums(inputs, truth, heads), better_by=0.0, doubt=0.0) == 0
    assert len(losses_of(loss_sums(inputs, truth, heads))) == (3 if labels else 0)


def test_heads_that_say_the_same_leave_votes_out() -> None:
    inputs, labels, heads = drawn(2)
    assert better_weight(loss_sums(inputs, labels, heads[:1] * 3), better_by=0.0, doubt=0.0) == 0


def test_what_is_no_label_and_what_are_no_sums_are_refused() -> None:
    inputs, labels, heads = drawn(3)
    with pytest.raises(InputError, match="labels"):
        loss_sums(inputs, labels + 3, heads)
    for length in (0, 5):
        with pytest.raises(ShapeError, match="losses"):
            losses_of(np.zeros(length, dtype=np.int64))
