"""Rules made of rules: what an answer costs, and how many of each class are wanted.

Sources: Settles, Craven and Friedland 2008, NIPS workshop on cost-sensitive learning, section 3
(return on investment).
"""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.acquisition.protocol import Acquisition, Candidates, checked_count
from strategies.acquisition.ranking import highest


def affordable(scores: ArrayLike, costs: ArrayLike, *, budget: float) -> NDArray[np.int64]:
    """Return items by score per unit of cost, as many as the budget buys.

    An item that is too dear for what is left is passed over, and a cheaper one may follow.

    Args:
        scores: Higher is more wanted, not negative. Shape (n,).
        costs: Positive, in the unit of the budget. Shape (n,).
        budget: What may be spent.

    Returns:
        Distinct positions, best first; ties go by position.

    Raises:
        ShapeError: not one cost per score.
        InputError: a cost is not positive, or a number is not finite.

    >>> affordable([1.0, 0.9, 0.2], [10.0, 1.0, 1.0], budget=2.5).tolist()
    [1, 2]
    """
    wanted, price = np.asarray(scores, dtype=np.float64), np.asarray(costs, dtype=np.float64)
    if wanted.ndim != 1 or price.shape != wanted.shape:
        raise ShapeError("costs", price.shape, wanted.shape)
    if not (np.isfinite(wanted) & np.isfinite(price) & (price > 0)).all() or (wanted < 0).any():
        raise InputError("expected finite scores of 0 or more, and costs above 0")
    if not np.isfinite(budget):
        raise InputError(f"expected a finite budget, got {budget}")
    left, picks = budget, []
    for item in highest(wanted / price, len(wanted)).tolist():
        if price[item] <= left:
            picks.append(item)
            left -= price[item]
    return np.array(picks, dtype=np.int64)


def class_quota(rule: Acquisition, quotas: Sequence[int]) -> Acquisition:
    """Return the rule with room kept for classes, by the class the model predicts.

    Within each class the rule chooses. What a class cannot fill goes to the others, again by the
    rule.

    Args:
        rule: Picks within a class.
        quotas: Least picks of each class. Shape (k,), not negative.

    Raises:
        InputError: a quota is negative.

    >>> p = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.1, 0.9]]
    >>> from strategies.acquisition.uncertainty import margin
    >>> picked = class_quota(margin, [1, 1])
    >>> sorted(picked(Candidates(probabilities=p), 2, np.random.default_rng(0)).tolist())
    [2, 3]
    """
    if any(quota < 0 for quota in quotas):
        raise InputError("a quota is 0 or more")

    def pick(candidates: Candidates, k: int, rng: Generator) -> NDArray[np.int64]:
        count = checked_count(k, candidates.items)
        predicted = candidates.probabilities.argmax(axis=1)
        kept: list[int] = []
        # the rarest first: where the picks do not reach for all quotas, it must not be the loser
        waiting = np.bincount(predicted, minlength=len(quotas))
        for c in sorted(range(len(quotas)), key=lambda c: (waiting[c], c)):
            rows = np.flatnonzero(predicted == c)
            room = min(quotas[c], len(rows), count - len(kept))
            kept += rows[rule(subset(candidates, rows), room, rng)].tolist()
        rest = np.setdiff1d(np.arange(candidates.items), kept)
        more = rule(subset(candidates, rest), count - len(kept), rng)
        return np.array([*kept, *rest[more].tolist()], dtype=np.int64)

    return pick


def subset(candidates: Candidates, rows: NDArray[np.int64]) -> Candidates:
    """Return some of the candidates.

    Args:
        candidates: All of them.
        rows: Positions. Shape (r,).
    """
    return Candidates(
        probabilities=candidates.probabilities[rows],
        embeddings=None if candidates.embeddings is None else candidates.embeddings[rows],
        members=None if candidates.members is None else candidates.members[:, rows],
        labeled=candidates.labeled,
    )
