"""Adding the items of a file to a pool: what is to be kept of them is, or nothing is changed."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.pool import ID_BYTES, Pool
from edge.settings import PoolSettings
from fieldvote.errors import DataError
from fieldvote.rights import Rights
from fieldvote.task import Task

if TYPE_CHECKING:
    from edge.keeper import Keeper

FILLED: Final = "filled from"  # a note: the file the first items came from
_BARRED = "items without rights"


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What became of a file's items.

    Attributes:
        came: How many may be used.
        kept: How many of these are in the pool now.
        let_go: How many are not, of these and of those that were there before.
    """

    came: int
    kept: int
    let_go: int = 0

    def __str__(self) -> str:
        """Return this in words.

        >>> str(Added(came=3, kept=3)), str(Added(came=9, kept=2, let_go=8))
        ('3 items added', '9 items came, 2 of them kept; 8 let go in all')
        """
        if not self.let_go:
            return f"{self.kept} items added"
        return f"{self.came} items came, {self.kept} of them kept; {self.let_go} let go in all"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A part of a file: what of it may be used, and how many may not."""

    ids: list[bytes]
    payloads: list[bytes]
    gold: list[int] | None
    rights: list[Rights]
    barred: int


def fill(
    pool: Pool,
    path: Path,
    task: Task,
    *,
    evaluates: bool,
    bound: PoolSettings | None = None,
    pins: dict[str, str] | None = None,
    turn: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Added:
    """Add the items of a file to a pool: at its first start, or later.

    An item that neither may be shown nor summed is not taken: what is not there cannot leave.

    Args:
        pool: The pool.
        path: The file.
        task: What is installed.
        evaluates: Whether the device only evaluates, so that labels must be there.
        bound: How many items the pool may keep; all, if not given.
        pins: The Python functions that may run here.
        turn: Gives what is held while places change.

    Raises:
        DataError: the file does not hold what the task's items are, or none that may be used;
            nothing was added.
    """
    parts = _parts(path, task, evaluates=evaluates)
    keeper = None if bound is None else _keeper(pool, task, bound, pins or {}, evaluates=evaluates)
    if keeper is None:
        with pool.changing():
            came, barred = _add_all(pool, parts)
            _note(pool, path, came, barred)
        return Added(came=came, kept=came)
    came = barred = 0
    for part in parts:
        keeper.see(part.ids, part.payloads, part.rights)
        came, barred = came + len(part.ids), barred + part.barred
    with turn():
        with pool.changing():
            kept, let_go = keeper.settle()
            _note(pool, path, came, barred)
        pool.clean_up()
    return Added(came=came, kept=kept, let_go=let_go)


def barred_items(pool: Pool) -> int:
    """Return how many items were not taken when the pool was filled: their rights are 'none'."""
    return int(pool.note(_BARRED) or b"0")


def _parts(path: Path, task: Task, *, evaluates: bool) -> Iterator[_Part]:
    """Yield what of a file may be used, part by part."""
    from edge.item_file import item_parts

    unmarked = task.policy.candidates.unmarked
    for held in item_parts(path, task.input, len(task.classes)):
        if evaluates and held.labels is None:
            raise DataError(f"{path}: has no y, and a device that only evaluates needs its labels")
        gold = held.labels.tolist() if evaluates and held.labels is not None else None
        rights = held.rights or (unmarked,) * len(held.payloads)
        taken = [place for place, each in enumerate(rights) if each.may_be_summed]
        yield _Part(
            ids=[os.urandom(ID_BYTES) for _ in taken],
            payloads=[held.payloads[place] for place in taken],
            gold=None if gold is None else [gold[place] for place in taken],
            rights=[rights[place] for place in taken],
            barred=len(rights) - len(taken),
        )


def _add_all(pool: Pool, parts: Iterator[_Part]) -> tuple[int, int]:
    """Add whatever comes; return how many items, and how many were barred."""
    came = barred = 0
    for part in parts:
        pool.add(part.ids, part.payloads, gold=part.gold, rights=part.rights)
        came, barred = came + len(part.ids), barred + part.barred
    return came, barred


def _note(pool: Pool, path: Path, came: int, barred: int) -> None:
    """Remember what came from where; refuse a file of which nothing may be used."""
    if not came:
        raise DataError(f"{path}: no item may be used: the rights of all are 'none'")
    pool.keep_note(FILLED, str(path).encode())
    pool.keep_note(_BARRED, b"%d" % (barred_items(pool) + barred))


def _keeper(
    pool: Pool, task: Task, bound: PoolSettings, pins: dict[str, str], *, evaluates: bool
) -> "Keeper | None":
    """Return what decides which items stay; None where all do."""
    from edge.keeper import Keeper, is_bounded
    from edge.keeper_views import KeeperMeans
    from edge.labeling import compile_functions
    from edge.scorer import scorer_of

    if not is_bounded(task, bound, evaluates=evaluates):
        return None
    means = KeeperMeans(
        task=task,
        bound=bound,
        scorer=lambda: scorer_of(task, pool),
        functions=lambda: compile_functions(task.functions, task.input, task.classes, pins=pins),
        entropy=os.urandom,
    )
    return Keeper(pool, means)
