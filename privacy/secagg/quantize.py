"""Reals to whole numbers and back, so that masks can hide them: clip, scale, round at random.

Rounding up with the probability of the fraction that is cut off makes each number right on average;
over a cohort the errors cancel instead of adding up. The randomness is from a CSPRNG: whoever could
guess it would know more of a small number than its sum tells.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError
from privacy.secagg.masks import SEED_BYTES, crypt

_DRAW_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantizer:
    """A range of reals on a grid of whole numbers.

    Attributes:
        clip: Greatest absolute value let through, in the unit of what is quantised.
        levels: The whole number that clip becomes; the bound of what is summed.

    >>> Quantizer(clip=1.0, levels=4).decode(np.array([-4, 2]))
    array([-1. ,  0.5])
    """

    clip: float
    levels: int

    def __post_init__(self) -> None:
        if not (np.isfinite(self.clip) and self.clip > 0 and 1 <= self.levels < 1 << 52):
            raise InputError(f"no grid of {self.levels} levels up to {self.clip}")

    def encode(
        self, values: NDArray[np.float64], *, entropy: Callable[[int], bytes]
    ) -> NDArray[np.int64]:
        """Return values on the grid, each right on average up to 2⁻³³ levels.

        Args:
            values: Any shape; what passes clip is cut to it.
            entropy: Gives the 32 bytes that rounding follows from.

        Raises:
            InputError: a value is not a number; it would have no place on the grid.
        """
        if np.isnan(values).any():
            raise InputError("a value to be quantised is not a number")
        scaled = np.clip(values, -self.clip, self.clip) * (self.levels / self.clip)
        draws = crypt(entropy(SEED_BYTES), bytes(_DRAW_BYTES * scaled.size))
        fractions = np.frombuffer(draws, dtype="<u4").reshape(scaled.shape) / 2.0**32
        rounded = np.floor(scaled + fractions).astype(np.int64)
        # a sum just below a whole number may round up to it
        return np.clip(rounded, -self.levels, self.levels)

    def decode(self, total: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return a sum of encoded values in their own unit.

        Decoding a sum is summing the decoded: the grid is linear.
        """
        return total.astype(np.float64) * (self.clip / self.levels)
