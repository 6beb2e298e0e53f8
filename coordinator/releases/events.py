"""What can happen to a release, as it is written into the campaign's stream of releases.

Its exchange with devices is told with the events of rounds: asked, extended, closed.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from coordinator.rounds.events import Asked, Closed, Extended
from coordinator.store.written import dump_event as dump_event  # as its events are read
from coordinator.store.written import load_event as load

STREAM = "releases"
Decider = Literal["rule", "person"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A release is to be tried.

    Attributes:
        round: Its number; numbers count up.
        task: Digest of the next task.
        parent: Digest of the campaign's task.
        bundle: Artifact with the next task's files and targets.
        parent_bundle: Artifact with the files of the campaign's task.
        version: What the next task was signed as.
        share: Share of the training devices it is tried on.
    """

    round: int
    task: str
    parent: str
    bundle: str
    parent_bundle: str
    version: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """The trial is over; its report is kept.

    Attributes:
        round: Which release.
        report: Artifact with the report.
        breaches: Limits it breaks, a sentence each.
        doubts: Why a rule cannot decide, a sentence each.
    """

    round: int
    report: str
    breaches: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """It is to be the campaign's task as soon as no round is under way."""

    round: int
    by: Decider
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoted:
    """It is the campaign's task.

    Attributes:
        round: Which release.
        after: The last round of the task before.
    """

    round: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """It is dropped: no device ever went by it, and what it summed is archived."""

    round: int
    by: Decider
    reason: str


ReleaseEvent: TypeAlias = (
    Proposed | Asked | Extended | Closed | Tried | Approved | Promoted | RolledBack
)
EVENTS: dict[str, type[ReleaseEvent]] = {
    event.__name__: event
    for event in (Proposed, Asked, Extended, Closed, Tried, Approved, Promoted, RolledBack)
}
"""Every event by its name in the stream."""


def load_event(kind: str, body: str) -> ReleaseEvent:
    """Undo dump_event.

    Raises:
        StoreError: the store holds an event this program does not know.
    """
    return load(kind, body, EVENTS)
