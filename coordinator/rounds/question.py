"""What is asked of devices in one exchange, and when enough have answered; no clock, no store."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from coordinator.rounds.events import ExchangeName
from coordinator.rounds.machine import Exchange
from fieldvote.records import DeviceId


class Verdict(Enum):
    """What becomes of an exchange now."""

    WAIT = "wait for more replies"
    CLOSE = "enough have answered"
    ASK_AGAIN = "too few have answered"


def judge(*, came: int, waiting: int, goal: int, minimum: int, over: bool) -> Verdict:
    """Return what becomes of an exchange.

    Args:
        came: Replies that are in.
        waiting: Requests that are still on their way; a device that is away or failed has none.
        goal: So many replies close it at once.
        minimum: With fewer it is never closed.
        over: Whether its window has ended.

    >>> judge(came=3, waiting=1, goal=3, minimum=2, over=False).name
    'CLOSE'
    >>> judge(came=1, waiting=0, goal=3, minimum=2, over=False).name
    'ASK_AGAIN'
    """
    if came >= goal:
        return Verdict.CLOSE
    if waiting and not over:
        return Verdict.WAIT
    return Verdict.CLOSE if came >= minimum else Verdict.ASK_AGAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Why nothing can be done now.

    Attributes:
        about: What is waited for, for people.
        until: When something happens by itself; empty where only others can make it happen.
    """

    about: str
    until: str = ""


class Asking(Protocol):
    """What asks devices something: a round, or a release."""

    @property
    def number(self) -> int:
        """Which of its kind."""

    @property
    def exchange(self) -> Exchange | None:
        """The exchange it is in, open or closed; None before the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of devices in one leg of an exchange.

    Attributes:
        name: Which exchange.
        requests: Makes the requests; called when it is opened, and again after a crash if they are
            not kept.
        count: Takes replies in, inside a transaction if requests are kept; else it returns whose
            replies are of use.
        leg: Which message of an exchange that has several.
        keeps: Whether requests change a device, and are kept until their replies are counted.
        share: Share of those asked that must answer.
        least: How many must answer at least, if so many are asked.
        spare: Share of those asked that need not be waited for.
        carrying: Items whose answers are on their way with the requests.
        close: Keeps what the replies add up to, inside the closing transaction; returns its digest.
    """

    name: ExchangeName
    requests: Callable[[], Mapping[DeviceId, bytes]]
    count: Callable[[Mapping[DeviceId, bytes]], Collection[DeviceId]]
    leg: int = 0
    keeps: bool = False
    share: float = 0.0
    least: int = 0
    spare: float = 0.0
    carrying: Sequence[bytes] = ()
    close: Callable[[], str] = lambda: ""
