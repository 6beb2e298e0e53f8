"""Is the new head good enough? Judged from confusion counts, which are all anybody knows."""

from collections.abc import Sequence
from math import sqrt


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
