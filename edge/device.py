"""Putting one device together from its settings: pool, keys, ledger, door, agent."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path

import numpy as np

from edge.agent import Agent, AgentParts
from edge.arrivals import Arrivals, Place
from edge.credential import Credential
from edge.incidents import Incidents
from edge.install import installed_in, settle
from edge.item_file import load_items
from edge.items import items_of, model_inputs
from edge.labeling import compile_functions
from edge.outbox import Outbox, Recipient
from edge.pool import ID_BYTES, Pool
from edge.redaction import redaction_of
from edge.scorer import scorer_of
from edge.secure_means import secure_means
from edge.settings import EdgeSettings
from edge.shadow import proposed
from edge.spending import limits_of, task_limits
from edge.sums import Installed as Sums
from edge.sums import adopt
from edge.trust import Trust
from fieldvote.custody import locked_in
from fieldvote.errors import (
    DataError,
    InputError,
    SettingsError,
    ShapeError,
    StoreError,
    TaskError,
)
from fieldvote.task import Task
from privacy.dp import Ledger
from privacy.sealing import SealingKey, SigningKey

POOL_FILE = "pool.sqlite"
_FILLED = "filled from"
_BARRED = "items without rights"
_SECRET_BYTES = 8
_TRIED = 64  # items a new task is tried on before it may take the place of the old one


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device, ready to answer.

    Attributes:
        agent: Answers.
        pool: Its items.
        ledger: What it has given away.
        task: What it serves.
        version: What that was signed as; none where no root is set.
        arrivals: What may take the task's place.
        adopted: Whether its pool was that of another family of tasks until now.
    """

    agent: Agent
    pool: Pool
    ledger: Ledger
    task: Task
    version: int | None
    arrivals: Arrivals
    adopted: bool

    @property
    def outdated(self) -> bool:
        """Whether another task is installed than the one this device serves."""
        return self.arrivals.installed


@contextmanager
def opened(settings: EdgeSettings, *, now_s: Callable[[], float] = time.time) -> Iterator[Device]:
    """Open everything a device is made of; close the pool in the end.

    Raises:
        StoreError: the folder cannot be used.
        TaskError: the task is not usable.
        DataError: the items the pool is to be filled from are not usable.
        SignatureError: the task is not signed by the owner the root names.
    """
    folder, place = private_folder(Path(settings.folder)), Path(settings.task)
    settle(place)
    pool = open_pool(settings)
    try:
        trust = trust_of(settings, pool, now_s)
        installed = trust.installed(place) if trust else installed_in(place)
        task, files = installed.task, Task.files(place)
        # not again after a purge: its items are in a released sum already, under other ids
        if settings.items and not len(pool) and pool.note(_FILLED) is None:
            fill(pool, Path(settings.items), task, evaluates=settings.evaluates)
        ledger = ledger_of(pool, task)
        redactor, vocabulary = redaction_of(task)
        signer = SigningKey.from_bytes(_secret(folder / "signing.key", 32))
        outbox = Outbox(
            task,
            ledger=ledger,
            redactor=redactor,
            vocabulary=vocabulary,
            incidents=Incidents(pool),
            signer=signer,
            recipient=Recipient(labeling_keys=settings.recipients, now=lambda: datetime.now(UTC)),
        )
        arrivals = Arrivals(
            Place(
                folder=folder,
                task=place,
                trust=trust,
                largest_bytes=settings.largest_bundle_bytes,
            ),
            pool,
            try_out=lambda new: try_out(
                new, task, pool, evaluates=settings.evaluates, pins=dict(settings.python_functions)
            ),
        )
        agent = Agent(
            AgentParts(
                task=task,
                pool=pool,
                scorer=scorer_of(task, pool),
                functions=compile_functions(
                    task.functions,
                    task.input,
                    task.classes,
                    pins=dict(settings.python_functions),
                ),
                outbox=outbox,
                sealing_key=SealingKey.from_bytes(_secret(folder / "sealing.key", 32)),
                desk_keys=settings.answerers,
                sketch_seed=sketch_seed(Path(settings.sketch_secret), task.family),
                evaluates=settings.evaluates,
                rng=_system_rng(),
                arrive=arrivals.take,
                pins=dict(settings.python_functions),
                propose=lambda request: proposed(files, request, trust=trust),
                trust=trust,
                show=credential.show if (credential := Credential.of(settings)) else None,
                secure=secure_means(signer, trust, _directory(settings)),
            )
        )
        # last, when nothing of the task can fail any more
        adopted = adopt(
            pool,
            Sums(
                task=task.digest,
                family=task.family,
                versions=task.versions,
                classes=task.classes,
            ),
        )
        yield Device(
            agent=agent,
            pool=pool,
            ledger=ledger,
            task=task,
            version=installed.version,
            arrivals=arrivals,
            adopted=adopted,
        )
    finally:
        pool.close()


