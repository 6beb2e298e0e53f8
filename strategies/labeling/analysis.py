"""What each labeling function does: how often it speaks, alone or with others, and how well."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from strategies.labeling.votes import checked_labels, checked_votes


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionReport:
    """One labeling function's conduct on one vote matrix. Shares are of all items.

    Attributes:
        position: Which column it is.
        coverage: Share of items it votes on.
        overlap: Share of items it votes on and another does too.
        conflict: Share of items it votes on and another votes otherwise.
        class_coverage: Share of items it votes on, per class. Length k; sums to coverage.
        accuracy: Share of its votes that are right; None without labels or without votes.
    """

    position: int
    coverage: float
    overlap: float
    conflict: float
    class_coverage: tuple[float, ...]
    accuracy: float | None


def analyse(
    votes: ArrayLike, *, classes: int, labels: ArrayLike | None = None
) -> tuple[FunctionReport, ...]:
    """Report on every labeling function, in column order.

    Args:
        votes: Shape (n, m), integers, -1 abstains.
        classes: Number of classes, k.
        labels: True classes, if they are known. Shape (n,).

    Raises:
        ShapeError, InputError: votes or labels are not what they should be.

    >>> first, second = analyse([[0, 1], [0, -1]], classes=2, labels=[0, 1])
    >>> first.coverage, first.overlap, first.conflict, first.accuracy
    (1.0, 0.5, 0.5, 0.5)
    """
    matrix = checked_votes(votes, classes)
    truth = None if labels is None else checked_labels(labels, classes, items=len(matrix))
    items = max(len(matrix), 1)
    voters = (matrix >= 0).sum(axis=1)
    per_class = np.stack([(matrix == c).sum(axis=1) for c in range(classes)], axis=1)
    reports = []
    for position, column in enumerate(matrix.T):
        cast = column >= 0
        given = column[cast].astype(np.int64)
        alike = per_class[cast, given]
        right = None if truth is None or not cast.any() else (given == truth[cast]).mean()
        reports.append(
            FunctionReport(
                position=position,
                coverage=int(cast.sum()) / items,
                overlap=int((voters[cast] > 1).sum()) / items,
                conflict=int((voters[cast] > alike).sum()) / items,
                class_coverage=tuple(
                    int(count) / items for count in np.bincount(given, minlength=classes)
                ),
                accuracy=None if right is None else float(right),
            )
        )
    return tuple(reports)
