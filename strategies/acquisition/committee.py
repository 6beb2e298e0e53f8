"""Picking what a committee of models does not agree on.

Scores are 0 where all members say the same. Without members the model is a committee of one, all
scores are 0, and the entropy of what it says decides.

Sources: Houlsby et al. 2011, arXiv:1112.5745, equation 2 (BALD); McCallum and Nigam 1998, ICML,
section 3 (mean divergence from the consensus, which is the same number); Dagan and Engelson 1995,
ICML, section 4 (vote entropy).
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from strategies.acquisition.protocol import Candidates, checked_count
from strategies.acquisition.ranking import highest_of_two
from strategies.acquisition.uncertainty import entropy_scores


def bald(candidates: Candidates, k: int, rng: Generator) -> NDArray[np.int64]:
    """Pick the items a label of which says most about which member is right (see Acquisition).

    The score is the entropy of the mean less the mean entropy: high where each member is sure, of
    something else. It equals the members' mean Kullback-Leibler divergence from their mean.

    >>> sure, torn = [[[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]], [[1.0, 0.0], [0.5, 0.5]]
    >>> bald(Candidates(probabilities=torn, members=sure), 1, np.random.default_rng(0)).tolist()
    [1]
    """
    return _pick(candidates, k, disagreement(_members(candidates)))


def vote_entropy(candidates: Candidates, k: int, rng: Generator) -> NDArray[np.int64]:
    """Pick the items whose members' likeliest classes are most divided (see Acquisition)."""
    return _pick(candidates, k, vote_entropy_scores(_members(candidates)))


def disagreement(members: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the entropy of the mean less the mean entropy, in nats.

    Args:
        members: Shape (c, n, k).

    Returns:
        Shape (n,), from 0 to log(min(c, k)).

    >>> disagreement(np.array([[[1.0, 0.0]], [[0.0, 1.0]]])).round(4).tolist()
    [0.6931]
    """
    count, items, classes = members.shape
    each = entropy_scores(members.reshape(count * items, classes)).reshape(count, items)
    mean = members.mean(axis=0, dtype=np.float64)
    gap = entropy_scores(mean) - each.mean(axis=0, dtype=np.float64)
    return np.maximum(np.asarray(gap, dtype=np.float64), 0.0)


def vote_entropy_scores(members: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the entropy of the members' votes, one each for its likeliest class, in nats.

    Args:
        members: Shape (c, n, k). Of equal probabilities, the first class is voted for.

    Returns:
        Shape (n,).

    >>> vote_entropy_scores(np.array([[[0.9, 0.1]], [[0.6, 0.4]], [[0.2, 0.8]]])).round(4).tolist()
    [0.6365]
    """
    count, items, classes = members.shape
    votes = members.argmax(axis=2)
    shares = np.stack([(votes == c).sum(axis=0) for c in range(classes)], axis=1) / count
    return np.asarray(entropy_scores(shares.reshape(items, classes)), dtype=np.float64)


def _members(candidates: Candidates) -> NDArray[np.floating]:
    """Return the committee, which may be the model alone. Shape (c, n, k)."""
    return candidates.probabilities[None] if candidates.members is None else candidates.members


def _pick(candidates: Candidates, k: int, scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the highest scores; of equal ones, the item the model is less sure of."""
    count = checked_count(k, candidates.items)
    return highest_of_two(scores, entropy_scores(candidates.probabilities), count)
