"""The acquisition rules by name."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from strategies.acquisition.cold_start import density, prob_cover, typiclust
from strategies.acquisition.committee import bald, vote_entropy
from strategies.acquisition.facility import facility_location
from strategies.acquisition.gradients import badge, gradient_length
from strategies.acquisition.hybrid import clue, cluster_margin, herding
from strategies.acquisition.k_center import k_center
from strategies.acquisition.protocol import Acquisition, Candidates, checked_count
from strategies.acquisition.uncertainty import entropy, least_confidence, margin


def random(candidates: Candidates, k: int, rng: Generator) -> NDArray[np.int64]:
    """Pick items by chance, each set equally likely (see Acquisition)."""
    count = checked_count(k, candidates.items)
    return rng.permutation(candidates.items)[:count].astype(np.int64, copy=False)


ACQUISITIONS: Mapping[str, Acquisition] = MappingProxyType(
    {
        "badge": badge,
        "bald": bald,
        "clue": clue,
        "cluster_margin": cluster_margin,
        "density": density,
        "entropy": entropy,
        "facility_location": facility_location,
        "gradient_length": gradient_length,
        "herding": herding,
        "k_center": k_center,
        "least_confidence": least_confidence,
        "margin": margin,
        "prob_cover": prob_cover,
        "random": random,
        "typiclust": typiclust,
        "vote_entropy": vote_entropy,
    }
)

NEED_EMBEDDINGS = frozenset(
    {
        "badge",
        "cluster_margin",
        "clue",
        "density",
        "facility_location",
        "herding",
        "k_center",
        "prob_cover",
        "typiclust",
    }
)
"""Rules that refuse candidates without embeddings."""

OVER_PAIRS = frozenset({"facility_location", "herding", "prob_cover", "typiclust"})
"""Rules that compare all pairs of items: their cost grows with the square of the pool."""
