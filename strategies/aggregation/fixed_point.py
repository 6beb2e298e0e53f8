"""Arithmetic of the head that gives the same bits under any split of the rows.

Everything a device sums is a whole number. The numbers are small enough for float64 to hold every
partial sum exactly, so BLAS may add them in any order, with any kernel, on 1 device or 1,000, and
the total is the same.

Bit budget (a float64 holds whole numbers below 2^53, an int64 below 2^63):

====================  =====  =====================  ==========================================
number                step   bound                  why it fits
====================  =====  =====================  ==========================================
input x               2^-9   |x| <= 16, 13 bits     clipped by the representation
sample weight w       2^-12  w <= 16, 16 bits       checked by ``fixed_weights``
head weight           2^-20  column L1 < 2^20       logit < 2^13 · 2^40 = 2^53, see ``Head``
root row sqrt(w)·x    2^-6   |·| <= 64, 12 bits     rounded row by row, see ``sketch``
sketch term           2^-12  12 + 11 + 12 = 35 bits root · (sum of 2^11 roots), 2^11 rows a block
w·(p - t)             2^-12  16 bits                gradient term 29 bits, 2^11 rows a block
w·loss                2^-16  32 bits                int64
all weights together  2^-12  2^37, 33 million rows  sketch < 2^25 · 2^31 · 1.07, see ``sketch``
====================  =====  =====================  ==========================================

The steps of what is sent are as coarse as learning allows, because every bit is paid for by every
device in every exchange: gradient entries of a few items fit three bytes.

The softmax uses only operations that IEEE 754 rounds in one way (+, -, ·, /, floor, scaling by
powers of two), never the platform's ``exp`` and ``log``, whose last bit differs between machines
and between the body and the tail of a vector loop.
"""

import math

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError

INPUT_FRACTION = 9
INPUT_LIMIT = 1 << 13
WEIGHT_FRACTION = 12
WEIGHT_LIMIT = 1 << 16
HEAD_FRACTION = 20
HEAD_COLUMN_LIMIT = 1 << 40
ROOT_FRACTION = 6
RESIDUAL_FRACTION = 12
LOSS_FRACTION = 16
TOTAL_WEIGHT_LIMIT = 1 << 37
BLOCK_ROWS = 1 << 11
MAX_WIDTH = 2048

# Beyond this a row's loss is cut, so that a diverged head cannot overflow a sum.
LOSS_LIMIT_NATS = 4096.0

# exp(-30) is under the step of the quantised exponentials below.
_EXP_FRACTION = 40
_EXP_FLOOR = -30.0
_LN2 = math.log(2.0)
_EXP_TAYLOR = tuple(1.0 / math.factorial(i) for i in range(12, -1, -1))
_ATANH_TAYLOR = tuple(1.0 / (2 * i + 1) for i in range(10, -1, -1))


def check_inputs(inputs: NDArray[np.float64]) -> None:
    """Refuse inputs that are not whole numbers within the budget.

    Args:
        inputs: Inputs of the head in steps of 2^-9. Shape (n, p).

    Raises:
        ShapeError: inputs is not a matrix of at most 2,048 columns.
        InputError: inputs holds a value that is no whole number, or one beyond 2^13.
    """
    if inputs.ndim != 2 or not 1 <= inputs.shape[1] <= MAX_WIDTH:
        raise ShapeError("inputs", inputs.shape, ("n", f"1..{MAX_WIDTH}"))
    # A NaN fails the comparison too.
    if not bool(np.all(np.abs(inputs) <= INPUT_LIMIT)) or np.any(inputs != np.rint(inputs)):
        raise InputError(
            f"inputs of the head must be whole numbers within ±{INPUT_LIMIT}; "
            "make them with Representation.inputs"
        )


def fixed_weights(weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sample weights in steps of 2^-12, as whole numbers.

    Args:
        weight: Weights between 0 and 16. Shape (n,).

    Raises:
        InputError: A weight is negative, above 16, or not finite.

    >>> fixed_weights(np.array([1.0, 0.25]))
    array([4096., 1024.])
    """
    steps = np.rint(np.asarray(weight, dtype=np.float64) * 2.0**WEIGHT_FRACTION)
    if not bool(np.all((steps >= 0) & (steps <= WEIGHT_LIMIT))):
        raise InputError(f"sample weights must lie in 0..{WEIGHT_LIMIT >> WEIGHT_FRACTION}")
    return steps


def row_weights(inputs: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one fixed-point weight per row of inputs. Shape (n,)."""
    if weight.shape != (len(inputs),):
        raise ShapeError("weight", weight.shape, (len(inputs),))
    return fixed_weights(weight)


def row_blocks(rows: int) -> list[slice]:
    """Cut rows into blocks whose sums a float64 holds exactly."""
    return [slice(start, start + BLOCK_ROWS) for start in range(0, rows, BLOCK_ROWS)]


def check_total_weight(weight: int) -> None:
    """Refuse summed sample weights, in steps of 2^-12, with which a sum could overflow."""
    if not 0 <= weight < TOTAL_WEIGHT_LIMIT:
        raise InputError("summed sample weights must lie in 0..2^25; use smaller weights")


def softmax(
    logits: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return probabilities and log-probabilities of exact logits, the same bits everywhere.

    Args:
        logits: Whole numbers in steps of 2^-(9 + 20). Shape (n, k).

    Returns:
        Probabilities, whose rows sum to 1 up to rounding, and natural log-probabilities. Both (n,
        k).

    >>> softmax(np.zeros((1, 2)))[0]
    array([[0.5, 0.5]])
    """
    shifted, exponentials = _exponentials(logits)
    total = exponentials.sum(axis=1, keepdims=True)
    return exponentials / total, shifted - natural_log(total * 2.0**-_EXP_FRACTION)


def probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities of softmax alone, to the bit. Shape (n, k).

    >>> probabilities(np.zeros((1, 2)))
    array([[0.5, 0.5]])
    """
    _, exponentials = _exponentials(logits)
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def _exponentials(
    logits: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return logits below the largest of their row, and e to them in steps of 2^-40."""
    shifted = (logits - logits.max(axis=1, keepdims=True)) * 2.0 ** -(
        INPUT_FRACTION + HEAD_FRACTION
    )
    # Whole numbers again: their sum is exact, so the order of the classes does not matter.
    return shifted, np.rint(_exp(np.maximum(shifted, _EXP_FLOOR)) * 2.0**_EXP_FRACTION)


def _exp(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return e^x for x in -30..0 with relative error under 1e-13."""
    turns = np.rint(x / _LN2)
    return np.asarray(np.ldexp(_horner(_EXP_TAYLOR, x - turns * _LN2), turns.astype(np.int32)))


def natural_log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ln x for positive x by ln m = 2 atanh((m - 1) / (m + 1)), m near 1."""
    mantissa, exponent = np.frexp(x)
    low = mantissa < math.sqrt(0.5)
    mantissa, exponent = np.where(low, mantissa * 2.0, mantissa), exponent - low
    ratio = (mantissa - 1.0) / (mantissa + 1.0)
    return exponent * _LN2 + 2.0 * ratio * _horner(_ATANH_TAYLOR, ratio * ratio)


def _horner(coefficients: tuple[float, ...], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate a polynomial, highest power first, one rounded operation at a time."""
    total = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total *= x
        total += coefficient
    return total
