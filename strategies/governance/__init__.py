"""What may be learned from which label, what came of it, and what must not be lost.

Confidence tiers become weights and depth gates (``confidence``, ``pseudo_labels``); influence leads
from behaviour back to the function that taught it (``influence``, ``alignment``, ``what_if``); and
what was known is held when a function changes (``fisher``, ``replay``, ``retention``). Whatever
devices count adds up in whole numbers.
"""

from strategies.governance.confidence import Depth, DepthRule, Governed, Source, govern, support
from strategies.governance.depth_report import DepthReport
from strategies.governance.influence import Direction, InfluenceSums, function_influence
from strategies.governance.pseudo_labels import PseudoLabelCounts
from strategies.governance.retention import RetentionCounts

__all__ = [
    "Depth",
    "DepthReport",
    "DepthRule",
    "Direction",
    "Governed",
    "InfluenceSums",
    "PseudoLabelCounts",
    "RetentionCounts",
    "Source",
    "function_influence",
    "govern",
    "support",
]
