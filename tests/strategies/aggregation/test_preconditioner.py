import numpy as np
import pytest
from numpy.typing import NDArray

from strategies.aggregation.preconditioner import Preconditioner, nystrom
from strategies.aggregation.sketch import MAX_RANK, HeadSums, head_sums, projection
from tests.strategies.aggregation.problems import problem

PENALTY = np.r_[np.ones(59), 1e-3][:, None]


def inputs_of_spectrum(spread: NDArray[np.float64], items: int = 400) -> NDArray[np.float64]:
    """Return whole-number inputs whose directions are as spread out as asked for."""
    rng = np.random.default_rng(4)
    turn = np.linalg.qr(rng.normal(size=(len(spread), len(spread))))[0]
    return np.clip(
        np.rint((rng.normal(size=(items, len(spread))) * spread) @ turn * 512), -8192, 8192
    )


def bound(inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return half the Gram matrix plus the penalty, by definition."""
    real = inputs / 512
    return 0.5 * real.T @ real + np.diag(PENALTY[:, 0])


def made(inputs: NDArray[np.float64]) -> Preconditioner:
    sums = head_sums(inputs, np.ones(len(inputs)), seed=2)
    return Preconditioner.from_sums(sums, penalty=PENALTY, seed=2)


def test_a_low_rank_gram_matrix_is_found_whole():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(60, MAX_RANK - 2))
    gram = rows @ rows.T
    signs = projection(60, seed=5)

    eigenvalues, vectors = nystrom(gram @ signs, signs)

    assert len(eigenvalues) == MAX_RANK - 2
    assert (np.diff(eigenvalues) <= 0).all()
    np.testing.assert_allclose(vectors * eigenvalues @ vectors.T, gram, atol=1e-6)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(MAX_RANK - 2), atol=1e-9)


def test_an_approximation_is_never_above_the_matrix_it_is_of():
    rows = inputs_of_spectrum(np.geomspace(3, 0.1, 60)) / 512
    gram = rows.T @ rows
    signs = projection(60, seed=5)

    eigenvalues, vectors = nystrom(gram @ signs, signs)

    assert np.linalg.eigvalsh(gram - vectors * eigenvalues @ vectors.T)[0] > -1e-6
    assert eigenvalues[0] > 0.5 * np.linalg.eigvalsh(gram)[-1]


@pytest.mark.parametrize("items", [0, 1, 3, MAX_RANK - 1])
def test_few_items_are_preconditioned_exactly(items: int):
    inputs = np.rint(inputs_of_spectrum(np.full(60, 0.5), items=items) / 8) * 8
    gradient = np.random.default_rng(3).normal(size=(60, 3))

    ours = made(inputs).solve(gradient)

    # roots have steps of 2^-6, of which these inputs are whole numbers: nothing is rounded
    np.testing.assert_allclose(ours, np.linalg.solve(bound(inputs), gradient), rtol=1e-6)


def test_narrow_inputs_are_preconditioned_exactly():
    given_ = problem(3, items=200, width=5, classes=2)
    inputs = np.rint(given_.inputs / 8) * 8
    penalty = np.r_[np.ones(4), 1e-3][:, None]
    gradient = np.random.default_rng(3).normal(size=(5, 2))
    sums = head_sums(inputs, np.ones(200), seed=9)

    ours = Preconditioner.from_sums(sums, penalty=penalty, seed=9).solve(gradient)

    expected = 0.5 * (inputs / 512).T @ (inputs / 512) + np.diag(penalty[:, 0])
    np.testing.assert_allclose(ours, np.linalg.solve(expected, gradient), rtol=1e-6)


def test_directions_that_stand_out_are_flattened():
    inputs = inputs_of_spectrum(np.r_[np.geomspace(8, 2, 6), np.full(54, 0.3)])
    whole = bound(inputs)

    flattened = np.linalg.eigvals(made(inputs).solve(whole)).real

    # the bias is hardly held, so it is left out of both
    assert np.linalg.cond(whole[:-1, :-1]) > 200
    assert flattened.max() < 20 * np.quantile(flattened, 0.05)


def test_its_steps_always_point_down():
    rng = np.random.default_rng(6)
    for seed in range(5):
        given_ = problem(seed, items=40, width=60, classes=3)
        preconditioner = made(given_.inputs)
        gradient = rng.normal(size=(60, 3))
        assert (gradient * preconditioner.solve(gradient)).sum() > 0


def test_sums_that_were_mixed_up_still_make_a_positive_one():
    sketch = np.random.default_rng(7).integers(-(2**40), 2**40, size=(60, MAX_RANK))
    wrong = HeadSums(sketch=sketch, weight=1 << 20)
    gradient = np.random.default_rng(8).normal(size=(60, 3))

    step = Preconditioner.from_sums(wrong, penalty=PENALTY, seed=2).solve(gradient)

    assert np.isfinite(step).all()
    assert (gradient * step).sum() > 0


def test_signs_that_depend_on_one_another_are_not_taken_for_a_matrix_found_whole():
    # in a narrow head this happens often; M would be next to nothing where the sketch saw nothing,
    # and the first step would overshoot
    width = MAX_RANK + 1
    ranks = {seed: np.linalg.matrix_rank(projection(width, seed=seed)) for seed in range(40)}
    dependent = [seed for seed, rank in ranks.items() if rank < MAX_RANK]
    assert dependent
    inputs = np.rint(np.random.default_rng(6).normal(size=(400, width)) * 512)
    half_gram = 0.5 * (inputs / 512).T @ (inputs / 512)
    for seed in dependent:
        sums = head_sums(inputs, np.ones(len(inputs)), seed=seed)
        made = Preconditioner.from_sums(sums, penalty=np.ones((width, 1)), seed=seed)
        whole = np.diag(made.diagonal) + made.low_rank @ made.low_rank.T
        assert np.linalg.eigvalsh(whole)[0] > 0.5 * np.linalg.eigvalsh(half_gram)[0]
