"""Sums with noise in them: all of what a device adds up, where its policy hides records.

Rules it keeps, whatever a coordinator says:

- Nothing is summed but what `strategies.private_statistics` lists; every other sum is stopped by
  :mod:`edge.private_door`.
- A release is charged to the ledger, on the disk, before its noise is drawn. What it costs follows
  from the signed policy and from which release of the campaign it is; nobody names a price.
- A new item is in the histograms of one round, for whichever task: that is why all rounds of them
  cost no more than one.
- Each release is made once. Asked again in the same words a device answers with the same bytes;
  asked in others it refuses, for the ledger knows what was released.
- No number of one record hangs on another record: votes are cut down record by record, and no
  device takes its own mean out of its inputs.
"""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from edge.drifting import count_new
from edge.holdings import Holdings
from edge.learning.learner import head_of
from edge.lesson_taking import Sent, taught_here
from edge.windows import enter_window
from fieldvote.codec import IntVector
from fieldvote.errors import InputError, InternalError, RefusalError
from fieldvote.heads import HeadModel
from fieldvote.private import PrivateReply, PrivateRequest
from fieldvote.records import decode, encode
from privacy.dp.campaign import is_apart, is_repeated, plan_of, price_of
from strategies.aggregation.averaging import federated_averaging
from strategies.aggregation.bounded_moments import BoundedMoments
from strategies.aggregation.clipping import clip_update
from strategies.aggregation.private_steps import cross_products, gram_products
from strategies.evaluation import confusion
from strategies.labeling import AnchorSummary, VoteSummary
from strategies.labeling.sensitivity import cap_votes
from strategies.private_statistics import Statistic, cut_verdict

_SUBJECT_BYTES = 32
_JUDGED = ("evaluation", "verdict")


def release_noised(held: Holdings, message: PrivateRequest) -> PrivateReply:
    """Return a sum with this device's share of the noise in it, paid for.

    Raises:
        LedgerSpentError: the budget does not have this release; nothing was noised.
        RefusalError: it was released before, or is not for this device to tell.
        InputError, ShapeError: what was sent makes no sense; nothing was charged.
    """
    task, pool = held.parts.task, held.parts.pool
    held.check_task(message.task, earlier=False)
    name = blake2b(encode(message), digest_size=16, person=b"noised").digest()
    known = pool.recall(name)
    if known is not None:
        return decode(known, PrivateReply)
    if held.parts.evaluates and message.about not in _JUDGED:
        raise RefusalError("this device only evaluates: it is neither surveyed nor trained on")
    privacy = task.policy.privacy
    statistic = Statistic.named(
        message.about,
        functions=len(task.functions),
        classes=held.classes,
        width=held.learner.embeddings.shape[1],
        cap=privacy.cap_votes,
    )
    plan = plan_of(
        privacy,
        message.about,
        message.turn,
        l2_squared=statistic.l2_squared,
        length=statistic.length,
        secure=task.policy.cohort.secure,
    )
    values, fresh = _counted(held, message)
    if len(values) != statistic.length:
        raise InternalError(f"{len(values)} numbers of {message.about}, not {statistic.length}")
    noised = held.parts.outbox.release_noised(
        price_of(privacy, message.about, message.turn).kind,
        values * plan.steps,
        plan,
        subject=_subject(held, message),
        apart=is_apart(message.about),
    )
    reply = PrivateReply(round=message.round, step=message.step, sums=noised)
    with pool.changing():
        pool.remember(name, encode(reply))
        if len(fresh):
            positions = pool.column("position")[fresh].tolist()
            enter_window(pool, message.round, positions, noised=True)
    return reply


def _subject(held: Holdings, message: PrivateRequest) -> bytes:
    """Return what is released: of a pool once, or in each round once."""
    digest = blake2b(digest_size=_SUBJECT_BYTES, person=b"release")
    digest.update(f"{message.about} {message.turn}".encode())
    if not is_repeated(message.about):
        for item in sorted(held.ids):
            digest.update(item)
        if message.about == "votes":
            digest.update("\n".join(held.parts.task.versions).encode())
    return digest.digest()


