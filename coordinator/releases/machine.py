"""One release as a state machine: pure, total, and the only judge of what comes next.

::

    PROPOSED > TRYING > TRIED > APPROVED > PROMOTED
    any that is not over > ROLLED_BACK

An event that does not belong to the release, its phase or its exchange changes nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import assert_never

from coordinator.releases.events import (
    Approved,
    Promoted,
    Proposed,
    ReleaseEvent,
    RolledBack,
    Tried,
)
from coordinator.rounds.events import Asked, Closed, Extended
from coordinator.rounds.machine import Exchange


class Phase(Enum):
    """Where a release stands; the value says what it is about."""

    NONE = "not proposed"
    PROPOSED = "proposed"
    TRYING = "voting in shadow on a few devices"
    TRIED = "tried: a person promotes it or rolls it back"
    APPROVED = "promoted as soon as no round is under way"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"


OVER = frozenset({Phase.PROMOTED, Phase.ROLLED_BACK})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseState:
    """What is known of one release.

    Attributes:
        number: Which release; 0 before the first.
        phase: Where it stands.
        task: Digest of the next task.
        parent: Digest of the task before.
        bundle: Artifact with the next task.
        parent_bundle: Artifact with the task before.
        version: What the next task was signed as.
        share: Share of the training devices it is tried on.
        exchange: The trial, open or closed.
        report: Artifact with what the trial came to.
        reason: Why it is where it is.
        by: Who decided, a rule or a person.
        after: The last round of the task before; of a promoted release.
    """

    number: int = 0
    phase: Phase = Phase.NONE
    task: str = ""
    parent: str = ""
    bundle: str = ""
    parent_bundle: str = ""
    version: int = 0
    share: float = 0.0
    exchange: Exchange | None = None
    report: str = ""
    reason: str = ""
    by: str = ""
    after: int = 0

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.phase in OVER or self.phase is Phase.NONE


def advance(state: ReleaseState, event: ReleaseEvent) -> ReleaseState:
    """Return the state after an event; the same state if the event does not belong here.

    >>> state = ReleaseState(number=1, phase=Phase.TRIED)
    >>> advance(state, RolledBack(round=1, by="person", reason="no")).phase.name
    'ROLLED_BACK'
    >>> advance(state, Promoted(round=1, after=0)) is state
    True
    """
    if not isinstance(event, Proposed) and event.round != state.number:
        return state
    phase, exchange = state.phase, state.exchange
    match event:
        case Proposed() if phase is Phase.NONE:
            return ReleaseState(
                number=event.round,
                phase=Phase.PROPOSED,
                task=event.task,
                parent=event.parent,
                bundle=event.bundle,
                parent_bundle=event.parent_bundle,
                version=event.version,
                share=event.share,
            )
        case Asked() if phase is Phase.PROPOSED and event.exchange == "trial":
            return replace(state, phase=Phase.TRYING, exchange=Exchange.begun(event))
        case Extended() if phase is Phase.TRYING and exchange and exchange.is_named(event):
            again = replace(exchange, until=event.until, attempt=exchange.attempt + 1)
            return replace(state, exchange=again)
        case Closed() if phase is Phase.TRYING and exchange and exchange.is_named(event):
            return replace(state, exchange=replace(exchange, open=False, came=event.came))
        case Tried() if phase is Phase.PROPOSED or (
            phase is Phase.TRYING and exchange and not exchange.open
        ):
            reason = "; ".join((*event.breaches, *event.doubts))
            return replace(state, phase=Phase.TRIED, report=event.report, reason=reason)
        case Approved() if phase is Phase.TRIED:
            return replace(state, phase=Phase.APPROVED, by=event.by, reason=event.reason)
        case Promoted() if phase is Phase.APPROVED:
            return replace(state, phase=Phase.PROMOTED, after=event.after)
        case RolledBack() if not state.over:
            return replace(state, phase=Phase.ROLLED_BACK, by=event.by, reason=event.reason)
        case (
            Proposed() | Asked() | Extended() | Closed() | Tried() | Approved() | Promoted()
            | RolledBack()
        ):  # fmt: skip
            return state
        case _:
            assert_never(event)


def replay(events: Iterable[ReleaseEvent]) -> dict[int, ReleaseState]:
    """Return every release a history tells of, by its number."""
    found: dict[int, ReleaseState] = {}
    for event in events:
        state = advance(found.get(event.round, ReleaseState()), event)
        if state.number:
            found[state.number] = state
    return found
