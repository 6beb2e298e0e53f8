"""A federated baseline to compare with: local groups, global doubt.

Each device groups its items by the gradients its own model would get from them, and takes of each
group the item the fleet's model is least sure of.

Source: Kim et al. 2023, CVPR, arXiv:2303.12317, algorithm 1 (LoGo).
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fieldvote.errors import ShapeError
from strategies.acquisition.clustering import weighted_kmeans
from strategies.acquisition.protocol import Candidates, checked_count, points_of
from strategies.acquisition.ranking import highest
from strategies.acquisition.uncertainty import entropy_scores


def logo(
    candidates: Candidates, local: NDArray[np.floating], k: int, rng: Generator
) -> NDArray[np.int64]:
    """Pick on one device, by its own model and the fleet's.

    Args:
        candidates: Its items, with the fleet's model's probabilities, and embeddings.
        local: What a model trained on this device alone says of them. Shape (n, k).
        k: How many.
        rng: Draws the start of the grouping.

    Returns:
        Shape (min(k, n),), int64: the least certain of each group, then others by entropy.

    Raises:
        InputError: k is negative, or there are no embeddings.
        ShapeError: local is not of the shape of the fleet's probabilities.

    >>> items = Candidates(probabilities=[[0.5, 0.5], [0.6, 0.4]], embeddings=[[1.0], [2.0]])
    >>> logo(items, items.probabilities, 1, np.random.default_rng(0)).tolist()
    [0]
    """
    if local.shape != candidates.probabilities.shape:
        raise ShapeError("local", local.shape, candidates.probabilities.shape)
    points = points_of(candidates, "logo")
    count = checked_count(k, candidates.items)
    if not count:
        return np.empty(0, dtype=np.int64)
    errors = np.asarray(local, dtype=np.float64).copy()
    errors[np.arange(len(errors)), errors.argmax(axis=1)] -= 1
    gradients = (errors[:, :, None] * points[:, None, :]).reshape(len(points), -1)
    group = weighted_kmeans(gradients, np.ones(len(points)), count, rng)
    by_doubt = highest(entropy_scores(candidates.probabilities), candidates.items)
    _, first = np.unique(group[by_doubt], return_index=True)
    heads = by_doubt[np.sort(first)]
    rest = by_doubt[~np.isin(by_doubt, heads)]
    return np.concatenate([heads, rest])[:count]
