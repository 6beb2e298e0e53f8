"""What a simulated fleet is made of: labelled items, each on one device."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import DataError


class PlantedSpan(NamedTuple):
    """A piece of made-up personal data whose place in its text is known."""

    start: int
    """First code point of the span."""
    end: int
    """One past the last code point."""
    kind: str
    """What it is: NAME, PHONE, EMAIL and so on."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Items with their true labels and the device each lives on; rows or texts, never both.

    Attributes:
        name: What reports call it.
        classes: The name of each class. Length k, at least two.
        labels: The true class of each item. Shape (n,), int64, 0..k-1.
        device: The device that holds each item. Shape (n,), int64, every one of 0..c-1 occurs.
        features: Rows of numbers, NaN where a value is missing. Shape (n, d), float64, or None.
        feature_names: The d column names; empty for texts.
        texts: One string per item, or None.
        planted: The planted spans of each text; empty where nothing is known to be planted.
    """

    name: str
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    device: NDArray[np.int64]
    features: NDArray[np.float64] | None = None
    feature_names: tuple[str, ...] = ()
    texts: tuple[str, ...] | None = None
    planted: tuple[tuple[PlantedSpan, ...], ...] = ()

    def __post_init__(self) -> None:
        """Refuse a data set that contradicts itself."""
        items = len(self.labels)
        if (self.features is None) == (self.texts is None):
            raise DataError(f"data set {self.name}: give features or texts, one of the two")
        content = len(self.features) if self.features is not None else len(self.texts or ())
        if not items == len(self.device) == content:
            raise DataError(
                f"data set {self.name}: {content} items, {items} labels and {len(self.device)} "
                "devices; give one label and one device per item"
            )
        if self.planted and len(self.planted) != items:
            raise DataError(f"data set {self.name}: planted spans for some items only")
        if self.features is not None:
            self._check_features(self.features)
        if len(self.classes) < 2:
            raise DataError(
                f"data set {self.name}: one class only; a model needs two to tell apart"
            )
        if items == 0 or self.labels.min() < 0 or self.labels.max() >= len(self.classes):
            raise DataError(f"data set {self.name}: a label outside 0..{len(self.classes) - 1}")
        present = np.unique(self.device)
        if len(present) < 2:
            raise DataError(f"data set {self.name}: one device only; a fleet has at least two")
        if present[0] != 0 or present[-1] != len(present) - 1:
            raise DataError(f"data set {self.name}: devices must be numbered 0..c-1 without gaps")

    def _check_features(self, features: NDArray[np.float64]) -> None:
        """Refuse a table without columns, with unnamed ones, or with an infinite value."""
        if features.ndim != 2 or features.shape[1] == 0:
            raise DataError(
                f"data set {self.name}: features have shape {features.shape}, not (n, d)"
            )
        if len(set(self.feature_names)) != features.shape[1]:
            raise DataError(
                f"data set {self.name}: name each of the {features.shape[1]} columns once"
            )
        if np.isinf(features).any():
            raise DataError(f"data set {self.name}: features hold infinity; mark missing as NaN")

    @property
    def items(self) -> int:
        """How many items there are, n."""
        return len(self.labels)

    @property
    def devices(self) -> int:
        """How many devices there are, c."""
        return int(self.device.max()) + 1


def training_medians(
    features: NDArray[np.float64], rows: NDArray[np.int64] | NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return each column's median over the rows a fleet may learn from.

    Args:
        features: Shape (n, d); NaN is missing and does not count.
        rows: Positions or a mask of the training devices' items.

    Returns:
        Shape (d,). A column with no value at all in these rows gets 0.

    >>> table = np.array([[1.0, np.nan], [3.0, np.nan], [900.0, 7.0]])
    >>> training_medians(table, np.array([0, 1]))
    array([2., 0.])
    """
    known = features[rows]
    medians = np.zeros(features.shape[1])
    filled = ~np.isnan(known).all(axis=0)
    if filled.any():
        medians[filled] = np.nanmedian(known[:, filled], axis=0)
    return medians


def fill_missing(
    features: NDArray[np.float64], medians: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the features with every NaN replaced by its column's median.

    >>> fill_missing(np.array([[np.nan, 5.0]]), np.array([2.0, 0.0]))
    array([[2., 5.]])
    """
    return np.where(np.isnan(features), medians, features)
