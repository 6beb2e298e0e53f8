"""The federated refinement: expected counts, exchanged as integers.

One exchange: the model travels to the devices, each works out how probable every class is for each
of its items, and returns how often it expects function, vote and class to have met. Probabilities
are rounded to multiples of 2^-20 per item, so their sums are integers and any way of spreading
items over devices gives the same model, bit for bit.

Source: Dawid and Skene 1979, Applied Statistics 28(1), equations 2.3 to 2.5, with weights for
copies, shrinkage to the one-shot fit, and the class balance kept uniform for one-class functions.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.labeling.evidence import SHARE_UNIT
from strategies.labeling.incidence import Incidence
from strategies.labeling.kernels import NUMPY, Kernels
from strategies.labeling.model import LabelModel, coin_tables
from strategies.labeling.one_shot import OneShotFit
from strategies.labeling.summary import VoteSummary

UNIT = SHARE_UNIT
ONE_SHOT_VOTES = 30.0  # how many votes the one-shot accuracy is worth
COIN_VOTES = 2.0  # how many votes per class the assumption of uniform errors is worth


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedCounts:
    """Expected counts of one device, or of many, in multiples of 2^-20.

    Attributes:
        classes: Expected items per class, of those with a vote. Shape (k,), int64.
        right: Expected votes for the true class, per function. Shape (m,), int64.
        tables: Expected votes v on items of class c, of the model's mixed functions. Shape
            (r, k, k), int64.
    """

    classes: NDArray[np.int64]
    right: NDArray[np.int64]
    tables: NDArray[np.int64]

    def __add__(self, other: "ExpectedCounts") -> "ExpectedCounts":
        """Return the counts over both sets of items."""
        if self.tables.shape != other.tables.shape or self.right.shape != other.right.shape:
            raise ShapeError("tables", other.tables.shape, self.tables.shape)
        return ExpectedCounts(
            classes=self.classes + other.classes,
            right=self.right + other.right,
            tables=self.tables + other.tables,
        )

    def to_vector(self) -> NDArray[np.int64]:
        """Return the numbers to send: classes, right, tables."""
        return np.concatenate([self.classes, self.right, self.tables.ravel()])

    @classmethod
    def from_vector(cls, vector: NDArray[np.int64], *, model: LabelModel) -> "ExpectedCounts":
        """Return the counts that a device worked out under this model.

        Raises:
            ShapeError: vector has not the length this model asks for.
            InputError: vector does not hold integers.
        """
        k, m, r = model.classes, model.functions, len(model.mixed)
        if vector.shape != (k + m + r * k * k,):
            raise ShapeError("vector", vector.shape, (k + m + r * k * k,))
        if vector.dtype != np.int64:
            raise InputError(f"expected counts are sent as int64, got {vector.dtype}")
        classes, right, tables = np.split(vector, [k, k + m])
        return cls(classes=classes, right=right, tables=tables.reshape(r, k, k))


def expected_counts(
    model: LabelModel, votes: ArrayLike | Incidence, *, kernels: Kernels = NUMPY
) -> ExpectedCounts:
    """Return what a device expects under the model, summed over its items.

    Args:
        model: The model as received.
        votes: Shape (n, m), integers, -1 abstains; or the same as kernels.lay_out returned it,
            which saves laying it out again in every exchange but the first.
        kernels: What does the arithmetic; the result is the same to the bit.

    Raises:
        ShapeError, InputError: votes are not a vote matrix of m functions.
    """
    laid = kernels.laid_out(votes, functions=model.functions, classes=model.classes)
    sums = kernels.posterior_sums(model.evidence, laid)
    return ExpectedCounts(
        classes=sums.classes,
        right=np.trace(sums.tables, axis1=1, axis2=2),
        tables=sums.tables[model.mixed],
    )


def refine(
    model: LabelModel, counts: ExpectedCounts, *, start: OneShotFit, total: VoteSummary
) -> LabelModel:
    """Return the model after one exchange.

    Args:
        model: What the counts were worked out under.
        counts: Summed over all devices.
        start: The one-shot fit, to which accuracies are shrunk.
        total: The summed votes.
    """
    k = model.classes
    cast = total.counts.sum(axis=1)
    shares = counts.right / UNIT + ONE_SHOT_VOTES * start.accuracies
    accuracies = np.clip(shares / (cast + ONE_SHOT_VOTES), 1 / k + 1e-3, 0.995)
    tables = counts.tables / UNIT + COIN_VOTES * coin_tables(accuracies[model.mixed], k)
    prior = model.prior
    if start.regime.every_class:
        prior = (counts.classes / UNIT + 1) / (counts.classes.sum() / UNIT + k)
    return replace(
        model,
        accuracies=accuracies,
        prior=prior,
        balance=prior,
        mixed_tables=tables / tables.sum(axis=1, keepdims=True),
    )
