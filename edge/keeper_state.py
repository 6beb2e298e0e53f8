"""What a bounded pool remembers of what passed, and who has a claim on what is there."""

import json
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from edge.pool import Pool
from edge.selection import unpack_offers
from fieldvote.errors import StoreError
from strategies.acquisition.keeping import LOTS

STATE = "kept state"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperState:
    """What a bounded pool remembers of what passed.

    Attributes:
        came: How many items came, with those it had when it was bounded.
        let_go: How many of them were let go.
        below: Items with lower lots are a random sample of all that came.
        threshold: The lowest score that last got a place; None while there was room for all.
    """

    came: int = 0
    let_go: int = 0
    below: int = LOTS
    threshold: float | None = None

    @staticmethod
    def of(pool: Pool) -> "KeeperState":
        """Return what a pool remembers; as good as nothing where it was never bounded.

        Raises:
            StoreError: the note was changed: which items are a sample is not known any more.
        """
        note = pool.note(STATE)
        try:
            return KeeperState() if note is None else KeeperState(**json.loads(note))
        except (ValueError, TypeError, RecursionError) as err:
            raise StoreError("a note of kept items cannot be read; restore a backup") from err

    def keep(self, pool: Pool) -> None:
        """Write it down; the caller holds the transaction."""
        pool.keep_note(STATE, json.dumps(asdict(self)).encode())


def claimed(pool: Pool) -> NDArray[np.bool_]:
    """Return which items somebody has a claim on: known, shipped, or offered. Shape (n,)."""
    held = np.zeros(len(pool), dtype=np.bool_)
    for name in ("gold", "arm", "answer"):
        held |= pool.column(name) >= 0
    offered = unpack_offers(pool.note("offers") or b"")
    if offered:
        held |= np.array([item in offered for item in pool.ids()], dtype=np.bool_)
    return held


def drawn_by_lot(pool: Pool, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return those of some places whose items are a random sample of all that came.

    Of a pool that was never bounded that is all of them.
    """
    below = KeeperState.of(pool).below
    return places if below == LOTS else places[pool.column("lot")[places] < below]
