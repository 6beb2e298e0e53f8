"""What a device's lessons say of a head, of a label model, or of how good a head is; sums only."""

from dataclasses import replace

import numpy as np

from edge.deep_teaching import deep_sums
from edge.holdings import Holdings
from edge.keeping import keep_known
from edge.lesson_taking import Sent, confidences, taught_here, vouched
from edge.serving_head import keep_label_model
from fieldvote.codec import IntVector
from fieldvote.heads import (
    EvaluateReply,
    EvaluateRequest,
    GradientReply,
    GradientRequest,
    VotesReply,
    VotesRequest,
)
from fieldvote.records import ARM_RANDOM
from fieldvote.teaching import ABOUT_LESSONS
from strategies.calibration_sums import CalibrationSums
from strategies.evaluation import confusion
from strategies.labeling import LabelModel


def gradient(held: Holdings, message: GradientRequest) -> GradientReply:
    """Return the gradient at the sent weights, or weights after local epochs."""
    held.check_task(message.task, earlier=False)  # its label model weighs our votes
    lessons = taught_here(
        held,
        Sent(
            label_model=message.label_model,
            vote_weight=message.vote_weight,
            rule=message.teaching,
            teacher=message.teacher,
        ),
    ).lessons
    lessons = keep_known(held, lessons, message)
    keep_label_model(held.parts.pool, held.parts.task, message.label_model)
    if message.drill is not None:
        sums = deep_sums(held, message, lessons)
    elif message.epochs:
        trained = held.learner.train(
            message.model,
            lessons,
            epochs=message.epochs,
            l2_per_item=message.l2_per_item,
        )
        sums = np.concatenate([[trained.weight], trained.product.ravel()])
    else:
        sums = held.learner.gradient(message.model, lessons).to_vector()
    return GradientReply(round=message.round, step=message.step, sums=sums)


def tell_of_votes(held: Holdings, message: VotesRequest) -> VotesReply:
    """Return what the votes say under a label model; answers count only if drawn by lot."""
    from strategies.labeling.exchanges import VoteQuestion  # no device begins with this

    held.check_task(message.task, earlier=False)
    if message.about in ABOUT_LESSONS:
        return VotesReply(round=message.round, step=message.step, sums=_of_lessons(held, message))
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


def _of_lessons(held: Holdings, message: VotesRequest) -> IntVector:
    """Return what is asked about lessons, as numbers that add up."""
    sent = Sent(
        label_model=message.label_model,
        vote_weight=message.vote_weight,
        rule=message.teaching,
        teacher=message.teacher,
    )
    match message.about:
        case "confidence":
            return confidences(held, sent).to_vector()
        case "pseudo":
            return vouched(held, sent).to_vector()
        case _:
            return taught_here(held, sent).report.to_vector()


def evaluate(held: Holdings, message: EvaluateRequest) -> EvaluateReply:
    """Return confusion counts over items that never train, and how sure a head is of those."""
    places, truth = held.judged
    said = held.learner.probabilities(message.model, places)
    counts = confusion(truth, said.argmax(axis=1), held.classes)
    reply = EvaluateReply(round=message.round, confusion=counts.ravel())
    if not message.calibrates:
        return reply
    heads = [said]
    if message.before is not None:
        heads.append(held.learner.probabilities(message.before, places))
    return replace(reply, calibration=CalibrationSums.of(heads, truth).to_vector())
