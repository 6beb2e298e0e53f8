"""Which items to ask people about: rules for one pool, and selection over a whole fleet."""

from strategies.acquisition.protocol import Acquisition, Candidates
from strategies.acquisition.sketches import hamming, sketch
from strategies.acquisition.table import ACQUISITIONS

__all__ = [
    "ACQUISITIONS",
    "Acquisition",
    "Candidates",
    "hamming",
    "sketch",
]
