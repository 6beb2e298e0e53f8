"""Tiers by share: where to cut confidence so that enough samples stay deep.

Fixed tiers starve the body where labels are honest and functions weak: if one sample in twenty is
sure, the layers below the head learn from one in twenty, and the model is worse than without tiers.
So the tiers may be cut where a wanted share of the fleet's samples lies above, found in a histogram
that devices sum. Half of them deep and none left out is what beat training all alike.

Source: Lang, Vijayaraghavan and Sontag 2022, arXiv:2206.02914, for keeping a share, chosen by
validation, and not a fixed confidence.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from fieldvote.errors import InputError
from strategies.governance.confidence import DepthRule, checked_probabilities
from strategies.labeling.thresholds import BINS, ScoreHistogram


def confidence_histogram(probabilities: ArrayLike, *, voted: ArrayLike) -> ScoreHistogram:
    """Count the confidence of items with a vote; adds up over devices.

    Args:
        probabilities: Calibrated label probabilities. Shape (n, k).
        voted: Which items have a vote at all. Shape (n,), bool.
    """
    p = checked_probabilities(probabilities)
    which = np.asarray(voted, dtype=np.bool_)
    if which.shape != (len(p),):
        raise InputError(f"expected {len(p)} marks of who was voted on, got {which.shape}")
    return ScoreHistogram.of(np.minimum(p.max(axis=1), 1.0)[which])


def tiers_by_share(
    total: ScoreHistogram, rule: DepthRule, *, deep: float = 0.5, taught: float = 1.0
) -> DepthRule:
    """Return the rule with its tiers cut where these shares of all voted items lie above.

    Rounded down to a thousandth, so that the shares are reached and not just missed. Voices and
    agreement are left as they are and cut further. No items leave the rule as it is.

    Args:
        total: Confidence summed over the fleet.
        rule: What else is asked of a label.
        deep: Share that is sure enough for all layers.
        taught: Share that is sure enough for anything; at least deep.

    >>> total = confidence_histogram([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]], voted=[1, 1, 1])
    >>> cut = tiers_by_share(total, DepthRule(), deep=0.34, taught=1.0)
    >>> cut.high, cut.middle
    (0.8, 0.7)
    """
    if not 0 <= deep <= taught <= 1:
        raise InputError(f"expected 0 <= deep <= taught <= 1, got {deep} and {taught}")
    items = int(total.counts.sum())
    if not items:
        return rule
    above = total.counts[::-1].cumsum()[::-1]
    high, middle = (
        int(np.flatnonzero(above >= min(share * items, items)).max(initial=0)) / BINS
        for share in (deep, taught)
    )
    return replace(rule, high=high, middle=middle)
