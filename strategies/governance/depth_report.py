"""Which layers learned from which confidence: counts that add up over devices and rounds.

A row for each band of confidence of voted labels, and one each for pseudo-labels and people's
answers. Weights are counted in the fixed point of training, item by item, so the sum over any split
of the items has the same bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.fixed_point import WEIGHT_FRACTION, fixed_weights
from strategies.governance.confidence import (
    Depth,
    Governed,
    Source,
    checked_probabilities,
    checked_sources,
)

BAND_EDGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
BANDS = (
    "below 0.5",
    *(f"{low} to {high}" for low, high in pairwise(BAND_EDGES)),
    "0.99 and above",
    "pseudo-labels",
    "verified",
)
_PSEUDO, _VERIFIED = len(BANDS) - 2, len(BANDS) - 1

Row = dict[str, str | int | float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DepthReport:
    """How many samples of which band taught how deep, and with what weight.

    Attributes:
        counts: At [band, depth]. Shape (bands, 3), int64.
        weights: Their summed weights in steps of 2^-12. Shape (bands, 3), int64.
        clipped: How many weights were cut.
    """

    counts: NDArray[np.int64]
    weights: NDArray[np.int64]
    clipped: int

    def __post_init__(self) -> None:
        for name, table in (("counts", self.counts), ("weights", self.weights)):
            if table.shape != (len(BANDS), len(Depth)):
                raise ShapeError(name, table.shape, (len(BANDS), len(Depth)))
            if table.dtype != np.int64:
                raise InputError(f"{name} of a depth report are int64, got {table.dtype}")

    @classmethod
    def none(cls) -> "DepthReport":
        """Return the report of nothing, the start of every sum."""
        empty = np.zeros((len(BANDS), len(Depth)), dtype=np.int64)
        return cls(counts=empty, weights=empty, clipped=0)

    @classmethod
    def of(
        cls, probabilities: ArrayLike, governed: Governed, *, source: ArrayLike | None = None
    ) -> "DepthReport":
        """Count what one device's samples taught.

        Args:
            probabilities: What ``govern`` was given. Shape (n, k).
            governed: What it said.
            source: What it was given. Shape (n,).
        """
        p = checked_probabilities(probabilities)
        if governed.depth.shape != (len(p),):
            raise ShapeError("depth", governed.depth.shape, (len(p),))
        origin = checked_sources(source, len(p))
        band = np.searchsorted(np.asarray(BAND_EDGES), p.max(axis=1), side="right")
        band = np.where(origin == Source.PSEUDO, _PSEUDO, band)
        band = np.where(origin == Source.VERIFIED, _VERIFIED, band)
        counts, weights = (np.zeros((len(BANDS), len(Depth)), dtype=np.int64) for _ in range(2))
        np.add.at(counts, (band, governed.depth), 1)
        np.add.at(weights, (band, governed.depth), fixed_weights(governed.weight).astype(np.int64))
        return cls(counts=counts, weights=weights, clipped=int(governed.clipped.sum()))

    def __add__(self, other: "DepthReport") -> "DepthReport":
        """Return the report over both sets of samples."""
        if not isinstance(other, DepthReport):
            return NotImplemented
        return DepthReport(
            counts=self.counts + other.counts,
            weights=self.weights + other.weights,
            clipped=self.clipped + other.clipped,
        )

    @property
    def deep_share(self) -> float:
        """Share of the samples that teach anything which teach all layers; 0 for none."""
        taught = self.counts[:, Depth.HEAD :].sum()
        return float(self.counts[:, Depth.ALL].sum() / max(int(taught), 1))

    def to_vector(self) -> NDArray[np.int64]:
        """Return the numbers to send."""
        last = np.array([self.clipped], dtype=np.int64)
        return np.concatenate([self.counts.ravel(), self.weights.ravel(), last])

    @classmethod
    def from_vector(cls, vector: NDArray[np.int64]) -> "DepthReport":
        """Return the report that to_vector sent.

        Raises:
            ShapeError, InputError: vector is not such numbers.
        """
        cells = len(BANDS) * len(Depth)
        if vector.shape != (2 * cells + 1,):
            raise ShapeError("vector", vector.shape, (2 * cells + 1,))
        if vector.dtype != np.int64:
            raise InputError(f"a depth report is sent as int64, got {vector.dtype}")
        counts, weights = vector[:-1].reshape(2, len(BANDS), len(Depth))
        return cls(counts=counts.copy(), weights=weights.copy(), clipped=int(vector[-1]))

    def to_rows(self, *, layers: Sequence[str], head: str) -> list[Row]:
        """Return which layer learned from which band, as lines to print.

        Args:
            layers: Names of all trained layers.
            head: Which of them is the head.

        Raises:
            InputError: head is none of the layers.
        """
        if head not in layers:
            raise InputError(f"the head {head!r} is none of the layers")
        rows: list[Row] = []
        for band, counts, weights in zip(BANDS, self.counts, self.weights, strict=True):
            deep, shallow = int(counts[Depth.ALL]), int(counts[Depth.HEAD])
            row: Row = {"band": band, "asked": int(counts[Depth.QUERY])}
            row |= {layer: deep + (shallow if layer == head else 0) for layer in layers}
            rows.append({**row, "weight": float(weights.sum()) * 2.0**-WEIGHT_FRACTION})
        return rows
