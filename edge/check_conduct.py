"""How functions behave on a vote matrix: alone, for each class, against each other, by group."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Votes = NDArray[np.int8]
Labels = NDArray[np.int64] | None

# two functions are suspected of saying one thing twice where, of the items the rarer one votes on,
# they give the same vote this much more often than chance explains, and surely so
SUSPICIOUS_EXCESS = 0.5
_SURE_Z = 4.0
_FEWEST_TOGETHER = 20
_MOST_PAIRS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What some votes come to. Shares are of all items, accuracy of the votes.

    Attributes:
        coverage: Share of items with such a vote.
        overlap: Share with such a vote and one of another function.
        conflict: Share with such a vote and another function's vote for another class.
        accuracy: Share of these votes that are right; None without labels or votes.
    """

    coverage: float
    overlap: float
    conflict: float
    accuracy: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """Two functions that seem to say one thing twice.

    Attributes:
        first: Position of one.
        second: Position of the other.
        agreement: Share of the rarer one's votes that the other one gives too.
        expected: What that share would be if they were independent given the class.
    """

    first: int
    second: int
    agreement: float
    expected: float


def count_votes(votes: Votes, classes: int) -> NDArray[np.int64]:
    """Return how many votes each item has for each class. Shape (n, k)."""
    return np.stack([(votes == c).sum(axis=1) for c in range(classes)], axis=1)


def tally(
    votes: Votes,
    counts: NDArray[np.int64],
    labels: Labels,
    *,
    function: int,
    vote: int | None = None,
) -> Tally:
    """Return what the votes of one function, or those for one class, come to.

    Args:
        votes: Shape (n, m), -1 abstains.
        counts: Votes of all functions for each class, as `count_votes` gives them. Shape (n, k).
        labels: True classes. Shape (n,), or None.
        function: Which column.
        vote: Only its votes for this class; None for all.
    """
    n = max(len(votes), 1)
    column = votes[:, function]
    cast = np.flatnonzero(column >= 0 if vote is None else column == vote)
    given = column[cast]
    voters, alike = counts[cast].sum(axis=1), counts[cast, given]
    right = None if labels is None or not len(cast) else float((given == labels[cast]).mean())
    return Tally(
        coverage=len(cast) / n,
        overlap=int((voters > 1).sum()) / n,
        conflict=int((voters > alike).sum()) / n,
        accuracy=right,
    )


def tally_all(votes: Votes, labels: Labels, *, vote: int | None = None) -> Tally:
    """Return what the votes of all functions together come to, or those for one class."""
    n = max(len(votes), 1)
    cast = votes >= 0 if vote is None else votes == vote
    covered = cast.any(axis=1)
    conflict = covered & (
        np.where(votes >= 0, votes, -1).max(axis=1, initial=-1)
        != np.where(votes >= 0, votes, 127).min(axis=1, initial=127)
    )
    right = None
    if labels is not None and cast.any():
        right = float((votes == labels[:, None])[cast].mean())
    return Tally(
        coverage=int(covered.sum()) / n,
        overlap=int((covered & ((votes >= 0).sum(axis=1) > 1)).sum()) / n,
        conflict=int(conflict.sum()) / n,
        accuracy=right,
    )


def suspicions(votes: Votes, labels: Labels, classes: int) -> tuple[Suspicion, ...]:
    """Return the pairs that agree more than their class explains, the surest first.

    Within each class the two are taken as independent; what they then agree on by chance is
    expected. Without labels the class of an item is what the other functions' majority says, and
    items they say nothing of, or disagree about evenly, are a class of their own.

    Args:
        votes: Shape (n, m), -1 abstains.
        labels: True classes. Shape (n,), or None.
        classes: Number of classes, k.
    """
    m = votes.shape[1]
    together = np.zeros((m, m), dtype=np.float32)
    for c in range(classes):
        given = (votes == c).astype(np.float32)
        together += given.T @ given
    fires = (votes >= 0).sum(axis=0)
    rarer = np.maximum(np.minimum(fires[:, None], fires[None, :]), 1)
    share = together / rarer
    first, second = np.nonzero(
        np.triu((together >= _FEWEST_TOGETHER) & (share >= SUSPICIOUS_EXCESS), 1)
    )
    order = np.argsort(-share[first, second], kind="stable")[:_MOST_PAIRS]
    totals = count_votes(votes, classes)
    found = []
    for j, k in zip(first[order].tolist(), second[order].tolist(), strict=True):
        stratum = labels if labels is not None else _majority_without(totals, votes, (j, k))
        expected, spread = _by_chance(votes[:, j], votes[:, k], stratum, classes)
        size = int(rarer[j, k])
        excess = (float(together[j, k]) - expected) / max(size - expected, 1e-9)
        if excess >= SUSPICIOUS_EXCESS and float(together[j, k]) - expected > _SURE_Z * spread:
            found.append(
                Suspicion(
                    first=j,
                    second=k,
                    agreement=float(together[j, k]) / size,
                    expected=expected / size,
                )
            )
    return tuple(sorted(found, key=lambda each: each.expected - each.agreement))


def effective_sources(votes: Votes, origin: Sequence[int]) -> float:
    """Return how many origins the votes come from, as the exponential of their entropy.

    Ten origins of which one gives nearly all votes are effectively one.

    >>> effective_sources(np.array([[0, 0], [1, 1]], dtype=np.int8), [0, 1])
    2.0
    """
    given = np.bincount(origin, weights=(votes >= 0).sum(axis=0), minlength=1)
    if not given.sum():
        return 0.0
    shares = given[given > 0] / given.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _majority_without(
    totals: NDArray[np.int64], votes: Votes, pair: tuple[int, int]
) -> NDArray[np.int64]:
    """Return the class most of the other functions vote for; k where there is none. Shape (n,)."""
    left = totals.copy()
    rows = np.arange(len(votes))
    for function in pair:
        cast = votes[:, function] >= 0
        left[rows[cast], votes[cast, function]] -= 1
    most = left.max(axis=1)
    alone = ((left == most[:, None]).sum(axis=1) == 1) & (most > 0)
    return np.where(alone, left.argmax(axis=1), np.int64(left.shape[1]))


def _by_chance(
    one: NDArray[np.int8], other: NDArray[np.int8], stratum: NDArray[np.int64], classes: int
) -> tuple[float, float]:
    """Return how many same votes chance gives, and their standard deviation."""
    strata = classes + 1
    size = np.maximum(np.bincount(stratum, minlength=strata), 1)
    shares = []
    for votes in (one, other):
        cast = votes >= 0
        counts = np.bincount(
            stratum[cast] * classes + votes[cast], minlength=strata * classes
        ).reshape(strata, classes)
        shares.append(counts / size[:, None])
    rate = (shares[0] * shares[1]).sum(axis=1)
    return float((size * rate).sum()), float((size * rate * (1 - rate)).sum()) ** 0.5
