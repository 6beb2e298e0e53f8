"""Putting one device together from its settings: pool, keys, ledger, door, agent."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.adding import FILLED, fill
from edge.agent import Agent, AgentParts
from edge.arrivals import Arrivals, Place
from edge.incidents import Incidents
from edge.install import installed_in, settle
from edge.items import items_of, model_inputs
from edge.labeling import compile_functions
from edge.outbox import Outbox, Recipient
from edge.pool import Pool
from edge.redaction import redaction_of
from edge.scorer import scorer_of
from edge.settings import EdgeSettings
from edge.stores import credential_of, ledger_of, open_pool, private_folder, trust_of
from edge.sums import Installed as Sums
from edge.sums import adopt
from edge.trust import Trust
from fieldvote.durable import write_once
from fieldvote.errors import (
    InputError,
    SettingsError,
    ShapeError,
    TaskError,
)
from fieldvote.releases import TrialRequest
from fieldvote.task import Task
from privacy.dp import Ledger
from privacy.sealing import SealingKey, SigningKey

if TYPE_CHECKING:
    from edge.secure_means import SecureMeans

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
        if settings.items and not len(pool) and pool.note(FILLED) is None:
            fill(
                pool,
                Path(settings.items),
                task,
                evaluates=settings.evaluates,
                bound=settings.pool,
                pins=dict(settings.python_functions),
            )
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
                propose=lambda request: _proposed(files, request, trust),
                trust=trust,
                show=credential.show if (credential := credential_of(settings)) else None,
                secure=_secure_means(settings, signer, trust),
                redactor=redactor,
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


def _proposed(
    files: Mapping[str, bytes], request: TrialRequest, trust: Trust | None
) -> Task | None:
    """Return the task of a trial if its owner signed it."""
    from edge.shadow import proposed

    return proposed(files, request, trust=trust)


def _secure_means(
    settings: EdgeSettings, signer: SigningKey, trust: Trust | None
) -> "SecureMeans | None":
    """Return what sums under masks are made with; None where nothing says which devices are real.

    Raises:
        SettingsError: the directory that the settings name cannot be read.
        InputError: it is none.
    """
    where = settings.directory
    if trust is None and not where:
        return None
    from edge.secure_means import secure_means

    try:
        directory = Path(where).read_bytes() if where else None
    except OSError as err:
        raise SettingsError(f"directory: {where}: cannot be read ({err.strerror or err})") from err
    return secure_means(signer, trust, directory)


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
    payloads = pool.payloads(0, _TRIED)
    scores = scorer_of(new, pool).score(model_inputs(payloads, new.input))
    if scores.probabilities.shape[1] != len(new.classes):
        raise ShapeError("probabilities", scores.probabilities.shape, ("n", len(new.classes)))
    functions.vote(items_of(payloads, new.input, scores.probabilities.astype(np.float64)))


def _secret(path: Path, size: int) -> bytes:
    """Return the secret in a file, drawn from the system and written 0600 if there is none."""
    if not path.exists():
        write_once(path, os.urandom(size))
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
