"""The acquisition rules by name."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from strategies.acquisition.protocol import Acquisition, Candidates, checked_count
from strategies.acquisition.uncertainty import entropy, margin


def random(candidates: Candidates, k: int, rng: Generator) -> NDArray[np.int64]:
    """Pick items by chance, each set equally likely (see Acquisition)."""
    count = checked_count(k, candidates.items)
    return rng.permutation(candidates.items)[:count].astype(np.int64, copy=False)


ACQUISITIONS: Mapping[str, Acquisition] = MappingProxyType(
    {"entropy": entropy, "margin": margin, "random": random}
)
