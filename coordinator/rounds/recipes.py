"""Which inputs a round trains its head on: devices that have labels are asked, after some rounds.

Between the label model and the training of a round, in legs like any other:

- after the rounds the settings name, one leg for each fold of the devices: sums over their labeled
  items, for the inputs in use and for every variant. The fold whose sums are left out is judged by
  the others; inputs change only if others err clearly less.
- where the inputs are not those the campaign began with, one leg more: the labeled items under
  them, which the solver takes its curvature from. What answers add to the sums at their delivery
  stays under the first inputs, so that those sums go on adding up whatever is chosen.

What came of it is a head to start from and a snapshot to train with, in place of those before.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np

from coordinator.models.recasting import inputs_of, with_inputs
from coordinator.models.totals import Snapshot
from coordinator.rounds.campaign import CampaignState
from coordinator.rounds.events import Event, Recast
from coordinator.rounds.exchange import Exchanges
from coordinator.rounds.judging import NOTHING, Judging, LegSums
from coordinator.rounds.machine import RoundState
from coordinator.rounds.parts import Parts
from coordinator.rounds.question import Question, Rest
from coordinator.settings import CampaignSettings, InputSettings
from fieldvote.codec import IntVector
from fieldvote.heads import HeadModel
from fieldvote.recasting import RecastRequest
from fieldvote.records import DeviceId
from fieldvote.records import encode as encode_message
from strategies.aggregation.sketch import HeadSums, sketch_length
from strategies.input_choice import better_way, left_out_error, sums_length

_NAME = "recast"
_MICRO = 1_000_000
_NO_INTEGERS = np.empty(0, dtype=np.int64)

Take = Callable[[RoundState, CampaignState], Rest | None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choice:
    """What the legs of a choice came to.

    Attributes:
        errors: Of the inputs in use, then of every other way, in millionths; empty: not judged.
        model: The head to train from.
    """

    errors: tuple[int, ...]
    model: HeadModel


class Recipes:
    """Asks which inputs would do better, before a round trains."""

    def __init__(
        self,
        parts: Parts,
        exchanges: Exchanges,
        judging: Judging,
        record: Callable[[Event], None],
    ) -> None:
        """Keep the parts; record appends an event inside the current transaction."""
        self._parts, self._exchanges = parts, exchanges
        self._judging, self._record = judging, record
        self._settings, self._store = parts.settings, parts.store

    def before(self, train: Take) -> Take:
        """Return the training phase, with the choice of inputs before it."""

        def take(state: RoundState, campaign: CampaignState) -> Rest | None:
            if state.recast or not self._in_question(state):
                return train(state, campaign)
            return self.step(state)

        return take

    def step(self, state: RoundState) -> Rest | None:
        """Ask the next leg, or write down what was chosen."""
        base = self._parts.shelf.get(state.base)
        folds = self._folds(state.number)
        if len(state.legs) < folds:
            models = ways(base, self._settings)
            rank = self._settings.recipes.rank
            return self._ask(state, len(state.legs), models, rank, self._of_fold(len(state.legs)))
        legs = [self._judging.read(digest).held_out for digest in state.legs]
        choice = choose(base, legs[:folds], self._settings)
        if self._is_first(choice.model):
            self._recorded(state, base, choice, _NO_INTEGERS)
            return None
        if len(legs) == folds:
            return self._ask(state, folds, (choice.model,), 0, self._teaching())
        self._recorded(state, base, choice, legs[-1])
        return None

    def _in_question(self, state: RoundState) -> bool:
        """Return whether anything is to be asked: somebody teaches a head of sums.

        Once a leg is asked, the rest is too.
        """
        on = bool(self._settings.recipes.rounds) and self._settings.learner == "summed"
        if not on or not self._teaching(reachable=False):
            return False
        begun = state.exchange is not None and state.exchange.name == _NAME
        if begun or self._folds(state.number):
            return True
        return not self._is_first(self._parts.shelf.get(state.base))

    def _folds(self, number: int) -> int:
        """Return in how many legs a round judges; sums of few devices are not asked for."""
        rules, least = self._settings.recipes, self._parts.least_asked
        if number not in rules.rounds or not rules.variants:
            return 0
        sizes = [len(self._of_fold(fold, reachable=False)) for fold in range(rules.folds)]
        return rules.folds if least <= 1 or min(sizes) >= least else 0

    def _teaching(self, *, reachable: bool = True) -> list[DeviceId]:
        """Return the devices that have labels, or may have."""
        known, able = self._store.devices(), self._parts.may_teach
        here = self._parts.reachable() if reachable else sorted(self._parts.known())
        return [device for device in here if able(known[device])]

    def _of_fold(self, fold: int, *, reachable: bool = True) -> list[DeviceId]:
        """Return those of one fold."""
        rules, seed = self._settings.recipes, self._settings.seed
        return [
            device
            for device in self._teaching(reachable=reachable)
            if fold_of(device, seed=seed, folds=rules.folds) == fold
        ]

    def _ask(
        self,
        state: RoundState,
        leg: int,
        models: Sequence[HeadModel],
        rank: int,
        devices: Sequence[DeviceId],
    ) -> Rest | None:
        """Ask devices what their labels say of these inputs."""
        request = RecastRequest(
            round=state.number,
            step=leg,
            models=tuple(replace(model, weights=_NO_INTEGERS) for model in models),
            rank=rank,
            task=self._parts.task.digest,
        )
        lengths = _lengths(models, rank)

        def count(replies: Mapping[DeviceId, bytes]) -> list[DeviceId]:
            vectors = self._parts.inbox.recasts(
                state.number, leg, replies, fits=lambda vector: len(vector) == sum(lengths)
            )
            for vector in vectors.values():
                self._judging.add(state, _NAME, leg, LegSums(held_out=vector, random_arm=NOTHING))
            return list(vectors)

        return self._exchanges.step(
            state,
            Question(
                name="recast",
                leg=leg,
                requests=lambda: dict.fromkeys(devices, encode_message(request)),
                count=count,
                share=self._settings.pace.minimum_share,
                close=lambda: self._judging.keep(state, _NAME, leg),
            ),
        )

    def _is_first(self, model: HeadModel) -> bool:
        """Return whether these inputs are those that answers are summed under."""
        return inputs_of(model) == inputs_of(with_inputs(model, self._settings.inputs))

    def _recorded(
        self, state: RoundState, base: HeadModel, choice: Choice, curvature: IntVector
    ) -> None:
        """Write down the head to start from, and what to train it with."""
        snapshot = Snapshot.from_bytes(self._store.artifact(state.inputs))
        with self._store.transaction():
            inputs = self._store.keep_artifact(
                snapshot_for(choice.model, snapshot, curvature).to_bytes()
            )
            same = choice.model is base
            self._record(
                Recast(
                    round=state.number,
                    base=state.base if same else self._parts.shelf.put(choice.model),
                    inputs=inputs,
                    errors=choice.errors,
                )
            )


def ways(base: HeadModel, settings: CampaignSettings) -> tuple[HeadModel, ...]:
    """Return the inputs in use, and the others that are tried."""
    own = inputs_of(base)
    tried = [with_inputs(base, _varied(settings, place)) for place in _places(settings)]
    return (base, *(model for model in tried if inputs_of(model) != own))


def recast_again(
    event: Recast,
    base: HeadModel,
    snapshot: Snapshot,
    settings: CampaignSettings,
    legs: Sequence[IntVector],
) -> tuple[HeadModel, Snapshot]:
    """Return the head and the snapshot that a round's kept legs lead to."""
    rules = settings.recipes
    judged = rules.folds if event.round in rules.rounds and len(legs) >= rules.folds else 0
    choice = choose(base, legs[:judged], settings)
    curvature = legs[-1] if len(legs) > judged else _NO_INTEGERS
    return choice.model, snapshot_for(choice.model, snapshot, curvature)


