"""The federated refinement: expected counts, exchanged as integers.

One exchange: the model travels to the devices, each works out how probable every class is for each
of its items, and returns how often it expects function, vote and class to have met. Probabilities
are rounded to multiples of 2^-20 per item, so their sums are integers and any way of spreading
items over devices gives the same model, bit for bit.

Source: Dawid and Skene 1979, Applied Statistics 28(1), equations 2.3 to 2.5, with weights for
copies, shrinkage to the one-shot fit, and the class balance kept uniform for one-class functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.labeling.anchors import AnchorSummary
from strategies.labeling.evidence import softmax
from strategies.labeling.model import LabelModel, anchor, coin_tables
from strategies.labeling.one_shot import OneShotFit, fit_one_shot
from strategies.labeling.summary import VoteSummary
from strategies.labeling.votes import blocks, cast_votes, checked_votes

UNIT = 1 << 20
ONE_SHOT_VOTES = 30.0  # how many votes the one-shot accuracy is worth
COIN_VOTES = 2.0  # how many votes per class the assumption of uniform errors is worth
SETTLED = 1e-3  # largest change at which another exchange is not worth its cost


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


def expected_counts(model: LabelModel, votes: ArrayLike) -> ExpectedCounts:
    """Return what a device expects under the model, summed over its items.

    Args:
        model: The model as received.
        votes: Shape (n, m), integers, -1 abstains.

    Raises:
        ShapeError, InputError: votes are not a vote matrix of m functions.
    """
    matrix = checked_votes(votes, model.classes, functions=model.functions)
    evidence = model.evidence
    per_class = np.zeros(model.classes, dtype=np.int64)
    tables = np.zeros((model.functions, model.classes, model.classes), dtype=np.int64)
    by_class = tables.reshape(-1, model.classes).T
    for rows in blocks(matrix):
        block = matrix[rows]
        cast = cast_votes(block, model.classes)
        sure = softmax(evidence.gather(cast, len(block)), np.ones(len(block)))
        fixed = np.floor(sure * UNIT + 0.5)
        voted = np.bincount(cast.row, minlength=len(block)) > 0
        per_class += fixed[:, voted].sum(axis=1).astype(np.int64)
        for counts, expected in zip(by_class, fixed, strict=True):
            # integers below 2^53 in float64: these sums are exact
            met = np.bincount(cast.cell, weights=expected[cast.row], minlength=len(counts))
            counts += met.astype(np.int64)
    return ExpectedCounts(
        classes=per_class,
        right=np.trace(tables, axis1=1, axis2=2),
        tables=tables[model.mixed],
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


def fit_across(
    shards: Sequence[ArrayLike],
    *,
    classes: int,
    rounds: int = 3,
    anchors: AnchorSummary | None = None,
) -> LabelModel:
    """Fit over many devices' votes, each touched only by what would run on its device.

    Args:
        shards: One vote matrix per device, (n_i, m); no items is fine. At least one shard.
        classes: Number of classes, k.
        rounds: Exchanges of expected counts at most; 0 is the one-shot fit.
        anchors: The sum of what human answers say about the functions.

    Returns:
        The same bits however the rows are spread over shards.

    Raises:
        InputError: No shards, or a negative number of rounds.
        ShapeError: Shards or anchors with different functions.
    """
    if not len(shards):
        raise InputError("expected at least one shard")
    if rounds < 0:
        raise InputError(f"expected rounds of 0 or more, got {rounds}")
    devices = [checked_votes(shards[0], classes)]
    functions = devices[0].shape[1]
    devices += [checked_votes(shard, classes, functions=functions) for shard in shards[1:]]
    start_sum = VoteSummary.empty(functions=functions, classes=classes)
    total = sum((VoteSummary.from_votes(d, classes=classes) for d in devices), start=start_sum)
    start = fit_one_shot(total)
    model = LabelModel.from_one_shot(start, classes=classes)
    for _ in range(rounds if start.regime.informative else 0):
        counts = reduce(add, (expected_counts(model, device) for device in devices))
        refined = refine(model, counts, start=start, total=total)
        change = _largest_change(model, refined)
        model = refined
        if change < SETTLED:
            break
    return model if anchors is None else anchor(model, anchors, total)


def _largest_change(before: LabelModel, after: LabelModel) -> float:
    """Return how far the parameters moved."""
    pairs = (
        (before.accuracies, after.accuracies),
        (before.mixed_tables, after.mixed_tables),
        (before.prior, after.prior),
    )
    return max((float(np.abs(new - old).max()) for old, new in pairs if old.size), default=0.0)