def trust_of(settings: EdgeSettings, pool: Pool, now_s: Callable[[], float]) -> Trust | None:
    """Return what a device believes of its owner; None where no root is set.

    Raises:
        SettingsError: the root cannot be read.
        SignatureError: it is no root.
    """
    return Trust.load(pool, Path(settings.root), now_s) if settings.root else None


def _directory(settings: EdgeSettings) -> bytes | None:
    """Return the fleet's directory where the settings name one.

    Raises:
        SettingsError: it cannot be read.
    """
    if not settings.directory:
        return None
    try:
        return Path(settings.directory).read_bytes()
    except OSError as err:
        where = settings.directory
        raise SettingsError(f"directory: {where}: cannot be read ({err.strerror or err})") from err


def open_pool(settings: EdgeSettings) -> Pool:
    """Open the device's pool, with its key.

    Raises:
        StoreError: the folder cannot be used.
        SealError: it is locked by another key.
        InputError: the key is not where the settings say.
    """
    folder = Path(settings.folder)
    return Pool(folder / POOL_FILE, custody=locked_in(settings.custody, folder))


def try_out(
    new: Task,
    old: Task,
    pool: Pool,
    *,
    evaluates: bool,
    pins: Mapping[str, str] | None = None,
) -> None:
    """Return if a device could go on with a new task: its model runs here, its functions vote.

    Raises:
        TaskError: the items or labels of this device are not the new task's, or its model fails.
        RefusalError: a Python function of the new task is not pinned here.
    """
    if (new.input.kind, new.input.field_names) != (old.input.kind, old.input.field_names):
        raise TaskError("the items of this device are not what the new task reads")
    if evaluates and new.classes != old.classes:
        raise TaskError("the labels of this device are not of the new task's classes")
    redaction_of(new)
    functions = compile_functions(new.functions, new.input, new.classes, pins=pins or {})
    payloads = pool.payloads()[:_TRIED]
    scores = scorer_of(new, pool).score(model_inputs(payloads, new.input))
    if scores.probabilities.shape[1] != len(new.classes):
        raise ShapeError("probabilities", scores.probabilities.shape, ("n", len(new.classes)))
    functions.vote(items_of(payloads, new.input, scores.probabilities.astype(np.float64)))


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
        pool.keep_note(_FILLED, str(path).encode())
        barred = barred_items(pool) + len(rights) - len(taken)
        pool.keep_note(_BARRED, b"%d" % barred)
    return len(taken)


def barred_items(pool: Pool) -> int:
    """Return how many items were not taken when the pool was filled: their rights are 'none'."""
    return int(pool.note(_BARRED) or b"0")


def private_folder(folder: Path) -> Path:
    """Return the device's folder, made for nobody else to read."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as err:
        raise StoreError(f"{folder}: cannot be made ({err.strerror or err})") from err
    return folder


def _secret(path: Path, size: int) -> bytes:
    """Return the secret in a file, drawn from the system and written 0600 if there is none."""
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(size))
            file.flush()
            os.fsync(file.fileno())
    secret = path.read_bytes()
    if len(secret) != size:
        raise InputError(f"{path.name}: {len(secret)} bytes where a secret of {size} should be")
    return secret


def sketch_seed(path: Path, family: str) -> int:
    """Return what names the projection of sketches: the same on every device, another per task.

    Args:
        path: The fleet's secret; every device is given the same file.
        family: Digest of what the releases of a task share. Whoever has seen the sketches of one
            task can compare none of them with those of another.

    Raises:
        InputError: there is no such secret.
    """
    try:
        content = path.read_bytes()
    except OSError as err:
        raise InputError(
            f"{path}: no sketch secret; copy the fleet's file here, or make one of 8 random bytes"
        ) from err
    if len(content) != _SECRET_BYTES:
        raise InputError(f"{path}: {len(content)} bytes, a sketch secret has {_SECRET_BYTES}")
    mixed = blake2b(family.encode(), digest_size=8, key=content, person=b"sketch")
    return int.from_bytes(mixed.digest(), "big")


def _system_rng() -> Callable[[str, int], np.random.Generator]:
    """Return random streams from the system's entropy: nobody can foresee a device's random arm."""
    return lambda _purpose, _round: np.random.default_rng(int.from_bytes(os.urandom(16), "big"))
