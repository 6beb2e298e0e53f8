"""The campaign's sums across releases: the task's columns as every round reads them, and the rest.

The sums of the task's own functions stay where rounds have always kept them. What belongs to a
version that is not in the task, one that was retired, rolled back, or is only tried, is archived by
version: nothing is thrown away, so nothing need be asked of a device twice. All methods that write
want the caller's transaction.
"""

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from coordinator.inbox import ANCHORS, BEYOND, VOTES
from coordinator.models.totals import shapes_of
from coordinator.plausible import Shapes
from coordinator.releases.keyed import KeyedSums
from coordinator.releases.tasks import known_task
from coordinator.store.campaign import Store
from fieldvote.errors import DataError
from fieldvote.task import Task
from strategies.labeling import AnchorSummary, VoteSummary

ARCHIVED = "archived "  # and what is archived
_VERSIONS = "archived versions"
_SEEN = "archived seen"


class Ledger:
    """Sums by version of one campaign, as seen from its task; an inbox's way to other releases."""

    def __init__(self, store: Store, task: Task) -> None:
        """Keep the task's columns in the sums that rounds read."""
        self._store = store
        self._task = task
        self._classes = len(task.classes)
        self._tasks: dict[str, Task] = {task.digest: task}

    def shapes(self, task: str) -> Shapes | None:
        """Return the shapes of a release of this campaign; None if it is none."""
        found = self._known(task)
        return None if found is None else shapes_of(found)

    def add(self, task: str, name: str, vectors: Sequence[NDArray[np.int64]]) -> None:
        """Add vectors over another release's functions to one of the sums."""
        found = self._known(task)
        if found is None:
            raise DataError(f"sums of task {task[:12]}, which is no release of this campaign")
        for vector in vectors:
            self.file(_keyed(found, name, vector))

    def file(self, sums: KeyedSums) -> None:
        """Add sums over any versions."""
        self._put(self.whole() + sums, self._task)

    def whole(self) -> KeyedSums:
        """Return all sums, of every version there ever was."""
        return self._current() + self._archive()

    def turn_to(self, task: Task) -> None:
        """Make another release's columns those that rounds read."""
        self._put(self.whole(), task)

    def _put(self, sums: KeyedSums, task: Task) -> None:
        """Write all sums, the task's columns among themselves where rounds read them."""
        store, own = self._store, sums.select(task.versions)
        store.keep_total(VOTES, own.votes.to_vector())
        store.keep_total(ANCHORS, own.anchors.to_vector())
        store.keep_total(BEYOND, own.seen - own.votes.items)
        rest = sums.without(task.versions)
        store.keep_note(_VERSIONS, json.dumps(rest.versions))
        store.keep_total(ARCHIVED + VOTES, rest.votes.to_vector())
        store.keep_total(ARCHIVED + ANCHORS, rest.anchors.to_vector())
        store.keep_total(_SEEN, rest.seen)

    def _current(self) -> KeyedSums:
        """Return the sums of the task's functions among themselves."""
        versions = self._task.versions
        shape = {"functions": len(versions), "classes": self._classes}
        votes, anchors = self._store.total(VOTES), self._store.total(ANCHORS)
        beyond = self._store.total(BEYOND)
        nothing = KeyedSums.empty(versions, classes=self._classes)
        summed = nothing.votes if votes is None else VoteSummary.from_vector(votes, **shape)
        return KeyedSums(
            versions=versions,
            votes=summed,
            anchors=nothing.anchors
            if anchors is None
            else AnchorSummary.from_vector(anchors, **shape),
            seen=summed.items + (nothing.seen if beyond is None else beyond),
        )

    def _archive(self) -> KeyedSums:
        """Return what belongs to other versions."""
        versions = tuple(json.loads(self._store.note(_VERSIONS) or "[]"))
        if not versions:
            return KeyedSums.empty((), classes=self._classes)
        shape = {"functions": len(versions), "classes": self._classes}
        votes, anchors, seen = (
            self._store.total(name) for name in (ARCHIVED + VOTES, ARCHIVED + ANCHORS, _SEEN)
        )
        if votes is None or anchors is None or seen is None:
            raise DataError("the archive of sums has lost a part: restore a backup")
        return KeyedSums(
            versions=versions,
            votes=VoteSummary.from_vector(votes, **shape),
            anchors=AnchorSummary.from_vector(anchors, **shape),
            seen=seen,
        )

    def _known(self, digest: str) -> Task | None:
        """Return a task of this campaign by its digest."""
        if digest not in self._tasks:
            found = known_task(self._store, digest)
            if found is None:
                return None
            self._tasks[digest] = found
        return self._tasks[digest]


def _keyed(task: Task, name: str, vector: NDArray[np.int64]) -> KeyedSums:
    """Return one vector of a task's device as sums by version."""
    nothing = KeyedSums.empty(task.versions, classes=len(task.classes))
    shape = {"functions": len(task.functions), "classes": len(task.classes)}
    votes, anchors, seen = nothing.votes, nothing.anchors, nothing.seen
    if name == VOTES:
        votes = VoteSummary.from_vector(vector, **shape)
        seen = seen + votes.items
    elif name == ANCHORS:
        anchors = AnchorSummary.from_vector(vector, **shape)
    else:
        seen = seen + vector
    return KeyedSums(versions=task.versions, votes=votes, anchors=anchors, seen=seen)
