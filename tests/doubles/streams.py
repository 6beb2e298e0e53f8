"""Devices whose pools are bounded, and what comes to them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge.items import row_payload
from edge.keeper import Keeper
from edge.keeper_views import KeeperMeans
from edge.labeling import compile_functions
from edge.pool import Pool
from edge.scorer import Scorer
from edge.settings import PoolSettings
from fieldvote.heads import HeadModel, ServeRequest
from fieldvote.records import encode
from fieldvote.rights import Rights
from fieldvote.rng import keyed_entropy, stream
from fieldvote.task import Task
from tests.doubles.agents import Device
from tests.doubles.machines import TASK, device_of, first_head

BOUND = PoolSettings(most_items=20, by_lot=0.5)
_PLAIN = first_head(device_of().survey(random=1, first=True))


def head(seed: int = 12) -> HeadModel:
    """Return a head that is surer of some items than of others."""
    weights = stream(seed, "weights").integers(-(2**20), 2**20, size=len(_PLAIN.weights))
    return replace(_PLAIN, weights=weights)


def serve(device: Device, model: HeadModel, serial: int = 2) -> None:
    """Have a device serve a head."""
    device.agent.handle(encode(ServeRequest(round=serial // 2, serial=serial, model=model)))


def rows(count: int, *, seed: int = 1, shift: float = 0.0) -> NDArray[np.float64]:
    """Return readings that come."""
    return np.asarray(stream(seed, "come").normal(size=(count, 3)) + shift)


def means_of(bound: PoolSettings = BOUND, *, seed: int = 3, task: Task = TASK) -> KeeperMeans:
    """Return what a keeper works with."""
    return KeeperMeans(
        task=task,
        bound=bound,
        scorer=lambda: Scorer(
            task.model, names=(task.names.input, task.names.probabilities, task.names.embedding)
        ),
        functions=lambda: compile_functions(task.functions, task.input, task.classes),
        entropy=keyed_entropy(seed, "lots"),
    )


def come(
    pool: Pool,
    readings: NDArray[np.float64],
    *,
    means: KeeperMeans | None = None,
    part: int = 16,
    name: int = 0,
    rights: Sequence[Rights] | None = None,
) -> list[bytes]:
    """Let readings come to a bounded pool, in parts; return their ids."""
    naming = keyed_entropy(name, "ids that come")
    ids = [naming(16) for _ in readings]
    flags = list(rights) if rights is not None else [Rights.SHIP] * len(ids)
    keeper = Keeper(pool, means or means_of(seed=name))
    for start in range(0, len(ids), part):
        told = slice(start, start + part)
        keeper.see(ids[told], [row_payload(row) for row in readings[told]], flags[told])
    keeper.settle()
    return ids
