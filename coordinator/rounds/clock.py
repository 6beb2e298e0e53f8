"""The time a campaign goes by."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Says when it is; rounds take it as an argument, so that a test can turn it."""

    def now(self) -> datetime:
        """Return the time, with its zone; it never goes back while the process lives."""

    def sleep(self, seconds: float) -> None:
        """Return after so long, or earlier."""


class SteadyClock:
    """The system's time of day when the process began, and a stopwatch since then.

    Somebody who sets the system's clock an hour back must not add an hour to every window.
    """

    def __init__(
        self,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        elapsed_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Start the stopwatch."""
        self._elapsed_s = elapsed_s
        self._sleep = sleep
        self._start = now() - timedelta(seconds=elapsed_s())

    def now(self) -> datetime:
        """Return the time of day."""
        return self._start + timedelta(seconds=self._elapsed_s())

    def sleep(self, seconds: float) -> None:
        """Return after so long."""
        self._sleep(seconds)


def after(now: datetime, seconds: float) -> str:
    """Return the time so many seconds from now, as events hold it."""
    return (now + timedelta(seconds=seconds)).isoformat()


def is_over(until: str, now: datetime, window_s: float) -> bool:
    """Return whether a window has ended.

    A window never lasts longer than it was given: one that ends further away than that was opened
    before the clock was set back, by a process that is gone.

    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> is_over(after(noon, 60), noon, 60), is_over(after(noon, 3600), noon, 60)
    (False, True)
    """
    left_s = (datetime.fromisoformat(until) - now).total_seconds()
    return left_s <= 0 or left_s > window_s + _SLACK_S


_SLACK_S = 1.0
