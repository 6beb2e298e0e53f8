"""Which sums the items of a pool are in, and what becomes of that when another task is installed.

Releases of one family, tasks that differ in their functions alone, share their sums: an item enters
one for each version of a function, whichever release votes first. Another family begins sums of its
own; what has entered those of the first is kept for the day it comes back.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge.pool import Pool
from edge.released import Released
from edge.windows import WINDOWS as _WINDOWS

Kind: TypeAlias = Literal["summed", "anchored"]
"""The two kinds of sums an item may be in: those of votes, and those of answers."""

_TASK, _CLASSES, _FAMILY = "task digest", "task classes", "task family"
_EARLIER = "earlier tasks"  # of the family; their digests
_VOTED = "voted sums"
_SUMS_IN = "sums in "  # and a family
_SUMS_OF = "sums of "  # and a task's digest: what a program before families has kept
_RELEASED = "released "  # and a number
_UNNAMED = 1  # the number earlier programs gave to whatever was summed
_WIDTH = "<u4"

_MOVE = {
    "summed": "UPDATE item SET summed = ? WHERE position = ?",
    "anchored": "UPDATE item SET anchored = ? WHERE position = ?",
}
_RENAME = {
    "summed": "UPDATE item SET summed = ? WHERE summed = ?",
    "anchored": "UPDATE item SET anchored = ? WHERE anchored = ?",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What sums need to know of a task.

    Attributes:
        task: Its digest.
        family: Digest of all but its functions.
        versions: Of its functions.
        classes: In its order; a class is a number here.
    """

    task: str
    family: str
    versions: Sequence[str]
    classes: Sequence[str]


def released(pool: Pool, kind: Kind = "summed") -> dict[Released, NDArray[np.int64]]:
    """Return the places of all items by the sums they are in."""
    numbers = pool.column(kind)
    groups: dict[Released, NDArray[np.int64]] = {}
    for number in np.unique(numbers):
        state, places = _released(pool, int(number)), np.flatnonzero(numbers == number)
        groups[state] = np.union1d(groups[state], places) if state in groups else places
    return groups


def enter(
    pool: Pool,
    places: NDArray[np.int64],
    versions: Collection[str],
    kind: Kind = "summed",
) -> None:
    """Remember that these items are in a sum of these functions together."""
    numbers = pool.column(kind)[places]
    with pool.changing():
        for number in np.unique(numbers):
            after = _number(pool, _released(pool, int(number)).joined(versions))
            moved = pool.column("position")[places[numbers == number]].tolist()
            pool.update(_MOVE[kind], [(after, position) for position in moved])


def earlier_tasks(pool: Pool) -> list[str]:
    """Return the digests of the releases of this family that were installed before."""
    note = pool.note(_EARLIER)
    found: list[str] = [] if note is None else json.loads(note)
    return found


def adopt(pool: Pool, new: Installed) -> bool:
    """Make this the pool of a task; return whether it was another family's.

    With a release everything stays but the offers: answers to what was shipped may still come, and
    requests that were answered are answered again. With another family an item that was shipped and
    not answered may be offered again, and answers stay where the classes are the same.
    """
    before, family = pool.note(_TASK), pool.note(_FAMILY)
    if (before, family) == (new.task.encode(), new.family.encode()):
        return False
    with pool.changing():
        if before is None or (before == new.task.encode() and family is None):
            _rename_unnamed(pool, new)  # what an earlier program summed were these functions
            another = False
        else:
            another = family != new.family.encode()
            pool.update("DELETE FROM note WHERE name = 'offers'", [()])
            if another:
                _leave(pool, before.decode(), None if family is None else family.decode())
                _take_up(pool, new)
            else:
                earlier = [*earlier_tasks(pool), before.decode()]
                pool.keep_note(_EARLIER, json.dumps(earlier).encode())
        pool.keep_note(_TASK, new.task.encode())
        pool.keep_note(_FAMILY, new.family.encode())
        pool.keep_note(_CLASSES, _named(new))
    return another


