import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.supervision import Patience, supervise
from fieldvote.errors import UnavailableError


@dataclass(slots=True)
class Script:
    """Attempts that last as long as the script says, a clock, and waits that take no time."""

    lasting_s: Iterable[float]
    finishes: bool = True
    now_s: float = 0.0
    attempts: int = 0
    said: list[str] = field(default_factory=list)
    stop: Event = field(default_factory=Event)

    def run(self, patience: Patience) -> None:
        lengths = list(self.lasting_s)

        def attempt() -> str:
            self.now_s += lengths[self.attempts]
            self.attempts += 1
            return f"attempt {self.attempts} failed"

        supervise(
            attempt,
            finished=lambda: self.finishes and self.attempts == len(lengths),
            stop=self.stop,
            say=self.said.append,
            now_s=lambda: self.now_s,
            patience=patience,
            rng=random.Random(1),  # noqa: S311  # jitter
        )


QUICK = Patience(failures=3, first_wait_s=0.001)


def test_attempts_follow_each_other_until_the_campaign_is_finished() -> None:
    script = Script([100.0, 1.0, 1.0, 100.0, 1.0, 1.0, 5.0])
    script.run(QUICK)
    assert script.attempts == 7
    assert [line.partition(";")[0] for line in script.said] == [
        f"attempt {n} failed" for n in range(1, 7)
    ]


def test_a_finished_campaign_is_not_attempted() -> None:
    script = Script([])
    script.run(QUICK)
    assert (script.attempts, script.said) == (0, [])


def test_quick_failures_in_a_row_end_with_what_the_last_one_said() -> None:
    script = Script([1.0] * 9)
    with pytest.raises(UnavailableError, match="3 quick failures: attempt 3 failed"):
        script.run(QUICK)
    assert script.attempts == 3


def test_an_attempt_that_lasted_makes_the_next_failures_count_anew() -> None:
    script = Script([1.0, 1.0, 40.0] * 5, finishes=True)
    script.run(QUICK)
    assert script.attempts == 15


def test_stop_ends_a_wait_at_once_and_begins_nothing() -> None:
    script = Script([1.0] * 3)
    script.stop.set()
    script.run(Patience(first_wait_s=60.0))
    assert script.attempts == 0


@given(st.integers(0, 10_000), st.integers(0, 1000))
def test_waits_grow_to_a_limit_and_are_spread(failures: int, seed: int) -> None:
    patience = Patience()
    full = [1.0, 1.0, 2.0, 4.0, 8.0, 16.0][failures] if failures < 6 else 30.0
    wait_s = patience.wait_s(failures, random.Random(seed))  # noqa: S311  # jitter
    assert full / 2 <= wait_s <= full
