"""Keeping what was known when functions change: the head before teaches, and answers are repeated.

Where a new function votes, that is the correction, and the head before has no say. Where none does
it teaches beside the votes; where nobody votes any more it teaches alone.
"""

from dataclasses import replace

import numpy as np

from edge.holdings import Holdings
from edge.learning.lessons import Lessons, certainty
from fieldvote.errors import InputError
from fieldvote.heads import GradientRequest, Keeping
from strategies.governance import Source
from strategies.governance.replay import choose_replay, distillation_targets


def keep_known(held: Holdings, lessons: Lessons, asked: GradientRequest) -> Lessons:
    """Return lessons with what is to be kept of the head before.

    Raises:
        InputError: a share is none, or a function is one this device does not have.
    """
    keeping = asked.keeping
    if keeping is None:
        return lessons
    _check(keeping, functions=held.votes.shape[1])
    if keeping.replay > 0:
        lessons = _replayed(held, lessons, keeping)
    policy = held.parts.task.policy.teaching
    if keeping.share > 0 and not policy.verified_only:
        lessons = _taught(held, lessons, asked.vote_weight, keeping)
    return lessons


def _replayed(held: Holdings, lessons: Lessons, keeping: Keeping) -> Lessons:
    """Return lessons in which the answers that stand for each class weigh more."""
    answered = np.flatnonzero((lessons.sources == Source.VERIFIED) & ~lessons.second)
    chosen = choose_replay(
        held.learner.features(keeping.before)[lessons.positions[answered]],
        lessons.targets[answered].argmax(axis=1),
        classes=held.classes,
        most=keeping.replayed,
    )
    weights = lessons.weights.copy()
    weights[answered[chosen]] += keeping.replay
    return replace(lessons, weights=weights)


def _taught(held: Holdings, lessons: Lessons, vote_weight: float, keeping: Keeping) -> Lessons:
    """Return lessons that the head before has a say in."""
    said = held.learner.probabilities(keeping.before)
    corrected = np.asarray((held.votes[:, keeping.fresh] >= 0).any(axis=1))
    share = np.zeros(len(lessons))
    ours = (lessons.sources == Source.VOTED) & ~corrected[lessons.positions]
    share[ours] = keeping.share
    mixed = replace(
        lessons,
        targets=distillation_targets(lessons.targets, said[lessons.positions], share)
        if len(lessons)
        else lessons.targets,
    )
    pool = held.parts.pool
    n = len(held.ids)  # the pool may have grown
    silent = (pool.column("answer")[:n] < 0) & ~held.voted & ~held.held_out(pool.column("arm")[:n])
    silent[lessons.positions] = False
    places = np.flatnonzero(silent)
    return mixed + Lessons(
        positions=places,
        targets=said[places],
        weights=vote_weight * certainty(said[places]),
        gates=np.zeros(len(places), dtype=np.float32),
        sources=np.full(len(places), Source.PSEUDO, dtype=np.int8),
        second=np.zeros(len(places), dtype=np.bool_),
    )


def _check(keeping: Keeping, *, functions: int) -> None:
    """Refuse what no coordinator would send."""
    if not 0.0 <= keeping.share <= 1.0 or not 0.0 <= keeping.replay <= 15.0:
        raise InputError("keeping: expected a share of 0 to 1, and a replay of 0 to 15")
    if keeping.replayed < 0 or bool(np.any((keeping.fresh < 0) | (keeping.fresh >= functions))):
        raise InputError("keeping: a function that is not of this task, or less than no answers")
