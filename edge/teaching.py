"""What a device's lessons say of a head, of a label model, or of how good a head is; sums only."""

import numpy as np

from edge.holdings import Holdings
from edge.learning.learner import Lessons
from edge.serving_head import keep_label_model
from fieldvote.heads import (
    EvaluateReply,
    EvaluateRequest,
    GradientReply,
    GradientRequest,
    VotesReply,
    VotesRequest,
)
from fieldvote.records import ARM_RANDOM
from strategies.evaluation import confusion
from strategies.labeling import LabelModel, VoteQuestion

_NOTHING = np.empty(0, dtype=np.int64)


def lessons_of(held: Holdings, vote_weight: float) -> Lessons:
    """Return everything on this device that teaches."""
    pool = held.parts.pool
    answers, arms = pool.column("answer"), pool.column("arm")
    free = ~held.held_out(arms)
    teaching = np.flatnonzero((answers >= 0) & free)
    voted = np.flatnonzero(held.voted & (answers < 0) & free) if vote_weight > 0 else _NOTHING
    return Lessons(
        answered=teaching,
        labels=answers[teaching],
        voted=voted,
        votes=held.votes[voted],
        vote_weight=vote_weight,
    )


def gradient(held: Holdings, message: GradientRequest) -> GradientReply:
    """Return the gradient at the sent weights, or weights after local epochs."""
    held.check_task(message.task, earlier=False)  # its label model weighs our votes
    lessons = lessons_of(held, message.vote_weight)
    label_model = LabelModel.from_vector(message.label_model) if len(message.label_model) else None
    keep_label_model(held.parts.pool, held.parts.task, message.label_model)
    if message.epochs:
        trained = held.learner.train(
            message.model,
            lessons,
            label_model,
            epochs=message.epochs,
            l2_per_item=message.l2_per_item,
        )
        sums = np.concatenate([[trained.weight], trained.product.ravel()])
    else:
        sums = held.learner.gradient(message.model, lessons, label_model).to_vector()
    return GradientReply(round=message.round, step=message.step, sums=sums)


def tell_of_votes(held: Holdings, message: VotesRequest) -> VotesReply:
    """Return what the votes say under a label model; answers count only if drawn by lot."""
    held.check_task(message.task, earlier=False)
    pool = held.parts.pool
    model = LabelModel.from_vector(message.label_model)
    question = VoteQuestion.unpacked(
        message.about, model, copies=message.copies, one_in=message.one_in
    )
    drawn = (pool.column("arm") == ARM_RANDOM) & (pool.column("answer") >= 0)
    sums = question.answer(
        held.votes, answered=np.flatnonzero(drawn), labels=pool.column("answer")[drawn]
    )
    return VotesReply(round=message.round, step=message.step, sums=sums)


def evaluate(held: Holdings, message: EvaluateRequest) -> EvaluateReply:
    """Return confusion counts over items that never train."""
    pool = held.parts.pool
    truth = pool.column("gold")
    if not held.parts.evaluates:
        truth = np.where(held.held_out(pool.column("arm")), pool.column("answer"), -1)
    places = np.flatnonzero(truth >= 0)
    predicted = held.learner.probabilities(message.model)[places].argmax(axis=1)
    counts = confusion(truth[places], predicted, held.classes)
    return EvaluateReply(round=message.round, confusion=counts.ravel())
