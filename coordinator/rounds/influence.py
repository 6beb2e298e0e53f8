"""While a new head is evaluated: who taught it what, and what it still knows of the head before.

The questions are :mod:`coordinator.models.tracing`'s; here they become legs of an exchange, each
kept under a digest, so that a coordinator that dies goes on at the leg it had reached.

No round waits for an explanation: a leg is over when its window is, with whatever has come.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

import numpy as np

from coordinator.models.shelf import Shelf
from coordinator.models.totals import Snapshot, read_parameters
from coordinator.models.trace import Trace
from coordinator.models.tracing import Found, Subject, TraceLeg, look
from coordinator.rounds.campaign import CampaignState
from coordinator.rounds.exchange import Exchanges
from coordinator.rounds.judging import NOTHING, Judging, LegSums, read_sums
from coordinator.rounds.machine import RoundState
from coordinator.rounds.parts import Parts
from coordinator.rounds.question import Question, Rest
from coordinator.settings import CampaignSettings
from coordinator.store.campaign import Store
from fieldvote.codec import IntVector
from fieldvote.conversation import Conversation
from fieldvote.errors import DataError, InputError
from fieldvote.heads import GradientRequest, HeadModel
from fieldvote.records import DeviceId
from fieldvote.records import encode as encode_message
from fieldvote.task import Task

EXCHANGE = "influence"
_UNFINISHED = ("unfinished: a leg is missing", ())

Lesson = Callable[[RoundState, CampaignState, HeadModel], GradientRequest]
"""Makes the request that the training of a round sends for a head."""

_Looking = Conversation[TraceLeg, IntVector, Found]


class Tracing:
    """The part of a round's evaluation that asks what a head was taught, and by whom."""

    def __init__(
        self, parts: Parts, exchanges: Exchanges, judging: Judging, lesson: Lesson
    ) -> None:
        """Keep the parts; lesson says what taught a head."""
        self._parts = parts
        self._exchanges = exchanges
        self._judging = judging
        self._lesson = lesson
        self._store = parts.store
        self._looking: tuple[int, _Looking] | None = None  # of which round

    def step(self, state: RoundState, campaign: CampaignState) -> tuple[bool, Rest | None]:
        """Ask the next question; return whether there was one, and what is waited for."""
        if state.exchange is not None and state.exchange.name != EXCHANGE:
            return False, None  # the head is counted already
        looking = self._caught_up(state, campaign, state.legs)
        leg = looking.asked
        if leg is None:
            return False, None
        return True, self._exchanges.step(state, self._question(state, leg))

    def keep(self, state: RoundState, campaign: CampaignState) -> tuple[str, tuple[int, ...]]:
        """Keep what was found; return its digest, and what became of what was known.

        Called once the head is counted, whose leg is the last.
        """
        found = self._caught_up(state, campaign, state.legs[:-1]).result
        self._looking = None
        digest = "" if found.trace is None else self._store.keep_artifact(found.trace.to_bytes())
        return digest, tuple(found.fates.tolist())

    def _question(self, state: RoundState, leg: TraceLeg) -> Question:
        """Return one leg as an exchange."""
        step = leg.request.step
        known = self._store.devices()

        def requests() -> dict[DeviceId, bytes]:
            blob = encode_message(leg.request)
            return {
                device: blob
                for device in self._parts.reachable()
                if self._parts.may_teach(known[device]) or (leg.judges and known[device].evaluates)
            }

        def count(replies: Mapping[DeviceId, bytes]) -> list[DeviceId]:
            vectors = self._parts.inbox.traces(state.number, step, replies, fits=leg.fits)
            for vector in vectors.values():
                self._add(state, step, vector)
            return list(vectors)

        def close() -> str:
            # perhaps nobody has answered
            self._add(state, step, np.zeros(leg.length, dtype=np.int64))
            return self._judging.keep(state, EXCHANGE, step)

        return Question(name="influence", leg=step, requests=requests, count=count, close=close)

    def _add(self, state: RoundState, step: int, vector: IntVector) -> None:
        """Add to what a leg has come to so far."""
        self._judging.add(state, EXCHANGE, step, LegSums(held_out=vector, random_arm=NOTHING))

    def _caught_up(
        self, state: RoundState, campaign: CampaignState, legs: Sequence[str]
    ) -> _Looking:
        """Return the trace with every closed leg in; a process just started begins a new one."""
        begun = self._looking
        if begun is None or begun[0] != state.number:
            snapshot = Snapshot.from_bytes(self._store.artifact(state.inputs))
            model = self._parts.shelf.get(state.model)
            subject = subject_of(
                self._store,
                self._parts.task,
                self._parts.settings,
                state,
                campaign,
                lesson=self._lesson(state, campaign, model),
                snapshot=snapshot,
                base=self._parts.shelf.get(state.base),
                parent=self._parts.shelf.get(state.parent) if state.parent else None,
            )
            begun = self._looking = (state.number, Conversation.begin(look(subject)))
        looking = begun[1]
        for digest in legs[looking.heard :]:
            looking.tell(self._judging.read(digest).held_out)
        return looking


