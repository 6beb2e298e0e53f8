"""Is the new head good enough, and does it know what the last one did? Judged from counts alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from coordinator.governance_settings import RetentionSettings
from strategies.governance.retention import (
    Fate,
    Promotion,
    RetentionCounts,
    RetentionRule,
    judge,
)

SLICES = ("held-out devices", "random arm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a head may go on, and a sentence on why.

    Attributes:
        refused: Whether it goes nowhere.
        reason: How it was judged.
    """

    refused: bool
    reason: str


def verdict_of(
    before: Sequence[int],
    after: Sequence[int],
    fates: Sequence[int],
    settings: RetentionSettings,
    classes: Sequence[str],
    *,
    worse: bool,
) -> Verdict:
    """Return what becomes of a new head.

    Args:
        before: Confusion counts of the head that is served. Shape (k * k,), or empty.
        after: Those of the new one.
        fates: What became of what the head before knew; empty where it was not counted.
        settings: What is asked of it.
        classes: Their names.
        worse: Whether it is clearly worse than the head that is served.
    """
    kept = retained(fates, settings, classes)
    reason = compared(before, after)
    if kept is None:
        return Verdict(refused=worse, reason=reason)
    lost = settings.refuses and not kept.allowed
    said = "; ".join((told(fates), *kept.reasons))
    return Verdict(refused=worse or lost, reason=f"{reason}; {said}")


def retained(
    fates: Sequence[int], settings: RetentionSettings, classes: Sequence[str]
) -> Promotion | None:
    """Return what a head kept of what the one before knew; None where it was not counted.

    Args:
        fates: By slice, class and fate. Shape (2 * k * 4,), or empty.
        settings: What is asked of it.
        classes: Their names.
    """
    if not sum(fates):
        return None
    shape = (len(SLICES), len(classes), len(Fate))
    counts = RetentionCounts(fates=np.array(fates, dtype=np.int64).reshape(shape))
    rule = RetentionRule(
        least_score=settings.least_score,
        margin=settings.margin,
        least_items=settings.least_items,
        allow_unknown=settings.allow_unknown,
    )
    return judge(counts, rule, classes=classes, slices=SLICES)


def told(fates: Sequence[int]) -> str:
    """Return a sentence on what became of what was known; empty where it was not counted.

    >>> told((49, 1, 3, 0))
    'retention 0.980: 49 of 50 answers that the head before got right'
    >>> told((0, 0, 3, 1))
    'the head before got nothing right that could be lost'
    """
    kept, lost = sum(fates[Fate.KEPT :: len(Fate)]), sum(fates[Fate.LOST :: len(Fate)])
    if not sum(fates):
        return ""
    if not kept + lost:
        return "the head before got nothing right that could be lost"
    share = kept / (kept + lost)
    return f"retention {share:.3f}: {kept} of {kept + lost} answers that the head before got right"


def right_of(counts: Sequence[int]) -> tuple[int, int]:
    """Return how many of these confusion counts are right, and how many there are.

    >>> right_of((3, 1, 0, 4))
    (7, 8)
    """
    classes = round(len(counts) ** 0.5)
    return sum(counts[place * (classes + 1)] for place in range(classes)), sum(counts)


def is_clearly_worse(before: Sequence[int], after: Sequence[int], *, doubt: float) -> bool:
    """Return whether a head is worse than another beyond chance.

    The two may have been counted on different items, since devices come and go, so the difference
    of two independent shares is judged; on the same items that is too kind, never too strict.

    Args:
        before: Confusion counts of the head that is served. Shape (k * k,), or empty.
        after: Those of the new one.
        doubt: How many standard errors below is clear.

    Source: the interval of Agresti and Caffo 2000, The American Statistician 54(4), which adds a
    right and a wrong answer to both sides so that few items do not look like certainty.

    >>> is_clearly_worse((90, 10, 0, 0), (60, 40, 0, 0), doubt=1.96)
    True
    >>> is_clearly_worse((3, 0, 0, 0), (2, 1, 0, 0), doubt=1.96)
    False
    """
    if not sum(before) or not sum(after):
        return False
    (right, items), (right_new, items_new) = right_of(before), right_of(after)
    share, share_new = (right + 1) / (items + 2), (right_new + 1) / (items_new + 2)
    error = sqrt(share * (1 - share) / (items + 2) + share_new * (1 - share_new) / (items_new + 2))
    return share - share_new > doubt * error


def compared(before: Sequence[int], after: Sequence[int]) -> str:
    """Return a sentence on two heads' counts."""
    right, items = right_of(after)
    if not sum(before):
        return f"{right} of {items} right, nothing to compare with"
    return f"{right} of {items} right, before {right_of(before)[0]} of {right_of(before)[1]}"
