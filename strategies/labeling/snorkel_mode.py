"""Snorkel's label model from summed overlaps: a cross-check, not what we ship.

Snorkel fits mu, the probability of each vote given each class, to the overlaps of one-hot votes.
Those overlaps are sums over items, so its fit needs no row either. Same loss, same steps, same
start; only the arithmetic is float64 in place of float32.

Source: Ratner et al. 2019, AAAI, arXiv:1810.02840, and snorkel 0.10.0,
snorkel/labeling/model/label_model.py (_loss_mu, _init_params, _clamp_params).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError
from strategies.labeling.overlaps import OverlapSummary
from strategies.labeling.votes import blocks, cast_votes, checked_votes

FEWEST_FUNCTIONS = 3  # with two, the loss has no unique minimum
PRECISION = 0.7  # of every vote, to start from
STEP = 0.01
MOMENTUM = 0.9

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SnorkelModel:
    """Snorkel's parameters.

    Attributes:
        mu: Probability of vote v of function j given class c, at [j * k + v, c]. Shape (m * k, k).
        balance: Class balance. Shape (k,).
    """

    mu: Matrix
    balance: Matrix

    @classmethod
    def fit(
        cls,
        total: OverlapSummary,
        *,
        balance: ArrayLike | None = None,
        epochs: int = 100,
        seed: int = 123,
    ) -> "SnorkelModel":
        """Fit by gradient descent with momentum on the summed overlaps.

        Args:
            total: The sum of all devices' overlaps.
            balance: Class balance; uniform if it is not known. Shape (k,).
            epochs: How many steps.
            seed: Scales the start as Snorkel's own seed does.

        Raises:
            InputError: Under three functions, no items, or a balance that is not one.
        """
        k = total.classes
        if total.functions < FEWEST_FUNCTIONS or not total.items:
            raise InputError(f"expected items and at least {FEWEST_FUNCTIONS} functions")
        p = np.full(k, 1 / k) if balance is None else np.asarray(balance, dtype=np.float64)
        if p.shape != (k,) or not (p > 0).all() or abs(float(p.sum()) - 1) > 1e-6:
            raise InputError(f"expected {k} positive shares that add up to 1")
        overlaps = total.overlaps / total.items
        cast = np.diag(overlaps)
        function, vote = np.divmod(np.arange(len(cast)), k)
        across = function[:, None] != function[None, :]
        mu = np.zeros((len(cast), k))
        mu[np.arange(len(cast)), vote] = np.clip(cast * PRECISION / p[vote], 0, 1)
        mu *= np.random.RandomState(seed).random_sample()  # the generator Snorkel draws from
        speed = np.zeros_like(mu)
        for _ in range(epochs):
            speed = MOMENTUM * speed + _slope(mu, overlaps, across, cast, p)
            mu = mu - STEP * speed
        least = min(0.01, 10.0 ** -np.ceil(np.log10(total.items)))
        mu = np.clip(mu, least, 1 - least)
        return cls(mu=mu[:, _most_trusting(mu.reshape(-1, k, k).sum(axis=0) * p, p)], balance=p)

    def predict(self, votes: ArrayLike) -> Matrix:
        """Return the class probabilities of each item. Shape (n, k).

        Args:
            votes: Shape (n, m), integers, -1 abstains.

        Raises:
            ShapeError, InputError: votes are not a vote matrix of m functions.
        """
        k = len(self.balance)
        matrix = checked_votes(votes, k, functions=len(self.mu) // k)
        said = np.log(self.mu)
        out = np.empty((len(matrix), k))
        for rows in blocks(matrix):
            cast = cast_votes(matrix[rows], k)
            logits = np.tile(np.log(self.balance), (len(matrix[rows]), 1))
            np.add.at(logits, cast.row, said[cast.cell])
            odds = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
            out[rows] = odds / odds.sum(axis=1, keepdims=True)
        return out


def loss(mu: Matrix, overlaps: Matrix, balance: Matrix) -> float:
    """Return what Snorkel minimises: squared error of overlaps across functions and of coverage.

    Args:
        mu: Shape (m * k, k).
        overlaps: As shares of all items. Shape (m * k, m * k).
        balance: Class balance. Shape (k,).
    """
    function = np.arange(len(mu)) // len(balance)
    across = function[:, None] != function[None, :]
    error = np.where(across, overlaps - (mu * balance) @ mu.T, 0.0)
    coverage = mu @ balance - np.diag(overlaps)
    return float((error**2).sum() + (coverage**2).sum())


def _slope(
    mu: Matrix, overlaps: Matrix, across: NDArray[np.bool_], cast: Matrix, balance: Matrix
) -> Matrix:
    """Return the gradient of loss. Shape (m * k, k)."""
    error = np.where(across, overlaps - (mu * balance) @ mu.T, 0.0)
    coverage = mu @ balance - cast
    return np.asarray(-4 * (error @ mu) * balance + 2 * np.outer(coverage, balance))


def _most_trusting(agreement: Matrix, balance: Matrix) -> NDArray[np.intp]:
    """Order columns, among classes of the same share, so that functions are right most often.

    Args:
        agreement: How probable vote v is together with column c, at [v, c]. Shape (k, k).
        balance: Class balance. Shape (k,).
    """
    order = np.arange(len(balance))
    rounded = np.round(balance, 3)
    for share in np.unique(rounded):
        group = np.flatnonzero(rounded == share)
        order[group] = group[_assign(-agreement[np.ix_(group, group)])]
    return order


def _assign(cost: Matrix) -> NDArray[np.intp]:
    """Return the column of each row in the cheapest assignment. Shape (k,).

    Source: Kuhn 1955; the form with potentials and shortest augmenting paths of Jonker and
    Volgenant 1987, Computing 38.
    """
    size = len(cost)
    row_price, column_price = np.zeros(size + 1), np.zeros(size + 1)
    row_of = np.full(size + 1, size)  # the last column is where each path starts
    for row in range(size):
        row_of[size], column = row, size
        best, before = np.full(size, np.inf), np.full(size, size)
        done = np.zeros(size + 1, dtype=np.bool_)
        while row_of[column] != size:
            done[column] = True
            here = row_of[column]
            slack = cost[here] - row_price[here] - column_price[:size]
            closer = ~done[:size] & (slack < best)
            best[closer], before[closer] = slack[closer], column
            free = np.where(done[:size], np.inf, best)
            following = int(free.argmin())
            delta = free[following]
            row_price[row_of[done]] += delta
            column_price[done] -= delta
            best[~done[:size]] -= delta
            column = following
        while column != size:
            row_of[column] = row_of[before[column]]
            column = int(before[column])
    columns = np.empty(size, dtype=np.intp)
    columns[row_of[:size]] = np.arange(size)
    return columns
