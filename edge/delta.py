"""What may still be summed: of each item, the counts of functions that are new to it.

Items are taken by the sums they are in. Of a group, the whole summary is made and what was sent
before is left out of it; what is left adds up over groups, devices and times to the summary of all
items, each once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.released import Released
from strategies.labeling import AnchorSummary, VoteSummary

Groups = Mapping[Released, NDArray[np.int64]]
_NOTHING = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteDelta:
    """Sums of votes that no sum holds yet.

    Attributes:
        places: Positions of the items that are in them. Shape (n,).
        first: Those of them that are in no sum at all yet.
        seen: How many items each function is counted on for the first time. Shape (m,).
        votes: The counts; its items are the first ones only.
    """

    places: NDArray[np.int64]
    first: NDArray[np.int64]
    seen: NDArray[np.int64]
    votes: VoteSummary

    @property
    def renewed(self) -> NDArray[np.int64]:
        """How many items each function is counted on beside the first ones; empty for none."""
        more = self.seen - len(self.first)
        return more if more.any() else _NOTHING


def vote_delta(
    groups: Groups, votes: NDArray[np.int8], versions: Sequence[str], *, classes: int
) -> VoteDelta:
    """Sum what these functions' votes add to the sums their items are in.

    Args:
        groups: Positions by the sums they are in.
        votes: Shape (n, m), by position.
        versions: Of the functions. Length m.
        classes: k.

    >>> votes = np.array([[0, 1], [1, 1]], dtype=np.int8)
    >>> both = {Released().joined({"a"}): np.array([0]), Released(): np.array([1])}
    >>> delta = vote_delta(both, votes, ["a", "b"], classes=2)
    >>> delta.votes.counts.tolist(), delta.votes.items, delta.renewed.tolist()
    ([[0, 1], [0, 2]], 1, [0, 1])
    """
    total = VoteSummary.empty(functions=len(versions), classes=classes)
    seen = np.zeros(len(versions), dtype=np.int64)
    moved, first = [_NOTHING], [_NOTHING]
    for released, places in groups.items():
        alone, pairs = released.missing(versions)
        if released.anything and not alone.any() and not pairs.any():
            continue
        whole = VoteSummary.from_votes(votes[places], classes=classes)
        total += VoteSummary(
            items=0 if released.anything else whole.items,
            counts=whole.counts * alone[:, None],
            co_votes=whole.co_votes * pairs,
            agreements=whole.agreements * pairs,
        )
        seen += len(places) * alone
        moved.append(places)
        if not released.anything:
            first.append(places)
    return VoteDelta(
        places=np.sort(np.concatenate(moved)),
        first=np.sort(np.concatenate(first)),
        seen=seen,
        votes=total,
    )


def anchor_delta(
    groups: Groups,
    votes: NDArray[np.int8],
    answers: NDArray[np.int64],
    versions: Sequence[str],
    *,
    classes: int,
) -> tuple[NDArray[np.int64], AnchorSummary]:
    """Sum what these functions' votes add to the anchors of items that are in them already.

    Args:
        groups: Positions by the anchors they are in; those in none are left alone.
        votes: Shape (n, m), by position.
        answers: What people said of each item. Shape (n,).
        versions: Of the functions. Length m.
        classes: k.

    Returns:
        Positions of the items that are counted, and the counts, which hold no item again.
    """
    total = AnchorSummary.empty(functions=len(versions), classes=classes)
    moved = [_NOTHING]
    for released, places in groups.items():
        alone, _ = released.missing(versions)
        if not released.anything or not alone.any():
            continue
        whole = AnchorSummary.from_votes(votes[places], answers[places], classes=classes)
        total += AnchorSummary(
            tables=whole.tables * alone[:, None, None], items=np.zeros_like(whole.items)
        )
        moved.append(places)
    return np.sort(np.concatenate(moved)), total
