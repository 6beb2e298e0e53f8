"""What may be learned from which label, what came of it, and what must not be lost.

Confidence tiers become weights and depth gates (``confidence``, ``pseudo_labels``); influence leads
from behaviour back to the function that taught it (``influence``, ``alignment``, ``what_if``); and
what was known is held when a function changes (``fisher``, ``replay``, ``retention``). Whatever
devices count adds up in whole numbers.
"""

from strategies.governance.confidence import Depth, DepthRule, Governed, Source, govern, support
from strategies.governance.depth_report import DepthReport
from strategies.governance.pseudo_labels import PseudoLabelCounts

__all__ = [
    "Depth",
    "DepthReport",
    "DepthRule",
    "Governed",
    "PseudoLabelCounts",
    "Source",
    "govern",
    "support",
]
