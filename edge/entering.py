"""What a pool is to remember after an answer: at once, and of items once they are in a sum.

A plain reply is in a sum when it leaves. One that is summed over a cohort leaves twice, in the
clear without its sums, and under masks: only with the second are its items in a sum.
"""

from collections.abc import Callable
from dataclasses import dataclass

from edge.passed import tell_of_passed
from edge.pool import Pool
from edge.sums import Kind, enter
from edge.windows import enter_window
from fieldvote.codec import IntVector
from fieldvote.errors import StoreError

_KINDS: dict[str, Kind] = {"summed": "summed", "anchored": "anchored"}
VOTED_SUMS = "voted sums"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entering:
    """Items that enter a sum.

    Attributes:
        kind: "summed" or "anchored"; "voted" where all voted items enter the sums of the head;
            "arrived" where new ones enter the histograms of a round, "passed" where that holds
            ones that are not here any more.
        versions: The functions that are summed together; that round, in digits; that task.
        places: Places of the items; of what has passed, the histograms themselves.
    """

    kind: str
    versions: tuple[str, ...]
    places: IntVector

    def into(self, pool: Pool) -> None:
        """Write it down; the caller holds the transaction.

        Raises:
            StoreError: it is no kind of sums; the note it is from was changed.
        """
        if self.kind == "voted":
            pool.keep_note(VOTED_SUMS, b"sent")
        elif self.kind == "arrived" and self.versions[:1] and self.versions[0].isdecimal():
            enter_window(pool, int(self.versions[0]), pool.column("position")[self.places].tolist())
        elif self.kind == "passed" and self.versions:
            tell_of_passed(pool, self.versions[0], self.places)
        elif self.kind in _KINDS:
            enter(pool, self.places, self.versions, _KINDS[self.kind])
        else:
            raise StoreError("a note of sums to be made was changed; restore a backup")


def nothing() -> None:
    """Change nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a pool remembers of an answer; called as a whole where the answer leaves in one piece.

    Attributes:
        pool: The pool.
        at_once: What it remembers however the sums leave.
        entering: What it remembers of items once they are in a sum.
    """

    pool: Pool
    at_once: Callable[[], None] = nothing
    entering: tuple[Entering, ...] = ()

    def __call__(self) -> None:
        """Remember all of it; the caller holds the transaction."""
        self.at_once()
        for each in self.entering:
            each.into(self.pool)
