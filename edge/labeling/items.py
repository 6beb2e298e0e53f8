"""Items as labeling functions see them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Items:
    """Texts or rows, with what the model says of them where it was asked.

    Attributes:
        texts: n texts, or None.
        rows: Field values, NaN where missing. Shape (n, d), or None.
        names: Names of the d fields.
        probabilities: What the model says. Shape (n, k), or None.
    """

    texts: Sequence[str] | None = None
    rows: NDArray[np.float64] | None = None
    names: tuple[str, ...] = ()
    probabilities: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Refuse parts that do not speak of the same items."""
        if self.rows is not None and self.rows.shape != (len(self.rows), len(self.names)):
            raise ShapeError("rows", self.rows.shape, ("n", len(self.names)))
        if self.probabilities is not None and self.probabilities.ndim != 2:
            raise ShapeError("probabilities", self.probabilities.shape, ("n", "k"))
        parts = [part for part in (self.texts, self.rows, self.probabilities) if part is not None]
        lengths = {len(part) for part in parts}
        if len(lengths) != 1:
            raise InputError(f"items: expected parts of one length, got {sorted(lengths)}")

    def __len__(self) -> int:
        """Return the number of items, n."""
        parts = (self.texts, self.rows, self.probabilities)
        return next(len(part) for part in parts if part is not None)

    def column(self, name: str) -> NDArray[np.float64]:
        """Return the values of one field. Shape (n,).

        Raises:
            InputError: The items have no such field.
        """
        if self.rows is None or name not in self.names:
            raise InputError(f"items have no field '{name}'")
        values: NDArray[np.float64] = self.rows[:, self.names.index(name)]
        return values
