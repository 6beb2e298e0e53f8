"""Putting one device together from its settings: pool, keys, ledger, door, agent."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from edge.agent import Agent, AgentParts
from edge.install import install_task, redaction_of
from edge.item_file import load_items
from edge.labeling import compile_functions
from edge.outbox import Outbox, Recipient
from edge.pool import ID_BYTES, Pool
from edge.scorer import Scorer
from edge.settings import EdgeSettings
from fieldvote.errors import DataError, InputError, StoreError
from fieldvote.task import Task
from privacy.dp import Ledger, Limits
from privacy.sealing import SealingKey, SigningKey

POOL_FILE = "pool.sqlite"
_FILLED = "filled from"
_SECRET_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device, ready to answer."""

    agent: Agent
    pool: Pool
    ledger: Ledger
    task: Task


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
    task = install_task(Path(settings.task), trusted=trusted)
    pool = Pool(folder / POOL_FILE)
    try:
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
                labeling_key=bytes.fromhex(settings.labeling_key), context=task.digest.encode()
            ),
        )
        names = (task.names.input, task.names.probabilities, task.names.embedding)
        agent = Agent(
            AgentParts(
                task=task,
                pool=pool,
                scorer=Scorer(task.model, names=names, where=task.names.file),
                functions=compile_functions(task.functions, task.input, task.classes),
                outbox=outbox,
                sealing_key=SealingKey.from_bytes(_secret(folder / "sealing.key", 32)),
                desk_key=bytes.fromhex(settings.desk_key),
                sketch_seed=_sketch_seed(Path(settings.sketch_secret)),
                evaluates=settings.evaluates,
                rng=_system_rng(),
            )
        )
        yield Device(agent=agent, pool=pool, ledger=ledger, task=task)
    finally:
        pool.close()


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
