"""Vote summaries over time: the last windows exactly, or all of them with the old ones fading.

Functions drift, and what they said a year ago should not outvote what they say now. Both kinds of
memory hold sums only, so they live at the coordinator and no device is asked twice.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.labeling.summary import VoteSummary

FRACTION_BITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SlidingWindow:
    """The sum of the last windows, to the unit.

    Attributes:
        length: How many windows count.
        total: Their sum.
        windows: They themselves, oldest first; each is subtracted again when its time is over.

    >>> new = VoteSummary.from_votes([[0, 0]], classes=2)
    >>> memory = SlidingWindow.empty(2, functions=2, classes=2)
    >>> memory.push(new).push(new).push(new).total.items
    2
    """

    length: int
    total: VoteSummary
    windows: tuple[VoteSummary, ...] = ()

    def __post_init__(self) -> None:
        if self.length < 1:
            raise InputError(f"expected a length of at least one window, got {self.length}")
        if len(self.windows) > self.length:
            raise InputError(f"{len(self.windows)} windows where {self.length} count")

    @classmethod
    def empty(cls, length: int, *, functions: int, classes: int) -> "SlidingWindow":
        """Return the memory of nothing."""
        return cls(length=length, total=VoteSummary.empty(functions=functions, classes=classes))

    def push(self, window: VoteSummary) -> "SlidingWindow":
        """Return the memory with a new window, the oldest gone if there were as many as count.

        Raises:
            ShapeError: The window is about other functions or classes.
        """
        total, windows = self.total + window, (*self.windows, window)
        if len(windows) > self.length:
            total, windows = total - windows[0], windows[1:]
        return SlidingWindow(length=self.length, total=total, windows=windows)

    def retire(self, positions: tuple[int, ...]) -> "SlidingWindow":
        """Return the memory as if the functions at these positions had never voted."""
        return SlidingWindow(
            length=self.length,
            total=self.total.retire(positions),
            windows=tuple(window.retire(positions) for window in self.windows),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FadingSum:
    """The sum of all windows, each worth a factor less than the one after it.

    Kept in multiples of 2^-16, in integers: the same windows give the same bits on any machine.
    Fading rounds down, by less than 2^-16 per number and window; over all time the sum is therefore
    short by less than 2^-16 / (1 - factor), which for a factor up to 0.999 is less than 1/65 of one
    vote. Rounding down keeps the order of numbers: agreements never pass co-votes.

    Attributes:
        factor: What a window is worth when the next has come, in multiples of 2^-16.
        functions: Number of labeling functions, m.
        classes: Number of classes, k.
        vector: VoteSummary.to_vector, in multiples of 2^-16. int64.

    >>> new = VoteSummary.from_votes([[0, 0]] * 8, classes=2)
    >>> memory = FadingSum.empty(0.5, functions=2, classes=2)
    >>> memory.push(new).push(new).total.items
    12
    """

    factor: int
    functions: int
    classes: int
    vector: NDArray[np.int64] = field(repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.factor <= 1 << FRACTION_BITS:
            raise InputError("expected a factor between 0 and 1")
        length = VoteSummary.vector_length(functions=self.functions, classes=self.classes)
        if self.vector.shape != (length,):
            raise ShapeError("vector", self.vector.shape, (length,))
        if self.vector.dtype != np.int64:
            raise InputError(f"a fading sum holds int64, got {self.vector.dtype}")

    @classmethod
    def empty(cls, factor: float, *, functions: int, classes: int) -> "FadingSum":
        """Return the memory of nothing.

        Args:
            factor: 0 remembers the last window only, 1 all of them alike; 1 - 1 / w remembers about
                w windows. Rounded to a multiple of 2^-16.
            functions: Number of labeling functions, m.
            classes: Number of classes, k.
        """
        if not 0 <= factor <= 1:
            raise InputError(f"expected a factor between 0 and 1, got {factor}")
        length = VoteSummary.vector_length(functions=functions, classes=classes)
        return cls(
            factor=round(factor * (1 << FRACTION_BITS)),
            functions=functions,
            classes=classes,
            vector=np.zeros(length, dtype=np.int64),
        )

    @property
    def total(self) -> VoteSummary:
        """The sum so far, rounded down to whole votes."""
        return VoteSummary.from_vector(
            self.vector >> FRACTION_BITS, functions=self.functions, classes=self.classes
        )

    def push(self, window: VoteSummary) -> "FadingSum":
        """Return the memory with a new window, all before it faded by one factor.

        Raises:
            ShapeError: The window is about other functions or classes.
        """
        if (window.functions, window.classes) != (self.functions, self.classes):
            raise ShapeError("window", window.counts.shape, (self.functions, self.classes))
        # in two parts, for a count times the factor times 2^16 may not fit 64 bits
        whole, fraction = self.vector >> FRACTION_BITS, self.vector & ((1 << FRACTION_BITS) - 1)
        faded = whole * self.factor + ((fraction * self.factor) >> FRACTION_BITS)
        return FadingSum(
            factor=self.factor,
            functions=self.functions,
            classes=self.classes,
            vector=faded + (window.to_vector() << FRACTION_BITS),
        )
