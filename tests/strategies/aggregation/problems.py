"""Random head problems in the fixed point of the head, for the tests of this folder."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.aggregation.fixed_point import INPUT_FRACTION


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    inputs: NDArray[np.float64]
    targets: NDArray[np.float64]
    weight: NDArray[np.float64]

    def rows(self, at: NDArray[np.int64]) -> "Problem":
        return Problem(inputs=self.inputs[at], targets=self.targets[at], weight=self.weight[at])


def problem(seed: int, *, items: int, width: int, classes: int) -> Problem:
    """Return classes with different means, noisy soft targets, and uneven weights."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(classes, width))
    truth = rng.integers(classes, size=items)
    real = np.clip(rng.normal(size=(items, width)) + means[truth], -16, 16)
    inputs = np.rint(real * 2**INPUT_FRACTION)
    inputs[:, -1] = 2**INPUT_FRACTION
    targets = 0.9 * np.eye(classes)[truth] + 0.1 / classes
    return Problem(inputs=inputs, targets=targets, weight=rng.uniform(0, 2, size=items))
