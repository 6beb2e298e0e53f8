"""Putting one device together from its settings: pool, keys, ledger, door, agent."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from edge.agent import Agent, AgentParts
from edge.arrivals import Arrivals, Place, keep_version, newest_version
from edge.install import installed_in, redaction_of, settle
from edge.item_file import load_items
from edge.items import items_of, model_inputs
from edge.labeling import compile_functions
from edge.outbox import Outbox, Recipient
from edge.pool import ID_BYTES, Pool
from edge.scorer import Scorer
from edge.settings import EdgeSettings
from edge.shadow import proposed
from edge.sums import Installed as Sums
from edge.sums import adopt
from fieldvote.errors import DataError, InputError, ShapeError, StoreError, TaskError
from fieldvote.task import Task
from privacy.dp import Ledger, Limits
from privacy.sealing import SealingKey, SigningKey

POOL_FILE = "pool.sqlite"
_FILLED = "filled from"
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
        version: What that was signed as; none where no key is trusted.
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
def opened(settings: EdgeSettings) -> Iterator[Device]:
    """Open everything a device is made of; close the pool in the end.

    Raises:
        StoreError: the folder cannot be used.
        TaskError: the task is not usable.
        DataError: the items the pool is to be filled from are not usable.
        SignatureError: the task is not signed by a trusted key.
    """
    folder = private_folder(Path(settings.folder))
    trusted = [bytes.fromhex(key) for key in settings.trusted_keys]
    settle(Path(settings.task))
    installed = installed_in(Path(settings.task), trusted=trusted)
    task, files = installed.task, Task.files(Path(settings.task))
    pool = Pool(folder / POOL_FILE)
    try:
        keep_version(pool, installed.version)
        # not again after a purge: its items are in a released sum already, under other ids
        if settings.items and not len(pool) and pool.note(_FILLED) is None:
            fill(pool, Path(settings.items), task, evaluates=settings.evaluates)
        ledger = ledger_of(pool, task)
        redactor, vocabulary = redaction_of(task)
        outbox = Outbox(
            task,
            ledger=ledger,
            redactor=redactor,
            vocabulary=vocabulary,
            signer=SigningKey.from_bytes(_secret(folder / "signing.key", 32)),
            recipient=Recipient(
                labeling_key=bytes.fromhex(settings.labeling_key), context=task.family.encode()
            ),
        )
        arrivals = Arrivals(
            Place(
                folder=folder,
                task=Path(settings.task),
                trusted=trusted,
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
                scorer=scorer_of(task),
                functions=compile_functions(
                    task.functions,
                    task.input,
                    task.classes,
                    pins=dict(settings.python_functions),
                ),
                outbox=outbox,
                sealing_key=SealingKey.from_bytes(_secret(folder / "sealing.key", 32)),
                desk_key=bytes.fromhex(settings.desk_key),
                sketch_seed=_sketch_seed(Path(settings.sketch_secret)),
                evaluates=settings.evaluates,
                rng=_system_rng(),
                arrive=arrivals.take,
                pins=dict(settings.python_functions),
                propose=lambda request: proposed(
                    files, request, trusted=trusted, newest=newest_version(pool)
                ),
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
    scores = scorer_of(new).score(model_inputs(payloads, new.input))
    if scores.probabilities.shape[1] != len(new.classes):
        raise ShapeError("probabilities", scores.probabilities.shape, ("n", len(new.classes)))
    functions.vote(items_of(payloads, new.input, scores.probabilities.astype(np.float64)))


def scorer_of(task: Task) -> Scorer:
    """Load a task's model."""
    names = (task.names.input, task.names.probabilities, task.names.embedding)
    return Scorer(task.model, names=names, where=task.names.file)


def ledger_of(pool: Pool, task: Task) -> Ledger:
    """Return the device's account, which lives in its pool."""
    limits = task.policy.limits
    return Ledger(
        pool,
        Limits(candidates=limits.candidates, size_bytes=limits.size_bytes),
        lambda: datetime.now(UTC),
    )


def fill(pool: Pool, path: Path, task: Task, *, evaluates: bool) -> int:
    """Fill an empty pool from a file, once in its life. Return how many items it got.

    Raises:
        DataError: the file does not hold what the task's items are; nothing was added.
    """
    held = load_items(path, task.input, len(task.classes))
    gold = None
    if evaluates:
        if held.labels is None:
            raise DataError(f"{path}: has no y, and a device that only evaluates needs its labels")
        gold = held.labels.tolist()
    with pool.changing():
        pool.add([os.urandom(ID_BYTES) for _ in held.payloads], held.payloads, gold=gold)
        pool.keep_note(_FILLED, str(path).encode())
    return len(held.payloads)


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


def _sketch_seed(path: Path) -> int:
    """Return the fleet's secret number; every device is given the same file."""
    try:
        content = path.read_bytes()
    except OSError as err:
        raise InputError(
            f"{path}: no sketch secret; copy the fleet's file here, or make one of 8 random bytes"
        ) from err
    if len(content) != _SECRET_BYTES:
        raise InputError(f"{path}: {len(content)} bytes, a sketch secret has {_SECRET_BYTES}")
    return int.from_bytes(content, "big")


def _system_rng() -> Callable[[str, int], np.random.Generator]:
    """Return random streams from the system's entropy: nobody can foresee a device's random arm."""
    return lambda _purpose, _round: np.random.default_rng(int.from_bytes(os.urandom(16), "big"))
