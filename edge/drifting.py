"""What is new on this device: counted once, by histograms, and offered first where that is asked.

Items keep their positions and new ones come at the end, so a window of items is two positions. An
item is in the histograms of one window, whatever is asked later, and by which head: no two sums of
such histograms ever differ in one item.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.entering import Entering
from edge.holdings import Holdings
from edge.pool import Pool
from edge.windows import windows
from fieldvote.codec import IntVector
from fieldvote.records import SurveyRequest
from strategies.arrivals import Layout, count_arrivals, standardised

_NOTHING = np.empty(0, dtype=np.int64)


def arrivals(held: Holdings, message: SurveyRequest) -> tuple[IntVector, tuple[Entering, ...]]:
    """Return histograms of the items that are in none yet, and what enters them.

    Raises:
        ShapeError: the head to count by is not one for this device's model.
    """
    layout = layout_of(held)
    if message.watch is None:
        return _NOTHING, ()
    start = _counted(windows(held.parts.pool))
    places = np.arange(start, max(start, len(held.ids)))
    head = message.watch
    probabilities = held.learner.probabilities(head)[places]
    counts = count_arrivals(
        layout,
        probabilities=probabilities,
        votes=held.votes[places],
        # not re-centred on this device: that would hide how its items differ from the fleet's
        standard=standardised(held.learner.embeddings[places], mean=head.mean, scale=head.scale),
        seed=head.seed,
    )
    if not len(places):
        return counts, ()
    entering = Entering(kind="arrived", versions=(str(message.round),), places=places)
    return counts, (entering,)


def layout_of(held: Holdings) -> Layout:
    """Return where the histograms of this device's task stand."""
    return Layout(classes=held.classes, functions=len(held.parts.task.functions))


def recent(pool: Pool, free: NDArray[np.int64], since: int) -> NDArray[np.int64]:
    """Return those of some positions whose items were counted in that round or later, or never."""
    return free[free >= _counted([each for each in windows(pool) if each[0] < since])]


def _counted(seen: Sequence[tuple[int, int]]) -> int:
    """Return the position after the last item of these windows."""
    return max((end for _, end in seen), default=0)
