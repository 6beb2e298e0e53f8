"""What an item has given away: which function versions' votes on it are in a released sum.

Functions that were summed together leave their pairs in the sums too. So an item is described by
sets of versions: one version is in a sum if it is in a set, two are in a sum of pairs if they are
in one set together. What is in a sum never enters another; a new version adds its own counts and
those of its pairs, and nothing else.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import StoreError


@dataclass(frozen=True, slots=True)
class Released:
    """The sets of function versions in whose sums an item is.

    Attributes:
        sets: None holds another.

    >>> once = Released().joined({"a", "b"})
    >>> alone, pairs = once.joined({"b", "c"}).missing(["a", "b", "c"])
    >>> alone.tolist(), pairs[0].tolist()
    ([False, False, False], [False, False, True])
    """

    sets: tuple[frozenset[str], ...] = ()

    @property
    def anything(self) -> bool:
        """Whether the item is in any sum, if only in the number of items."""
        return bool(self.sets)

    def covers(self, versions: Collection[str]) -> bool:
        """Return whether these versions were all summed together."""
        wanted = frozenset(versions)
        return any(wanted <= held for held in self.sets)

    def joined(self, versions: Collection[str]) -> "Released":
        """Return this after a sum of these versions together."""
        new = frozenset(versions)
        if self.covers(new):
            return self
        kept = (held for held in self.sets if not held <= new)
        return Released(tuple(sorted((*kept, new), key=sorted)))

    def missing(self, versions: Sequence[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which versions, and which pairs of them, are in no sum yet.

        Returns:
            Shapes (m,) and (m, m); the diagonal of the pairs is False.
        """
        names = np.array(versions)
        alone = np.ones(len(versions), dtype=np.bool_)
        pairs = ~np.eye(len(versions), dtype=np.bool_)
        for held in self.sets:
            inside = np.isin(names, sorted(held))
            alone &= ~inside
            pairs &= ~np.outer(inside, inside)
        return alone, pairs

    def to_note(self) -> bytes:
        """Return this as the pool keeps it; equal values are equal bytes."""
        return json.dumps([sorted(held) for held in self.sets], separators=(",", ":")).encode()

    @staticmethod
    def from_note(note: bytes) -> "Released":
        """Undo to_note.

        Raises:
            StoreError: the note was changed: which items are in a sum is not known any more.
        """
        try:
            sets = json.loads(note)
        except (ValueError, RecursionError) as err:
            raise StoreError("a note of released sums cannot be read; restore a backup") from err
        for held in sets if isinstance(sets, list) else [None]:
            if not isinstance(held, list) or not all(isinstance(name, str) for name in held):
                raise StoreError("a note of released sums was changed; restore a backup")
        return Released(tuple(frozenset(held) for held in sets))
