from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.fixed_point import INPUT_FRACTION
from strategies.aggregation.solver import Hold, Outcome, SolverState, advance, start
from strategies.aggregation.summed_head import Head, HeadSums, gradient_sums, head_sums
from tests.strategies.aggregation.problems import Problem, problem


def run(state: SolverState, given_: Problem) -> list[SolverState]:
    """Answer every point until the machine is done; return the states after each exchange."""
    states = []
    while not state.done:
        sums = gradient_sums(given_.inputs, given_.targets, given_.weight, state.point)
        state = advance(state, sums)
        states.append(state)
    return states


def sums_of(given_: Problem) -> HeadSums:
    return head_sums(given_.inputs, given_.weight, seed=1)


def begin(
    given_: Problem, *, l2: float = 1.0, exchanges: int = 8, tolerance: float = 1e-3
) -> SolverState:
    zeros = Head.zeros(width=given_.inputs.shape[1], classes=given_.targets.shape[1])
    return start(sums_of(given_), zeros, l2=l2, seed=1, exchanges=exchanges, tolerance=tolerance)


def objective(given_: Problem, head: Head, *, l2: float = 1.0) -> float:
    """Compute the minimised function from its definition."""
    logits = given_.inputs * 2.0**-INPUT_FRACTION @ head.values
    peak = logits.max(axis=1, keepdims=True)
    logs = logits - peak - np.log(np.exp(logits - peak).sum(axis=1, keepdims=True))
    penalty = np.r_[np.full(head.width - 1, l2), 1e-3 * l2][:, None]
    cross_entropy = -(given_.weight[:, None] * given_.targets * logs).sum()
    return float(cross_entropy + 0.5 * (penalty * head.values**2).sum())


def test_the_optimum_is_that_of_scikit_learn():
    rng = np.random.default_rng(1)
    soft = problem(1, items=300, width=8, classes=3)
    hard = rng.integers(3, size=300)
    given_ = Problem(inputs=soft.inputs, targets=np.eye(3)[hard], weight=np.ones(300))
    theirs = LogisticRegression(C=1.0, tol=1e-10, max_iter=2000).fit(
        given_.inputs[:, :-1] * 2.0**-INPUT_FRACTION, hard
    )

    ours = run(begin(given_, exchanges=200), given_)[-1].head.values

    np.testing.assert_allclose(ours[:-1], theirs.coef_.T, atol=2e-3)


def test_eight_exchanges_come_within_a_hair_of_the_optimum():
    for seed in range(5):
        given_ = problem(seed, items=400, width=40, classes=5)
        few = run(begin(given_), given_)[-1]
        many = run(begin(given_, exchanges=300), given_)[-1]

        first = objective(given_, begin(given_).point)
        gap = objective(given_, few.head) - objective(given_, many.head)
        assert gap <= 0.002 * (first - objective(given_, many.head))


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    items=st.integers(1, 60),
    width=st.integers(1, 10),
    classes=st.integers(2, 4),
    l2=st.sampled_from([0.01, 1.0, 100.0]),
)
def test_the_head_never_gets_worse_and_never_asks_too_often(
    seed: int, items: int, width: int, classes: int, l2: float
):
    given_ = problem(seed, items=items, width=width, classes=classes)

    states = run(begin(given_, l2=l2), given_)

    values = [objective(given_, state.head, l2=l2) for state in states]
    slack = 1e-3 * (1.0 + values[0])
    assert all(after <= before + slack for before, after in pairwise(values))
    assert len(states) <= 8


def test_a_worse_point_is_not_taken_for_the_head():
    given_ = problem(2, items=50, width=4, classes=3)
    state = run(begin(given_, exchanges=3), given_)[0]
    honest = gradient_sums(given_.inputs, given_.targets, given_.weight, state.point)
    spoiled = type(honest)(gradient=honest.gradient, loss=honest.loss * 1000, weight=honest.weight)

    after = advance(state, spoiled)

    assert (after.head.weights == state.head.weights).all()
    assert after.failures == 1


def test_a_warm_start_at_the_optimum_needs_one_exchange():
    given_ = problem(3, items=100, width=6, classes=3)
    solved = run(begin(given_, exchanges=200), given_)[-1].head

    states = run(start(sums_of(given_), solved, l2=1.0, seed=1), given_)

    assert [state.outcome for state in states] == [Outcome.CONVERGED]


def test_a_spent_machine_wants_no_more():
    given_ = problem(4, items=100, width=6, classes=3)
    state = run(begin(given_, exchanges=1), given_)[-1]
    assert state.outcome is Outcome.SPENT

    with pytest.raises(InputError):
        advance(state, gradient_sums(given_.inputs, given_.targets, given_.weight, state.point))


def test_the_first_step_of_few_items_is_ridge_regression():
    given_ = problem(6, items=80, width=7, classes=3)
    real = given_.inputs * 2.0**-INPUT_FRACTION
    penalty = np.r_[np.full(6, 2.0), 2e-3]
    gram = (real * given_.weight[:, None]).T @ real + np.diag(penalty)
    cross = real.T @ (given_.weight[:, None] * (given_.targets - 1 / 3))
    expected = 2 * np.linalg.solve(gram, cross)

    stepped = run(begin(given_), given_)[0].point

    np.testing.assert_allclose(stepped.values, expected, atol=5e-3)


