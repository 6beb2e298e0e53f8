"""A device's part in comparing chosen labels with random ones; sums only."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge.holdings import Holdings
from edge.learning.lessons import Lessons
from fieldvote.arms import draw_of
from fieldvote.comparing import GRADIENT, OUTCOME, SKETCH, CompareReply, CompareRequest
from fieldvote.errors import InputError, RefusalError
from fieldvote.heads import HeadModel
from fieldvote.records import ARM_CHOSEN, ARM_RANDOM, ARM_SEED

Sums = NDArray[np.int64]


def compare(held: Holdings, message: CompareRequest) -> CompareReply:
    """Return the sums that are asked for.

    Raises:
        RefusalError: this device only evaluates, and is asked what teaches it.
        InputError, ShapeError: what was sent is no question of ours, or no head of this task.
    """
    if message.about == OUTCOME:
        sums = _outcome(held, message)
    elif message.about in (SKETCH, GRADIENT):
        if held.parts.evaluates:
            raise RefusalError("this device only evaluates: nothing here teaches a head")
        sums = np.concatenate(
            [_taught(held, message, head, places) for head, places in _arms(held, message)]
        )
    else:
        raise InputError("asked of two heads what this program does not know")
    return CompareReply(round=message.round, step=message.step, sums=sums)


def _arms(held: Holdings, message: CompareRequest) -> tuple[tuple[HeadModel, Sums], ...]:
    """Return both heads, each with the positions of what teaches it."""
    pool = held.parts.pool
    arms, answers = pool.column("arm"), pool.column("answer")
    labeled = (answers >= 0) & ~held.held_out(arms)
    seeds = np.flatnonzero(labeled & (arms == ARM_SEED))
    chosen = _below(held, labeled & (arms == ARM_CHOSEN), message, message.chosen_below)
    drawn = _below(held, labeled & (arms == ARM_RANDOM), message, message.drawn_below)
    return (
        (message.model, np.concatenate([seeds, chosen])),
        (replace(message.model, weights=message.drawn), np.concatenate([seeds, drawn])),
    )


def _below(held: Holdings, mask: NDArray[np.bool_], message: CompareRequest, bound: int) -> Sums:
    """Return the positions of those items that are below a bound."""
    places = np.flatnonzero(mask).tolist()
    return np.array(
        [place for place in places if draw_of(held.ids[place], message.seed) < bound],
        dtype=np.int64,
    )


def _taught(held: Holdings, message: CompareRequest, head: HeadModel, places: Sums) -> Sums:
    """Return what these items tell the solver of one head."""
    if message.about == SKETCH:
        return held.learner.labeled_sums(head, places).to_vector()
    labels = held.parts.pool.column("answer")[places]
    lessons = Lessons.of_answers(places, labels, classes=held.classes)
    return held.learner.gradient(head, lessons).to_vector()


def _outcome(held: Holdings, message: CompareRequest) -> Sums:
    """Return how many answers judge, and on how many only one of the heads is right."""
    places, truth = held.judged
    chosen = _right(held, message.model, places, truth)
    drawn = _right(held, replace(message.model, weights=message.drawn), places, truth)
    counts = [len(places), (chosen & ~drawn).sum(), (drawn & ~chosen).sum()]
    return np.array(counts, dtype=np.int64)


def _right(held: Holdings, head: HeadModel, places: Sums, truth: Sums) -> NDArray[np.bool_]:
    """Return where a head is right."""
    found = held.learner.probabilities(head)[places].argmax(axis=1)
    return np.asarray(found == truth)
