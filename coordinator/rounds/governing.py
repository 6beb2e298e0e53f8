"""What may be learned from which label in a round: the rule is made from sums, and then reported.

A conversation after the label model's, and like it a function of what it is sent and nothing else:
begun anew with the kept sums of an earlier run, it asks and concludes the same to the bit. Nothing
is asked where the campaign lets every label teach everything.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np

from coordinator.models.totals import Snapshot
from coordinator.plausible import builds
from coordinator.rounds.judging import read_sums
from coordinator.settings import CampaignSettings
from coordinator.store.campaign import Store
from coordinator.teaching_settings import TeachingSettings
from fieldvote.codec import IntVector, decode, encode
from fieldvote.errors import InputError
from fieldvote.heads import HeadModel
from fieldvote.task import Task
from fieldvote.teaching import TeachingRule
from strategies.governance import DepthReport, DepthRule, PseudoLabelCounts
from strategies.governance.confidence import function_groups
from strategies.governance.pseudo_labels import BINS
from strategies.governance.tiers import ConfidenceCounts, gate_pays, tiers_by_share
from strategies.labeling import AnchorSummary, VoteSummary
from strategies.labeling.one_shot import fit_one_shot
from strategies.labeling.thresholds import ScoreHistogram

Counts = TypeVar("Counts")
_KINDS: dict[int, type] = {1: TeachingRule}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LessonQuestion:
    """What devices are asked about their lessons; the answer is a vector that adds up.

    Attributes:
        about: How sure voted labels are and how right, by "confidence"; how many lessons teach how
            deep, by "depth"; how right the model that training starts from is, by "pseudo".
        rule: What may be learned from which label, as far as it is known.
        length: How many numbers an answer has.
    """

    about: Literal["confidence", "depth", "pseudo"]
    rule: TeachingRule
    length: int


Governing = Generator[LessonQuestion, IntVector, TeachingRule | None]
"""Yields what to ask, is sent what the answers add up to, returns the rule; None: all teach all."""


def govern_round(
    task: Task, snapshot: Snapshot, settings: CampaignSettings, *, trained: bool
) -> Governing:
    """Make the rule of a round.

    Args:
        task: Whose functions and classes.
        snapshot: The sums the round trains from.
        settings: What the campaign is set to.
        trained: Whether the head that training starts from was trained at all; one that was not
            labels nothing.
    """
    classes = len(task.classes)
    votes = snapshot.vote_weight(settings, len(task.functions)) > 0
    said = settings.teaching.settled(deep=settings.learner == "deep" and votes)
    if not said.says:
        return None
    rule = TeachingRule(
        sharpness=said.sharpness,
        most_weight=said.most_weight,
        verified_only=said.verified_only,
        groups=_groups(task, snapshot),
        second_views=said.second_views,
        consistency=said.consistency if trained else 0.0,
    )
    if said.pseudo_share and trained:
        length = len(PseudoLabelCounts.none(classes=classes).to_vector())
        sums = yield LessonQuestion(about="pseudo", rule=rule, length=length)
        counts = _told(lambda: PseudoLabelCounts.from_vector(sums, classes=classes))
        if counts is not None:
            rule = replace(
                rule,
                thresholds=counts.thresholds(precision=said.pseudo_precision),
                most_pseudo=said.pseudo_share,
            )
    if votes and said.gate == "fixed":
        rule = _with_tiers(rule, said, high=said.high, middle=said.middle)
    elif votes and said.gate != "off":
        length = 3 * len(ScoreHistogram.none().counts)
        sums = yield LessonQuestion(about="confidence", rule=rule, length=length)
        sure = _told(lambda: ConfidenceCounts.from_vector(sums))
        rule = rule if sure is None else _cut(rule, said, sure, classes=classes)
    if said.asks_for_depth:
        length = len(DepthReport.none().to_vector())
        yield LessonQuestion(about="depth", rule=rule, length=length)
    return rule


def _told(read: Callable[[], Counts]) -> Counts | None:
    """Return what sums say; None where they cannot be.

    Under secure aggregation nobody sees what one device sent, and a lie shows in the sum alone:
    then nothing is cut and nothing vouched for, and the round goes on.
    """
    try:
        return read()
    except InputError:
        return None


def _cut(
    rule: TeachingRule, said: TeachingSettings, counts: ConfidenceCounts, *, classes: int
) -> TeachingRule:
    """Return the rule with tiers by share; below the upper one none, where no gate would pay."""
    total = ScoreHistogram(counts=counts.voted)
    tiers = tiers_by_share(
        total, DepthRule(high=0.0, middle=0.0), deep=said.deep_share, taught=said.taught_share
    )
    if said.gate == "measured" and not gate_pays(counts, tiers, classes=classes):
        return replace(rule, middle=tiers.middle, high=tiers.middle)
    return _with_tiers(rule, said, high=tiers.high, middle=tiers.middle)


def _with_tiers(
    rule: TeachingRule, said: TeachingSettings, *, high: float, middle: float
) -> TeachingRule:
    """Return the rule with these tiers, and with what else is asked of a label."""
    return replace(rule, high=high, middle=middle, voices=said.voices, agreement=said.agreement)


def _groups(task: Task, snapshot: Snapshot) -> IntVector:
    """Return which functions are copies of each other, one number a group; none without votes."""
    if not len(snapshot.votes) or not task.functions:
        return np.empty(0, dtype=np.int64)
    shape = {"functions": len(task.functions), "classes": len(task.classes)}
    anchors = (
        AnchorSummary.from_vector(snapshot.anchors, **shape) if len(snapshot.anchors) else None
    )
    total = VoteSummary.from_vector(snapshot.votes, **shape)
    return function_groups(fit_one_shot(total, anchors).copies)


def teacher_of(rule: TeachingRule | None, base: HeadModel) -> HeadModel | None:
    """Return the model that labels items by itself, where a rule lets one: the round's first."""
    if rule is None:
        return None
    labels = bool((rule.thresholds < BINS).any())  # at BINS nothing is sure enough
    return base if labels or rule.consistency > 0 else None


def fits(question: LessonQuestion, vector: IntVector, *, classes: int) -> bool:
    """Return whether a device's counts are such as the question is about."""
    match question.about:
        case "pseudo":
            return builds(lambda v: PseudoLabelCounts.from_vector(v, classes=classes), vector)
        case "confidence":
            return builds(ConfidenceCounts.from_vector, vector)
        case "depth":
            return builds(DepthReport.from_vector, vector)


def write_rule(rule: TeachingRule) -> bytes:
    """Return a rule as it is kept."""
    return encode(rule, _KINDS)


def rule_at(store: Store, digest: str) -> TeachingRule | None:
    """Return the rule that is kept under a digest; None for none."""
    return decode(store.artifact(digest), _KINDS, (TeachingRule,)) if digest else None


def report_at(store: Store, digest: str) -> DepthReport | None:
    """Return what taught how deep, as the sums under this digest say; None for none."""
    return DepthReport.from_vector(read_sums(store.artifact(digest)).held_out) if digest else None
