"""What a device has while nothing runs: its folder, its pool, its account, and whom it trusts."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from edge.pool import Pool
from edge.settings import EdgeSettings
from edge.spending import limits_of, task_limits
from fieldvote.custody import locked_in
from fieldvote.errors import StoreError
from fieldvote.task import Task
from privacy.dp import Ledger

if TYPE_CHECKING:
    from edge.credential import Credential
    from edge.trust import Trust

POOL_FILE = "pool.sqlite"


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


def credential_of(settings: EdgeSettings) -> "Credential | None":
    """Return a device's credential; None where it is not enrolled, and needs no X.509 in memory."""
    if settings.enrolment is None:
        return None
    from edge.credential import Credential

    return Credential.of(settings)
