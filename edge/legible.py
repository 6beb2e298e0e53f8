"""Which texts a person could still read once they are masked.

A text of which hardly a word may leave is answered by guessing, and it is the texts a model is
unsure of that often are such: short, odd, or in words no vocabulary has. An answer that is a guess
costs what any other does, and teaches something wrong. So they are not asked while others can be.
"""

import numpy as np
from numpy.typing import NDArray

from edge.holdings import Holdings
from edge.items import texts_of
from fieldvote.task import TextInput
from privacy.pii import Redactor
from strategies.acquisition.ranking import highest
from strategies.acquisition.uncertainty import margin_scores

LEAST_READ = 0.4
"""Share of its characters that must be left of a text; any from 0.2 to 0.45 saved labels."""
MOST_LOOKED_AT = 512
"""Texts that are masked on trial for one survey, so that it stays a matter of milliseconds."""
MOST_READ = 2000
"""Characters of a text that are masked on trial; of a longer one its beginning tells."""


def readable_share(redactor: Redactor, text: str) -> float:
    """Return the share of a text's characters that would be left of it, 0 to 1, by its beginning.

    >>> redactor = Redactor(mode="strict", locales=("en",))
    >>> readable_share(redactor, "See you in the morning"), readable_share(redactor, "146tf150p")
    (1.0, 0.0)
    """
    beginning = text[:MOST_READ]
    if not beginning.strip():
        return 0.0
    try:
        spans = redactor.redact(beginning).spans
    except Exception:  # what cannot be masked is stopped at the door; here it is only passed over
        return 0.0
    return 1.0 - sum(span.end - span.start for span in spans) / len(beginning)


def legible(
    held: Holdings, places: NDArray[np.int64], probabilities: NDArray[np.float64], wanted: int
) -> NDArray[np.int64]:
    """Return so many of these places: the most uncertain that can be read once they are masked.

    Where too few can, the most uncertain of the others fill them up: a pool of which nothing may be
    shown is asked as if nobody had looked. Rows are shown field by field as the policy says, which
    is the same for each, so of rows all places are returned.

    Args:
        held: The items.
        places: Where they may be taken from. Shape (n,).
        probabilities: The head's view of every item. Shape (pool, k).
        wanted: How many are enough.
    """
    redactor, pool = held.parts.redactor, held.parts.pool
    if redactor is None or not isinstance(held.parts.task.input, TextInput):
        return places
    scores = margin_scores(probabilities[places])
    by_score = places[highest(scores, len(places))].tolist()
    found: list[int] = []
    hidden: list[int] = []
    for place in by_score[:MOST_LOOKED_AT]:
        if len(found) == wanted:
            break
        share = readable_share(redactor, texts_of([pool.payload(place)])[0])
        (found if share >= LEAST_READ else hidden).append(place)
    unseen = by_score[len(found) + len(hidden) :]
    return np.array((found + hidden + unseen)[: max(wanted, 0)], dtype=np.int64)
