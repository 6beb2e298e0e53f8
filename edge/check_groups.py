"""How functions treat groups of items: the report on unexplained bias.

A group is a value of a field of the task, or of an array of the item file beside `X` or `utf8`,
which the task itself does not see: a device, a country, a language.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.check_conduct import Labels, Votes, tally_all
from edge.item_file import read_arrays
from fieldvote.errors import DataError, InputError, nearest

MOST_GROUPS = 12
Mask = NDArray[np.bool_]

_RANGES = 4
_SURE_Z = 3.0
_LARGE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One group of items.

    Attributes:
        name: The value, or the range of values.
        items: How many there are.
        coverage: Share with a vote.
        conflict: Share with votes for different classes.
        accuracy: Share of the votes that are right; None without labels or votes.
        shares: Of the votes, the share for each class. Length k.
        stands_out: In what it is worse off than the other groups, beyond chance.
    """

    name: str
    items: int
    coverage: float
    conflict: float
    accuracy: float | None
    shares: tuple[float, ...]
    stands_out: tuple[str, ...]


def group_values(
    by: str, file: Path, rows: NDArray[np.float64] | None, names: Sequence[str], n: int
) -> NDArray[np.generic]:
    """Return what items are grouped by. Shape (n,).

    Args:
        by: A field, or an array of the file.
        file: The item file.
        rows: Field values. Shape (n, d), None for texts.
        names: Names of the d fields.
        n: How many items there are.

    Raises:
        InputError: There is neither such a field nor such an array.
        DataError: The array does not hold one value for each item.
    """
    if rows is not None and by in names:
        return np.asarray(rows[:, list(names).index(by)])
    arrays = read_arrays(file) if file.suffix == ".npz" else {}
    if by not in arrays:
        known = [*names, *(name for name in arrays if name not in ("X", "utf8", "y"))]
        raise InputError(f"--by {by}: no such field or array; {nearest(by, known)}")
    values = arrays[by]
    if values.shape != (n,):
        raise DataError(f"{file}: {by} has shape {values.shape}, expected ({n},)")
    return values


def groups_of(
    values: NDArray[np.generic], votes: Votes, labels: Labels, classes: int
) -> tuple[Group, ...]:
    """Return the groups, each against all others.

    More than twelve different numbers become four ranges with equally many items; of more than
    twelve different words, the twelve most frequent are shown and the others are one group.

    Args:
        values: What items are grouped by. Shape (n,).
        votes: Shape (n, m), -1 abstains.
        labels: True classes. Shape (n,), or None.
        classes: Number of classes, k.
    """
    found = []
    for name, inside in _parts(values):
        mine = tally_all(votes[inside], None if labels is None else labels[inside])
        given = votes[inside][votes[inside] >= 0].astype(np.int64)
        counts = np.bincount(given, minlength=classes)
        found.append(
            Group(
                name=name,
                items=int(inside.sum()),
                coverage=mine.coverage,
                conflict=mine.conflict,
                accuracy=mine.accuracy,
                shares=tuple((counts / max(int(counts.sum()), 1)).tolist()),
                stands_out=_stands_out(inside, votes, labels),
            )
        )
    return tuple(found)


def _parts(values: NDArray[np.generic]) -> list[tuple[str, Mask]]:
    """Return the name and the items of each group."""
    numeric = values.dtype.kind in "fiu"
    missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), np.bool_)
    kinds, counts = np.unique(values[~missing], return_counts=True)
    if len(kinds) <= MOST_GROUPS:
        parts = [(_written(kind), np.asarray(values == kind)) for kind in kinds]
    elif numeric:
        edges = np.unique(np.quantile(values[~missing], np.linspace(0, 1, _RANGES + 1)))
        place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
        parts = [
            (f"{edges[i]:g} to {edges[i + 1]:g}", (place == i) & ~missing)
            for i in range(len(edges) - 1)
        ]
    else:
        frequent = kinds[np.sort(np.argsort(-counts, kind="stable")[:MOST_GROUPS])]
        parts = [(_written(kind), np.asarray(values == kind)) for kind in frequent]
        parts.append(("others", ~np.isin(values, frequent)))
    if missing.any():
        parts.append(("missing", missing))
    return parts


def _written(value: object) -> str:
    """Return a value as people write it."""
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)


def _stands_out(inside: Mask, votes: Votes, labels: Labels) -> tuple[str, ...]:
    """Return in what a group lies below the others, surely and by enough to matter."""
    if inside.all():
        return ()
    cast = votes >= 0
    covered: Mask = np.asarray(cast.any(axis=1))
    questions = {"coverage": (covered, inside)}
    if labels is not None:
        # an item's votes err together, so an item counts once: are most of its votes right?
        right = np.asarray(2 * (votes == labels[:, None]).sum(axis=1) > cast.sum(axis=1))
        questions["accuracy"] = (right[covered], inside[covered])
    found = []
    for word, (holds, here) in questions.items():
        n, others = int(here.sum()), int((~here).sum())
        if not n or not others:
            continue
        mine, theirs, all_of_them = holds[here].mean(), holds[~here].mean(), holds.mean()
        spread = (all_of_them * (1 - all_of_them) * (1 / n + 1 / others)) ** 0.5
        if theirs - mine > max(_LARGE, _SURE_Z * spread):
            found.append(f"{word} {mine:.0%}, elsewhere {theirs:.0%}")
    return tuple(found)