def _counted(held: Holdings, message: PrivateRequest) -> tuple[IntVector, IntVector]:
    """Return what is summed, exact, and the places of items that are in no later sum of it."""
    if message.about == "arrivals":
        return count_new(held, _private_model(held, message), noised=True)
    return _values(held, message), np.empty(0, dtype=np.int64)


def _values(held: Holdings, message: PrivateRequest) -> IntVector:
    """Return what is summed, exact."""
    match message.about:
        case "moments":
            bound = held.parts.task.policy.privacy.bound
            return BoundedMoments.from_embeddings(held.learner.embeddings, longest=bound).totals
        case "votes":
            return _votes(held)
        case "anchors":
            return _anchors(held)
        case "gram":
            return gram_products(held.learner.inputs(_private_model(held, message)))
        case "cross":
            return _cross(held, message)
        case "update":
            return _update(held, message)
        case "verdict":
            return cut_verdict(_judged(held, message))
        case _:
            return _judged(held, message)


def _votes(held: Holdings) -> IntVector:
    """Return the summary of the pool's votes, and on how many items there is any."""
    votes = _capped(held)
    summary = VoteSummary.from_votes(votes, classes=held.classes)
    voted = int((votes >= 0).any(axis=1).sum())
    return np.concatenate([summary.to_vector(), np.array([voted], dtype=np.int64)])


def _anchors(held: Holdings) -> IntVector:
    """Return the votes on answered items, by the answer."""
    answers = held.parts.pool.column("answer")[: len(held.ids)]
    places = np.flatnonzero(answers >= 0)
    votes = _capped(held)[places]
    return AnchorSummary.from_votes(votes, answers[places], classes=held.classes).to_vector()


def _capped(held: Holdings) -> NDArray[np.int8]:
    """Return the votes with no more of them on a record than the policy counts."""
    return cap_votes(held.votes, held.parts.task.policy.privacy.cap_votes, classes=held.classes)


def _cross(held: Holdings, message: PrivateRequest) -> IntVector:
    """Return inputs times what the head gets wrong, over everything that teaches here."""
    model = _private_model(held, message)
    sent = Sent(label_model=message.label_model, vote_weight=message.vote_weight, rule=None)
    lessons = taught_here(held, sent).lessons
    if len(np.unique(lessons.positions)) != len(lessons.positions):
        raise InternalError("a record teaches twice, and counts as one")
    inputs, targets, weight = held.learner.rows(model, lessons)
    return cross_products(inputs, targets, weight, head_of(model), reach=message.reach)


def _update(held: Holdings, message: PrivateRequest) -> IntVector:
    """Return what training on this device alone changes, no longer than a device's may be."""
    model = _private_model(held, message)
    before = head_of(model)
    sent = Sent(label_model=message.label_model, vote_weight=message.vote_weight, rule=None)
    lessons = taught_here(held, sent).lessons
    moved = np.zeros(before.weights.size)
    if len(lessons.positions):
        trained = held.learner.train(
            model, lessons, epochs=message.epochs, l2_per_item=message.l2_per_item
        )
        moved = (federated_averaging().combine(before, trained).values - before.values).ravel()
    return clip_update(moved, message.reach).to_vector()


def _judged(held: Holdings, message: PrivateRequest) -> IntVector:
    """Return confusion counts: of a device that only evaluates first, else of the random arm."""
    model = _private_model(held, message)
    places, truth = held.judged
    predicted = held.learner.probabilities(model)[places].argmax(axis=1)
    counts = confusion(truth, predicted, held.classes).ravel()
    nothing = np.zeros_like(counts)
    return np.concatenate([counts, nothing] if held.parts.evaluates else [nothing, counts])


def _private_model(held: Holdings, message: PrivateRequest) -> HeadModel:
    """Return the head that was sent, if its inputs of a record hang on that record alone."""
    if message.model is None:
        raise InputError(f"{message.about} are sums over inputs of a head, and none was sent")
    if message.model.recentre:
        raise RefusalError(
            "the head takes a device's own mean out of its inputs, so one record would move all of"
            " them: under record-level privacy recentre is 0"
        )
    if message.model.classes != held.classes:
        raise InputError(f"a head of {message.model.classes} classes, expected {held.classes}")
    return message.model
