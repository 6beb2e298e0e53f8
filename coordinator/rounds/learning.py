"""What each phase of a round does from its labels to a judged head: train and evaluate.

Everything here is a function of what the round's events and artifacts hold, so a round that was
interrupted goes on at the leg it had reached, and one that is over can be rebuilt.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from coordinator.models.totals import Snapshot, read_parameters
from coordinator.models.training import Leg, Solver, average, is_reply, solve
from coordinator.models.training import Trained as Solved
from coordinator.rounds.campaign import CampaignState
from coordinator.rounds.events import (
    Evaluated,
    Event,
    Trained,
)
from coordinator.rounds.exchange import Exchanges
from coordinator.rounds.judging import NOTHING, Judging, LegSums
from coordinator.rounds.machine import RoundState
from coordinator.rounds.parts import Parts
from coordinator.rounds.question import Question, Rest
from coordinator.settings import CampaignSettings
from fieldvote.codec import FloatVector, IntVector
from fieldvote.heads import GradientRequest, HeadModel
from fieldvote.records import (
    DeviceId,
)
from fieldvote.records import encode as encode_message

_NO_FLOATS = np.empty(0)


@dataclass(slots=True)
class Work:
    """What this process holds of a round that trains; all of it can be had again.

    Attributes:
        number: The round.
        label_model: Parameters of the label model.
        weight: Weight of one voted item.
        total: Weight of everything that teaches.
        solver: Asks for legs.
        reached: How many it was sent.
        asked: What it asks next, or its result.
    """

    number: int
    label_model: FloatVector
    weight: float
    total: float
    solver: Solver
    reached: int
    asked: Leg | Solved

    def send(self, sums: IntVector | None) -> None:
        """Tell the solver what a leg came to."""
        try:
            self.asked = self.solver.send(sums)
        except StopIteration as done:
            self.asked = done.value
        self.reached += 1


class Learning:
    """The work of a round from its labels to its end, one method a phase."""

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
        self._settings = parts.settings
        self._store = parts.store
        self._work: Work | None = None

    def train(self, state: RoundState, _: CampaignState) -> Rest | None:
        """Solve the head from sums over everything that teaches, leg by leg."""
        known = self._store.devices()
        if not any(device.teaches for device in known.values()):
            # every candidate stayed on its device: the head waits, the campaign does not
            self._trained(state, Solved(model=self._parts.shelf.get(state.base), exchanges=0))
            return None
        work = self._caught_up(state)
        if isinstance(work.asked, Solved):
            self._trained(state, work.asked)
            return None
        leg, averaged = work.asked, self._settings.learner == "averaged"

        def requests() -> dict[DeviceId, bytes]:
            blob = encode_message(self._gradient(work, leg))
            return {device: blob for device in self._parts.reachable() if known[device].teaches}

        def count(replies: Mapping[DeviceId, bytes]) -> list[DeviceId]:
            vectors = self._parts.inbox.gradients(
                state.number,
                leg.step,
                replies,
                fits=lambda vector: is_reply(leg.model, vector, averaged=averaged),
            )
            for vector in vectors.values():
                self._judging.add(
                    state, "train", leg.step, LegSums(held_out=vector, random_arm=NOTHING)
                )
            return list(vectors)

        return self._exchanges.step(
            state,
            Question(
                name="train",
                leg=leg.step,
                requests=requests,
                count=count,
                share=self._settings.pace.minimum_share,
                least=1,
                close=lambda: self._judging.keep(state, "train", leg.step),
            ),
        )

    def _caught_up(self, state: RoundState) -> Work:
        """Return the solver with every closed leg in; a process just started begins a new one."""
        work = self._work
        if work is None or work.number != state.number:
            snapshot = Snapshot.from_bytes(self._store.artifact(state.inputs))
            base = self._parts.shelf.get(state.base)
            functions = len(self._parts.task.functions)
            vector = read_parameters(self._store.artifact(state.label_model))
            work = begin(state.number, base, snapshot, self._settings, functions, vector)
            self._work = work
        for digest in state.legs[work.reached :]:
            work.send(self._judging.read(digest).held_out)
        return work

    def _gradient(self, work: Work, leg: Leg) -> GradientRequest:
        """Return the request of one leg."""
        settings = self._settings
        return GradientRequest(
            round=work.number,
            step=leg.step,
            model=leg.model,
            vote_weight=work.weight,
            label_model=work.label_model if work.weight > 0 else _NO_FLOATS,
            epochs=settings.epochs if settings.learner == "averaged" else 0,
            l2_per_item=settings.l2 / max(work.total, 1.0),
            task=self._parts.task.digest,
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

    def evaluate(self, state: RoundState, _: CampaignState) -> Rest | None:
        """Count right and wrong on devices and items that never train."""
        if state.exchange is not None and not state.exchange.open:
            sums = self._judging.read(state.exchange.sums)
            with self._store.transaction():
                self._record(
                    Evaluated(
                        round=state.number,
                        held_out=tuple(sums.held_out.tolist()),
                        random_arm=tuple(sums.random_arm.tolist()),
                    )
                )
            return None
        known = self._store.devices()
        able = {device for device, it in known.items() if it.evaluates or it.teaches}
        here = [device for device in self._parts.reachable() if device in able]
        return self._judging.step(state, "evaluate", 0, state.model, here, least=bool(able))


def begin(
    number: int,
    base: HeadModel,
    snapshot: Snapshot,
    settings: CampaignSettings,
    functions: int,
    label_model: FloatVector,
) -> Work:
    """Return the work of a round at its first leg."""
    weight = snapshot.vote_weight(settings, functions)
    sums = snapshot.head_sums(base, weight)
    solver = (
        average(base, exchanges=settings.exchanges)
        if settings.learner == "averaged"
        else solve(base, sums, l2=settings.l2, exchanges=settings.exchanges)
    )
    work = Work(
        number=number,
        label_model=label_model,
        weight=weight,
        total=sums.total_weight,
        solver=solver,
        reached=-1,
        asked=Solved(model=base, exchanges=0),
    )
    work.send(None)
    return work
