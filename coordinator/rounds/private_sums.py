"""What noised sums amount to: a label model, a representation, a head. Pure, and so repeatable.

Under record-level privacy a round asks for few things, and each of them once:

- before the label model is fitted: the votes, in the campaign's first round, and the anchors;
- before the head is solved: the means of inputs and their products, in the first round, and what
  the head before gets wrong.

What was asked for in an earlier round is among a later round's kept sums: votes and voted items as
ever, and the products of inputs where head sums of voted items are kept elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, sqrt

import numpy as np

from coordinator.inbox import VOTED, VOTED_ITEMS, VOTES
from coordinator.models.embedding_width import embedding_width
from coordinator.models.totals import Snapshot, load_settings_text
from coordinator.models.training import Trained as Solved
from coordinator.models.training import head_of, with_head
from coordinator.rounds.judging import LegSums
from fieldvote.codec import IntVector
from fieldvote.heads import HeadModel
from fieldvote.task import Task
from privacy.dp.campaign import plan_of
from privacy.dp.mechanisms import NoisePlan
from strategies.aggregation.bounded_moments import BoundedMoments
from strategies.aggregation.clipping import FLAG, STEPS, AdaptiveBound
from strategies.aggregation.head import Head
from strategies.aggregation.private_steps import NoisedSum, improved
from strategies.labeling import AnchorSummary, LabelModel, VoteSummary
from strategies.private_statistics import Statistic, cleaned_counts, cleaned_votes

# Beyond the first head few records are wrong by much; those that are shall not set the noise.
_FIRST_REACH, _REACH = 1.0, 0.7

_FAR = 5.0  # in nats; noise alone shall not move a length further
_CERTAINTY = 0.7
"""Of an average voted item; only the length of a step hangs on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateLeg:
    """One noised sum that is asked for.

    Attributes:
        about: What is summed.
        turn: Which of the campaign's releases of it.
        model: The head that is meant; None where inputs do not matter.
        reach: What its errors are cut at, or the updates of devices.
        epochs: How long devices train on their own.
    """

    about: str
    turn: int
    model: HeadModel | None = None
    reach: float = 1.0
    epochs: int = 0


def judging_leg(task: Task, model: HeadModel, turn: int) -> PrivateLeg:
    """Return what is asked of how right a head is."""
    about = "evaluation" if task.policy.privacy.unit == "record" else "verdict"
    return PrivateLeg(about=about, turn=turn, model=model)


def plan_for(task: Task, leg: PrivateLeg) -> NoisePlan:
    """Return what noise the devices of this task add for a leg."""
    statistic = statistic_of(task, leg.about)
    return plan_of(
        task.policy.privacy,
        leg.about,
        leg.turn,
        l2_squared=statistic.l2_squared,
        length=statistic.length,
        secure=task.policy.cohort.secure,
    )


def statistic_of(task: Task, about: str) -> Statistic:
    """Return how long a vector of this task is, and how far a record moves it."""
    return Statistic.named(
        about,
        functions=len(task.functions),
        classes=len(task.classes),
        width=embedding_width(task),
        cap=task.policy.privacy.cap_votes,
    )


def noised(task: Task, leg: PrivateLeg, sums: LegSums) -> NoisedSum:
    """Return what a leg has come to, in its own unit; the second vector says over how many."""
    plan = plan_for(task, leg)
    replies = max(int(sums.random_arm[0]), 1)
    stddev = sqrt(plan.noise.share_variance * replies) / plan.steps
    return NoisedSum(values=sums.held_out / plan.steps, stddev=stddev)


def agreement_legs(task: Task, snapshot: Snapshot, turn: int) -> tuple[PrivateLeg, ...]:
    """Return what is asked for before the label model is fitted."""
    if not task.functions or task.policy.privacy.unit != "record":
        return ()  # of whole devices, votes would hold more noise than they say
    once = () if len(snapshot.votes) else (PrivateLeg(about="votes", turn=0),)
    return (*once, PrivateLeg(about="anchors", turn=turn))


def label_model_of_noised(
    task: Task, snapshot: Snapshot, turn: int, sums: Sequence[LegSums]
) -> LabelModel:
    """Return the label model that noised votes and anchors tell of."""
    shape = {"functions": len(task.functions), "classes": len(task.classes)}
    if not agreement_legs(task, snapshot, turn):
        return LabelModel.fit(VoteSummary.empty(**shape))
    found = dict(zip(agreement_legs(task, snapshot, turn), sums, strict=True))
    told = {leg.about: noised(task, leg, summed) for leg, summed in found.items()}
    votes, anchors = told.get("votes"), told.get("anchors")
    first = PrivateLeg(about="votes", turn=0)
    if votes is not None:
        total, spread = cleaned_votes(votes.values[:-1], **shape), votes.stddev
    else:
        # kept without a word on how many devices it is of: as many as the policy names
        total = cleaned_votes(snapshot.votes.astype(np.float64), **shape)
        plan = plan_for(task, first)
        spread = sqrt(plan.noise.share_variance * task.policy.privacy.cohort) / plan.steps
    if anchors is None:
        return LabelModel.fit(total, noise=spread)
    counted = AnchorSummary.from_vector(cleaned_counts(anchors.values), **shape)
    return LabelModel.fit(total, anchors=counted, noise=spread)


