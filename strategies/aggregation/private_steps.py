"""A ridge head in several releases: products of inputs once, then what the head still gets wrong.

`private_ridge` solves a head from one release. A campaign has several rounds, and the labels of
its last one are not there in its first. So the Gram matrix, which needs no label, is released once,
over every record of the pool. Each round releases the inputs times the error of the head before,
over the records that have a label by then, and the head moves by what the Gram matrix makes of
that:

    W <- W + (f G + penalty)^-1 X'(Y - X W)        f: labeled records per record

Without noise this is ridge regression, refined. With noise it has two merits over solving anew from
X'Y: errors of G only bend the way towards the same place, instead of moving the place; and what an
earlier round has learned, with its noise, is not thrown away.

A record's row x^ and error e^ are whole numbers, |x^| <= B and |e^| <= 3 B. The first vector holds
5 G_ii and 7 G_ij, moved by one record by no more than 25 B^4, squared; the second is moved by no
more than |x^|² |e^|² <= 9 B^4 (see `private_ridge`).

Sources: Wang 2018, "Revisiting differentially private linear regression", arXiv:1803.02596. The
    refinement is Newton's method with the noised matrix for the Hessian; Avella-Medina, Bradshaw
    and Loh 2021, "Differentially private inference via noisy optimization", arXiv:2103.11003.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.fixed_point import (
    HEAD_FRACTION,
    INPUT_FRACTION,
    WEIGHT_FRACTION,
    check_inputs,
    row_weights,
)
from strategies.aggregation.head import Head
from strategies.aggregation.private_ridge import (
    DIAGONAL,
    LONGEST_SHARE,
    PAIR,
    ROW_BOUND,
    SHARPNESS,
    TARGET_BOUND,
    bounded,
)

USUAL_LENGTH = 8.0
"""What rows are brought to by their representation, most of them."""

LONGEST = USUAL_LENGTH * LONGEST_SHARE
"""Length beyond which a row is shortened; the same on every device."""

GRAM_L2_SQUARED = DIAGONAL**2 * ROW_BOUND**4
CROSS_L2_SQUARED = (ROW_BOUND * TARGET_BOUND) ** 2
"""Squared lengths by which one record moves the two vectors."""

# Shares of what noise alone reaches: of the Gram matrix in any direction, and of the errors. Four
# times as much or a quarter of it moves no score by a point where there are labels enough.
_GRAM_PENALTY, _CROSS_PENALTY = 0.3, 0.2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NoisedSum:
    """A vector summed over devices, in its own unit.

    Attributes:
        values: Shape (length,).
        stddev: Of the noise on each number; 0 for none.
    """

    values: NDArray[np.float64]
    stddev: float

    def __post_init__(self) -> None:
        """Refuse noise that is none."""
        if not 0 <= self.stddev < math.inf:
            raise InputError(f"stddev must be finite and not negative, got {self.stddev}")


def gram_length(width: int) -> int:
    """Return how many numbers the products of inputs are."""
    return width * (width + 1) // 2


def gram_products(inputs: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the products of these rows' inputs, each row moving them by GRAM_L2_SQUARED at most.

    Args:
        inputs: What ``Representation.inputs`` gives, without re-centring. Shape (n, p).

    Returns:
        Shape (p (p + 1) / 2,), the upper triangle row by row.
    """
    check_inputs(inputs)
    ones = np.ones((len(inputs), 1))
    rows = bounded(inputs * 2.0**-INPUT_FRACTION / LONGEST, ones, ROW_BOUND)
    gram = rows.T @ rows  # exact: whole numbers below 2^53
    upper, right = np.triu_indices(inputs.shape[1])
    factor = np.where(upper == right, DIAGONAL, PAIR)
    return np.asarray(gram[upper, right].astype(np.int64) * factor)


