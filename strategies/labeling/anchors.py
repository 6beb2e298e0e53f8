"""Anchor summaries: what the few human answers say about the labeling functions, as integers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.labeling.votes import checked_classes, checked_labels, checked_votes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnchorSummary:
    """Votes on items whose true class is known, summed; adds up over devices like VoteSummary.

    Attributes:
        tables: How often function j voted v on an item of class c. Shape (m, k, k), [j, v, c].
        items: How many items of each class were labelled, voted on or not. Shape (k,).

    >>> anchors = AnchorSummary.from_votes([[0, -1], [1, 0]], labels=[0, 1], classes=2)
    >>> anchors.tables.tolist(), anchors.items.tolist()
    ([[[1, 0], [0, 1]], [[0, 1], [0, 0]]], [1, 1])
    """

    tables: NDArray[np.int64]
    items: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.tables.ndim != 3 or self.tables.shape[1] != self.tables.shape[2]:
            raise ShapeError("tables", self.tables.shape, ("m", "k", "k"))
        checked_classes(self.tables.shape[1])
        if self.items.shape != (self.tables.shape[1],):
            raise ShapeError("items", self.items.shape, (self.tables.shape[1],))
        if self.tables.dtype != np.int64 or self.items.dtype != np.int64:
            raise InputError("anchor summaries hold int64")

    @property
    def functions(self) -> int:
        """Number of labeling functions, m."""
        return int(self.tables.shape[0])

    @property
    def classes(self) -> int:
        """Number of classes, k."""
        return int(self.tables.shape[1])

    @property
    def given(self) -> NDArray[np.int64]:
        """How many votes each function gave on anchors. Shape (m,)."""
        return np.asarray(self.tables.sum(axis=(1, 2)), dtype=np.int64)

    @property
    def right(self) -> NDArray[np.int64]:
        """How many of them were right. Shape (m,)."""
        return np.asarray(np.trace(self.tables, axis1=1, axis2=2), dtype=np.int64)

    @classmethod
    def empty(cls, *, functions: int, classes: int) -> "AnchorSummary":
        """Return the summary of no anchors, the start of every sum."""
        checked_classes(classes)
        if functions < 0:
            raise InputError(f"expected a number of functions, got {functions}")
        return cls(
            tables=np.zeros((functions, classes, classes), dtype=np.int64),
            items=np.zeros(classes, dtype=np.int64),
        )

    @classmethod
    def from_votes(cls, votes: ArrayLike, labels: ArrayLike, *, classes: int) -> "AnchorSummary":
        """Sum votes by the true class.

        Args:
            votes: Shape (n, m), integers, -1 abstains.
            labels: True classes. Shape (n,), integers 0 to classes - 1.
            classes: Number of classes, k.

        Raises:
            ShapeError, InputError: votes or labels are not what they should be.
        """
        matrix = checked_votes(votes, classes)
        truth = checked_labels(labels, classes, items=len(matrix))
        items, functions = np.nonzero(matrix >= 0)
        tables = np.zeros((matrix.shape[1], classes, classes), dtype=np.int64)
        np.add.at(tables, (functions, matrix[items, functions], truth[items]), 1)
        return cls(tables=tables, items=np.bincount(truth, minlength=classes))

    def __add__(self, other: "AnchorSummary") -> "AnchorSummary":
        """Return the summary of both sets of anchors."""
        return self._combine(other, 1)

    def __sub__(self, other: "AnchorSummary") -> "AnchorSummary":
        """Take out anchors that were added before, such as a revised answer."""
        return self._combine(other, -1)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AnchorSummary):
            return NotImplemented
        return self.tables.shape == other.tables.shape and bool(
            np.array_equal(self.to_vector(), other.to_vector())
        )

    __hash__ = None  # type: ignore[assignment]  # arrays inside: equal by content, not hashable

    def to_vector(self) -> NDArray[np.int64]:
        """Return the numbers to send: items per class, then the tables."""
        return np.concatenate([self.items, self.tables.ravel()])

    @classmethod
    def from_vector(
        cls, vector: NDArray[np.int64], *, functions: int, classes: int
    ) -> "AnchorSummary":
        """Return the summary that to_vector sent.

        Raises:
            ShapeError: vector has not the length of so many functions and classes.
            InputError: vector does not hold integers.
        """
        checked_classes(classes)
        length = classes + functions * classes * classes
        if vector.shape != (length,):
            raise ShapeError("vector", vector.shape, (length,))
        if vector.dtype != np.int64:
            raise InputError(f"a summary is sent as int64, got {vector.dtype}")
        return cls(
            items=vector[:classes].copy(),
            tables=vector[classes:].reshape(functions, classes, classes).copy(),
        )

    def _combine(self, other: "AnchorSummary", sign: int) -> "AnchorSummary":
        if not isinstance(other, AnchorSummary):
            return NotImplemented
        if self.tables.shape != other.tables.shape:
            raise ShapeError("tables", other.tables.shape, self.tables.shape)
        return AnchorSummary(
            tables=self.tables + sign * other.tables, items=self.items + sign * other.items
        )
