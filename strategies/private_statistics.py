"""What is summed under a privacy policy: how long it is, and how far one unit moves it.

Device and coordinator read the same table, so neither can make the other believe that a record
counts for less than it does. Which functions count on a record is cut by `cap_votes` before
anything here is summed. Where whole devices are hidden, what a device adds is cut to a length.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError
from strategies.aggregation.bounded_moments import MOMENTS_L2_SQUARED
from strategies.aggregation.clipping import L2_SQUARED as UPDATE_L2_SQUARED
from strategies.aggregation.private_steps import CROSS_L2_SQUARED, GRAM_L2_SQUARED, gram_length
from strategies.arrivals import Layout
from strategies.labeling import AnchorSummary, VoteSummary

VERDICT_LENGTH = 40
"""Counts of a device that was right on so many records, and wrong on none, are this long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """A vector of whole numbers that is summed.

    Attributes:
        length: How many numbers.
        l2_squared: Squared length by which one record, or one device, moves it at most.
    """

    length: int
    l2_squared: int

    @classmethod
    def named(cls, about: str, *, functions: int, classes: int, width: int, cap: int) -> Self:
        """Return what is known of a statistic.

        Args:
            about: Its name.
            functions: How many labeling functions, m.
            classes: k.
            width: Features of an embedding, d.
            cap: How many functions count on one record.

        Raises:
            InputError: there is no such statistic.

        >>> Statistic.named("evaluation", functions=5, classes=3, width=8, cap=2)
        Statistic(length=18, l2_squared=1)
        """
        inputs = width + 1  # and the constant one
        most = min(cap, functions)
        match about:
            case "moments":
                return cls(length=2 + width, l2_squared=MOMENTS_L2_SQUARED)
            case "votes":
                empty = VoteSummary.empty(functions=functions, classes=classes)
                # 1 + cap² of the summary, and 1 for having any vote
                return cls(length=1 + len(empty.to_vector()), l2_squared=2 + most**2)
            case "anchors":
                anchors = AnchorSummary.empty(functions=functions, classes=classes)
                return cls(length=len(anchors.to_vector()), l2_squared=1 + most)
            case "gram":
                return cls(length=gram_length(inputs), l2_squared=GRAM_L2_SQUARED)
            case "cross":
                return cls(length=inputs * classes, l2_squared=CROSS_L2_SQUARED)
            case "evaluation":
                # held-out devices count in the first half, the random arm in the second: one sum
                # over all of them holds the noise of all of them
                return cls(length=2 * classes**2, l2_squared=1)
            case "arrivals":
                counted = Layout(classes=classes, functions=functions)
                # a record is in one bin of each histogram, and in the number of items
                return cls(length=counted.length, l2_squared=1 + len(counted.parts))
            case "update":
                return cls(length=1 + inputs * classes, l2_squared=UPDATE_L2_SQUARED)
            case "verdict":
                return cls(length=2 * classes**2, l2_squared=VERDICT_LENGTH**2)
            case _:
                raise InputError("no statistic of this name is summed")


def cut_verdict(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a device's confusion counts, none longer than VERDICT_LENGTH; their shares stay.

    >>> cut_verdict(np.array([60, 80])).tolist()
    [24, 32]
    """
    length = float(np.sqrt((counts.astype(np.float64) ** 2).sum()))
    shrink = min(1.0, VERDICT_LENGTH / max(length, 1.0))
    return np.asarray(np.trunc(counts * shrink), dtype=np.int64)


def cleaned_votes(vector: NDArray[np.float64], *, functions: int, classes: int) -> VoteSummary:
    """Return a vote summary that noise has not made impossible.

    Args:
        vector: Without its last number, what is summed as "votes". Shape (length - 1,).
        functions: m.
        classes: k.
    """
    whole = np.rint(np.maximum(vector, 0.0)).astype(np.int64)
    found = VoteSummary.from_vector(whole, functions=functions, classes=classes)
    items = max(found.items, 1)
    counts = np.minimum(found.counts, items)
    co_votes = np.minimum(found.co_votes, items)
    return VoteSummary(
        items=items,
        counts=counts,
        co_votes=co_votes,
        agreements=np.minimum(found.agreements, co_votes),
    )


def cleaned_counts(vector: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return counts that noise has not made negative, as whole numbers."""
    return np.asarray(np.rint(np.maximum(vector, 0.0)), dtype=np.int64)
