"""What a device has while nothing runs: its folder, its pool, its account, and whom it trusts."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.pool import ID_BYTES, Pool
from edge.settings import EdgeSettings
from edge.spending import limits_of, task_limits
from fieldvote.custody import locked_in
from fieldvote.errors import DataError, StoreError
from fieldvote.task import Task
from privacy.dp import Ledger

if TYPE_CHECKING:
    from edge.credential import Credential
    from edge.trust import Trust

POOL_FILE = "pool.sqlite"
FILLED: Final = "filled from"  # a note: the file the first items came from
_BARRED = "items without rights"


def private_folder(folder: Path) -> Path:
    """Return the device's folder, made for nobody else to read."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as err:
        raise StoreError(f"{folder}: cannot be made ({err.strerror or err})") from err
    return folder


def open_pool(settings: EdgeSettings) -> Pool:
    """Open the device's pool, with its key.

    Raises:
        StoreError: the folder cannot be used.
        SealError: it is locked by another key.
        InputError: the key is not where the settings say.
    """
    folder = Path(settings.folder)
    return Pool(folder / POOL_FILE, custody=locked_in(settings.custody, folder))


def trust_of(settings: EdgeSettings, pool: Pool, now_s: Callable[[], float]) -> "Trust | None":
    """Return what a device believes of its owner; None where no root is set.

    Raises:
        SettingsError: the root cannot be read.
        SignatureError: it is no root.
    """
    if not settings.root:
        return None
    from edge.trust import Trust

    return Trust.load(pool, Path(settings.root), now_s)


def ledger_of(pool: Pool, task: Task) -> Ledger:
    """Return the device's account, which lives in its pool."""
    return Ledger(pool, limits_of(task), lambda: datetime.now(UTC), tasks=task_limits(task))


def fill(pool: Pool, path: Path, task: Task, *, evaluates: bool) -> int:
    """Add the items of a file to a pool: at its first start, or later. Return how many it got.

    An item that neither may be shown nor summed is not taken: what is not there cannot leave.

    Raises:
        DataError: the file does not hold what the task's items are, or none that may be used;
            nothing was added.
    """
    from edge.item_file import load_items

    held = load_items(path, task.input, len(task.classes))
    gold = None
    if evaluates:
        if held.labels is None:
            raise DataError(f"{path}: has no y, and a device that only evaluates needs its labels")
        gold = held.labels.tolist()
    unmarked = task.policy.candidates.unmarked
    rights = held.rights or (unmarked,) * len(held.payloads)
    taken = [place for place, each in enumerate(rights) if each.may_be_summed]
    if not taken:
        raise DataError(f"{path}: no item may be used: the rights of all are 'none'")
    with pool.changing():
        pool.add(
            [os.urandom(ID_BYTES) for _ in taken],
            [held.payloads[place] for place in taken],
            gold=None if gold is None else [gold[place] for place in taken],
            rights=[rights[place] for place in taken],
        )
        pool.keep_note(FILLED, str(path).encode())
        barred = barred_items(pool) + len(rights) - len(taken)
        pool.keep_note(_BARRED, b"%d" % barred)
    return len(taken)


def barred_items(pool: Pool) -> int:
    """Return how many items were not taken when the pool was filled: their rights are 'none'."""
    return int(pool.note(_BARRED) or b"0")


def credential_of(settings: EdgeSettings) -> "Credential | None":
    """Return a device's credential; None where it is not enrolled, and needs no X.509 in memory."""
    if settings.enrolment is None:
        return None
    from edge.credential import Credential

    return Credential.of(settings)
