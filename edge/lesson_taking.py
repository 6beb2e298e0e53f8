"""What teaches on this device under a rule that was sent, and under the policy that was signed.

The signed policy has the last word: where it lets only people teach, no vote and no model's own
label does, whatever a coordinator sends.
"""

from dataclasses import dataclass, replace

import numpy as np

from edge.holdings import Holdings
from edge.learning.kept_lessons import said
from edge.learning.lessons import Beliefs, Known, Taught, soft_labels, what_teaches
from fieldvote.codec import FloatVector
from fieldvote.errors import InputError
from fieldvote.heads import HeadModel
from fieldvote.records import ARM_RANDOM
from fieldvote.teaching import TeachingRule
from strategies.governance import PseudoLabelCounts
from strategies.governance.tiers import ConfidenceCounts
from strategies.labeling import LabelModel


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sent:
    """What a coordinator sent about teaching.

    Attributes:
        label_model: Parameters of the label model; empty without one.
        vote_weight: Largest weight of one voted item.
        rule: How sure is sure enough; None: every voted label teaches all layers.
        teacher: The model that labels items by itself; None: none does.
    """

    label_model: FloatVector
    vote_weight: float
    rule: TeachingRule | None
    teacher: HeadModel | None = None


def taught_here(held: Holdings, sent: Sent) -> Taught:
    """Return everything on this device that teaches.

    Raises:
        InputError, ShapeError: what was sent is about other functions or classes, or no rule.
    """

    def work_out() -> Taught:
        beliefs = _beliefs(held, sent)
        return what_teaches(_known(held, ranked=len(beliefs.rule.thresholds) > 0), beliefs)

    return held.lessons.of((held.parts.pool.columns.edition, said(sent)), work_out)


def confidences(held: Holdings, sent: Sent) -> ConfidenceCounts:
    """Return how sure the labels of voted items are, and how right where answers were drawn."""
    beliefs = _beliefs(held, sent)
    _, soft = soft_labels(_known(held), beliefs)
    pool, model, n = held.parts.pool, beliefs.label_model, len(held.ids)
    answers = pool.column("answer")[:n]
    drawn = np.flatnonzero((pool.column("arm")[:n] == ARM_RANDOM) & (answers >= 0) & held.voted)
    if model is None or beliefs.rule.verified_only:
        drawn, soft = drawn[:0], soft[:0]
    return ConfidenceCounts.of(
        soft,
        answered=np.empty((0, held.classes)) if model is None else model.predict(held.votes[drawn]),
        labels=answers[drawn],
    )


def vouched(held: Holdings, sent: Sent) -> PseudoLabelCounts:
    """Return how right the teacher is where it says which class how surely.

    Counted on answers that are never trained on: a device's own labels where it only evaluates,
    else the half of the random arm that is held out.

    Raises:
        InputError: no teacher was sent.
    """
    teacher = _beliefs(held, sent).teacher
    if teacher is None:
        raise InputError("asked how right a model is, and none was sent")
    places, truth = held.judged
    return PseudoLabelCounts.of(teacher[places], truth)


def _known(held: Holdings, *, ranked: bool = False) -> Known:
    """Return what this device knows of its items; ranked by their ids where ties are broken."""
    pool = held.parts.pool
    n = len(held.ids)
    ranks = np.arange(n)
    if ranked:
        ranks[sorted(range(n), key=held.ids.__getitem__)] = np.arange(n)
    return Known(
        answers=pool.column("answer")[:n],
        free=~held.held_out(pool.column("arm")[:n]),
        votes=held.votes,
        ranks=ranks,
        classes=held.classes,
    )


def _beliefs(held: Holdings, sent: Sent) -> Beliefs:
    """Return what was sent as this device may use it."""
    rule = sent.rule or TeachingRule()
    if held.parts.task.policy.teaching.verified_only:
        # else a stolen coordinator could teach a safety-critical fleet what nobody has verified
        rule = replace(rule, verified_only=True)
    return Beliefs(
        label_model=LabelModel.from_vector(sent.label_model) if len(sent.label_model) else None,
        vote_weight=sent.vote_weight,
        rule=rule,
        teacher=None if sent.teacher is None else held.learner.probabilities(sent.teacher),
    )
