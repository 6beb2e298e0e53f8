"""The exponential, to the same bit on every machine.

A library's exp may differ in the last bit from one processor to the next; then so do rounded sums.
Here the argument is a whole number of 2^-30, its first part is looked up and its rest is a short
polynomial, all in multiplications and additions that IEEE 754 fixes to the bit. The table itself
comes from decimal arithmetic, which is exact by definition.

Source: Tang 1989, ACM TOMS 15(2), "Table-driven implementation of the exponential function", for
the table and the rest; the fixed point is ours.
"""

from decimal import Context, Decimal
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

UNIT = float(1 << 30)
STEP = float(1 << 22)  # table entries are 2^-8 apart; a cubic of the rest errs by 1e-11 at most
STEPS_PER_ONE = 256
FARTHEST = 44  # exp(-44) is 8e-20: nothing beside 1, in any sum we round
MOST = FARTHEST * UNIT - 1
# exp(-r / 256) = 1 - LINEAR r + SQUARE r^2 + CUBIC r^3, for the rest r < 1
LINEAR, SQUARE, CUBIC = 2.0**-8, 2.0**-17, -(2.0**-24) / 6


@lru_cache(maxsize=1)
def table() -> NDArray[np.float64]:
    """Return exp(-i / 256) for every i below 44 * 256, the same bits everywhere."""
    context = Context(prec=30)
    whole = [float(context.exp(Decimal(-i))) for i in range(FARTHEST)]
    parts = [float(context.exp(Decimal(-i) / Decimal(STEPS_PER_ONE))) for i in range(STEPS_PER_ONE)]
    entries = np.outer(whole, parts).ravel()
    entries.flags.writeable = False
    return entries


def exp_negative(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return exp(-distance * 2^-30).

    Args:
        distance: Whole numbers, 0 or more; beyond 44 * 2^30 they count as just below that.

    Returns:
        Of the same shape, within 1e-11 of the true value, relative. exp_negative(0) is 1.

    >>> exp_negative(np.array([0.0, UNIT])).round(9).tolist()
    [1.0, 0.367879441]
    """
    steps = np.minimum(distance, MOST)
    steps *= 1 / STEP
    whole = np.floor(steps)
    rest = np.subtract(steps, whole, out=steps)
    value = rest * CUBIC
    value += SQUARE
    value *= rest
    value -= LINEAR
    value *= rest
    value += 1.0
    value *= table().take(whole.astype(np.intp))
    return np.asarray(value)
