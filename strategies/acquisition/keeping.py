"""Which items of a stream stay in a bounded pool: some by lot, the others because they are unsure.

Every item is given a number when it comes, drawn evenly from all there are, that nothing else
decides. A share of the places goes to the lowest numbers: whatever the scores were, those items are
a random sample of all that came, each set of so many as likely as any other. The other places go to
the highest scores among the rest.

Deciding part by part leaves what deciding over everything at once would leave, for as long as
scores stay what they are: an item gives way to better ones only, and these are still there, or gave
way to better ones themselves.

Sources: Vitter 1985, ACM TOMS 11(1), "Random sampling with a reservoir": a random sample in one
    pass. By drawn numbers, as here, it is the method of Fan, Muller and Rezucha 1962, JASA 57(298):
    it needs no count of what has passed, so places may come and go.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError

LOTS = 1 << 63
"""Numbers are drawn from 0 to one below it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kept:
    """What stays.

    Attributes:
        stays: Shape (n,).
        below: Items with lower numbers are a random sample of all that came.
        threshold: Lowest score that got a place; minus infinity while there is room for all.
    """

    stays: NDArray[np.bool_]
    below: int
    threshold: float


def choose_kept(
    lots: NDArray[np.int64],
    scores: NDArray[np.float64] | None,
    *,
    most: int,
    by_lot: float,
    below: int = LOTS,
) -> Kept:
    """Return what stays of these items.

    Args:
        lots: The number drawn for each, in order of arrival. Shape (n,).
        scores: How unsure each is; minus infinity for what may not be asked for. Shape (n,). None
            where nothing says: then numbers decide alone.
        most: Places.
        by_lot: Share of them for the lowest numbers.
        below: As it was after the items before these. It never rises, for of higher numbers some
            are gone.

    Raises:
        ShapeError: there is not one score for each.
        InputError: there is no place, the share is none, or a score is not a number.

    >>> lots, unsure = np.array([5, 9, 7, 1]), np.array([0.1, 0.4, 0.8, 0.9])
    >>> kept = choose_kept(lots, unsure, most=2, by_lot=0.5)
    >>> kept.stays.tolist(), kept.below, kept.threshold
    ([False, False, True, True], 5, 0.8)
    """
    if scores is not None and scores.shape != lots.shape:
        raise ShapeError("scores", scores.shape, lots.shape)
    if most < 1 or not 0.0 < by_lot <= 1.0:
        raise InputError(f"expected places, and a share of them, got {most} and {by_lot}")
    if scores is not None and np.isnan(scores).any():
        raise InputError("a score is not a number")
    if len(lots) <= most:
        return Kept(stays=np.ones(len(lots), dtype=np.bool_), below=below, threshold=-np.inf)
    places = most if scores is None else max(round(by_lot * most), 1)
    drawn = lots < below
    if drawn.sum() > places:
        below = int(np.partition(lots[drawn], places)[places])
        drawn = lots < below
    rest = np.flatnonzero(~drawn)
    order = lots[rest] if scores is None else -scores[rest]
    best = rest[np.argsort(order, kind="stable")[: most - int(drawn.sum())]]
    stays = drawn.copy()
    stays[best] = True
    lowest = -np.inf if scores is None or not len(best) else float(scores[best].min())
    return Kept(stays=stays, below=below, threshold=lowest)
