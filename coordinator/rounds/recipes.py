"""Which inputs a round trains its head on, and what votes weigh: devices with labels are asked.

Between the label model and the training of a round, in legs like any other:

- after the rounds the settings name, one leg for each fold of the devices: sums over their labeled
  items, for the inputs in use and for every variant. The fold whose sums are left out is judged by
  the others; inputs change only if others err clearly less.
- where the inputs are not those the campaign began with, one leg more: the labeled items under
  them, which the solver takes its curvature from. What answers add to the sums at their delivery
  stays under the first inputs, so that those sums go on adding up whatever is chosen.
- after the same rounds, where several weights of the votes are to be tried: a head for each weight
  and fold, solved from the other devices and judged by the fold. Votes weigh nothing until heads
  that learned from them do clearly better. What was chosen holds until it is chosen again; votes
  that weigh nothing after the second such round are not looked at any more, as more labels make
  them no more useful.

What came of it is a head to start from and a snapshot to train with, in place of those before.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Literal

import numpy as np

from coordinator.models.recasting import with_inputs
from coordinator.models.totals import Snapshot, read_parameters
from coordinator.models.vote_heads import FoldLeg, fits, weighing
from coordinator.rounds.campaign import CampaignState
from coordinator.rounds.events import Recast
from coordinator.rounds.governing import rule_at
from coordinator.rounds.legs import Legs, Talk
from coordinator.rounds.machine import RoundState
from coordinator.rounds.question import Rest
from coordinator.rounds.recipe_choice import (
    Choice,
    Weighed,
    choose,
    is_first,
    lengths_of,
    snapshot_for,
    ways,
    weigh,
)
from coordinator.settings import CampaignSettings
from fieldvote.codec import IntVector
from fieldvote.errors import SettingsError
from fieldvote.heads import HeadModel
from fieldvote.recasting import RecastRequest
from fieldvote.records import DeviceId
from fieldvote.records import encode as encode_message

_NAME: Literal["recast"] = "recast"
_NO_INTEGERS = np.empty(0, dtype=np.int64)
_LOOKS = 2  # at votes that bring nothing

Take = Callable[[RoundState, CampaignState], Rest | None]
Fits = Callable[[IntVector], bool]


class Recipes:
    """Asks which inputs, and which weight of the votes, would do better, before a round trains."""

    def __init__(self, legs: Legs) -> None:
        """Ask by these legs.

        Raises:
            SettingsError: what votes weigh is to be chosen where it cannot be.
        """
        parts = self._parts = legs.parts
        self._legs, self._record = legs, legs.record
        self._settings, self._store = parts.settings, parts.store
        self._talk: Talk[FoldLeg, IntVector] = Talk(legs)
        if not parts.settings.recipes.vote_weights:
            return
        if parts.task.policy.privacy.on:
            raise SettingsError(
                "campaign.recipes.vote_weights: under the policy's differential privacy every look"
                " at labels is paid for, and what votes weigh is not chosen; set vote_weight"
            )
        if parts.settings.learner != "summed":
            raise SettingsError(
                "campaign.recipes.vote_weights: heads are judged that are solved from sums, and"
                f" this campaign's learner is '{parts.settings.learner}'; set vote_weight"
            )

    def before(self, train: Take) -> Take:
        """Return the training phase, with the choice before it."""

        def take(state: RoundState, campaign: CampaignState) -> Rest | None:
            if state.recast or not self._in_question(state, campaign):
                return train(state, campaign)
            return self.step(state, campaign)

        return take

    def step(self, state: RoundState, campaign: CampaignState) -> Rest | None:
        """Ask the next leg, or write down what was chosen."""
        base, rules = self._parts.shelf.get(state.base), self._settings.recipes
        judged = self._judged(state.number)
        folds = rules.folds if judged and rules.variants else 0
        if len(state.legs) < folds:
            models = ways(base, self._settings)
            return self._ask_inputs(state, models, rules.rank, self._of_fold(len(state.legs)))
        legs = [self._legs.sums(digest) for digest in state.legs[: folds + 1]]
        choice, rest = choose(base, legs[:folds], self._settings), state.legs[folds:]
        curvature = _NO_INTEGERS
        if not is_first(choice.model, self._settings):
            if not rest:
                return self._ask_inputs(state, (choice.model,), 0, self._teaching())
            curvature, rest = legs[folds], rest[1:]
        snapshot = Snapshot.from_bytes(self._store.artifact(state.inputs))
        snapshot = snapshot_for(choice.model, snapshot, curvature)
        weighed = Weighed()
        if judged and self._weighs(state.number, campaign):
            talk = self._talk.caught_up(
                state.number, rest, lambda: weighing(choice.model, snapshot, self._settings)
            )
            if talk.asked is not None:
                return self._ask_heads(state, talk.asked)
            weighed = weigh(talk.result, self._settings)
        self._recorded(state, base, choice, weighed, weighed.on(snapshot))
        return None

    def _weighs(self, number: int, campaign: CampaignState) -> bool:
        """Return whether there are votes that may still be found worth something."""
        rules = self._settings.recipes
        if not (rules.vote_weights and self._parts.task.functions):
            return False
        return campaign.vote_weight != (0.0,) or number in sorted(rules.rounds)[:_LOOKS]

    def _in_question(self, state: RoundState, campaign: CampaignState) -> bool:
        """Return whether anything is to be asked: somebody teaches a head of sums.

        Once a leg is asked, the rest is too.
        """
        rules = self._settings.recipes
        on = bool(rules.rounds) and self._settings.learner == "summed"
        if not on or not self._teaching(reachable=False):
            return False
        begun = state.exchange is not None and state.exchange.name == _NAME
        judged = self._judged(state.number)
        if begun or (judged and (rules.variants or self._weighs(state.number, campaign))):
            return True
        return not is_first(self._parts.shelf.get(state.base), self._settings)

    def _judged(self, number: int) -> bool:
        """Return whether a round judges by folds; sums of few devices are not asked for."""
        rules, least = self._settings.recipes, self._parts.least_asked
        if number not in rules.rounds or least <= 1:
            return number in rules.rounds
        sizes = [len(self._of_fold(fold, reachable=False)) for fold in range(rules.folds)]
        return min(sizes) >= least

    def _teaching(self, *, reachable: bool = True) -> list[DeviceId]:
        """Return the devices that have labels, or may have."""
        known, able = self._store.devices(), self._parts.may_teach
        here = self._parts.reachable() if reachable else sorted(self._parts.known())
        return [device for device in here if able(known[device])]

    def _of_fold(
        self, fold: int, *, reachable: bool = True, others: bool = False
    ) -> list[DeviceId]:
        """Return those of one fold, or those of all others."""
        rules, seed = self._settings.recipes, self._settings.seed
        return [
            device
            for device in self._teaching(reachable=reachable)
            if (fold_of(device, seed=seed, folds=rules.folds) != fold) == others
        ]

    def _ask_inputs(
        self,
        state: RoundState,
        models: Sequence[HeadModel],
        rank: int,
        devices: Sequence[DeviceId],
    ) -> Rest | None:
        """Ask devices what their labels say of these inputs."""
        request = RecastRequest(
            round=state.number,
            step=len(state.legs),
            models=tuple(replace(model, weights=_NO_INTEGERS) for model in models),
            rank=rank,
            task=self._parts.task.digest,
        )
        length = sum(lengths_of(models, rank))
        return self._ask(state, request, devices, lambda vector: len(vector) == length)

    def _ask_heads(self, state: RoundState, leg: FoldLeg) -> Rest | None:
        """Ask a fold to judge heads, or all others to teach them."""
        request = RecastRequest(
            round=state.number,
            step=len(state.legs),
            models=(leg.model,),
            rank=0,
            task=self._parts.task.digest,
            about=leg.about,
            heads=leg.heads,
            vote_weights=np.array(leg.vote_weights),
            label_model=(
                np.empty(0)
                if leg.judges
                else read_parameters(self._store.artifact(state.label_model))
            ),
            teaching=None if leg.judges else rule_at(self._store, state.teaching),
        )
        devices = self._of_fold(leg.fold, others=not leg.judges)
        return self._ask(state, request, devices, lambda vector: fits(leg, vector))

    def _ask(
        self, state: RoundState, request: RecastRequest, devices: Sequence[DeviceId], of_use: Fits
    ) -> Rest | None:
        """Ask devices the next leg."""

        def read(replies: Mapping[DeviceId, bytes]) -> dict[DeviceId, IntVector]:
            return self._parts.inbox.recasts(state.number, request.step, replies, fits=of_use)

        def requests() -> dict[DeviceId, bytes]:
            return dict.fromkeys(devices, encode_message(request))

        return self._legs.ask(state, _NAME, request.step, requests, read, least=0)

    def _recorded(
        self,
        state: RoundState,
        base: HeadModel,
        choice: Choice,
        weighed: Weighed,
        snapshot: Snapshot,
    ) -> None:
        """Write down the head to start from, and what to train it with."""
        self._talk.forget()
        with self._store.transaction():
            same = choice.model is base
            self._record(
                Recast(
                    round=state.number,
                    base=state.base if same else self._parts.shelf.put(choice.model),
                    inputs=self._store.keep_artifact(snapshot.to_bytes()),
                    errors=choice.errors,
                    vote_weight=weighed.vote_weight,
                    losses=weighed.losses,
                )
            )


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
