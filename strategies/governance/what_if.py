"""What if a function were gone: the estimate, before anybody retrains.

Near its minimum the head moves by -H⁻¹ times what the gradient changes, H being the curvature of
what is minimised. So the direction H⁻¹D in place of a behaviour's gradient D turns influence into
the loss that retraining without the function would add: above zero it is missed, below zero it is
better gone. H is never formed: a product with it is one exchange of sums, like a gradient, and
a few conjugate-gradient steps are enough for a ranking. What the estimate leaves out is that the
label model is refitted too, and that the head may move far.

Sources: Koh and Liang 2017, arXiv:1703.04730, section 2; Hestenes and Stiefel 1952 (conjugate
gradients).
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldvote.conversation import converse
from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.fixed_point import (
    INPUT_FRACTION,
    WEIGHT_FRACTION,
    row_blocks,
    row_weights,
)
from strategies.aggregation.head import Head, predict
from strategies.governance.influence import PULL_FRACTION, Direction

CURVATURE_FRACTION = INPUT_FRACTION + PULL_FRACTION
ENOUGH = 1e-6
"""Solved when what is left is this share of what was asked."""

Matrix = NDArray[np.float64]
Row = dict[str, str | int | float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FunctionEffect:
    """What one function does to the behaviours looked at.

    Attributes:
        function: Its position.
        total: Summed over the behaviours.
        effects: Per behaviour. Shape (b,).
    """

    function: int
    total: float
    effects: Matrix


def curvature_product(
    inputs: Matrix, weight: Matrix, head: Head, direction: Direction
) -> NDArray[np.int64]:
    """Return how the gradient at head changes along a normed direction, summed over items.

    Adds up over devices to the same bits under any split: a residual is below 2^8 in steps of
    2^-20, a term below 2^41, and 2^11 terms fit a float64.

    Returns:
        Sum of w·x·(p∘s - p·<p, s>)', s what the direction does to the logits, in steps of 2^-29;
        ``from_steps`` gives real numbers. Shape (p, k), int64.
    """
    share = (row_weights(inputs, weight) * 2.0**-WEIGHT_FRACTION)[:, None]
    p, pull = predict(inputs, head), direction.pull(inputs).astype(np.float64)
    mean = np.zeros(len(inputs))
    for c in range(head.classes):  # class by class: a dot product would depend on the kernel
        mean += p[:, c] * pull[:, c]
    residual = np.rint(share * p * (pull - mean[:, None]))
    residual[:, -1] = -residual[:, :-1].sum(axis=1)  # rows sum to zero: the last is not sent
    total = np.zeros(head.weights.shape, dtype=np.int64)
    for rows in row_blocks(len(inputs)):
        total += (inputs[rows].T @ residual[rows]).astype(np.int64)
    return total


def from_steps(total: NDArray[np.int64], direction: Direction) -> Matrix:
    """Return a summed curvature product in real numbers. Shape (p, k)."""
    return np.asarray(total.astype(np.float64) * (2.0**-CURVATURE_FRACTION * direction.scale))


def solve_curvature(
    product: Callable[[Matrix], Matrix],
    gradient: Matrix,
    *,
    penalty: Matrix,
    steps: int,
    precondition: Callable[[Matrix], Matrix] | None = None,
) -> Matrix:
    """Return about (H + penalty)⁻¹ gradient: the direction for what-if.

    Args:
        product: H times a matrix; one exchange with the fleet each.
        gradient: Of the behaviour's loss at the head. Shape (p, k).
        penalty: L2 strength, as the head was trained with. Shape (p, 1), above 0.
        steps: How many exchanges at most.
        precondition: A cheap guess at the inverse, such as ``Preconditioner.solve``.

    Raises:
        InputError: A penalty that is not positive: the curvature alone has no inverse.

    >>> flat = solve_curvature(lambda v: 1.0 * v, np.ones((2, 2)), penalty=np.ones((2, 1)), steps=3)
    >>> flat.round(6).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    if steps < 1:
        raise InputError("expected at least one step")
    solving = solve_together(
        gradient[None], penalty=penalty, steps=steps, precondition=precondition
    )
    return np.asarray(converse(solving, lambda asked: product(asked[0])[None])[0])


