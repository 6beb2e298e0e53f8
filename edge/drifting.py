"""What is new on this device: counted once, by histograms, and offered first where that is asked.

Items keep their positions and new ones come at the end, so a window of items is two positions. An
item is in the histograms of one window, whatever is asked later, and by which head: no two sums of
such histograms ever differ in one item. What a bounded pool let go before it was asked was counted
then (:mod:`edge.passed`), and is in the next window.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.entering import Entering
from edge.holdings import Holdings
from edge.passed import passed
from edge.pool import Pool
from edge.windows import windows
from fieldvote.codec import IntVector
from fieldvote.heads import HeadModel
from fieldvote.records import SurveyRequest
from strategies.arrivals import Layout, count_arrivals, standardised

_NOTHING = np.empty(0, dtype=np.int64)


def arrivals(held: Holdings, message: SurveyRequest) -> tuple[IntVector, tuple[Entering, ...]]:
    """Return histograms of the items that are in none yet, and what enters them.

    Raises:
        ShapeError: the head to count by is not one for this device's model.
    """
    # where records are hidden, they are counted with noise: see edge.private
    if message.watch is None or held.parts.task.policy.privacy.on:
        return _NOTHING, ()
    counts, places = count_new(held, message.watch, noised=False)
    gone = passed(held.parts.pool, held.parts.task, layout_of(held))
    if not len(places) and not gone.any():
        return counts, ()
    entering = Entering(kind="arrived", versions=(str(message.round),), places=places)
    told = Entering(kind="passed", versions=(held.parts.task.digest,), places=gone)
    return counts + gone, (entering, told) if gone.any() else (entering,)


def count_new(held: Holdings, head: HeadModel, *, noised: bool) -> tuple[IntVector, IntVector]:
    """Return histograms of the items that are in none of a kind yet, and their places.

    Args:
        held: The items.
        head: By which they are counted.
        noised: Whether noised histograms are meant, or exact ones.

    Raises:
        ShapeError: the head to count by is not one for this device's model.
    """
    layout = layout_of(held)
    start = _counted(windows(held.parts.pool, noised=noised))
    positions = held.parts.pool.column("position")[: len(held.ids)]
    places = np.flatnonzero(positions >= start)
    counts = counted_by(
        head,
        layout,
        probabilities=held.learner.probabilities(head)[places],
        votes=held.votes[places],
        embeddings=held.learner.embeddings[places],
    )
    return counts, places


def counted_by(
    head: HeadModel,
    layout: Layout,
    *,
    probabilities: NDArray[np.float64],
    votes: NDArray[np.int8],
    embeddings: NDArray[np.float64],
) -> IntVector:
    """Return histograms of some items by a head; see strategies.arrivals."""
    return count_arrivals(
        layout,
        probabilities=probabilities,
        votes=votes,
        # not re-centred on this device: that would hide how its items differ from the fleet's
        standard=standardised(embeddings, mean=head.mean, scale=head.scale),
        seed=head.seed,
    )


def uncounted(pool: Pool, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return those of some places whose items are in no exact histogram yet."""
    return places[pool.column("position")[places] >= _counted(windows(pool))]


def layout_of(held: Holdings) -> Layout:
    """Return where the histograms of this device's task stand."""
    return Layout(classes=held.classes, functions=len(held.parts.task.functions))


def recent(
    pool: Pool, free: NDArray[np.int64], since: int, *, noised: bool = False
) -> NDArray[np.int64]:
    """Return those of some places whose items were counted in that round or later, or never."""
    seen = windows(pool, noised=noised)
    start = _counted([each for each in seen if each[0] < since])
    return free[pool.column("position")[free] >= start]


def _counted(seen: Sequence[tuple[int, int]]) -> int:
    """Return the position after the last item of these windows."""
    return max((end for _, end in seen), default=0)
