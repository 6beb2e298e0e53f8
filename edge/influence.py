"""Answering what a head's behaviours have to do with the functions that taught it; sums only.

What teaches here is what its training asked for, and what is judged here is what never teaches, so
every answer is about the head that was trained and no other.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from edge.holdings import Holdings
from edge.keeping import keep_known
from edge.learning.learner import head_of
from edge.learning.lessons import Lessons, certainty
from edge.lesson_taking import Sent, taught_here
from fieldvote.errors import InputError, RefusalError, ShapeError
from fieldvote.heads import GradientRequest, HeadModel
from fieldvote.teaching import TeachingRule
from fieldvote.traces import (
    BEHAVIOURS,
    CURVATURE,
    FATES,
    FISHER,
    FUNCTIONS,
    TraceReply,
    TraceRequest,
)
from strategies.aggregation.fixed_point import LOSS_FRACTION, LOSS_LIMIT_NATS, softmax
from strategies.aggregation.head import Head, logits
from strategies.governance import Source
from strategies.governance.fisher import head_fisher
from strategies.governance.influence import (
    Direction,
    InfluenceSums,
    TaughtItems,
    answer_influence,
    class_gradients,
    function_influence,
)
from strategies.governance.retention import RetentionCounts
from strategies.governance.what_if import curvature_product
from strategies.labeling import LabelModel

Sums = NDArray[np.int64]
_MOST_BEHAVIOURS = 127  # as many as a task may have classes


def trace(held: Holdings, message: TraceRequest) -> TraceReply:
    """Return the sums that are asked for.

    Raises:
        RefusalError: this device only evaluates, and is asked what teaches it.
        InputError, ShapeError: what was sent does not fit together, or is no question of ours.
    """
    held.check_task(message.lesson.task, earlier=False)
    answer = _JUDGING.get(message.about) or _TEACHING.get(message.about)
    if answer is None:
        raise InputError("asked of a head what this program does not know")
    if message.about in _TEACHING and held.parts.evaluates:
        raise RefusalError("this device only evaluates: nothing here has taught a head")
    if not 1 <= message.behaviours <= _MOST_BEHAVIOURS:
        raise InputError(f"{message.behaviours} behaviours, expected 1 to {_MOST_BEHAVIOURS}")
    return TraceReply(round=message.round, step=message.step, sums=answer(held, message))


def _behaviours(held: Holdings, message: TraceRequest) -> Sums:
    """Return per behaviour how many answers there are, their loss, and its gradient.

    Of a gradient the last class is left out: rows sum to zero.
    """
    head, (places, truth) = _head(held, message.lesson.model), held.judged
    inputs = held.learner.inputs(message.lesson.model)[places]
    wide = message.behaviours > 1
    if wide and message.behaviours != head.classes:
        raise ShapeError("behaviours", (message.behaviours,), (head.classes,))
    counts = np.bincount(truth, minlength=head.classes).astype(np.int64)
    likely = softmax(logits(inputs, head))[1][np.arange(len(truth)), truth]
    nats = np.minimum(-likely, LOSS_LIMIT_NATS)
    losses = np.zeros(head.classes, dtype=np.int64)
    np.add.at(losses, truth, np.rint(nats * 2.0**LOSS_FRACTION).astype(np.int64))
    gradients = class_gradients(inputs, truth, head)
    if not wide:
        counts, losses, gradients = (each.sum(axis=0)[None] for each in (counts, losses, gradients))
    return np.concatenate([counts, losses, gradients[..., :-1].ravel()])


def _fates(held: Holdings, message: TraceRequest) -> Sums:
    """Return what became of what the head before knew. Shape (2 * k * 4,).

    Held-out devices count in the first half, the random arm of the others in the second.
    """
    if message.before is None:
        raise InputError("asked what was kept of a head that was not sent")
    places, truth = held.judged
    before = held.learner.probabilities(message.before)[places].argmax(axis=1)
    after = held.learner.probabilities(message.lesson.model)[places].argmax(axis=1)
    slices = np.full(len(truth), 0 if held.parts.evaluates else 1)
    return RetentionCounts.of(
        before, after, truth, classes=held.classes, slice_of=slices, slices=2
    ).fates.ravel()


def _curvature(held: Holdings, message: TraceRequest) -> Sums:
    """Return how the gradient of what teaches bends along each direction, but the last class.

    Shape (b * p * (k - 1),).
    """
    head, lessons = _head(held, message.lesson.model), _lessons(held, message.lesson)
    inputs, _, weights = held.learner.rows(message.lesson.model, lessons)
    products = [
        curvature_product(inputs, weights, head, direction)
        for direction in _directions(message.directions, head, message.behaviours)
    ]
    return np.concatenate([product[:, :-1].ravel() for product in products])


def _functions(held: Holdings, message: TraceRequest) -> Sums:
    """Return how far functions, and answers, work for each change and behaviour; see InfluenceSums.

    A row per function, and one for people's answers; a column per class for how the head changed,
    at the head before, and one per behaviour, at the head.
    """
    if message.before is None:
        raise InputError("asked what changed since a head that was not sent")
    after, before = _head(held, message.lesson.model), _head(held, message.before)
    columns = _matrix(message.change, before)
    changes = tuple(
        Direction.sent(np.where(np.arange(before.classes) == c, columns, 0))
        for c in range(before.classes)
    )
    behaviours = _directions(message.directions, after, message.behaviours)
    lessons = _lessons(held, message.lesson)
    parts = [
        _influence(held, message.lesson, lessons, at, head, directions)
        for at, head, directions in (
            (message.before, before, changes),
            (message.lesson.model, after, behaviours),
        )
    ]
    both = np.concatenate([part.steps for part in parts], axis=1)
    return InfluenceSums(steps=both, items=parts[0].items).to_vector()


def _influence(
    held: Holdings,
    lesson: GradientRequest,
    lessons: Lessons,
    model: HeadModel,
    head: Head,
    directions: tuple[Direction, ...],
) -> InfluenceSums:
    """Return the rows of all functions and of people's answers, at one head."""
    inputs, rule = held.learner.inputs(model), lesson.teaching or TeachingRule()
    answered = ~lessons.second & (lessons.sources == Source.VERIFIED)
    places = lessons.positions[answered]
    answers = answer_influence(
        inputs[places],
        lessons.targets[answered],
        lessons.weights[answered],
        head,
        directions,
    )
    if not len(lesson.label_model):
        functions = InfluenceSums.none(functions=held.votes.shape[1], behaviours=len(directions))
    else:
        voted = ~lessons.second & (lessons.sources == Source.VOTED)
        places = lessons.positions[voted]

        def weigh(labels: NDArray[np.float64]) -> NDArray[np.float64]:
            """Return what a label weighs by how sure it is; its depth is left out of this."""
            sure = labels.max(axis=1) >= rule.middle
            weight = lesson.vote_weight * certainty(labels) ** rule.sharpness
            return np.asarray(np.minimum(weight, rule.most_weight) * sure)

        functions = function_influence(
            TaughtItems(
                inputs=inputs[places], votes=held.votes[places], weight=lessons.weights[voted]
            ),
            LabelModel.from_vector(lesson.label_model),
            head,
            directions,
            weigh=weigh,
        )
    return InfluenceSums(
        steps=np.concatenate([functions.steps, answers.steps]),
        items=functions.items + answers.items,
    )