def subject_of(
    store: Store,
    task: Task,
    settings: CampaignSettings,
    state: RoundState,
    campaign: CampaignState,
    *,
    lesson: GradientRequest,
    snapshot: Snapshot,
    base: HeadModel,
    parent: HeadModel | None,
) -> Subject:
    """Return what is looked at in a round's new head, and how closely."""
    influence, retention = settings.influence, settings.retention
    compared = retention.measure == "always" or (
        retention.measure == "changes" and changed_since(store, state, campaign)
    )
    on_a_head = not len(lesson.model.deep)
    trained = state.model != state.base
    return Subject(
        lesson=lesson,
        base=base,
        digests=(state.model, state.base, state.label_model),
        sums=snapshot.head_sums(base, lesson.vote_weight),
        l2=settings.l2,
        functions=[f"{each.id}@{each.version}" for each in task.functions],
        classes=task.classes,
        traced=influence.enabled and lesson.vote_weight > 0 and on_a_head and trained,
        curvature=influence.curvature_exchanges,
        most_numbers=influence.most_numbers,
        compared=parent if compared else None,
        rests=retention.hold > 0 and on_a_head and trained,
    )


def found_again(
    store: Store,
    task: Task,
    settings: CampaignSettings,
    campaign: CampaignState,
    number: int,
    legs: Sequence[str],
) -> tuple[str, tuple[int, ...]]:
    """Return what a round's kept sums come to, as its event says it.

    Where a leg is missing, or is one too many, the digest is none.

    Args:
        store: Holds them.
        task: Of the round.
        settings: Of the round.
        campaign: As it was when the head was counted.
        number: Of the round.
        legs: Digests of the sums, in order.
    """
    state, shelf = campaign.rounds[number], Shelf(store)
    snapshot = Snapshot.from_bytes(store.artifact(state.inputs))
    lesson = GradientRequest(
        round=number,
        step=0,
        model=shelf.get(state.model),
        vote_weight=snapshot.vote_weight(settings, len(task.functions)),
        label_model=read_parameters(store.artifact(state.label_model)),
        epochs=0,
        l2_per_item=0.0,
    )
    subject = subject_of(
        store,
        task,
        settings,
        state,
        campaign,
        lesson=lesson,
        snapshot=snapshot,
        base=shelf.get(state.base),
        parent=shelf.get(state.parent) if state.parent else None,
    )
    looking = Conversation.begin(look(subject))
    for digest in legs:
        sums = read_sums(store.artifact(digest)).held_out
        if looking.asked is None or len(sums) != looking.asked.length:
            return _UNFINISHED
        looking.tell(sums)
    if not looking.over:
        return _UNFINISHED
    trace, fates = looking.result.trace, looking.result.fates
    digest = "" if trace is None else sha256(trace.to_bytes()).hexdigest()
    return digest, tuple(fates.tolist())


def in_words(trace: str, fates: Sequence[int]) -> str:
    """Return a trace's digest and what became of what was known, in a short line.

    >>> in_words("0123456789abcdef", (3, 1))
    '0123456789ab 3 1'
    """
    return " ".join([trace[:12] or "no trace", *map(str, fates)])


def changed_since(store: Store, state: RoundState, campaign: CampaignState) -> bool:
    """Return whether functions changed since the head before a round's was trained."""
    before = maker_of(campaign, state.parent)
    if before is None or not before.inputs or not state.inputs:
        return False
    now, then = (
        Snapshot.from_bytes(store.artifact(inputs)).task for inputs in (state.inputs, before.inputs)
    )
    return now != then


def maker_of(campaign: CampaignState, model: str) -> RoundState | None:
    """Return the round that trained a head; None where that is long ago, or no round did."""
    makers = [each for each in campaign.rounds.values() if model and each.model == model]
    return min(makers, key=lambda each: each.number) if makers else None


def trace_of(store: Store, state: RoundState) -> Trace | None:
    """Return who taught the head of a round; None where nobody asked.

    Raises:
        DataError: what is kept is no trace.
    """
    if not state.trace:
        return None
    try:
        return Trace.from_bytes(store.artifact(state.trace))
    except InputError as err:
        raise DataError(f"a trace of {state.trace[:12]} cannot be read") from err