def test_a_guess_far_below_the_curvature_is_survived():
    given_ = problem(10, items=300, width=40, classes=3)
    nothing = HeadSums.empty(width=40)
    zeros = Head.zeros(width=40, classes=3)

    states = run(start(nothing, zeros, l2=0.01, seed=1, exchanges=60), given_)

    # the sums of nobody promise steps thousands of times too long
    assert states[1].failures == 1
    best = objective(given_, run(begin(given_, l2=0.01, exchanges=300), given_)[-1].head, l2=0.01)
    first = objective(given_, zeros, l2=0.01)
    assert objective(given_, states[-1].head, l2=0.01) - best < 0.05 * (first - best)


def test_misled_twice_it_goes_back_along_the_first_direction_in_shorter_steps():
    given_ = problem(11, items=60, width=20, classes=3)
    state = run(begin(given_, exchanges=20), given_)[2]
    direction = state.preconditioner.solve(state.best.gradient)
    lengths = []
    for _ in range(4):
        honest = gradient_sums(given_.inputs, given_.targets, given_.weight, state.point)
        state = advance(state, replace(honest, loss=honest.loss + (1 << 30)))
        moved = state.best.values - state.point.values
        lengths.append(float((moved * direction).sum() / (direction**2).sum()))
        if state.failures > 1:
            np.testing.assert_allclose(moved, lengths[-1] * direction, atol=2.0**-19)

    assert [round(length / lengths[1], 3) for length in lengths[1:]] == [1.0, 0.25, 0.062]
    assert lengths[1] == pytest.approx(0.25, rel=1e-3)


def test_a_step_that_promises_less_than_a_label_notices_is_not_asked_for():
    given_ = problem(12, items=200, width=30, classes=3)
    whole = run(begin(given_, exchanges=100), given_)

    early = run(begin(given_, exchanges=100, tolerance=0.1), given_)

    assert early[-1].outcome is Outcome.CONVERGED
    assert len(early) < len(whole)
    assert objective(given_, early[-1].head) - objective(given_, whole[-1].head) < 0.5


@pytest.mark.parametrize("tolerance", [-1.0, np.nan, np.inf])
def test_a_tolerance_that_means_nothing_is_refused(tolerance: float):
    with pytest.raises(InputError):
        begin(problem(9, items=5, width=3, classes=2), tolerance=tolerance)


def test_one_class_one_item_and_no_item_are_solved():
    for items in (0, 1):
        given_ = problem(7, items=items, width=3, classes=2)
        assert np.isfinite(run(begin(given_), given_)[-1].head.values).all()
    one = problem(8, items=9, width=3, classes=2)
    same = Problem(inputs=one.inputs, targets=np.eye(2)[np.zeros(9, int)], weight=one.weight)
    assert np.isfinite(run(begin(same), same)[-1].head.values).all()


@pytest.mark.parametrize("l2", [0.0, -1.0, np.nan, np.inf])
def test_a_penalty_that_is_not_positive_is_refused(l2: float):
    with pytest.raises(InputError):
        begin(problem(9, items=5, width=3, classes=2), l2=l2)


def test_a_head_of_another_width_is_refused():
    given_ = problem(9, items=5, width=3, classes=2)
    with pytest.raises(ShapeError):
        start(sums_of(given_), Head.zeros(width=4, classes=2), l2=1.0, seed=1)


@pytest.mark.parametrize("strength", [0.0, 1.0, 50.0])
def test_held_weights_are_part_of_what_is_minimised(strength: float) -> None:
    given_ = problem(4, items=200, width=6, classes=3)
    shape = (given_.inputs.shape[1], given_.targets.shape[1])
    rng = np.random.default_rng(4)
    hold = Hold(anchor=rng.normal(size=shape), stiffness=strength * rng.random(shape))
    zeros = Head.zeros(width=shape[0], classes=shape[1])
    state = start(sums_of(given_), zeros, l2=1.0, seed=1, exchanges=40, tolerance=1e-6, hold=hold)
    *_, last = run(state, given_)
    sums = gradient_sums(given_.inputs, given_.targets, given_.weight, last.head)
    values = last.head.values
    slope = sums.gradient_values + last.penalty * values
    slope = slope + hold.stiffness * (values - hold.anchor)
    assert np.abs(slope).max() < 0.05
    if strength == 50.0:
        far = np.abs(values - hold.anchor)
        assert far[hold.stiffness > 25.0].mean() < 0.5 * far[hold.stiffness < 25.0].mean()


def test_a_hold_that_is_none_is_refused() -> None:
    ones = np.ones((2, 2))
    with pytest.raises(InputError, match="negative"):
        Hold(anchor=ones, stiffness=-ones)
    with pytest.raises(InputError, match="finite"):
        Hold(anchor=ones * np.nan, stiffness=ones)
    with pytest.raises(ShapeError):
        Hold(anchor=ones, stiffness=np.ones((2, 3)))
    given_ = problem(4, items=200, width=6, classes=3)
    zeros = Head.zeros(width=given_.inputs.shape[1], classes=given_.targets.shape[1])
    with pytest.raises(ShapeError):
        start(sums_of(given_), zeros, l2=1.0, seed=1, hold=Hold(anchor=ones, stiffness=ones))
