"""The lines a person watching a campaign reads: what happened, and what is waited for."""

import time
from collections.abc import Callable

_SILENCE_S = 30.0


class Pulse:
    """Says what happens at once, and what is waited for every half a minute."""

    def __init__(
        self, say: Callable[[str], None], now_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Say it here."""
        self._say = say
        self._now_s = now_s
        self._about = ""
        self._said_s = now_s()

    def __call__(self, line: str) -> None:
        """Say that something happened."""
        self._about = ""
        self._said_s = self._now_s()
        self._say(line)

    def aside(self, line: str) -> None:
        """Say what happens beside the campaign; what is waited for stays the same wait."""
        self._say(line)

    def waiting(self, line: str, *, about: str = "") -> None:
        """Say what is waited for, unless something was said just now.

        Args:
            line: What for, and how many of how many are there.
            about: Names the wait; one that has just begun is told of at once. Empty: it is likely
                to be over before anybody need know.
        """
        begun = bool(about) and about != self._about
        if begun or self._now_s() - self._said_s >= _SILENCE_S:
            self(line)
            self._about = about
