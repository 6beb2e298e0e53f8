"""Sums by function version: a column has a name of its own, so columns may come and go.

Law: of any two versions, the counts are those over all items both were counted on together, once
each, whatever releases came between; spreading and selecting change no number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import ShapeError
from strategies.labeling import AnchorSummary, VoteSummary


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeyedSums:
    """Sums of votes and anchors whose columns are function versions.

    Attributes:
        versions: Of the columns. Length m.
        votes: Summed votes.
        anchors: Summed anchors.
        seen: On how many items each function is counted. Shape (m,).

    >>> one = KeyedSums.empty(["a"], classes=2)
    >>> one.spread(["b", "a"]).versions, one.spread(["b", "a"]).select(["b"]).versions
    (('b', 'a'), ('b',))
    """

    versions: tuple[str, ...]
    votes: VoteSummary
    anchors: AnchorSummary
    seen: NDArray[np.int64]

    def __post_init__(self) -> None:
        m = len(self.versions)
        for name, got in (
            ("votes", self.votes.functions),
            ("anchors", self.anchors.functions),
            ("seen", len(self.seen)),
        ):
            if got != m:
                raise ShapeError(name, (got,), (m,))

    @staticmethod
    def empty(versions: Sequence[str], *, classes: int) -> "KeyedSums":
        """Return the sums of no item."""
        m = len(versions)
        return KeyedSums(
            versions=tuple(versions),
            votes=VoteSummary.empty(functions=m, classes=classes),
            anchors=AnchorSummary.empty(functions=m, classes=classes),
            seen=np.zeros(m, dtype=np.int64),
        )

    def __add__(self, other: "KeyedSums") -> "KeyedSums":
        """Return the sums of both, over the columns of both."""
        union = (*self.versions, *(v for v in other.versions if v not in self.versions))
        one, two = self.spread(union), other.spread(union)
        return KeyedSums(
            versions=union,
            votes=one.votes + two.votes,
            anchors=one.anchors + two.anchors,
            seen=one.seen + two.seen,
        )

    def spread(self, versions: Sequence[str]) -> "KeyedSums":
        """Return the same with more columns, in this order; the new ones hold nothing."""
        if tuple(versions) == self.versions:
            return self
        wide = KeyedSums.empty(versions, classes=self.votes.classes)
        at = np.array([wide.versions.index(v) for v in self.versions], dtype=np.int64)
        square = np.ix_(at, at)
        wide.votes.counts[at] = self.votes.counts
        wide.votes.co_votes[square] = self.votes.co_votes
        wide.votes.agreements[square] = self.votes.agreements
        wide.anchors.tables[at] = self.anchors.tables
        wide.seen[at] = self.seen
        return KeyedSums(
            versions=wide.versions,
            votes=_with_items(wide.votes, self.votes.items),
            anchors=AnchorSummary(tables=wide.anchors.tables, items=self.anchors.items),
            seen=wide.seen,
        )

    def select(self, versions: Sequence[str]) -> "KeyedSums":
        """Return these columns only, in this order; one that is not here holds nothing."""
        wide = self + KeyedSums.empty(versions, classes=self.votes.classes)
        at = [wide.versions.index(version) for version in versions]
        return KeyedSums(
            versions=tuple(versions),
            votes=wide.votes.select(at),
            anchors=AnchorSummary(tables=wide.anchors.tables[at], items=wide.anchors.items),
            seen=wide.seen[at],
        )

    def without(self, versions: Sequence[str]) -> "KeyedSums":
        """Return what these columns, among themselves, do not hold; no item is counted again."""
        inside = np.isin(np.array(self.versions, dtype=str), list(versions))
        outside = ~inside
        pairs = ~np.outer(inside, inside)
        left = KeyedSums(
            versions=self.versions,
            votes=VoteSummary(
                items=0,
                counts=self.votes.counts * outside[:, None],
                co_votes=self.votes.co_votes * pairs,
                agreements=self.votes.agreements * pairs,
            ),
            anchors=AnchorSummary(
                tables=self.anchors.tables * outside[:, None, None],
                items=np.zeros_like(self.anchors.items),
            ),
            seen=self.seen * outside,
        )
        return left.select([v for v in self.versions if left.holds(v)])

    def holds(self, version: str) -> bool:
        """Return whether anything is counted of a version."""
        at = self.versions.index(version)
        return bool(
            self.seen[at]
            or self.votes.counts[at].any()
            or self.votes.co_votes[at].any()
            or self.anchors.tables[at].any()
        )


def _with_items(votes: VoteSummary, items: int) -> VoteSummary:
    return VoteSummary(
        items=items, counts=votes.counts, co_votes=votes.co_votes, agreements=votes.agreements
    )
