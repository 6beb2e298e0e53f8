"""One round as a state machine: pure, total, and the only judge of what comes next.

::

    PLANNED -> SURVEYED -> SELECTED -> COLLECTED -> LABELED -> FITTED -> TRAINED -> DONE
       any of them -> ABANDONED

An event that does not belong to the round or to its phase changes nothing: late and repeated
messages are ordinary. What a phase has to do is :mod:`coordinator.rounds.steps`' business; a crash
between any two events resumes at the phase the events lead to.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import Enum

from fieldvote.errors import SettingsError, StoreError
from fieldvote.settings import parse_settings


class Phase(Enum):
    """Where a round stands; the value says what was done last."""

    NONE = "not begun"
    PLANNED = "planned"
    SURVEYED = "votes summed and offers in"
    SELECTED = "items chosen"
    COLLECTED = "candidates in"
    LABELED = "answers given"
    FITTED = "answers delivered, label model fitted"
    TRAINED = "head trained"
    DONE = "evaluated"
    ABANDONED = "given up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A round begins: who is surveyed and how many labels it may buy."""

    round: int
    devices: tuple[int, ...]
    budget: int
    first: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """Replies to the survey are in."""

    round: int
    replies: int
    offers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """Which items are asked for; ids in hexadecimal, by device."""

    round: int
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """Sealed candidates are in."""

    round: int
    sealed: int
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Labeled:
    """Answers were given and paid."""

    round: int
    answers: int
    cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """Answers were delivered, and the label model was fitted with what came back."""

    round: int
    delivered: int
    functions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A new head is on the shelf."""

    round: int
    model: str
    parent: str
    exchanges: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """Summed confusion counts, truth by row, of held-out devices and of the random arm."""

    round: int
    held_out: tuple[int, ...]
    random_arm: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandoned:
    """The round is given up; its labels stay."""

    round: int
    reason: str


Event = (
    Planned | Surveyed | Selected | Collected | Labeled | Fitted | Trained | Evaluated | Abandoned
)
_EVENTS: dict[str, type[Event]] = {
    event.__name__: event
    for event in (
        Planned,
        Surveyed,
        Selected,
        Collected,
        Labeled,
        Fitted,
        Trained,
        Evaluated,
        Abandoned,
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundState:
    """What is known of the current round.

    Attributes:
        number: Which round; 0 before the first.
        phase: What was done last.
        devices: Who is surveyed.
        budget: How many labels it may buy.
        first: Whether it buys the seed labels.
        model: Digest of the newest head; empty before the first.
    """

    number: int = 0
    phase: Phase = Phase.NONE
    devices: tuple[int, ...] = ()
    budget: int = 0
    first: bool = False
    model: str = ""


_NEXT: dict[tuple[Phase, type[Event]], Phase] = {
    (Phase.PLANNED, Surveyed): Phase.SURVEYED,
    (Phase.SURVEYED, Selected): Phase.SELECTED,
    (Phase.SELECTED, Collected): Phase.COLLECTED,
    (Phase.COLLECTED, Labeled): Phase.LABELED,
    (Phase.LABELED, Fitted): Phase.FITTED,
    (Phase.FITTED, Trained): Phase.TRAINED,
    (Phase.TRAINED, Evaluated): Phase.DONE,
}
_ENDED = (Phase.NONE, Phase.DONE, Phase.ABANDONED)


def advance(state: RoundState, event: Event) -> RoundState:
    """Return the state after an event; the same state if the event does not belong here.

    >>> begun = advance(RoundState(), Planned(round=1, devices=(7,), budget=1, first=True))
    >>> begun.phase.name, advance(begun, Labeled(round=1, answers=1, cost=0.0)) is begun
    ('PLANNED', True)
    """
    match event:
        case Planned():
            if state.phase not in _ENDED or event.round != state.number + 1:
                return state
            return replace(
                state,
                number=event.round,
                phase=Phase.PLANNED,
                devices=event.devices,
                budget=event.budget,
                first=event.first,
            )
        case Abandoned():
            if state.phase in _ENDED or event.round != state.number:
                return state
            return replace(state, phase=Phase.ABANDONED)
        case _:
            following = _NEXT.get((state.phase, type(event)))
            if following is None or event.round != state.number:
                return state
            model = event.model if isinstance(event, Trained) else state.model
            return replace(state, phase=following, model=model)


def replay(events: Iterable[Event]) -> RoundState:
    """Return the state that a history leads to."""
    state = RoundState()
    for event in events:
        state = advance(state, event)
    return state


def dump_event(event: Event) -> tuple[str, str]:
    """Return an event's kind and its body as canonical JSON."""
    return type(event).__name__, json.dumps(asdict(event), sort_keys=True, separators=(",", ":"))


def load_event(kind: str, body: str) -> Event:
    """Undo dump_event.

    Raises:
        StoreError: the store holds an event this program does not know.
    """
    if kind not in _EVENTS:
        raise StoreError(f"the store holds an event '{kind}' this program does not know")
    try:
        return parse_settings(json.loads(body), _EVENTS[kind], f"event '{kind}'")
    except (ValueError, SettingsError) as err:
        raise StoreError(f"the store holds a '{kind}' that cannot be read: {err}") from err
