"""What choosing has brought, measured in a round: legs before its own head is judged, and an event.

One leg for the sketches of both sets, a few gradients at both heads, one leg that counts both on
answers no head is trained on. Each is kept under a digest, so that a coordinator that dies goes on
at the leg it had reached.
"""

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict
from typing import Literal

from coordinator.models.shadow_heads import Outcome, Samples, comparing, fits, gain_of
from coordinator.rounds.events import Compared
from coordinator.rounds.legs import Legs, Talk
from coordinator.rounds.machine import RoundState
from coordinator.rounds.question import Rest
from coordinator.settings import CampaignSettings
from coordinator.store.campaign import Store
from fieldvote.codec import IntVector
from fieldvote.comparing import OUTCOME, CompareRequest
from fieldvote.conversation import replay
from fieldvote.heads import HeadModel
from fieldvote.records import DeviceId
from fieldvote.records import encode as encode_message
from strategies.stopping import Gain

EXCHANGE: Literal["compare"] = "compare"


class GainLegs:
    """The part of a round's evaluation that compares chosen labels with random ones."""

    def __init__(self, legs: Legs) -> None:
        """Ask by these legs."""
        self._legs, self._record = legs, legs.record
        self._parts, self._store = legs.parts, legs.parts.store
        self._talk: Talk[CompareRequest, Outcome] = Talk(legs)

    def is_due(self, state: RoundState) -> bool:
        """Return whether the next step is one of the comparison."""
        gain, exchange = self._parts.settings.gain, state.exchange
        if not gain.every or state.number % gain.every or state.compared:
            return False
        if exchange is not None:
            return exchange.name == EXCHANGE
        # under a policy that hides single records, no gradient leaves a device
        if self._parts.task.policy.privacy.on:
            return False
        return self._samples(state).labels >= gain.least

    def step(self, state: RoundState) -> Rest | None:
        """Go on with the comparison."""
        talk = self._talk.caught_up(state.number, state.legs, lambda: self._comparing(state))
        request = talk.asked
        if request is None:
            self._compared(state, talk.result)
            return None
        known = self._store.devices()
        judges = request.about == OUTCOME

        def requests() -> dict[DeviceId, bytes]:
            blob = encode_message(request)
            return {
                device: blob
                for device in self._parts.reachable()
                if self._parts.may_teach(known[device]) or (judges and known[device].evaluates)
            }

        def read(replies: Mapping[DeviceId, bytes]) -> dict[DeviceId, IntVector]:
            return self._parts.inbox.comparisons(
                state.number, request.step, replies, fits=lambda vector: fits(request, vector)
            )

        return self._legs.ask(state, EXCHANGE, request.step, requests, read)

    def _samples(self, state: RoundState) -> Samples:
        """Return which labels are compared; no labels are counted while a round trains."""
        return samples_of(self._store, self._parts.settings, state.number)

    def _comparing(self, state: RoundState) -> Generator[CompareRequest, IntVector, Outcome]:
        """Begin the comparison."""
        base = self._parts.shelf.get(state.base)
        return comparing(state.number, base, self._samples(state), self._parts.settings)

    def _compared(self, state: RoundState, outcome: Outcome) -> None:
        """Keep what came of it."""
        self._talk.forget()
        samples = self._samples(state)
        with self._store.transaction():
            self._record(
                compared(
                    state.number,
                    outcome,
                    samples.labels,
                    seed=self._parts.settings.seed,
                    plan=self._store.keep_artifact(json.dumps(asdict(samples)).encode()),
                )
            )


def samples_of(store: Store, settings: CampaignSettings, number: int) -> Samples:
    """Return which labels a round would compare; the same until the next round counts labels."""
    return Samples.of(store.labeled_arms(number), settings.seed + number)


def compared(number: int, outcome: Outcome, labels: int, *, seed: int, plan: str) -> Compared:
    """Return the event that tells how two heads did; where nothing judged them, by 0 in all."""
    gain = Gain(per_thousand=0.0, low=0.0, high=0.0)
    if outcome.items:
        gain = gain_of(outcome, labels, seed=seed, number=number)
    return Compared(
        round=number,
        labels=labels,
        better=outcome.better,
        worse=outcome.worse,
        items=outcome.items,
        per_thousand=round(gain.per_thousand, 6),
        low=round(gain.low, 6),
        high=round(gain.high, 6),
        plan=plan,
    )


def compared_again(
    store: Store,
    settings: CampaignSettings,
    event: Compared,
    base: HeadModel,
    legs: Sequence[IntVector],
) -> Compared | None:
    """Make a comparison again from the kept sums of every leg; None if one is missing."""
    samples = Samples(**json.loads(store.artifact(event.plan)))
    held = replay(comparing(event.round, base, samples, settings), legs)
    if held is None:
        return None
    seed, labels = settings.seed, samples.labels
    return compared(event.round, held.result, labels, seed=seed, plan=event.plan)
