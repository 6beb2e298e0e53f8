"""A device's part in choosing inputs, and what votes weigh: what its labels say; sums only."""

from dataclasses import replace

import numpy as np

from edge.holdings import Holdings
from edge.learning.learner import head_of
from edge.lesson_taking import Sent, taught_here
from fieldvote.codec import IntVector
from fieldvote.errors import InputError, RefusalError, ShapeError
from fieldvote.heads import HeadModel
from fieldvote.recasting import JUDGE, TEACH, RecastReply, RecastRequest
from fieldvote.records import ARM_CHOSEN
from strategies.input_choice import fold_sums
from strategies.vote_choice import loss_sums

MOST_WAYS = 16


def recast(held: Holdings, message: RecastRequest) -> RecastReply:
    """Return what answered items say of these inputs, or of these heads.

    Raises:
        InputError, ShapeError: what was sent is no question of ours, or fits no embedding of ours.
        RefusalError: this device only evaluates, and is asked what its labels say.
    """
    held.check_task(message.task, earlier=False)
    if not 1 <= len(message.models) <= MOST_WAYS:
        # whoever sends more would have the device do nothing else
        raise InputError(f"{len(message.models)} ways to try; a device tries 1 to {MOST_WAYS}")
    if message.about:
        sums = _of_votes(held, message)
    else:
        say = _judged if message.rank else _curvature
        sums = np.concatenate([say(held, model, message.rank) for model in message.models])
    return RecastReply(round=message.round, step=message.step, sums=sums)


def _judged(held: Holdings, model: HeadModel, rank: int) -> IntVector:
    """Return what a fit to the answered items, and its error on them, would need."""
    places, answers = _answered(held)
    return fold_sums(
        held.learner.inputs(model)[places],
        answers,
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


def _of_votes(held: Holdings, message: RecastRequest) -> IntVector:
    """Return what lessons say of heads at several weights of the votes, or labels alone do."""
    if held.parts.evaluates:
        # its labels judge what becomes of the campaign; choosing by them would flatter it
        raise RefusalError("this device only evaluates: nothing here chooses how a head is taught")
    models = _heads(held, message)
    if message.about == TEACH:
        weighed = zip(models, message.vote_weights.tolist(), strict=True)
        return np.concatenate([_gradient(held, message, *each) for each in weighed])
    if message.about != JUDGE:
        raise InputError("asked of what votes weigh what this program does not know")
    places, answers = _answered(held)
    # what a head chose is hard for that head: only what was drawn by lot compares it with others
    drawn = held.parts.pool.column("arm")[places] != ARM_CHOSEN
    inputs = held.learner.inputs(models[0])[places[drawn]]
    return loss_sums(inputs, answers[drawn], [head_of(model) for model in models])


def _heads(held: Holdings, message: RecastRequest) -> list[HeadModel]:
    """Return the heads that are asked about, one for each weight of the votes."""
    h, (model, *more) = len(message.vote_weights), message.models
    if more or not 1 <= h <= MOST_WAYS or len(message.heads) % h:
        raise InputError(f"expected 1 to {MOST_WAYS} heads over the inputs of one model")
    if model.classes != held.classes:
        raise ShapeError("head", (model.classes,), (held.classes,))
    return [replace(model, weights=weights) for weights in np.split(message.heads, h)]


def _gradient(
    held: Holdings, message: RecastRequest, model: HeadModel, vote_weight: float
) -> IntVector:
    """Return the gradient over this device's lessons, votes weighed so much."""
    sent = Sent(
        label_model=message.label_model if vote_weight > 0 else np.empty(0),
        vote_weight=vote_weight,
        rule=message.teaching,
    )
    return held.learner.gradient(model, taught_here(held, sent).lessons).to_vector()


def _answered(held: Holdings) -> tuple[IntVector, IntVector]:
    """Return where answered items lie that may teach, and what they are."""
    answers = held.parts.pool.column("answer")
    places = np.flatnonzero((answers >= 0) & ~held.held_out(held.parts.pool.column("arm")))
    return places, answers[places]