def next_leg(
    task: Task, base: HeadModel, snapshot: Snapshot, turn: int, sums: Sequence[LegSums]
) -> PrivateLeg | Solved:
    """Return what a round asks for next, or the head that came of what it was told.

    Args:
        task: The task.
        base: The head before.
        snapshot: The round's kept sums.
        turn: Which round it is, from 0.
        sums: Of the legs so far.
    """
    if task.policy.privacy.unit == "device":
        return _averaged(task, base, snapshot, turn, sums)
    told, model = list(sums), base
    gram = _kept_gram(task, snapshot)
    if gram is None and task.policy.privacy.centre:
        asked = PrivateLeg(about="moments", turn=0)
        if not told:
            return asked
        model = _centred(task, base, noised(task, asked, told.pop(0)))
    if gram is None:
        asked = PrivateLeg(about="gram", turn=0, model=model)
        if not told:
            return asked
        gram = noised(task, asked, told.pop(0))
    labels = float(snapshot.labeled[0]) if len(snapshot.labeled) else 0.0
    if not labels:
        # every candidate stayed on its device: the head waits, the campaign does not
        return Solved(model=model, exchanges=len(sums))
    reach = _REACH if model.weights.any() else _FIRST_REACH
    asked = PrivateLeg(about="cross", turn=turn, model=model, reach=reach)
    if not told:
        return asked
    cross = noised(task, asked, told.pop(0))
    weight = labels + _weight_of_votes(task, snapshot)
    head = improved(head_of(model), gram, cross, reach=reach, weight=weight)
    return Solved(model=with_head(model, head), exchanges=len(sums))


def _averaged(
    task: Task, base: HeadModel, snapshot: Snapshot, turn: int, sums: Sequence[LegSums]
) -> PrivateLeg | Solved:
    """Ask for updates of whole devices, and take their mean."""
    privacy, settings = task.policy.privacy, load_settings_text(snapshot.settings)
    bound = AdaptiveBound(bound=privacy.clip)
    if privacy.adaptive and len(snapshot.voted):
        # each round's share within adds up, and so do the moves it makes
        rounds, within = (int(number) for number in snapshot.voted)
        share = 0.5 * rounds + 0.5 * within / FLAG / privacy.cohort
        move = bound.rate * (share - bound.quantile * rounds)
        bound = AdaptiveBound(bound=privacy.clip * exp(-min(max(move, -_FAR), _FAR)))
    leg = PrivateLeg(
        about="update", turn=turn, model=base, reach=bound.bound, epochs=settings.epochs
    )
    if not sums:
        return leg
    found = noised(task, leg, sums[0])
    moved = found.values[1:] * (bound.bound / STEPS / privacy.cohort)
    head = Head.from_values(head_of(base).values + moved.reshape(-1, base.classes))
    return Solved(model=with_head(base, head), exchanges=1)


def _weight_of_votes(task: Task, snapshot: Snapshot) -> float:
    """Return what voted items weigh together, about: none of them is quite certain."""
    settings = load_settings_text(snapshot.settings)
    weight = snapshot.vote_weight(settings, len(task.functions))
    return _CERTAINTY * weight * float(snapshot.voted_items[0]) if weight > 0 else 0.0


def kept_as(about: str, turn: int, sums: LegSums, task: Task) -> dict[str, IntVector]:
    """Return what later rounds are to know of a leg, by the name of the sum it is kept as."""
    plan = plan_for(task, PrivateLeg(about=about, turn=turn))
    if about == "gram":
        return {VOTED: np.concatenate([sums.random_arm, sums.held_out])}
    if about == "update":
        return {VOTED: np.array([1, sums.held_out[0] // plan.steps], dtype=np.int64)}
    if about == "votes":
        shape = {"functions": len(task.functions), "classes": len(task.classes)}
        values = noised(task, PrivateLeg(about=about, turn=0), sums).values
        clean = cleaned_votes(values[:-1], **shape)
        return {VOTES: clean.to_vector(), VOTED_ITEMS: cleaned_counts(values[-1:])}
    return {}


def _kept_gram(task: Task, snapshot: Snapshot) -> NoisedSum | None:
    """Return the products of inputs as an earlier round was told them."""
    if not len(snapshot.voted):
        return None
    sums = LegSums(held_out=snapshot.voted[1:], random_arm=snapshot.voted[:1])
    return noised(task, PrivateLeg(about="gram", turn=0), sums)


def _centred(task: Task, base: HeadModel, moments: NoisedSum) -> HeadModel:
    """Return the head over inputs of the usual length, around the fleet's mean."""
    totals = np.rint(moments.values).astype(np.int64)
    found = BoundedMoments(longest=task.policy.privacy.bound, totals=totals)
    mean, spread = found.mean_and_spread()
    return replace(base, mean=mean, scale=np.full(len(mean), spread))
