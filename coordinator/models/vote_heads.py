"""Heads that learned at several weights of the votes, each without one fold: the questions.

They serve for nothing else than to be judged on that fold, and are not kept. Leg after leg one fold
is left out and all others are asked for the gradients at its heads; when every head is solved, each
fold is asked what its labels say of the heads that never saw it.

Heads begin at zero. The head in use has seen every label: begun at that, a head that is left alone
by a solver that has nothing to gain would know the labels that judge it.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from coordinator.models.totals import Snapshot
from coordinator.models.training import Leg, is_reply, reply_length, solve
from coordinator.models.training import Trained as Solved
from coordinator.plausible import MOST_ITEMS, are_counts
from coordinator.settings import CampaignSettings
from fieldvote.codec import IntVector
from fieldvote.conversation import Conversation
from fieldvote.heads import HeadModel
from fieldvote.recasting import JUDGE, TEACH

_NO_INTEGERS = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoldLeg:
    """One leg.

    Attributes:
        about: What is asked; see fieldvote.recasting.
        fold: Which fold of the devices its heads know nothing of.
        model: Whose inputs the heads read.
        heads: Their weights, one after the other. Shape (h * p * k,).
        vote_weights: Largest weight of one voted item, for each head. Shape (h,).
    """

    about: str
    fold: int
    model: HeadModel
    heads: IntVector
    vote_weights: tuple[float, ...]

    @property
    def judges(self) -> bool:
        """Whether the fold itself is asked; else all others are."""
        return self.about == JUDGE


Weighing: TypeAlias = Generator[FoldLeg, IntVector, IntVector]
"""Yields what to ask devices, is sent what replies add up to, returns the sums that judge."""


def tried_weights(settings: CampaignSettings) -> tuple[float, ...]:
    """Return every weight of all voted items that is tried; 0 comes first."""
    return (0.0, *sorted(set(settings.recipes.vote_weights)))


def weighing(base: HeadModel, snapshot: Snapshot, settings: CampaignSettings) -> Weighing:
    """Solve a head for each fold and weight, and have the folds judge them.

    A function of what it is sent and nothing else. What a leg nobody answered came to is no reply,
    and counts as nothing.

    Args:
        base: Whose inputs the heads read.
        snapshot: What a round would be trained with.
        settings: Which weights are tried, in how many folds; how strong the penalty is.
    """
    weights = tuple(snapshot.weight_of_one(weight) for weight in tried_weights(settings))
    start = replace(base, weights=np.zeros_like(base.weights), parent="", deep=_NO_INTEGERS)
    inputs = replace(start, weights=_NO_INTEGERS)
    folds = range(settings.recipes.folds)
    solving = [
        [
            Conversation.begin(
                solve(
                    start,
                    snapshot.head_sums(start, weight),
                    l2=settings.l2,
                    exchanges=settings.exchanges,
                )
            )
            for weight in weights
        ]
        for _ in folds
    ]

    def leg(about: str, fold: int) -> FoldLeg:
        heads = np.concatenate([_head(each) for each in solving[fold]])
        return FoldLeg(about=about, fold=fold, model=inputs, heads=heads, vote_weights=weights)

    while not all(each.over for heads in solving for each in heads):
        for fold, heads in enumerate(solving):
            if all(each.over for each in heads):
                continue
            asked = leg(TEACH, fold)
            told = _split(asked, (yield asked))
            for each, gradient in zip(heads, told, strict=True):
                # one may be done before the others: it is asked at its end, and told nothing
                if not each.over:
                    each.tell(gradient)
    judged = np.zeros(2 * len(weights), dtype=np.int64)
    for fold in folds:
        asked = leg(JUDGE, fold)
        said = yield asked
        judged += said if fits(asked, said) else 0
    return judged


def fits(leg: FoldLeg, vector: IntVector) -> bool:
    """Return whether a device, or a cohort, can have answered this."""
    h = len(leg.vote_weights)
    if leg.judges:
        items = are_counts(vector[:1], 1, most=MOST_ITEMS)
        return len(vector) == 2 * h and items and bool((vector >= 0).all())
    shape = _shape(leg)
    whole = len(vector) == h * reply_length(shape, averaged=False)
    return whole and all(is_reply(shape, part, averaged=False) for part in np.split(vector, h))


def _split(leg: FoldLeg, vector: IntVector) -> Sequence[IntVector]:
    """Return the gradient at each head; where nobody answered, of no lesson."""
    h, length = len(leg.vote_weights), reply_length(_shape(leg), averaged=False)
    if len(vector) != h * length:
        return [np.zeros(length, dtype=np.int64)] * h
    return np.split(vector, h)


def _shape(leg: FoldLeg) -> HeadModel:
    """Return a model with as many weights as each head has."""
    return replace(leg.model, weights=leg.heads[: len(leg.heads) // len(leg.vote_weights)])


def _head(solving: Conversation[Leg, IntVector, Solved]) -> IntVector:
    """Return the weights a solver asks about, or has come to."""
    model = solving.result.model if solving.asked is None else solving.asked.model
    return model.weights
