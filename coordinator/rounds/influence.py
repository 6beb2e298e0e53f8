"""While a new head is evaluated: who taught it what, and what it still knows of the head before.

The questions are :mod:`coordinator.models.tracing`'s; here they become legs of an exchange, each
kept under a digest, so that a coordinator that dies goes on at the leg it had reached.

No round waits for an explanation: a leg is over when its window is, with whatever has come.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from hashlib import sha256

from coordinator.models.shelf import Shelf
from coordinator.models.totals import Snapshot, read_parameters
from coordinator.models.trace import Trace
from coordinator.models.tracing import Found, Subject, TraceLeg, look
from coordinator.rounds.campaign import CampaignState
from coordinator.rounds.judging import read_sums
from coordinator.rounds.legs import Legs, Talk
from coordinator.rounds.machine import RoundState
from coordinator.rounds.question import Rest
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


class Tracing:
    """The part of a round's evaluation that asks what a head was taught, and by whom."""

    def __init__(self, legs: Legs, lesson: Lesson) -> None:
        """Ask by these legs; lesson says what taught a head."""
        self._legs, self._lesson = legs, lesson
        self._parts, self._store = legs.parts, legs.parts.store
        self._talk: Talk[TraceLeg, Found] = Talk(legs)

    def step(self, state: RoundState, campaign: CampaignState) -> tuple[bool, Rest | None]:
        """Ask the next question; return whether there was one, and what is waited for."""
        if state.exchange is not None and state.exchange.name != EXCHANGE:
            return False, None  # the head is counted already
        leg = self._caught_up(state, campaign, state.legs).asked
        if leg is None:
            return False, None
        return True, self._ask(state, leg)

    def keep(self, state: RoundState, campaign: CampaignState) -> tuple[str, tuple[int, ...]]:
        """Keep what was found; return its digest, and what became of what was known.

        Called once the head is counted, whose leg is the last.
        """
        found = self._caught_up(state, campaign, state.legs[:-1]).result
        self._talk.forget()
        digest = "" if found.trace is None else self._store.keep_artifact(found.trace.to_bytes())
        return digest, tuple(found.fates.tolist())

    def _ask(self, state: RoundState, leg: TraceLeg) -> Rest | None:
        """Ask devices one leg."""
        step = leg.request.step
        known = self._store.devices()

        def requests() -> dict[DeviceId, bytes]:
            blob = encode_message(leg.request)
            return {
                device: blob
                for device in self._parts.reachable()
                if self._parts.may_teach(known[device]) or (leg.judges and known[device].evaluates)
            }

        def read(replies: Mapping[DeviceId, bytes]) -> dict[DeviceId, IntVector]:
            return self._parts.inbox.traces(state.number, step, replies, fits=leg.fits)

        return self._legs.ask(state, "influence", step, requests, read, least=0, length=leg.length)

    def _caught_up(
        self, state: RoundState, campaign: CampaignState, legs: Sequence[str]
    ) -> Conversation[TraceLeg, IntVector, Found]:
        """Return the trace with every closed leg in."""

        def begin() -> Generator[TraceLeg, IntVector, Found]:
            snapshot = Snapshot.from_bytes(self._store.artifact(state.inputs))
            shelf = self._parts.shelf
            subject = subject_of(
                self._store,
                self._parts.task,
                self._parts.settings,
                state,
                campaign,
                lesson=self._lesson(state, campaign, shelf.get(state.model)),
                snapshot=snapshot,
                base=shelf.get(state.base),
                parent=shelf.get(state.parent) if state.parent else None,
            )
            return look(subject)

        return self._talk.caught_up(state.number, legs, begin)


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