def _leave(pool: Pool, task: str, family: str | None) -> None:
    """Put the sums of a family away; of an earlier program's, those of its task."""
    sent = b"\0" if pool.note(_VOTED) is None else b"\1"
    if family is None:
        kept = pool.column("summed").astype(np.uint8).tobytes()
        pool.keep_note(_SUMS_OF + task, sent + kept)
    else:
        both = np.concatenate([pool.column("summed"), pool.column("anchored")])
        pool.keep_note(_SUMS_IN + family, sent + both.astype(_WIDTH).tobytes())
    pool.update("DELETE FROM note WHERE name IN (?, ?)", [(_VOTED, _EARLIER)])
    pool.update("DELETE FROM journal", [()])  # the new task's requests may look alike


def _take_up(pool: Pool, new: Installed) -> None:
    """Return to the sums of a family that was here before, or begin at nothing."""
    pool.update("UPDATE item SET summed = 0, anchored = 0", [()])
    kept, width = pool.note(_SUMS_IN + new.family), _WIDTH
    if kept is None:
        kept, width = pool.note(_SUMS_OF + new.task) or b"\0", "u1"
        numbers = np.frombuffer(kept, dtype=width, offset=1)
        columns = {"summed": numbers}
    else:
        summed, anchored = np.frombuffer(kept, dtype=width, offset=1).reshape(2, -1)
        columns = {"summed": summed, "anchored": anchored}
    for kind, numbers in columns.items():
        # what came since the family was left is in none of its sums
        known = pool.column("position")[: len(numbers)].tolist()
        pool.update(_MOVE[kind], list(zip(numbers.tolist(), known, strict=True)))
    _rename_unnamed(pool, new)
    if kept[0]:
        pool.keep_note(_VOTED, b"sent")
    if pool.note(_CLASSES) != _named(new):
        pool.update("UPDATE item SET answer = NULL, answered_in = NULL, gold = NULL", [()])
    pool.update("UPDATE item SET arm = NULL WHERE answer IS NULL", [()])


def let_go_of_sums(pool: Pool, stays: NDArray[np.int64]) -> None:
    """Keep of the sums of families that were left what is about these places; others are let go."""
    query = "SELECT name, value FROM note WHERE name LIKE ? OR name LIKE ?"
    for name, value in pool.rows(query, f"{_SUMS_IN}%", f"{_SUMS_OF}%"):
        one = name.startswith(_SUMS_OF)
        if name.startswith(_WINDOWS):
            continue  # of positions, which nobody else is given
        numbers = np.frombuffer(value, dtype="u1" if one else _WIDTH, offset=1)
        rows = numbers.reshape(1 if one else 2, -1)
        pool.keep_note(name, value[:1] + rows[:, stays[stays < rows.shape[1]]].tobytes())


def _rename_unnamed(pool: Pool, new: Installed) -> None:
    """Say of what an earlier program summed that it is in the sums of these functions."""
    for kind in ("summed", "anchored"):
        if (pool.column(kind) == _UNNAMED).any():
            number = _number(pool, Released().joined(new.versions))
            pool.update(_RENAME[kind], [(number, _UNNAMED)])


def _named(new: Installed) -> bytes:
    return json.dumps(list(new.classes)).encode()


def _released(pool: Pool, number: int) -> Released:
    """Return what a number in a column stands for."""
    note = pool.note(f"{_RELEASED}{number}")
    return Released() if note is None else Released.from_note(note)


def _number(pool: Pool, wanted: Released) -> int:
    """Return the number that stands for this, a new one if there was none."""
    notes = pool.rows("SELECT name, value FROM note WHERE name LIKE ?", f"{_RELEASED}%")
    numbers = {bytes(value): int(name.removeprefix(_RELEASED)) for name, value in notes}
    number = numbers.get(wanted.to_note())
    if number is None:
        number = max(numbers.values(), default=_UNNAMED) + 1
        pool.keep_note(f"{_RELEASED}{number}", wanted.to_note())
    return number
