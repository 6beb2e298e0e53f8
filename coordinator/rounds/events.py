"""What can happen to a round, as it is written into the campaign's stream.

Every decision that hung on chance, on a clock or on who answered is in here with its outcome, so
that reading the stream again never decides again.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from coordinator.rounds.events_aside import Abandoned as Abandoned
from coordinator.rounds.events_aside import Compared as Compared
from coordinator.rounds.events_aside import Paused as Paused
from coordinator.rounds.events_aside import Quarantined as Quarantined
from coordinator.rounds.events_aside import Recast as Recast
from coordinator.rounds.events_aside import Resumed as Resumed
from coordinator.rounds.events_aside import Stopped as Stopped
from coordinator.rounds.events_aside import Watched as Watched
from coordinator.store.written import dump_event as dump_event  # as its events are read
from coordinator.store.written import load_event as load

RoundKind = Literal["ordinary", "incident", "drift"]
ExchangeName = Literal[
    "survey", "collect", "answers", "votes", "train", "evaluate", "canary", "roll_out", "trial",
    "influence", "compare", "recast",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A round begins.

    Attributes:
        round: Its number; numbers count up.
        kind: An incident round goes ahead of the others and is never asked to wait; a drift round
            is aimed at what is new on the devices.
        devices: Who is surveyed.
        budget: How many labels it may buy.
        first: Whether it buys the seed labels.
        at: When, so that the next one can keep its distance.
        watch: The round whose first head new items are counted by; itself: from here on by the
            newest head. 0 where nobody watches.
        strategy: How it chooses; empty: as the settings say.
        aims: Least share of its picks for each class, by prediction; empty for none.
    """

    round: int
    kind: RoundKind
    devices: tuple[int, ...]
    budget: int
    first: bool
    at: str
    watch: int = 0
    strategy: str = ""
    aims: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An exchange is open: requests are on their way.

    Attributes:
        round: Which round.
        exchange: What is asked.
        leg: Which message of an exchange that has several.
        devices: Who is asked.
        goal: So many replies close it.
        minimum: With fewer it is asked again once its window is over.
        window_s: How long it may take.
        until: When that is over.
    """

    round: int
    exchange: ExchangeName
    leg: int
    devices: tuple[int, ...]
    goal: int
    minimum: int
    window_s: float
    until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Extended:
    """Too few replies came; the same is asked again of those who said nothing."""

    round: int
    exchange: ExchangeName
    leg: int
    came: int
    until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """An exchange is over; what comes later counts by the rule of its kind.

    Attributes:
        round: Which round.
        exchange: What was asked.
        leg: Which message.
        came: Whose replies are in.
        sums: Digest of what they add up to, where that is kept for this round alone.
    """

    round: int
    exchange: ExchangeName
    leg: int
    came: tuple[int, ...]
    sums: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """Which items are asked for; ids in hexadecimal.

    Attributes:
        round: Which round.
        replies: How many devices' offers were there to choose from.
        considered: Digest of those offers.
        items: The chosen ones, best first.
        most: How many the budget allowed.
        pending: Digest of what was granted before and waited for an answer; empty for nothing.
    """

    round: int
    replies: int
    considered: str
    items: tuple[str, ...]
    most: int
    pending: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Candidates are with the people who label.

    Attributes:
        round: Which round.
        sealed: How many candidates came.
        absent: How many did not: refused, or their devices are away.
        until: Answers after this count in a later round.
        at: Since when they wait.
    """

    round: int
    sealed: int
    absent: int
    until: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Labeled:
    """The time for answers is over, or there is nothing left to answer.

    Attributes:
        round: Which round.
        open: How many candidates have no label.
        disputed: How many of them an expert decides.
        until: Labels after this count in a later round.
    """

    round: int
    open: int
    disputed: int = 0
    until: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Answers became labels of this round, and were paid.

    Attributes:
        round: Which round.
        answers: How many were paid, late ones of earlier rounds among them.
        cost: What they cost, in the campaign's currency.
        labels: How many labels they came to.
        base: Digest of the head that training starts from.
        parent: The same, or empty if no round has trained it.
    """

    round: int
    answers: int
    cost: float
    base: str
    parent: str
    labels: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """Answers were delivered, and the label model was fitted with what came back."""

    round: int
    delivered: int
    functions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshotted:
    """Everything training starts from is kept under one digest."""

    round: int
    inputs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """The label model that this round trains with is fitted.

    Attributes:
        round: Which round.
        label_model: Digest of its parameters.
        exchanges: How often devices were asked about their votes.
        teaching: Digest of the rule of what may teach how deep; empty: all labels teach all layers.
        depth: Digest of the sums that tell what did; empty where nobody asked.
    """

    round: int
    label_model: str
    exchanges: int
    teaching: str = ""
    depth: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A new head is on the shelf."""

    round: int
    model: str
    parent: str
    exchanges: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """How a new head was judged, and what was found out about it.

    Attributes:
        round: Which round.
        held_out: Summed confusion counts of held-out devices, truth by row.
        random_arm: The same of the random arm.
        trace: Digest of which function taught it what; empty where nobody asked.
        fates: What became of what the head before knew, by slice and class; empty likewise.
        calibration: How sure it is of the same items, and the head before; empty likewise.
        temperature: What its log-odds are divided by from here on; 0: it is taken at its word.
    """

    round: int
    held_out: tuple[int, ...]
    random_arm: tuple[int, ...]
    trace: str = ""
    fates: tuple[int, ...] = ()
    calibration: tuple[int, ...] = ()
    temperature: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """The new head is good enough; with roll_out it goes to devices, a few first.

    Attributes:
        round: Which round.
        reason: How it was judged.
        roll_out: Whether devices are given it.
        serial: Its place in the order of heads, which need not be that of rounds.
    """

    round: int
    reason: str
    roll_out: bool
    serial: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The new head is clearly worse than the one before; it goes nowhere."""

    round: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """The head did well on a few devices."""

    round: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledOut:
    """The head is served by this many devices; whoever was away gets it when it is back."""

    round: int
    devices: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reverted:
    """Devices that took the head are given the one before it, as the newest in their order."""

    round: int
    reason: str
    serial: int = 0


Event: TypeAlias = (
    Planned
    | Asked
    | Extended
    | Closed
    | Watched
    | Selected
    | Opened
    | Labeled
    | Resolved
    | Fitted
    | Snapshotted
    | Agreed
    | Recast
    | Trained
    | Evaluated
    | Passed
    | Refused
    | Tried
    | RolledOut
    | Reverted
    | Paused
    | Resumed
    | Quarantined
    | Abandoned
    | Compared
    | Stopped
)
EVENTS: dict[str, type[Event]] = {event.__name__: event for event in get_args(Event)}
"""Every event by its name in the stream."""


def load_event(kind: str, body: str) -> Event:
    """Undo dump_event.

    Raises:
        StoreError: the store holds an event this program does not know.
    """
    return load(kind, body, EVENTS)
