"""What votes mean: the label model of a round, fitted from kept sums and a few exchanges."""

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass

from coordinator.models.totals import Snapshot, fit_in_exchanges, write_parameters
from coordinator.rounds.campaign import CampaignState
from coordinator.rounds.events import Agreed, Event, Snapshotted
from coordinator.rounds.exchange import Exchanges
from coordinator.rounds.judging import NOTHING, Judging, LegSums
from coordinator.rounds.machine import RoundState
from coordinator.rounds.parts import Parts
from coordinator.rounds.question import Question, Rest
from coordinator.settings import CampaignSettings
from fieldvote.codec import IntVector
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

    def step(self, state: RoundState, _: CampaignState) -> Rest | None:
        """Keep the sums as they are now; then ask devices what their votes say, leg by leg."""
        if not state.inputs:
            self._snapshot(state)
            return None
        fitting = self._caught_up(state)
        if isinstance(fitting.asked, LabelModel):
            self._agreed(state, fitting.asked)
            return None
        question, leg = fitting.asked, fitting.heard

        def requests() -> dict[DeviceId, bytes]:
            request = VotesRequest(
                round=state.number,
                step=leg,
                about=question.about,
                label_model=question.model.to_vector(),
                copies=question.packed_copies,
                one_in=question.one_in,
                task=self._parts.task.digest,
            )
            return dict.fromkeys(self._parts.training(), encode_message(request))

        def count(replies: Mapping[DeviceId, bytes]) -> list[DeviceId]:
            vectors = self._parts.inbox.votes(state.number, leg, replies, length=question.length)
            for vector in vectors.values():
                self._judging.add(state, "votes", leg, LegSums(held_out=vector, random_arm=NOTHING))
            return list(vectors)

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
            self._fitting = fitting
        for digest in state.legs[fitting.heard :]:
            fitting.tell(self._judging.read(digest).held_out)
        return fitting

    def _agreed(self, state: RoundState, model: LabelModel) -> None:
        """Keep the label model."""
        heard = self._fitting.heard if self._fitting else 0
        self._fitting = None
        with self._store.transaction():
            digest = self._store.keep_artifact(write_parameters(model))
            self._record(Agreed(round=state.number, label_model=digest, exchanges=heard))


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
