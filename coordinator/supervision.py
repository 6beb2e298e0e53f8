"""When to try again, how long to wait before, and when to give up: no process, no network."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from fieldvote.errors import UnavailableError


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often something that fails is tried again.

    Attributes:
        quick_s: A failure sooner than this after its start counts against the limit.
        failures: Quick failures in a row after which nobody tries again.
        first_wait_s: Wait after the first failure; it doubles with each quick one.
        longest_wait_s: Where the doubling ends.
    """

    quick_s: float = 30.0
    failures: int = 5
    first_wait_s: float = 1.0
    longest_wait_s: float = 30.0

    def wait_s(self, failures: int, rng: random.Random) -> float:
        """Return a wait between half and all of what this many failures cost.

        >>> Patience().wait_s(3, random.Random(1)) <= 4.0
        True
        """
        doublings = min(max(failures - 1, 0), 30)
        full = min(self.first_wait_s * 2.0**doublings, self.longest_wait_s)
        return full * rng.uniform(0.5, 1.0)


def supervise(
    attempt: Callable[[], str],
    *,
    finished: Callable[[], bool],
    stop: Event,
    say: Callable[[str], None],
    now_s: Callable[[], float],
    patience: Patience = Patience(),
    rng: random.Random | None = None,
) -> None:
    """Make attempts until the campaign is finished or somebody says stop.

    Args:
        attempt: Returns why it ended, and where to read more.
        finished: Whether there is anything left to do.
        stop: Set from outside.
        say: Told of every attempt that failed.
        now_s: A clock that only goes forward.
        patience: When to give up.
        rng: Spreads the waits, so that several coordinators do not knock at once.

    Raises:
        UnavailableError: too many attempts failed quickly; what the last one said.
    """
    rng = rng or random.Random()  # noqa: S311  # jitter; nothing secret hangs on it
    failures = 0
    while not stop.is_set() and not finished():
        began_s = now_s()
        reason = attempt()
        if stop.is_set() or finished():
            return
        quick = now_s() - began_s < patience.quick_s
        failures = failures + 1 if quick else 0
        if failures >= patience.failures:
            raise UnavailableError(f"gave up after {failures} quick failures: {reason}")
        wait_s = patience.wait_s(failures, rng)
        say(f"{reason}; nothing is lost, trying again in {wait_s:.1f} s")
        stop.wait(wait_s)
