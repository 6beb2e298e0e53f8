"""Which items were counted as new, and in which round: small, and kept with the pool."""

import json
from collections.abc import Sequence

from edge.pool import Pool
from fieldvote.errors import StoreError

WINDOWS = "sums in windows of "  # and a family; a purge of items deletes it, as it does their sums
_NOISED = "noise"  # in the place of the family: what was paid for once is in no second sum of any
_KEPT = 64  # windows; of older ones only where the last of them ended is known


def windows(pool: Pool, *, noised: bool = False) -> list[tuple[int, int]]:
    """Return the round of each window and the position after its last item, oldest first.

    Args:
        pool: The items.
        noised: Whether noised sums are meant, which cost a record once whatever task they are for.

    Raises:
        StoreError: the note was changed: which items were counted is not known any more.
    """
    note = pool.note(_name(pool, noised))
    if note is None:
        return []
    try:
        return [(int(number), int(end)) for number, end in json.loads(note)]
    except (ValueError, TypeError, RecursionError) as err:
        raise StoreError("a note of counted items cannot be read; restore a backup") from err


def enter_window(
    pool: Pool, number: int, positions: Sequence[int], *, noised: bool = False
) -> None:
    """Remember that items up to the last of these were counted in a round.

    Of none it is remembered that there was a round, and what was counted stays so.
    """
    before = windows(pool, noised=noised)
    end = max(max((end for _, end in before), default=0), max(positions, default=-1) + 1)
    seen = [*before, (number, int(end))]
    pool.keep_note(_name(pool, noised), json.dumps(seen[-_KEPT:], separators=(",", ":")).encode())


def _name(pool: Pool, noised: bool) -> str:
    """Return what the note is called: another family of tasks counts its items anew, if exactly."""
    return WINDOWS + (_NOISED if noised else (pool.note("task family") or b"").decode())