def solve_together(
    gradients: Matrix,
    *,
    penalty: Matrix,
    steps: int,
    precondition: Callable[[Matrix], Matrix] | None = None,
) -> Generator[Matrix, Matrix, Matrix]:
    """Solve for several behaviours at once, an exchange for all of them together.

    Yields the matrices that H is to be multiplied with, shape (b, p, k), is sent the products, and
    returns the solutions. Without a step it returns the guess.

    Args:
        gradients: Of the behaviours' losses at the head. Shape (b, p, k).
        penalty: L2 strength, as the head was trained with. Shape (p, 1), above 0.
        steps: How many exchanges at most.
        precondition: A cheap guess at the inverse.

    Raises:
        InputError: A penalty that is not positive: the curvature alone has no inverse.
    """
    if gradients.ndim != 3 or penalty.shape != (gradients.shape[1], 1):
        raise ShapeError("penalty", penalty.shape, (gradients.shape[-2], 1))
    if not bool(np.all(penalty > 0)) or steps < 0:
        raise InputError("expected a penalty above 0 and steps of 0 or more")
    guess = precondition or (lambda rest: rest)
    turned = np.stack([guess(each) for each in gradients])
    if not steps:
        return turned
    solved, rest, way = np.zeros_like(gradients), gradients, turned
    promise = _dots(rest, turned)
    goal = ENOUGH * np.sqrt(_dots(gradients, gradients))
    for _ in range(steps):
        open_ = np.sqrt(_dots(rest, rest)) > goal
        if not open_.any():
            break
        bent = (yield way) + penalty * way
        # what is solved stays as it is, whatever rounding makes of its last way
        length = np.where(open_, _shares(promise, _dots(way, bent)), 0.0)[:, None, None]
        solved, rest = solved + length * way, rest - length * bent
        turned, before = np.stack([guess(each) for each in rest]), promise
        promise = _dots(rest, turned)
        way = turned + _shares(promise, before)[:, None, None] * way
    return solved


def _dots(first: Matrix, second: Matrix) -> Matrix:
    """Return the dot product of each behaviour's matrices. Shape (b,)."""
    return np.asarray((first * second).sum(axis=(1, 2)))


def _shares(part: Matrix, whole: Matrix) -> Matrix:
    """Return part over whole, 0 where the whole is 0. Shape (b,)."""
    return np.asarray(np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), 0.0))


def ranked(values: Matrix, *, harmful_first: bool = False) -> tuple[FunctionEffect, ...]:
    """Return the functions, the one with the most influence first; ties by position.

    Args:
        values: Influence, such as ``InfluenceSums.values``. Shape (m, b).
        harmful_first: Start with the one that works hardest against the behaviours.

    >>> [each.function for each in ranked(np.array([[1.0], [-2.0], [3.0]]), harmful_first=True)]
    [1, 0, 2]
    """
    if values.ndim != 2 or not bool(np.all(np.isfinite(values))):
        raise InputError("influence is a matrix of finite numbers")
    total = values.sum(axis=1)
    order = np.argsort(total if harmful_first else -total, kind="stable")
    return tuple(
        FunctionEffect(function=int(j), total=float(total[j]), effects=values[j]) for j in order
    )


def to_rows(
    effects: Sequence[FunctionEffect],
    *,
    functions: Sequence[tuple[str, str]],
    behaviours: Sequence[str],
) -> list[Row]:
    """Return a ranking as lines to print.

    Args:
        effects: What ``ranked`` gives.
        functions: Id and version of every function, in the order of vote columns.
        behaviours: Their names.
    """
    rows: list[Row] = []
    for each in effects:
        name, version = functions[each.function]
        row: Row = {"function": name, "version": version, "total": f"{each.total:+.4g}"}
        named = zip(behaviours, each.effects, strict=True)
        rows.append({**row, **{behaviour: f"{effect:+.4g}" for behaviour, effect in named}})
    return rows
