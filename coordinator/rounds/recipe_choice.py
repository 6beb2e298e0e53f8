"""What the legs of a choice come to: which inputs, and what votes weigh.

Pure, so that a round that is over is judged again from its kept sums, to the same bits. The legs of
a round lie in this order: one for each fold about inputs; one for the curvature under inputs that
are not the first; those about votes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from coordinator.models.recasting import inputs_of, with_inputs
from coordinator.models.totals import Snapshot
from coordinator.models.vote_heads import tried_weights, weighing
from coordinator.rounds.events import Recast
from coordinator.settings import CampaignSettings, InputSettings
from fieldvote.codec import IntVector
from fieldvote.conversation import replay
from fieldvote.heads import HeadModel
from strategies.aggregation.sketch import HeadSums, sketch_length
from strategies.input_choice import better_way, left_out_error, sums_length
from strategies.vote_choice import better_weight, losses_of

_MICRO = 1_000_000
_NO_INTEGERS = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choice:
    """What the legs about inputs came to.

    Attributes:
        errors: Of the inputs in use, then of every other way, in millionths; empty: not judged.
        model: The head to train from.
    """

    errors: tuple[int, ...]
    model: HeadModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """What the legs about votes came to.

    Attributes:
        vote_weight: Of all votes together, alone in here; empty: as before.
        losses: Per label, for each weight that was tried, in millionths of a nat; empty likewise.
    """

    vote_weight: tuple[float, ...] = ()
    losses: tuple[int, ...] = ()

    def on(self, snapshot: Snapshot) -> Snapshot:
        """Return a snapshot in which votes weigh what was chosen."""
        if not self.vote_weight:
            return snapshot
        return replace(snapshot, chosen=np.array(self.vote_weight))


def ways(base: HeadModel, settings: CampaignSettings) -> tuple[HeadModel, ...]:
    """Return the inputs in use, and the others that are tried."""
    own = inputs_of(base)
    tried = [with_inputs(base, _varied(settings, place)) for place in _places(settings)]
    return (base, *(model for model in tried if inputs_of(model) != own))


def is_first(model: HeadModel, settings: CampaignSettings) -> bool:
    """Return whether these inputs are those that answers are summed under."""
    return inputs_of(model) == inputs_of(with_inputs(model, settings.inputs))


def recast_again(
    event: Recast,
    base: HeadModel,
    snapshot: Snapshot,
    settings: CampaignSettings,
    legs: Sequence[IntVector],
) -> tuple[HeadModel, Snapshot]:
    """Return the head and the snapshot that a round's kept legs lead to."""
    rules = settings.recipes
    judged = event.round in rules.rounds and bool(rules.variants) and len(legs) >= rules.folds
    told, rest = (legs[: rules.folds], legs[rules.folds :]) if judged else ([], legs)
    model, curvature = choose(base, told, settings).model, _NO_INTEGERS
    if rest and not is_first(model, settings):
        curvature, *rest = rest
    kept = snapshot_for(model, snapshot, curvature)
    if not rest:
        return model, kept
    weighed = replay(weighing(model, kept, settings), rest)
    return model, kept if weighed is None else weigh(weighed.result, settings).on(kept)


def choose(base: HeadModel, legs: Sequence[IntVector], settings: CampaignSettings) -> Choice:
    """Return what the sums of the folds say of inputs; without any, they stay as they are.

    Args:
        base: The head in use.
        legs: What each fold's leg came to.
        settings: What the campaign is set to do.
    """
    if not legs:
        return Choice(errors=(), model=base)
    models, rules = ways(base, settings), settings.recipes
    lengths = lengths_of(models, rules.rank)
    whole = [leg for leg in legs if len(leg) == sum(lengths)]  # of a fold nobody is in: nothing
    cuts = np.cumsum(lengths)[:-1]
    by_way = zip(*(np.split(leg, cuts) for leg in whole), strict=True)
    errors = [left_out_error(folds, classes=base.classes) for folds in by_way]
    if not errors or not np.isfinite(errors).all():
        return Choice(errors=(), model=base)
    place = better_way(errors, used=0, better_by=rules.better_by)
    return Choice(errors=tuple(round(error * _MICRO) for error in errors), model=models[place])


def weigh(judged: IntVector, settings: CampaignSettings) -> Weighed:
    """Return what labels left out say of the weights that were tried; without any label, nothing.

    Args:
        judged: What the folds' losses add up to.
        settings: Which weights were tried, and what they must bring.
    """
    rules, losses = settings.recipes, losses_of(judged)
    if not len(losses):
        return Weighed()
    place = better_weight(judged, better_by=rules.better_by, doubt=rules.doubt)
    return Weighed(
        vote_weight=(tried_weights(settings)[place],),
        losses=tuple(round(loss * _MICRO) for loss in losses.tolist()),
    )


def snapshot_for(model: HeadModel, snapshot: Snapshot, curvature: IntVector) -> Snapshot:
    """Return what a head over these inputs is trained with.

    Args:
        model: The head.
        snapshot: What a head over the first inputs would be trained with.
        curvature: What the labeled and the voted items under these inputs came to; empty where
            they are the first.
    """
    length = sketch_length(len(model.weights) // model.classes)
    if not len(curvature):
        return snapshot
    if len(curvature) != 2 * length:  # nobody answered
        curvature = np.tile(HeadSums.empty(width=(length - 1) // 8).to_vector(), 2)
    labeled, voted = np.split(curvature, 2)
    return replace(snapshot, labeled=labeled, voted=voted)


def lengths_of(models: Sequence[HeadModel], rank: int) -> list[int]:
    """Return how many numbers each way's part of a reply has."""
    widths = [len(model.weights) // model.classes for model in models]
    if not rank:
        return [2 * sketch_length(width) for width in widths]
    classes = models[0].classes
    return [sums_length(width=width, classes=classes, rank=rank) for width in widths]


def _places(settings: CampaignSettings) -> range:
    """Return the places of what can be tried: the first inputs, then the variants."""
    return range(len(settings.recipes.variants) + 1)


def _varied(settings: CampaignSettings, place: int) -> InputSettings:
    """Return the first inputs, or those with a variant of them."""
    if not place:
        return settings.inputs
    variant = settings.recipes.variants[place - 1]
    return replace(
        settings.inputs,
        recentre=variant.recentre,
        smooth=variant.smooth,
        fourier=variant.fourier,
    )
