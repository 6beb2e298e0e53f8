"""Columns of a pool as they were last read, so that a leg like the one before reads no item.

What was read before a change is not given again, whoever made it: this program says so itself, and
SQLite counts the changes that another connection to the same file commits.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError

_NAMES = (
    "gold",
    "arm",
    "answer",
    "answered_in",
    "summed",
    "anchored",
    "rights",
    "lot",
    "position",
)


class KeptColumns:
    """One array for each column that was read since the last change, at most."""

    def __init__(self, rows: Callable[[str], list[tuple[Any, ...]]], *, shared: bool) -> None:
        """Read columns.

        Args:
            rows: A query to what it finds.
            shared: Whether another connection may write there: to a file, but not to memory.
        """
        self._rows, self._shared = rows, shared
        self._changes = 0
        self._edition = (0, 0)
        self._read: dict[str, NDArray[np.int64]] = {}
        self._count: int | None = None

    @property
    def edition(self) -> tuple[int, int]:
        """Numbers that are others after every change of items, of this program or another."""
        others = int(self._rows("PRAGMA data_version")[0][0]) if self._shared else 0
        return self._changes, others

    def changed(self) -> None:
        """Give nothing again that was read so far."""
        self._changes += 1

    def count(self) -> int:
        """Return how many items there are."""
        self._look()
        if self._count is None:
            self._count = int(self._rows("SELECT count(*) FROM item")[0][0])
        return self._count

    def get(self, name: str) -> NDArray[np.int64]:
        """Return a column by place, -1 where it is unknown; it cannot be written to.

        Raises:
            InputError: there is no such column.
        """
        if name not in _NAMES:
            raise InputError(f"no column {name}")
        self._look()
        if name not in self._read:
            query = f"SELECT coalesce({name}, -1) FROM item ORDER BY position"  # noqa: S608  # one of ours
            found = np.array([row[0] for row in self._rows(query)], dtype=np.int64)
            found.flags.writeable = False  # whoever asks next is given the same array
            self._read[name] = found
        return self._read[name]

    def _look(self) -> None:
        """Let go of what was read before the last change."""
        if (now := self.edition) != self._edition:
            self._edition, self._count = now, None
            self._read.clear()
