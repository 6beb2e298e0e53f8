"""A made fleet whose truth is known: inputs, votes, a planted bad function, a head by Newton."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from strategies.aggregation.fixed_point import INPUT_FRACTION
from strategies.aggregation.head import Head, predict
from strategies.governance.influence import TaughtItems
from strategies.labeling import LabelModel, VoteSummary

CLASSES = 4
L2 = 1.0
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    inputs: Matrix  # in steps of 2^-9, the last column is 1
    truth: NDArray[np.int64]
    votes: NDArray[np.int8]

    def rows(self, at: slice | NDArray[np.int64]) -> "Fleet":
        return Fleet(inputs=self.inputs[at], truth=self.truth[at], votes=self.votes[at])

    def without(self, function: int) -> "Fleet":
        return replace(self, votes=np.delete(self.votes, function, axis=1))

    @property
    def voted(self) -> Matrix:
        return np.asarray((self.votes >= 0).any(axis=1), dtype=np.float64)


def fleet(seed: int, *, items: int = 1500, functions: int = 7, width: int = 8) -> Fleet:
    """Honest functions: right in 65 to 85 % of cases, silent in 65 %."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(CLASSES, width)) * 1.1
    truth = rng.integers(CLASSES, size=items)
    return fleet_of(rng.normal(size=(items, width)) + means[truth], truth, rng, functions=functions)


def fleet_of(
    features: Matrix, truth: NDArray[np.int64], rng: Generator, *, functions: int
) -> Fleet:
    """Honest votes on given items."""
    items = len(truth)
    accuracies = rng.uniform(0.65, 0.85, functions)
    wrong = (truth[:, None] + rng.integers(1, CLASSES, (items, functions))) % CLASSES
    votes = np.where(rng.random((items, functions)) < accuracies, truth[:, None], wrong)
    votes = np.where(rng.random((items, functions)) < 0.65, -1, votes).astype(np.int8)
    inputs = np.rint(np.clip(np.c_[features, np.ones(items)], -16, 16) * 2**INPUT_FRACTION)
    return Fleet(inputs=inputs, truth=truth, votes=votes)


def with_bad_function(made: Fleet, seed: int) -> tuple[Fleet, int]:
    """Plant a function at a random place that calls one class by another's name.

    On all other classes it is as good as any, so that the label model trusts it.
    """
    rng = np.random.default_rng([seed, 1])
    mistaken = int(rng.integers(CLASSES))
    called = (mistaken + int(rng.integers(1, CLASSES))) % CLASSES
    items = len(made.truth)
    wrong = (made.truth + rng.integers(1, CLASSES, items)) % CLASSES
    votes = np.where(rng.random(items) < 0.8, made.truth, wrong)
    votes = np.where(made.truth == mistaken, called, votes)
    votes = np.where(rng.random(items) < 0.1, -1, votes)
    at = int(rng.integers(made.votes.shape[1] + 1))
    return replace(made, votes=np.insert(made.votes, at, votes, axis=1).astype(np.int8)), at


def label_model(made: Fleet) -> LabelModel:
    return LabelModel.fit(VoteSummary.from_votes(made.votes, classes=CLASSES))


def trained(made: Fleet) -> tuple[LabelModel, Head]:
    """The label model and the head of its labels on all items with a vote."""
    labeler = label_model(made)
    return labeler, newton(made.inputs, labeler.predict(made.votes), made.voted)


def taught(made: Fleet) -> TaughtItems:
    return TaughtItems(inputs=made.inputs, votes=made.votes, weight=made.voted)


def real(inputs: Matrix) -> Matrix:
    return inputs * 2.0**-INPUT_FRACTION


def curvature(inputs: Matrix, weight: Matrix, head: Head) -> Matrix:
    """The Hessian of the summed loss, formed the slow way. Shape (p * k, p * k)."""
    x, p = real(inputs), predict(inputs, head)
    inner = np.einsum("nc,cd->ncd", p, np.eye(p.shape[1])) - p[:, :, None] * p[:, None, :]
    size = x.shape[1] * p.shape[1]
    full = np.einsum("n,np,nq,ncd->pcqd", weight, x, x, inner, optimize=True)
    return np.asarray(full.reshape(size, size))


def newton(
    inputs: Matrix,
    targets: Matrix,
    weight: Matrix,
    *,
    hold: Callable[[Matrix], tuple[Matrix, Matrix]] | None = None,
    previous: Head | None = None,
    steps: int = 25,
) -> Head:
    """Minimise the loss, ½·L2·|W|² and what `hold` adds by its gradient and diagonal curvature."""
    x = real(inputs)
    before = previous or Head.zeros(width=x.shape[1], classes=CLASSES)
    flat = before.values.ravel()
    for _ in range(steps):
        head = Head.from_values(flat.reshape(-1, CLASSES))
        residual = weight[:, None] * (predict(inputs, head) - targets)
        gradient = (x.T @ residual).ravel() + L2 * flat
        bend = curvature(inputs, weight, head) + L2 * np.eye(len(flat))
        if hold is not None:
            more, diagonal = hold(flat)
            gradient, bend = gradient + more, bend + np.diag(diagonal)
        step = np.linalg.solve(bend, gradient)
        flat = flat - step * min(1.0, 4.0 / float(np.abs(step).max()))
        if float(np.abs(step).max()) < 1e-6:
            break
    return Head.from_values(flat.reshape(-1, CLASSES))


def with_one_voice_for(made: Fleet, label: int) -> Fleet:
    """Only function 0 ever votes for this class, and it does so on most items of it."""
    votes = np.where(made.votes == label, -1, made.votes)
    found = (made.truth == label) & (np.random.default_rng(label).random(len(votes)) < 0.8)
    votes[:, 0] = np.where(found, label, votes[:, 0])
    return replace(made, votes=votes.astype(np.int8))


def accuracy(head: Head, made: Fleet) -> float:
    return float((predict(made.inputs, head).argmax(axis=1) == made.truth).mean())


def held_out_loss(head: Head, made: Fleet) -> float:
    p = predict(made.inputs, head)[np.arange(len(made.truth)), made.truth]
    return float(-np.log(p).sum())
