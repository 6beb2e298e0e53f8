"""What each phase of a round does from its labels to a judged head: train and evaluate.

Everything here is a function of what the round's events and artifacts hold, so a round that was
interrupted goes on at the leg it had reached, and one that is over can be rebuilt.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from coordinator.models.deep import drill_of, reply_check, train_deep
from coordinator.models.totals import Snapshot, read_parameters
from coordinator.models.training import Leg, average, reply_length, solve
from coordinator.models.training import Trained as Solved
from coordinator.rounds.calibrating import evaluated
from coordinator.rounds.campaign import CampaignState
from coordinator.rounds.events import Trained
from coordinator.rounds.gain import GainLegs
from coordinator.rounds.governing import rule_at, teacher_of
from coordinator.rounds.groups import GroupLegs, steps_of
from coordinator.rounds.influence import Tracing
from coordinator.rounds.judging import NOTHING, LegSums
from coordinator.rounds.keeping import Kept, kept_in
from coordinator.rounds.legs import Legs
from coordinator.rounds.machine import RoundState
from coordinator.rounds.question import Question, Rest
from coordinator.rounds.robust import RobustLegs
from coordinator.settings import CampaignSettings
from fieldvote.codec import FloatVector, IntVector
from fieldvote.conversation import Conversation
from fieldvote.heads import GradientRequest, HeadModel, Keeping
from fieldvote.records import (
    DeviceId,
)
from fieldvote.records import encode as encode_message

_NO_FLOATS = np.empty(0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Work:
    """What this process holds of a round that trains; all of it can be had again.

    Attributes:
        number: The round.
        label_model: Parameters of the label model.
        weight: Weight of one voted item.
        total: Weight of everything that teaches.
        solving: Asks for legs, and comes to the head.
        keeping: What devices keep of what was known; None: nothing.
    """

    number: int
    label_model: FloatVector
    weight: float
    total: float
    solving: Conversation[Leg, IntVector, Solved]
    keeping: Keeping | None = None


class Learning:
    """The work of a round from its labels to its end, one method a phase."""

    def __init__(self, legs: Legs) -> None:
        """Ask by these legs."""
        self._exchanges, self._judging, self._record = legs.exchanges, legs.judging, legs.record
        self._parts, self._settings, self._store = legs.parts, legs.parts.settings, legs.parts.store
        self._work: Work | None = None
        self._robust = RobustLegs(self._settings, self._parts.task)
        self._groups = GroupLegs(self._parts)
        self._tracing = Tracing(legs, self.lesson)
        self._gain = GainLegs(legs)

    def train(self, state: RoundState, campaign: CampaignState) -> Rest | None:
        """Solve the head from sums over everything that teaches, leg by leg."""
        known = self._store.devices()
        if not any(device.teaches for device in known.values()):
            # every candidate stayed on its device: the head waits, the campaign does not
            self._trained(state, Solved(model=self._parts.shelf.get(state.base), exchanges=0))
            return None
        work = self._caught_up(state, campaign)
        leg = work.solving.asked
        if leg is None:
            self._trained(state, work.solving.result)
            return None
        number = self._groups.number(state, leg.step)
        able = [d for d in self._parts.reachable() if self._parts.may_teach(known[d])]
        members = self._groups.members(state, leg.step, able)
        if isinstance(members, Rest):
            return members

        def requests() -> dict[DeviceId, bytes]:
            blob = encode_message(replace(self._gradient(state, work, leg), step=number))
            return {d: blob for d in able if d in members}

        def count(replies: Mapping[DeviceId, bytes]) -> list[DeviceId]:
            vectors = self._parts.inbox.gradients(
                state.number,
                number,
                replies,
                fits=self._fits(leg.model),
            )
            if self._robust.on:
                self._robust.add(state, number, vectors)
                return list(vectors)
            for vector in vectors.values():
                self._judging.add(
                    state, "train", number, LegSums(held_out=vector, random_arm=NOTHING)
                )
            return list(vectors)

        return self._exchanges.step(
            state,
            Question(
                name="train",
                leg=number,
                requests=requests,
                count=count,
                share=self._settings.pace.minimum_share,
                least=1,
                close=self._robust.closing(state, number, self._judging),
            ),
        )

    def _fits(self, model: HeadModel) -> Callable[[IntVector], bool]:
        """Return what tells whether a leg's reply can be used.

        A group's is kept if it lies, and is dropped or outvoted: one question has one sum.
        """
        if self._groups.on:
            length = reply_length(model, averaged=True)
            return lambda vector: len(vector) == length
        return reply_check(model, self._settings)

    def _caught_up(self, state: RoundState, campaign: CampaignState) -> Work:
        """Return the solver with every closed leg in; a process just started begins a new one."""
        work = self._work
        if work is None or work.number != state.number:
            work = self._work = self._begun(state, campaign)
        told = [self._judging.read(digest).held_out for digest in state.legs]
        for sums in steps_of(told, self._settings)[work.solving.heard :]:
            work.solving.tell(sums)
        return work

    def _begun(self, state: RoundState, campaign: CampaignState) -> Work:
        """Return the work of a round at its first leg."""
        store, task, settings = self._store, self._parts.task, self._settings
        return begin(
            state.number,
            self._parts.shelf.get(state.base),
            Snapshot.from_bytes(store.artifact(state.inputs)),
            settings,
            len(task.functions),
            read_parameters(store.artifact(state.label_model)),
            kept=kept_in(store, task, settings, state, campaign),
        )

    def _gradient(self, state: RoundState, work: Work, leg: Leg) -> GradientRequest:
        """Return the request of one leg."""
        settings, rule = self._settings, rule_at(self._store, state.teaching)
        return GradientRequest(
            round=work.number,
            step=leg.step,
            model=leg.model,
            vote_weight=work.weight,
            label_model=work.label_model if work.weight > 0 else _NO_FLOATS,
            epochs=0 if settings.learner == "summed" else settings.epochs,
            l2_per_item=settings.l2 / max(work.total, 1.0),
            task=self._parts.task.digest,
            teaching=rule,
            teacher=teacher_of(rule, self._parts.shelf.get(state.base)),
            drill=drill_of(settings, number=work.number, step=leg.step),
            keeping=work.keeping,
        )

    def _trained(self, state: RoundState, solved: Solved) -> None:
        """Put the head on the shelf, under the one it was trained from."""
        self._work = None
        with self._store.transaction():
            self._record(
                Trained(
                    round=state.number,
                    model=self._parts.shelf.put(replace(solved.model, parent=state.parent)),
                    parent=state.parent,
                    exchanges=solved.exchanges,
                )
            )

    def lesson(
        self, state: RoundState, campaign: CampaignState, model: HeadModel
    ) -> GradientRequest:
        """Return what the training of a round asks of a head, when all is over."""
        work = self._begun(state, campaign)
        return self._gradient(state, work, Leg(step=0, model=model))

    def evaluate(self, state: RoundState, campaign: CampaignState) -> Rest | None:
        """Ask who taught the head; count right and wrong on devices and items that never train."""
        if self._gain.is_due(state):
            return self._gain.step(state)
        asked, rest = self._tracing.step(state, campaign)
        if asked:
            return rest
        exchange = state.exchange
        if exchange is not None and exchange.name == "evaluate" and not exchange.open:
            sums = self._judging.read(exchange.sums)
            with self._store.transaction():
                trace, fates = self._tracing.keep(state, campaign)
                k = len(self._parts.task.classes)
                self._record(evaluated(state.number, sums, k, trace=trace, fates=fates))
            return None
        known = self._store.devices()
        able = {d for d, it in known.items() if it.evaluates or self._parts.may_teach(it)}
        here = [device for device in self._parts.reachable() if device in able]
        return self._judging.step(
            state,
            "evaluate",
            0,
            state.model,
            here,
            least=bool(able),
            calibrates=self._settings.calibration.measure,
        )


def begin(
    number: int,
    base: HeadModel,
    snapshot: Snapshot,
    settings: CampaignSettings,
    functions: int,
    label_model: FloatVector,
    *,
    kept: Kept | None = None,
) -> Work:
    """Return the work of a round at its first leg."""
    weight = snapshot.vote_weight(settings, functions)
    sums = snapshot.head_sums(base, weight)
    if settings.learner == "deep":
        solver = train_deep(base, settings.deep, exchanges=settings.exchanges)
    elif settings.learner == "averaged":
        solver = average(base, exchanges=settings.exchanges)
    else:
        hold = kept.hold if kept else None
        solver = solve(base, sums, l2=settings.l2, exchanges=settings.exchanges, hold=hold)
    return Work(
        number=number,
        label_model=label_model,
        weight=weight,
        total=sums.total_weight,
        solving=Conversation.begin(solver),
        keeping=kept.keeping if kept else None,
    )