def cross_products(
    inputs: NDArray[np.float64],
    targets: NDArray[np.float64],
    weight: NDArray[np.float64],
    head: Head,
    *,
    reach: float,
) -> NDArray[np.int64]:
    """Return inputs times the head's errors, each row moving them by CROSS_L2_SQUARED at most.

    Args:
        inputs: Of the items that have a label, without re-centring. Shape (n, p).
        targets: Soft labels; rows sum to 1. Shape (n, k).
        weight: Sample weights, 0 to 1: more than one record's worth would need more noise.
            Shape (n,).
        head: The head so far.
        reach: Errors are cut at this length, where the first head's are 1. Above 0, at most 1.

    Returns:
        Shape (p * k,), row by row.
    """
    check_inputs(inputs)
    steps = row_weights(inputs, weight)
    if steps.max(initial=0) > 2**WEIGHT_FRACTION:
        raise InputError("under differential privacy no record weighs more than 1")
    if not 0 < reach <= 1:
        raise InputError(f"reach must lie above 0, and at 1 at most, got {reach}")
    if targets.shape != (len(inputs), targets.shape[-1]) or targets.shape[1] < 2:
        raise ShapeError("targets", targets.shape, (len(inputs), "2.."))
    if head.weights.shape != (inputs.shape[1], targets.shape[1]):
        raise ShapeError("head", head.weights.shape, (inputs.shape[1], targets.shape[1]))
    if not bool(np.all(targets >= 0)) or not bool(np.all(np.abs(targets.sum(axis=1) - 1) < 1e-4)):
        raise InputError("targets must be probabilities whose rows sum to 1")
    rows, aims = _rows_and_aims(inputs, targets, steps * 2.0**-WEIGHT_FRACTION, head, reach)
    return np.asarray((rows.T @ aims).astype(np.int64).ravel())


def improved(head: Head, gram: NoisedSum, cross: NoisedSum, *, reach: float, weight: float) -> Head:
    """Return the head after one release of its errors.

    Args:
        head: The one whose errors were summed.
        gram: Sum of `gram_products` over every record.
        cross: Sum of `cross_products` over those that have a label.
        reach: What errors were cut at.
        weight: Of all that have a label, together.
    """
    width, classes = head.weights.shape
    if gram.values.shape != (gram_length(width),):
        raise ShapeError("gram", gram.values.shape, (gram_length(width),))
    if cross.values.shape != (width * classes,):
        raise ShapeError("cross", cross.values.shape, (width * classes,))
    upper, right = np.triu_indices(width)
    matrix = np.zeros((width, width))
    matrix[upper, right] = gram.values / np.where(upper == right, DIAGONAL, PAIR) / ROW_BOUND**2
    matrix[right, upper] = matrix[upper, right]
    # nearly every row has the full length, so the trace counts records
    share = weight / max(float(np.trace(matrix)), weight, 1.0)
    across = 2.0 * math.sqrt(width)
    unit = ROW_BOUND * TARGET_BOUND / reach
    penalty = across * math.hypot(
        _GRAM_PENALTY * gram.stddev / PAIR / ROW_BOUND**2 * share,
        _CROSS_PENALTY * cross.stddev / unit,
    )
    eigenvalues, vectors = np.linalg.eigh(matrix * share)
    # without noise: just enough that a direction nobody has seen is no division by zero
    floor = 1e-6 * max(float(eigenvalues[-1]), 1.0)
    held = np.maximum(eigenvalues, 0.0) + max(penalty, floor)
    moved = vectors @ ((vectors.T @ (cross.values.reshape(width, classes) / unit)) / held[:, None])
    scale = SHARPNESS / LONGEST * math.sqrt(1.0 - 1.0 / classes)
    return Head.from_values(head.weights * 2.0**-HEAD_FRACTION + scale * moved)


def _rows_and_aims(
    inputs: NDArray[np.float64],
    targets: NDArray[np.float64],
    weight: NDArray[np.float64],
    head: Head,
    reach: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x^ and e^ of each record, as whole numbers. Shapes (n, p) and (n, k)."""
    classes, shares = targets.shape[1], np.sqrt(weight)[:, None]
    plain = inputs * 2.0**-INPUT_FRACTION
    lengths = np.sqrt((plain**2).sum(axis=1, keepdims=True))
    # the rows that are summed are those the head is asked about, or it would aim beside its target
    short = plain * (LONGEST / np.maximum(lengths, LONGEST))
    said = short @ (head.weights * (2.0**-HEAD_FRACTION / SHARPNESS))
    errors = (targets - 1.0 / classes - said) / math.sqrt(1.0 - 1.0 / classes)
    rows = bounded(short / LONGEST * shares, shares, ROW_BOUND)
    return rows, bounded(errors / reach * shares, shares, TARGET_BOUND)
