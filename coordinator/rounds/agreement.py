"""What votes mean, and what they may teach: a round's label model and rule, from kept sums.

Both are made in a few exchanges each, the rule's after the label model's; see ``governing``.
"""

from collections.abc import Callable, Generator, Mapping

import numpy as np

from coordinator.models.totals import Snapshot, fit_in_exchanges, write_parameters
from coordinator.rounds.campaign import CampaignState
from coordinator.rounds.events import Agreed, Snapshotted
from coordinator.rounds.governing import (
    Governing,
    LessonQuestion,
    fits,
    govern_round,
    teacher_of,
    write_rule,
)
from coordinator.rounds.legs import Legs, Talk
from coordinator.rounds.machine import RoundState
from coordinator.rounds.question import Rest
from coordinator.settings import CampaignSettings
from fieldvote.codec import IntVector
from fieldvote.conversation import Conversation
from fieldvote.heads import VotesRequest
from fieldvote.records import DeviceId
from fieldvote.records import encode as encode_message
from fieldvote.task import Task
from fieldvote.teaching import TeachingRule
from strategies.labeling import LabelModel
from strategies.labeling.exchanges import VoteQuestion

Fit = Generator[VoteQuestion, IntVector, LabelModel]


class Agreement:
    """The work of a round between its answers and its training."""

    def __init__(self, legs: Legs) -> None:
        """Ask by these legs."""
        self._legs, self._record = legs, legs.record
        self._parts, self._settings, self._store = legs.parts, legs.parts.settings, legs.parts.store
        self._fitting: Talk[VoteQuestion, LabelModel] = Talk(legs)
        self._ruling: Talk[LessonQuestion, TeachingRule | None] = Talk(legs)

    def step(self, state: RoundState, campaign: CampaignState) -> Rest | None:
        """Keep the sums as they are now; then ask devices what their votes say, leg by leg."""
        if not state.inputs:
            self._snapshot(state, campaign)
            return None
        fitting = self._fitting.caught_up(
            state.number,
            state.legs,
            lambda: fit_of(self._parts.task, self._kept(state), self._settings, state.number),
        )
        if fitting.asked is not None:
            return self._ask_of_votes(state, fitting.asked, fitting.heard)
        ruling = self._ruling.caught_up(
            state.number, state.legs[fitting.heard :], lambda: self._governing(state)
        )
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

        def read(replies: Mapping[DeviceId, bytes]) -> dict[DeviceId, IntVector]:
            vectors = self._parts.inbox.votes(state.number, leg, replies, length=length)
            return {device: vector for device, vector in vectors.items() if fit(vector)}

        return self._legs.ask(state, "votes", leg, requests, read)

    def _snapshot(self, state: RoundState, campaign: CampaignState) -> None:
        """Keep the sums; later replies belong to later rounds."""
        with self._store.transaction():
            made = Snapshot.of(
                self._store, self._parts.task, self._settings, chosen=campaign.vote_weight
            )
            inputs = self._store.keep_artifact(made.to_bytes())
            self._record(Snapshotted(round=state.number, inputs=inputs))

    def _governing(self, state: RoundState) -> Governing:
        """Begin the conversation about the rule; its legs are those after the label model's."""
        return govern_round(
            self._parts.task, self._kept(state), self._settings, trained=bool(state.parent)
        )

    def _kept(self, state: RoundState) -> Snapshot:
        """Return the sums the round trains from."""
        return Snapshot.from_bytes(self._store.artifact(state.inputs))

    def _agreed(
        self,
        state: RoundState,
        fitting: Conversation[VoteQuestion, IntVector, LabelModel],
        ruling: Conversation[LessonQuestion, IntVector, TeachingRule | None],
    ) -> None:
        """Keep the label model and the rule."""
        self._fitting.forget()
        self._ruling.forget()
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
