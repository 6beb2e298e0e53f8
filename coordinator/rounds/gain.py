"""What choosing has brought, measured in a round: legs before its own head is judged, and an event.

One leg for the sketches of both sets, a few gradients at both heads, one leg that counts both on
answers no head is trained on. Each is kept under a digest, so that a coordinator that dies goes on
at the leg it had reached.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from coordinator.models.shadow_heads import Outcome, Samples, comparing, fits, gain_of
from coordinator.rounds.events import Compared, Event
from coordinator.rounds.exchange import Exchanges
from coordinator.rounds.judging import NOTHING, Judging, LegSums
from coordinator.rounds.machine import RoundState
from coordinator.rounds.parts import Parts
from coordinator.rounds.question import Question, Rest
from coordinator.settings import CampaignSettings
from coordinator.store.campaign import Store
from fieldvote.codec import IntVector
from fieldvote.comparing import OUTCOME, CompareRequest
from fieldvote.conversation import Conversation, replay
from fieldvote.heads import HeadModel
from fieldvote.records import DeviceId
from fieldvote.records import encode as encode_message
from strategies.stopping import Gain

EXCHANGE: Literal["compare"] = "compare"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Talk:
    """What this process holds of a round's comparison; all of it can be had again."""

    number: int
    samples: Samples
    comparing: Conversation[CompareRequest, IntVector, Outcome]


class GainLegs:
    """The part of a round's evaluation that compares chosen labels with random ones."""

    def __init__(
        self,
        parts: Parts,
        exchanges: Exchanges,
        judging: Judging,
        record: Callable[[Event], None],
    ) -> None:
        """Keep the parts; record appends an event inside the current transaction."""
        self._parts = parts
        self._exchanges = exchanges
        self._judging = judging
        self._record = record
        self._store = parts.store
        self._talk: _Talk | None = None

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
        return samples_of(self._store, self._parts.settings, state.number).labels >= gain.least

    def step(self, state: RoundState) -> Rest | None:
        """Go on with the comparison."""
        talk = self._caught_up(state)
        request = talk.comparing.asked
        if request is None:
            self._compared(state, talk.comparing.result, talk.samples)
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

        def count(replies: Mapping[DeviceId, bytes]) -> list[DeviceId]:
            vectors = self._parts.inbox.comparisons(
                state.number, request.step, replies, fits=lambda vector: fits(request, vector)
            )
            for vector in vectors.values():
                sums = LegSums(held_out=vector, random_arm=NOTHING)
                self._judging.add(state, EXCHANGE, request.step, sums)
            return list(vectors)

        return self._exchanges.step(
            state,
            Question(
                name=EXCHANGE,
                leg=request.step,
                requests=requests,
                count=count,
                share=self._parts.settings.pace.minimum_share,
                least=1,
                close=lambda: self._judging.keep(state, EXCHANGE, request.step),
            ),
        )

    def _caught_up(self, state: RoundState) -> _Talk:
        """Return the comparison with every closed leg in; a process just started begins anew."""
        talk = self._talk
        if talk is None or talk.number != state.number:
            settings = self._parts.settings
            samples = samples_of(self._store, settings, state.number)
            base = self._parts.shelf.get(state.base)
            asking = Conversation.begin(comparing(state.number, base, samples, settings))
            talk = self._talk = _Talk(number=state.number, samples=samples, comparing=asking)
        for digest in state.legs[talk.comparing.heard :]:
            talk.comparing.tell(self._judging.read(digest).held_out)
        return talk

    def _compared(self, state: RoundState, outcome: Outcome, samples: Samples) -> None:
        """Keep what came of it."""
        self._talk = None
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