def _fisher(held: Holdings, message: TraceRequest) -> Sums:
    """Return how much the head's answers depend on each weight; see FisherSums."""
    head, lessons = _head(held, message.lesson.model), _lessons(held, message.lesson)
    inputs, _, weights = held.learner.rows(message.lesson.model, lessons)
    return head_fisher(inputs, weights, head).to_vector()


def _lessons(held: Holdings, lesson: GradientRequest) -> Lessons:
    """Return what taught the head here."""
    sent = Sent(
        label_model=lesson.label_model,
        vote_weight=lesson.vote_weight,
        rule=lesson.teaching,
        teacher=lesson.teacher,
    )
    return keep_known(held, taught_here(held, sent).lessons, lesson)


def _head(held: Holdings, model: HeadModel) -> Head:
    """Return the weights a model carries, which must be for these classes."""
    if len(model.deep):
        raise InputError("a head is asked about, and the model sent scores by its own network")
    head = head_of(model)
    if head.classes != held.classes:
        raise ShapeError("head", (head.classes,), (held.classes,))
    return head


def _directions(sent: Sums, head: Head, behaviours: int) -> tuple[Direction, ...]:
    """Return the directions that were sent, one after the other; the last class's column is 0."""
    shape = (behaviours, head.width, head.classes - 1)
    if len(sent) != int(np.prod(shape)):
        raise ShapeError("directions", sent.shape, (int(np.prod(shape)),))
    whole = np.zeros((behaviours, *head.weights.shape), dtype=np.int64)
    whole[..., :-1] = sent.reshape(shape)
    return tuple(Direction.sent(each) for each in whole)


def _matrix(sent: Sums, head: Head) -> Sums:
    """Return numbers that were sent in the shape of a head."""
    if len(sent) != head.weights.size:
        raise ShapeError("change", sent.shape, (head.weights.size,))
    return sent.reshape(head.weights.shape)


_Answer = Callable[[Holdings, TraceRequest], Sums]
_JUDGING: Mapping[str, _Answer] = {BEHAVIOURS: _behaviours, FATES: _fates}
_TEACHING: Mapping[str, _Answer] = {CURVATURE: _curvature, FUNCTIONS: _functions, FISHER: _fisher}
