"""From votes to probabilities, exactly the same on any device and in any batch.

A vote adds its weighted log-likelihood to each class. Floats added in another order end in another
last bit, and a product of matrices picks its order by shape; so log-likelihoods are rounded to
multiples of 2^-30 first. Their sums are then integers held in float64, exact in any order, and
all that comes after works element by element.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.labeling.votes import Cast, blocks, cast_votes

UNIT = float(1 << 30)
LEAST_LIKELIHOOD = 1e-9  # keeps one impossible vote from silencing all others
DAMPING = 0.25
"""How far many votes are worth less than their sum where it is not known: real functions err on
the same items. Chosen on four real vote sets between 0, right for independent functions, and 1."""
UNIFORM_SHARE = 0.05  # of a prediction: no set of votes is certain


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What each vote says, in multiples of 2^-30.

    Attributes:
        votes: At [j, v, c], for class c, when function j votes v. Shape (m, k, k).
        prior: Before any vote. Shape (k,).
        weights: How much of an independent voice each function is. Shape (m,).
    """

    votes: NDArray[np.float64]
    prior: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        tables: NDArray[np.float64],
        prior: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> "Evidence":
        """Round the logarithms of a model's tables (m, k, k) and prior (k,)."""
        log_tables = np.log(np.clip(tables, LEAST_LIKELIHOOD, 1.0)) * weights[:, None, None]
        return cls(
            votes=np.rint(log_tables * UNIT),
            prior=np.rint(np.log(np.clip(prior, LEAST_LIKELIHOOD, 1.0)) * UNIT),
            weights=np.rint(weights * UNIT),
        )

    def gather(self, cast: Cast, rows: int) -> NDArray[np.float64]:
        """Sum the evidence of each row's votes and the prior. Shape (k, rows), exact."""
        by_class = self.votes.reshape(-1, len(self.prior)).T
        return np.stack(
            [
                np.bincount(cast.row, weights=said[cast.cell], minlength=rows) + before
                for said, before in zip(by_class, self.prior, strict=True)
            ]
        )

    def voices(self, cast: Cast, rows: int) -> NDArray[np.float64]:
        """Sum the weights of each row's voters. Shape (rows,), exact."""
        weights = self.weights[cast.function]
        return np.asarray(np.bincount(cast.row, weights=weights, minlength=rows), dtype=np.float64)


def softmax(evidence: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities for scaled evidence: softmax over classes.

    Args:
        evidence: From Evidence.gather. Shape (k, rows).
        scale: Shape (rows,).

    Returns:
        Shape (k, rows); a column does not depend on its neighbours, to the last bit.
    """
    logits = evidence * (scale / UNIT)
    logits -= logits.max(axis=0)
    np.exp(logits, out=logits)
    total = logits[0].copy()
    for row in logits[1:]:
        total += row
    logits /= total
    return logits


def damping_scale(voices: NDArray[np.float64], damping: float) -> NDArray[np.float64]:
    """Return 1 / (1 + damping * max(voices - 1, 0)): many voices are worth less than their sum.

    Args:
        voices: From Evidence.voices. Shape (rows,).
        damping: 0 takes the voices as independent.
    """
    return np.asarray(1 / (1 + damping * np.maximum(voices / UNIT - 1, 0.0)))


def predict(
    evidence: Evidence,
    votes: NDArray[np.int8],
    *,
    prior: NDArray[np.float64],
    damping: float,
) -> NDArray[np.float64]:
    """Return the class probabilities of each row. Shape (n, k); without votes, the prior."""
    classes = len(prior)
    out = np.empty((len(votes), classes))
    for rows in blocks(votes):
        block = votes[rows]
        cast = cast_votes(block, classes)
        scale = damping_scale(evidence.voices(cast, len(block)), damping)
        sure = softmax(evidence.gather(cast, len(block)), scale)
        mixed = (1 - UNIFORM_SHARE) * sure + UNIFORM_SHARE / classes
        out[rows] = mixed.T
        out[rows][~(block >= 0).any(axis=1)] = prior
    return out
