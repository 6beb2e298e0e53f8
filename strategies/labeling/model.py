"""The label model: from summed votes to probabilistic labels.

Fitted by a coordinator from sums (LabelModel.fit), sent to devices as one vector, applied there.
With anchors, human answers correct it (strategies.labeling.anchors). What fits is imported where a
model is fitted: a device only applies one.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.labeling import evidence
from strategies.labeling.anchors import AnchorSummary
from strategies.labeling.kernels import NUMPY, Kernels
from strategies.labeling.summary import VoteSummary
from strategies.labeling.votes import checked_classes, checked_votes

if TYPE_CHECKING:
    from strategies.labeling.one_shot import OneShotFit

ANCHOR_ITEMS = 20.0  # how many answers weigh as much as the class balance known before
HEADER = 3  # functions, classes, damping


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelModel:
    """What is known about each labeling function, ready to turn votes into probabilities.

    Attributes:
        accuracies: How often a function is right when it votes. Shape (m,).
        weights: How much of an independent voice it is: 1, or less for copies. Shape (m,).
        prior: Probabilities of the classes for an item without votes. Shape (k,).
        balance: The prior the votes are added to. Shape (k,). Uniform where functions vote for one
            class each: such votes are read as precisions, which hold the class balance already.
        mixed: Positions of the functions with a confusion table; the others err uniformly.
            Shape (r,), ascending.
        mixed_tables: Probability of vote v given class c, at [r, v, c]. Shape (r, k, k).
        damping: How far many votes are worth less than their sum; 0 for independent ones.
        temperature: Factor on all evidence: below 1 for less confidence, 1 as fitted.

    >>> votes = np.array([[0, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, 1]] * 20)
    >>> model = LabelModel.fit(VoteSummary.from_votes(votes, classes=2))
    >>> model.predict([[0, 0, 1], [-1, -1, -1]]).argmax(axis=1).tolist()
    [0, 0]
    """

    accuracies: NDArray[np.float64]
    weights: NDArray[np.float64]
    prior: NDArray[np.float64]
    balance: NDArray[np.float64]
    mixed: NDArray[np.int64]
    mixed_tables: NDArray[np.float64]
    damping: float
    temperature: float = 1.0

    def __post_init__(self) -> None:
        functions, classes = len(self.accuracies), len(self.prior)
        checked_classes(classes)
        for name, shape in (
            ("weights", (functions,)),
            ("balance", (classes,)),
            ("mixed_tables", (len(self.mixed), classes, classes)),
        ):
            if getattr(self, name).shape != shape:
                raise ShapeError(name, getattr(self, name).shape, shape)

    @property
    def classes(self) -> int:
        """Number of classes, k."""
        return len(self.prior)

    @property
    def functions(self) -> int:
        """Number of labeling functions, m."""
        return len(self.accuracies)

    @property
    def tables(self) -> NDArray[np.float64]:
        """Probability of vote v given class c, at [j, v, c]. Shape (m, k, k)."""
        tables = coin_tables(self.accuracies, self.classes)
        tables[self.mixed] = self.mixed_tables
        return tables

    @property
    def evidence(self) -> evidence.Evidence:
        """What each vote says, in fixed point."""
        tables, balance = self.tables, self.balance
        if self.temperature != 1.0:
            tables, balance = tables**self.temperature, balance**self.temperature
        return evidence.Evidence.of(tables, balance, self.weights)

    @classmethod
    def fit(
        cls, total: VoteSummary, anchors: AnchorSummary | None = None, *, noise: float = 0.0
    ) -> "LabelModel":
        """Fit from summed votes, in one shot.

        Args:
            total: The sum of all devices' summaries.
            anchors: The sum of what human answers say about the functions. Its items should be
                drawn at random, for their classes are taken as the class balance.
            noise: Standard deviation of the noise on each number of total but the items, where
                differential privacy put some. What noise drowns falls back to a majority vote.

        Raises:
            ShapeError: anchors are about other functions or classes.
            InputError: noise is negative or not finite.
        """
        from strategies.labeling.one_shot import fit_one_shot

        if not 0 <= noise < np.inf:
            raise InputError(f"expected noise of 0 or more, got {noise}")
        checked_anchors(anchors, functions=total.functions, classes=total.classes)
        start = fit_one_shot(total, anchors, noise=noise)
        model = conclude(cls.from_one_shot(start, classes=total.classes), start, total, noise=noise)
        return model if anchors is None else anchor(model, anchors, total)

    @classmethod
    def from_one_shot(cls, fit: "OneShotFit", *, classes: int) -> "LabelModel":
        """Return the model of a one-shot fit: uniform errors and classes."""
        mixed = np.flatnonzero(fit.regime.mixed)
        uniform = np.full(classes, 1 / classes)
        return cls(
            accuracies=fit.accuracies,
            weights=fit.weights,
            prior=uniform,
            balance=uniform,
            mixed=mixed,
            mixed_tables=coin_tables(fit.accuracies[mixed], classes),
            damping=evidence.DAMPING if fit.regime.informative else 0.0,
        )

    def predict(self, votes: ArrayLike, *, kernels: Kernels = NUMPY) -> NDArray[np.float64]:
        """Return the class probabilities of each item.

        Args:
            votes: Shape (n, m), integers, -1 abstains.
            kernels: What does the arithmetic; the result is the same to the bit.

        Returns:
            Shape (n, k), rows sum to 1; the prior where nobody voted. A row depends on its own
            votes only, to the last bit.

        Raises:
            ShapeError, InputError: votes are not a vote matrix of m functions.
        """
        matrix = checked_votes(votes, self.classes, functions=self.functions)
        laid = kernels.lay_out(matrix, self.classes)
        return kernels.probabilities(self.evidence, laid, prior=self.prior, damping=self.damping)

    def to_vector(self) -> NDArray[np.float64]:
        """Return the parameters as one vector; predictions of the copy are the same bits."""
        is_mixed = np.zeros(self.functions)
        is_mixed[self.mixed] = 1.0
        return np.concatenate(
            [
                np.array([self.functions, self.classes, self.damping]),
                self.prior,
                self.balance,
                self.accuracies,
                self.weights,
                is_mixed,
                self.mixed_tables.ravel(),
                np.array([self.temperature]),
            ]
        )

    @classmethod
    def from_vector(cls, vector: NDArray[np.float64]) -> "LabelModel":
        """Return the model that to_vector sent.

        Raises:
            ShapeError: vector has not the length its first two numbers ask for.
            InputError: A number that is not finite, or first numbers that are not sizes.
        """
        numbers = np.asarray(vector, dtype=np.float64)
        if numbers.ndim != 1 or len(numbers) < HEADER:
            raise ShapeError("vector", numbers.shape, (f"at least {HEADER}",))
        if not np.isfinite(numbers).all() or numbers[0] < 0 or (numbers[:2] % 1).any():
            raise InputError("a label model's vector holds finite numbers and starts with m, k")
        if numbers[-1] <= 0:
            raise InputError("a label model's vector ends with its temperature, above 0")
        functions, classes = int(numbers[0]), checked_classes(int(numbers[1]))
        short = HEADER + 2 * classes + 3 * functions + 1
        if len(numbers) < short:
            raise ShapeError("vector", numbers.shape, (f"at least {short}",))
        bounds = np.cumsum([HEADER, classes, classes, functions, functions, functions])
        _, prior, balance, accuracies, weights, is_mixed, tables = np.split(numbers[:-1], bounds)
        mixed = np.flatnonzero(is_mixed)
        if len(tables) != len(mixed) * classes**2:
            raise ShapeError("vector", numbers.shape, (short + len(mixed) * classes**2,))
        return cls(
            accuracies=accuracies.copy(),
            weights=weights.copy(),
            prior=prior.copy(),
            balance=balance.copy(),
            mixed=mixed,
            mixed_tables=tables.reshape(len(mixed), classes, classes).copy(),
            damping=float(numbers[2]),
            temperature=float(numbers[-1]),
        )


def coin_tables(accuracies: NDArray[np.float64], classes: int) -> NDArray[np.float64]:
    """Return tables of functions that are right with their accuracy and err uniformly.

    >>> coin_tables(np.array([0.75]), 2).tolist()
    [[[0.75, 0.25], [0.25, 0.75]]]
    """
    wrong = (1 - accuracies) / (classes - 1)
    tables = np.repeat(wrong, classes**2).reshape(len(accuracies), classes, classes)
    diagonal = np.arange(classes)
    tables[:, diagonal, diagonal] = accuracies[:, None]
    return tables


def conclude(
    model: LabelModel, start: "OneShotFit", total: VoteSummary, *, noise: float = 0.0
) -> LabelModel:
    """Return the fitted model as it is to be used: hedged where functions vote for one class each.

    Args:
        model: After the last exchange of expected counts, or the one-shot model.
        start: The one-shot fit it began from.
        total: The summed votes.
        noise: Standard deviation of the noise on each number of total.
    """
    from strategies.labeling.one_class import hedged_accuracies, hedged_weights, unvoted_prior

    if start.regime.every_class or not start.regime.informative:
        return model
    coins = np.setdiff1d(np.arange(model.functions), model.mixed)
    weights = hedged_weights(model.weights)
    return replace(
        model,
        accuracies=hedged_accuracies(model.accuracies, weights, total, coins, noise=noise),
        weights=weights,
        prior=unvoted_prior(total, coins, noise=noise),
    )


def checked_anchors(anchors: AnchorSummary | None, *, functions: int, classes: int) -> None:
    """Refuse anchors that are about other functions or classes.

    Raises:
        ShapeError: They are.
    """
    expected = (functions, classes, classes)
    if anchors is not None and anchors.tables.shape != expected:
        raise ShapeError("anchors", anchors.tables.shape, expected)


def anchor(model: LabelModel, anchors: AnchorSummary, total: VoteSummary) -> LabelModel:
    """Return the model corrected by human answers.

    One-class functions: the share of right votes, shrunk to that of all functions of the same
    class, and that to that of all functions; the more answers, the less what conflict suggested
    about them and about copies counts. Mixed functions: the confusion table, shrunk to what
    it was. The prior: the classes of the answered items, shrunk to what it was. No answers change
    nothing.

    Raises:
        ShapeError: anchors are about other functions or classes.
    """
    from strategies.labeling.one_class import (
        ANCHOR_VOTES,
        anchored_precisions,
        half_known_balance,
    )

    checked_anchors(anchors, functions=model.functions, classes=model.classes)
    answered = float(anchors.items.sum())
    kept = ANCHOR_ITEMS / (answered + ANCHOR_ITEMS)
    tables = anchors.tables[model.mixed] + ANCHOR_VOTES * model.mixed_tables
    prior = anchors.items / (answered + ANCHOR_ITEMS) + kept * model.prior
    anchored = replace(
        model,
        prior=prior,
        balance=prior,
        mixed_tables=tables / tables.sum(axis=1, keepdims=True),
    )
    coins = np.setdiff1d(np.arange(model.functions), model.mixed)
    if not len(coins):
        return anchored
    accuracies = model.accuracies.copy()
    accuracies[coins] = anchored_precisions(model.accuracies, anchors, total, coins, kept=kept)
    return replace(
        anchored,
        accuracies=accuracies,
        weights=model.weights**kept,
        balance=half_known_balance(model.balance, anchors.items, kept=kept),
    )
