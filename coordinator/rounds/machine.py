"""One round as a state machine: pure, total, and the only judge of what comes next.

::

    PLANNED > SURVEYING > SELECTED > COLLECTING > LABELING > RESOLVING > FITTING > SNAPSHOT
            > TRAINING > EVALUATING > GATE > CANARY > ROLLING_OUT > DONE
    GATE > REJECTED | DONE          CANARY, ROLLING_OUT, DONE, QUARANTINED > ROLLED_BACK
    any that is not over > PAUSED, QUARANTINED > back to where it was, or ABANDONED

The whole table is drawn in docs/rounds.svg, from this file. An event that does not belong to the
round, its phase or its exchange changes nothing: late and repeated messages are ordinary. What a
phase has to do is :mod:`coordinator.rounds.steps`' business; a crash between any two events resumes
at the phase the events lead to.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import assert_never

from coordinator.rounds.events import (
    Abandoned,
    Agreed,
    Asked,
    Closed,
    Compared,
    Evaluated,
    Event,
    ExchangeName,
    Extended,
    Fitted,
    Labeled,
    Opened,
    Passed,
    Paused,
    Planned,
    Quarantined,
    Recast,
    Refused,
    Resolved,
    Resumed,
    Reverted,
    RolledOut,
    RoundKind,
    Selected,
    Snapshotted,
    Stopped,
    Trained,
    Tried,
    Watched,
)


class Phase(Enum):
    """Where a round stands; the value says what it is about."""

    NONE = "not begun"
    PLANNED = "planned"
    SURVEYING = "asking devices for votes and offers"
    SELECTED = "items chosen"
    COLLECTING = "asking devices for candidates"
    LABELING = "waiting for people"
    RESOLVING = "turning answers into labels"
    FITTING = "delivering answers, fitting the label model"
    SNAPSHOT = "agreeing on what votes mean"
    TRAINING = "training across devices"
    EVALUATING = "evaluating the new model"
    GATE = "judging the new model"
    CANARY = "trying the new model on a few devices"
    ROLLING_OUT = "giving the new model to the fleet"
    DONE = "done"
    PAUSED = "paused"
    QUARANTINED = "quarantined until a person has looked"
    ABANDONED = "given up"
    REJECTED = "done, the new model was refused"
    ROLLED_BACK = "rolled back to the model before"


OVER = frozenset({Phase.DONE, Phase.ABANDONED, Phase.REJECTED, Phase.ROLLED_BACK})
"""Phases a round ends in; of these only DONE may still be rolled back."""
HELD = frozenset({Phase.PAUSED, Phase.QUARANTINED})
"""Phases in which a round does nothing until a person says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One question to several devices, inside a round.

    Attributes:
        name: What is asked.
        leg: Which message of an exchange that has several.
        devices: Who is asked.
        goal: So many replies close it.
        minimum: With fewer it is asked again once its window is over.
        window_s: How long it may take.
        until: When that is over.
        attempt: How often it was asked.
        open: Whether replies are still waited for.
        came: Who had answered when it was closed.
        sums: Digest of what the replies add up to, if that is kept.
    """

    name: ExchangeName
    leg: int
    devices: tuple[int, ...]
    goal: int
    minimum: int
    window_s: float
    until: str
    attempt: int = 1
    open: bool = True
    came: tuple[int, ...] = ()
    sums: str = ""

    @classmethod
    def begun(cls, event: Asked) -> "Exchange":
        """Return the exchange that an event opens."""
        return cls(
            name=event.exchange,
            leg=event.leg,
            devices=event.devices,
            goal=event.goal,
            minimum=event.minimum,
            window_s=event.window_s,
            until=event.until,
        )

    def is_named(self, event: Extended | Closed) -> bool:
        """Return whether an event is about this exchange."""
        return self.open and (self.name, self.leg) == (event.exchange, event.leg)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundState:
    """What is known of one round.

    Attributes:
        number: Which round; 0 before the first.
        kind: Ordinary, an incident, or aimed at what is new.
        phase: Where it stands.
        held: Where it goes on after a pause or a quarantine.
        devices: Who is surveyed.
        budget: How many labels it may buy.
        first: Whether it buys the seed labels.
        exchange: The exchange of this phase, open or closed.
        items: How many items are asked for.
        until: When the time for answers is over.
        base: Digest of the head training starts from.
        inputs: Digest of everything else training starts from.
        label_model: Digest of the label model's parameters it trains with.
        teaching: Digest of the rule of what may teach how deep; empty: all labels teach all layers.
        depth: Digest of the sums that tell what did; empty where nobody asked.
        parent: The head before; empty for the first.
        legs: Digests of the sums of this phase's exchanges so far.
        model: Digest of the new head; empty before it is trained.
        trace: Digest of which function taught the new head what; empty where nobody asked.
        serial: Place of the new head in the order of heads.
        rolled_out: Whether the fleet was given the new head.
        reason: Why the round is where it is, if that is not obvious.
        watch: The round whose first head new items are counted by; 0 where nobody watches.
        strategy: How it chooses; empty: as the settings say.
        aims: Least share of its picks for each class, by prediction; empty for none.
        looked: Whether its new items were compared with those before.
        compared: Whether its shadow heads were compared.
        recast: Whether it is settled which inputs its head is trained on.
        temperature: What the log-odds of the new head are divided by; 0: it is taken at its word.
    """

    number: int = 0
    kind: RoundKind = "ordinary"
    phase: Phase = Phase.NONE
    held: Phase = Phase.NONE
    devices: tuple[int, ...] = ()
    budget: int = 0
    first: bool = False
    exchange: Exchange | None = None
    items: int = 0
    until: str = ""
    base: str = ""
    inputs: str = ""
    label_model: str = ""
    parent: str = ""
    legs: tuple[str, ...] = ()
    model: str = ""
    trace: str = ""
    serial: int = 0
    rolled_out: bool = False
    reason: str = ""
    teaching: str = ""
    depth: str = ""
    watch: int = 0
    strategy: str = ""
    aims: tuple[float, ...] = ()
    looked: bool = False
    compared: bool = False
    recast: bool = False
    temperature: float = 0.0

    @property
    def over(self) -> bool:
        """Whether the round has ended."""
        return self.phase in OVER

    @property
    def active(self) -> bool:
        """Whether the round has something to do."""
        return self.phase not in OVER | HELD | {Phase.NONE}

    def to(self, phase: Phase, **changes: object) -> "RoundState":
        """Return the state in another phase, whose exchange has not begun."""
        return replace(self, phase=phase, exchange=None, legs=(), **changes)  # type: ignore[arg-type]  # callers name fields


_EXCHANGES: dict[Phase, tuple[ExchangeName, Phase]] = {
    Phase.PLANNED: ("survey", Phase.SURVEYING),
    Phase.SELECTED: ("collect", Phase.COLLECTING),
    Phase.FITTING: ("answers", Phase.FITTING),
    Phase.SNAPSHOT: ("votes", Phase.SNAPSHOT),
    Phase.TRAINING: ("train", Phase.TRAINING),
    Phase.EVALUATING: ("evaluate", Phase.EVALUATING),
    Phase.CANARY: ("canary", Phase.CANARY),
    Phase.ROLLING_OUT: ("roll_out", Phase.ROLLING_OUT),
}
"""Which exchange begins in a phase, and the phase it is waited for in."""
_LOOKED_IN = (Phase.SURVEYING, Phase.SNAPSHOT)  # at new items: with votes, or noised and apart


def advance(state: RoundState, event: Event) -> RoundState:
    """Return the state after an event; the same state if the event does not belong here.

    >>> planned = Planned(round=1, kind="ordinary", devices=(7,), budget=1, first=True, at="")
    >>> begun = advance(RoundState(), planned)
    >>> begun.phase.name, advance(begun, Labeled(round=1, open=0)) is begun
    ('PLANNED', True)
    """
    if not isinstance(event, Planned) and event.round != state.number:
        return state
    phase, exchange = state.phase, state.exchange
    closed = exchange is None or not exchange.open
    match event:
        case Planned() if phase is Phase.NONE:
            return RoundState(
                number=event.round,
                kind=event.kind,
                phase=Phase.PLANNED,
                devices=event.devices,
                budget=event.budget,
                first=event.first,
                watch=event.watch,
                strategy=event.strategy,
                aims=event.aims,
            )
        case Asked() if closed and _may_ask(state, event.exchange):
            return replace(state, phase=_EXCHANGES[phase][1], exchange=Exchange.begun(event))
        case Extended() if state.active and exchange is not None and exchange.is_named(event):
            again = replace(exchange, until=event.until, attempt=exchange.attempt + 1)
            return replace(state, exchange=again)
        case Closed() if state.active and exchange is not None and exchange.is_named(event):
            done = replace(exchange, open=False, came=event.came, sums=event.sums)
            legs = (*state.legs, event.sums) if event.sums else state.legs
            return replace(state, exchange=done, legs=legs)
        case Watched() if phase in _LOOKED_IN and closed and not state.looked:
            return replace(state, looked=True)
        case Selected() if phase is Phase.SURVEYING and closed:
            return state.to(Phase.SELECTED, items=len(event.items))
        case Opened() if phase is Phase.COLLECTING and closed:
            return state.to(Phase.LABELING, until=event.until)
        case Labeled() if phase is Phase.LABELING:
            return state.to(Phase.RESOLVING, until=event.until)
        case Resolved() if phase is Phase.RESOLVING:
            return state.to(Phase.FITTING, base=event.base, parent=event.parent)
        case Fitted() if phase is Phase.FITTING and closed:
            return state.to(Phase.SNAPSHOT)
        case Snapshotted() if phase is Phase.SNAPSHOT and not state.inputs:
            return replace(state, inputs=event.inputs)
        case Agreed() if phase is Phase.SNAPSHOT and state.inputs and closed:
            return state.to(
                Phase.TRAINING,
                label_model=event.label_model,
                teaching=event.teaching,
                depth=event.depth,
            )
        case Recast() if phase is Phase.TRAINING and closed and not state.recast:
            settled = replace(state, base=event.base, inputs=event.inputs, recast=True)
            return replace(settled, exchange=None, legs=())
        case Trained() if phase is Phase.TRAINING and closed:
            return state.to(Phase.EVALUATING, model=event.model)
        case Compared() if phase is Phase.EVALUATING and closed and not state.compared:
            return replace(state, exchange=None, legs=(), compared=True)
        case Evaluated() if phase is Phase.EVALUATING and closed:
            return state.to(Phase.GATE, trace=event.trace, temperature=event.temperature)
        case Passed() if phase is Phase.GATE:
            after = Phase.CANARY if event.roll_out else Phase.DONE
            return state.to(after, reason=event.reason, serial=event.serial)
        case Refused() if phase is Phase.GATE:
            return state.to(Phase.REJECTED, reason=event.reason)
        case Tried() if phase is Phase.CANARY and closed:
            return state.to(Phase.ROLLING_OUT, reason=event.reason)
        case RolledOut() if phase is Phase.ROLLING_OUT and closed:
            return state.to(Phase.DONE, rolled_out=True)
        case Reverted() if served(state):
            return state.to(Phase.ROLLED_BACK, held=Phase.NONE, reason=event.reason)
        case Paused() if state.active:
            return replace(state, phase=Phase.PAUSED, held=phase, reason=event.reason)
        case Quarantined() if state.active:
            return replace(state, phase=Phase.QUARANTINED, held=phase, reason=event.reason)
        case Resumed() if phase in HELD:
            return replace(state, phase=state.held, held=Phase.NONE, reason="")
        case Abandoned() if not state.over and phase is not Phase.NONE and not served(state):
            return state.to(Phase.ABANDONED, held=Phase.NONE, reason=event.reason)
        case (
            Planned() | Asked() | Extended() | Closed() | Selected() | Opened() | Labeled()
            | Resolved() | Fitted() | Snapshotted() | Agreed() | Trained() | Evaluated() | Passed()
            | Refused() | Tried() | RolledOut() | Reverted() | Paused() | Quarantined() | Resumed()
            | Abandoned() | Watched() | Compared() | Stopped() | Recast()
        ):  # fmt: skip
            return state
        case _:
            assert_never(event)


def _may_ask(state: RoundState, name: ExchangeName) -> bool:
    """Return whether an exchange belongs to a phase; votes are asked about once sums are kept.

    Who taught a head is asked while it is evaluated; shadow heads are compared then, once.
    """
    if state.phase is Phase.SNAPSHOT and not state.inputs:
        return False
    if state.phase is Phase.TRAINING and name == "recast":
        return not state.recast
    if state.phase is Phase.EVALUATING and name == "compare":
        return not state.compared
    if state.phase is Phase.EVALUATING and name == "influence":
        return True
    return state.phase in _EXCHANGES and name == _EXCHANGES[state.phase][0]


def served(state: RoundState) -> bool:
    """Return whether devices may serve this round's model: it is taken back, not given up."""
    where = state.held if state.phase in HELD else state.phase
    return where in (Phase.CANARY, Phase.ROLLING_OUT) or (where is Phase.DONE and state.rolled_out)


def replay(events: Iterable[Event], number: int) -> RoundState:
    """Return the state that a history leads one round to."""
    state = RoundState()
    for event in events:
        if event.round == number:
            state = advance(state, event)
    return state
