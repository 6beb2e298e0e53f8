"""A device's part in choosing inputs: what its labels say of each way that is tried; sums only."""

import numpy as np

from edge.holdings import Holdings
from fieldvote.codec import IntVector
from fieldvote.errors import InputError
from fieldvote.heads import HeadModel
from fieldvote.recasting import RecastReply, RecastRequest
from strategies.input_choice import fold_sums

MOST_WAYS = 16


def recast(held: Holdings, message: RecastRequest) -> RecastReply:
    """Return what answered items say of these inputs.

    Raises:
        InputError, ShapeError: what was sent is no question of ours, or fits no embedding of ours.
    """
    held.check_task(message.task, earlier=False)
    if not 1 <= len(message.models) <= MOST_WAYS:
        # whoever sends more would have the device do nothing else
        raise InputError(f"{len(message.models)} ways to try; a device tries 1 to {MOST_WAYS}")
    say = _judged if message.rank else _curvature
    parts = [say(held, model, message.rank) for model in message.models]
    return RecastReply(round=message.round, step=message.step, sums=np.concatenate(parts))


def _judged(held: Holdings, model: HeadModel, rank: int) -> IntVector:
    """Return what a fit to the answered items, and its error on them, would need."""
    answers = held.parts.pool.column("answer")
    places = np.flatnonzero((answers >= 0) & ~held.held_out(held.parts.pool.column("arm")))
    return fold_sums(
        held.learner.inputs(model)[places],
        answers[places],
        classes=held.classes,
        rank=rank,
        seed=model.seed,
    )


def _curvature(held: Holdings, model: HeadModel, _: int) -> IntVector:
    """Return the sketches of answered items, then of those only functions voted on."""
    answers, arms = held.parts.pool.column("answer"), held.parts.pool.column("arm")
    free = ~held.held_out(arms)
    answered = np.flatnonzero((answers >= 0) & free)
    voted = np.flatnonzero(held.voted & (answers < 0) & free)
    return np.concatenate(
        [held.learner.labeled_sums(model, places).to_vector() for places in (answered, voted)]
    )
