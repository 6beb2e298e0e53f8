"""What votes mean, and what they may teach: a round's label model and rule, from kept sums.

Both are made in a few exchanges each, the rule's after the label model's; see ``governing``.
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from coordinator.models.totals import Snapshot, fit_in_exchanges, write_parameters
from coordinator.rounds.campaign import CampaignState
from coordinator.rounds.events import Agreed, Event, Snapshotted
from coordinator.rounds.exchange import Exchanges
from coordinator.rounds.governing import (
    LessonQuestion,
    Ruling,
    fits,
    govern_round,
    teacher_of,
    write_rule,
)
from coordinator.rounds.judging import NOTHING, Judging, LegSums
from coordinator.rounds.machine import RoundState
from coordinator.rounds.parts import Parts
from coordinator.rounds.question import Question, Rest
from coordinator.settings import CampaignSettings
from fieldvote.codec import IntVector
from fieldvote.errors import InternalError
from fieldvote.heads import VotesRequest
from fieldvote.records import DeviceId
from fieldvote.records import encode as encode_message
from fieldvote.task import Task
from strategies.labeling import LabelModel, VoteQuestion

Fit = Generator[VoteQuestion, IntVector, LabelModel]


@dataclass(slots=True)
class Fitting:
    """What this process holds of a fit; all of it can be had again.

    Attributes:
        number: The round.
        fit: Asks for exchanges.
        heard: How many it was told of.
        asked: What it asks next, or its result.
    """

    number: int
    fit: Fit
    heard: int
    asked: VoteQuestion | LabelModel

    @classmethod
    def begin(cls, number: int, fit: Fit) -> "Fitting":
        """Let a fit ask its first question, if it has any."""
        return cls(number=number, fit=fit, heard=0, asked=_next(lambda: next(fit)))

    def tell(self, sums: IntVector) -> None:
        """Tell the fit what an exchange came to."""
        self.asked = _next(lambda: self.fit.send(sums))
        self.heard += 1


def _next(step: Callable[[], VoteQuestion]) -> VoteQuestion | LabelModel:
    """Return what a fit asks next, or what it came to."""
    try:
        return step()
    except StopIteration as done:
        model: LabelModel = done.value
        return model


class Agreement:
    """The work of a round between its answers and its training."""

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
        self._fitting: Fitting | None = None
        self._ruling: Ruling | None = None

    def step(self, state: RoundState, _: CampaignState) -> Rest | None:
        """Keep the sums as they are now; then ask devices what their votes say, leg by leg."""
        if not state.inputs:
            self._snapshot(state)
            return None
        fitting = self._caught_up(state)
        if not isinstance(fitting.asked, LabelModel):
            return self._ask_of_votes(state, fitting.asked, fitting.heard)
        ruling = self._ruled(state, fitting.heard)
        if ruling.asked is None:
            self._agreed(state, fitting.asked, ruling)
            return None
        return self._ask_of_lessons(state, fitting, ruling.asked, fitting.heard + ruling.heard)

    def _ask_of_votes(self, state: RoundState, question: VoteQuestion, leg: int) -> Rest | None:
        """Ask what votes say under the label model so far."""
        request = VotesRequest(
            round=state.number,
            step=leg,
            about=question.about,
            label_model=question.model.to_vector(),
            copies=question.packed_copies,
            one_in=question.one_in,
            task=self._parts.task.digest,
        )
        return self._ask(state, request, leg, question.length, lambda _: True)

    def _ask_of_lessons(
        self, state: RoundState, fitting: Fitting, question: LessonQuestion, leg: int
    ) -> Rest | None:
        """Ask what lessons there would be under the label model and the rule so far."""
        if not isinstance(fitting.asked, LabelModel):
            raise InternalError("lessons were asked about before the label model was fitted")
        snapshot, task = self._kept(state), self._parts.task
        base = self._parts.shelf.get(state.base)
        judges = question.about == "pseudo"
        weight = snapshot.vote_weight(self._settings, len(task.functions))
        request = VotesRequest(
            round=state.number,
            step=leg,
            about=question.about,
            label_model=fitting.asked.to_vector() if weight > 0 else np.empty(0),
            copies=b"",
            one_in=1,
            task=task.digest,
            vote_weight=weight,
            teaching=question.rule,
            teacher=base if judges else teacher_of(question.rule, base),
        )
        return self._ask(
            state,
            request,
            leg,
            question.length,
            lambda vector: fits(question, vector, classes=len(task.classes)),
            judges=judges,
        )

    def _ask(
        self,
        state: RoundState,
        request: VotesRequest,
        leg: int,
        length: int,
        fit: Callable[[IntVector], bool],
        *,
        judges: bool = False,
    ) -> Rest | None:
        """Ask training devices one leg, or whoever holds answers that are never trained on."""

        def requests() -> dict[DeviceId, bytes]:
            parts = self._parts
            asked = parts.reachable() if judges else parts.training()
            return dict.fromkeys(asked, encode_message(request))

        def count(replies: Mapping[DeviceId, bytes]) -> list[DeviceId]:
            vectors = self._parts.inbox.votes(state.number, leg, replies, length=length)
            good = {device: vector for device, vector in vectors.items() if fit(vector)}
            for vector in good.values():
                self._judging.add(state, "votes", leg, LegSums(held_out=vector, random_arm=NOTHING))
            return list(good)

        return self._exchanges.step(
            state,
            Question(
                name="votes",
                leg=leg,
                requests=requests,
                count=count,
                share=self._settings.pace.minimum_share,
                least=1,
                close=lambda: self._judging.keep(state, "votes", leg),
            ),
        )

    def _snapshot(self, state: RoundState) -> None:
        """Keep the sums; later replies belong to later rounds."""
        with self._store.transaction():
            made = Snapshot.of(self._store, self._parts.task, self._settings)
            inputs = self._store.keep_artifact(made.to_bytes())
            self._record(Snapshotted(round=state.number, inputs=inputs))

    def _caught_up(self, state: RoundState) -> Fitting:
        """Return the fit with every closed leg in; a process just started begins a new one."""
        fitting = self._fitting
        if fitting is None or fitting.number != state.number:
            snapshot = Snapshot.from_bytes(self._store.artifact(state.inputs))
            fitting = Fitting.begin(
                state.number, fit_of(self._parts.task, snapshot, self._settings)
            )
            self._fitting, self._ruling = fitting, None
        for digest in state.legs[fitting.heard :]:
            if isinstance(fitting.asked, LabelModel):
                break  # what follows is about the rule
            fitting.tell(self._judging.read(digest).held_out)
        return fitting

    def _ruled(self, state: RoundState, fitted: int) -> Ruling:
        """Return the conversation about the rule with every closed leg in; the fit had the first.

        The label model's fit is begun anew with a process, and this one with it.
        """
        ruling = self._ruling
        if ruling is None:
            ruling = Ruling.begin(
                govern_round(
                    self._parts.task,
                    self._kept(state),
                    self._settings,
                    trained=bool(state.parent),
                )
            )
            self._ruling = ruling
        for digest in state.legs[fitted + ruling.heard :]:
            ruling.tell(self._judging.read(digest).held_out)
        return ruling

    def _kept(self, state: RoundState) -> Snapshot:
        """Return the sums the round trains from."""
        return Snapshot.from_bytes(self._store.artifact(state.inputs))

    def _agreed(self, state: RoundState, model: LabelModel, ruling: Ruling) -> None:
        """Keep the label model and the rule."""
        heard = self._fitting.heard if self._fitting else 0
        self._fitting = self._ruling = None
        with self._store.transaction():
            rule = ruling.rule
            self._record(
                Agreed(
                    round=state.number,
                    label_model=self._store.keep_artifact(write_parameters(model)),
                    exchanges=heard,
                    teaching="" if rule is None else self._store.keep_artifact(write_rule(rule)),
                    depth=state.legs[-1] if ruling.reported else "",
                )
            )


def fit_of(task: Task, snapshot: Snapshot, settings: CampaignSettings) -> Fit:
    """Return the fit of a round: without a single exchange where votes are not trained on."""
    weight = snapshot.vote_weight(settings, len(task.functions))
    return fit_in_exchanges(task, snapshot, exchanges=settings.vote_exchanges if weight > 0 else 0)


def fit_again(fit: Fit, legs: Iterable[IntVector]) -> LabelModel | None:
    """Return the model of a fit that was told these sums; None if it asks for more, or for less."""
    fitting = Fitting.begin(0, fit)
    for sums in legs:
        if isinstance(fitting.asked, LabelModel):
            return None
        fitting.tell(sums)
    return fitting.asked if isinstance(fitting.asked, LabelModel) else None
