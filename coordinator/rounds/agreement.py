"""What votes mean, and what they may teach: a round's label model and rule, from kept sums.

Both are made in a few exchanges each, the rule's after the label model's; see ``governing``.
"""

from collections.abc import Callable, Generator, Mapping

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
from fieldvote.conversation import Conversation
from fieldvote.heads import VotesRequest
from fieldvote.records import DeviceId
from fieldvote.records import encode as encode_message
from fieldvote.task import Task
from strategies.labeling import LabelModel
from strategies.labeling.exchanges import VoteQuestion

Fit = Generator[VoteQuestion, IntVector, LabelModel]
Fitting = Conversation[VoteQuestion, IntVector, LabelModel]


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
        self._fitting: tuple[int, Fitting] | None = None  # of which round
        self._ruling: Ruling | None = None

    def step(self, state: RoundState, campaign: CampaignState) -> Rest | None:
        """Keep the sums as they are now; then ask devices what their votes say, leg by leg."""
        if not state.inputs:
            self._snapshot(state, campaign)
            return None
        fitting = self._caught_up(state)
        if fitting.asked is not None:
            return self._ask_of_votes(state, fitting.asked, fitting.heard)
        ruling = self._ruled(state, fitting.heard)
        if ruling.asked is None:
            self._agreed(state, fitting, ruling)
            return None
        leg = fitting.heard + ruling.heard
        return self._ask_of_lessons(state, fitting.result, ruling.asked, leg)

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
        self, state: RoundState, model: LabelModel, question: LessonQuestion, leg: int
    ) -> Rest | None:
        """Ask what lessons there would be under the label model and the rule so far."""
        snapshot, task = self._kept(state), self._parts.task
        base = self._parts.shelf.get(state.base)
        judges = question.about == "pseudo"
        weight = snapshot.vote_weight(self._settings, len(task.functions))
        request = VotesRequest(
            round=state.number,
            step=leg,
            about=question.about,
            label_model=model.to_vector() if weight > 0 else np.empty(0),
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

    def _snapshot(self, state: RoundState, campaign: CampaignState) -> None:
        """Keep the sums; later replies belong to later rounds."""
        with self._store.transaction():
            made = Snapshot.of(
                self._store, self._parts.task, self._settings, chosen=campaign.vote_weight
            )
            inputs = self._store.keep_artifact(made.to_bytes())
            self._record(Snapshotted(round=state.number, inputs=inputs))

    def _caught_up(self, state: RoundState) -> Fitting:
        """Return the fit with every closed leg in; a process just started begins a new one."""
        begun = self._fitting
        if begun is None or begun[0] != state.number:
            fit = fit_of(self._parts.task, self._kept(state), self._settings, state.number)
            begun = self._fitting = (state.number, Conversation.begin(fit))
            self._ruling = None
        fitting = begun[1]
        for digest in state.legs[fitting.heard :]:
            if fitting.over:
                break  # what follows is about the rule
            fitting.tell(self._judging.read(digest).held_out)
        return fitting

    def _ruled(self, state: RoundState, fitted: int) -> Ruling:
        """Return the conversation about the rule with every closed leg in; the fit had the first.

        The label model's fit is begun anew with a process, and this one with it.
        """
        ruling = self._ruling
        if ruling is None:
            ruling = Conversation.begin(
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

    def _agreed(self, state: RoundState, fitting: Fitting, ruling: Ruling) -> None:
        """Keep the label model and the rule."""
        self._fitting = self._ruling = None
        rule, last = ruling.result, ruling.answered
        reported = last is not None and last.about == "depth"
        with self._store.transaction():
            self._record(
                Agreed(
                    round=state.number,
                    label_model=self._store.keep_artifact(write_parameters(fitting.result)),
                    exchanges=fitting.heard,
                    teaching="" if rule is None else self._store.keep_artifact(write_rule(rule)),
                    depth=state.legs[-1] if reported else "",
                )
            )


def fit_of(task: Task, snapshot: Snapshot, settings: CampaignSettings, number: int) -> Fit:
    """Return the fit of a round: without a single exchange where votes teach nothing."""
    rules = settings.recipes
    tried = bool(rules.vote_weights and task.functions) and number in rules.rounds
    teach = tried or snapshot.vote_weight(settings, len(task.functions)) > 0
    return fit_in_exchanges(task, snapshot, exchanges=settings.vote_exchanges if teach else 0)