def choose(base: HeadModel, legs: Sequence[IntVector], settings: CampaignSettings) -> Choice:
    """Return what the sums of the folds say; without any, all stays as it is.

    Args:
        base: The head in use.
        legs: What each fold's leg came to.
        settings: What the campaign is set to do.
    """
    if not legs:
        return Choice(errors=(), model=base)
    models, rules = ways(base, settings), settings.recipes
    lengths = _lengths(models, rules.rank)
    whole = [leg for leg in legs if len(leg) == sum(lengths)]  # of a fold nobody is in: nothing
    cuts = np.cumsum(lengths)[:-1]
    by_way = zip(*(np.split(leg, cuts) for leg in whole), strict=True)
    errors = [left_out_error(folds, classes=base.classes) for folds in by_way]
    if not errors or not np.isfinite(errors).all():
        return Choice(errors=(), model=base)
    place = better_way(errors, used=0, better_by=rules.better_by)
    return Choice(errors=tuple(round(error * _MICRO) for error in errors), model=models[place])


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


def fold_of(device: DeviceId, *, seed: int, folds: int) -> int:
    """Return the fold a device is in, whenever it is asked.

    >>> [fold_of(DeviceId(device), seed=1, folds=4) for device in range(1000, 1006)]
    [0, 3, 2, 0, 1, 1]
    """
    named = f"{seed}/{int(device)}".encode()
    return int.from_bytes(blake2b(named, digest_size=8, person=b"fold").digest(), "big") % folds


def summed_under(base: HeadModel, settings: CampaignSettings) -> HeadModel:
    """Return the inputs under which answers are added to the sums: those the campaign began with.

    Sums add up under one representation only, and the one in use may change.
    """
    return with_inputs(base, settings.inputs) if settings.recipes.rounds else base


def _lengths(models: Sequence[HeadModel], rank: int) -> list[int]:
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
