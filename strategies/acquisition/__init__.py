"""Which items to ask people about: rules for one pool, and selection over a whole fleet."""

from strategies.acquisition.fleet import select_fleet
from strategies.acquisition.offers import Offers
from strategies.acquisition.protocol import Acquisition, Candidates
from strategies.acquisition.sketches import hamming, sketch
from strategies.acquisition.table import ACQUISITIONS

__all__ = [
    "ACQUISITIONS",
    "Acquisition",
    "Candidates",
    "Offers",
    "hamming",
    "select_fleet",
    "sketch",
]
