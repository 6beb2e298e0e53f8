"""Simulated devices: the agents, doors and ledgers of a deployment, set up from a population.

Only two things differ: entropy comes from a keyed stream, and the clock stands still.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from coordinator.labels.desk import DeskKeys
from edge.agent import Agent, AgentParts
from edge.outbox import Outbox, Recipient
from edge.pool import Pool
from fieldvote.records import DeviceId
from fieldvote.rng import keyed_entropy, stream
from privacy.dp import Ledger, Limits
from privacy.sealing import SealingKey, SigningKey
from privacy.sealing.rotation import DatedKey
from simulations.population import Population, device_id, payloads_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedDevice:
    """One simulated device and its account."""

    agent: Agent
    ledger: Ledger


def desk_keys(seed: int) -> DeskKeys:
    """Return the keys of a rehearsal's labeling desk; devices know their public halves."""
    return DeskKeys(
        labeling=SealingKey.generate(keyed_entropy(seed, "labeling key")),
        signing=SigningKey.generate(keyed_entropy(seed, "desk key")),
    )


def set_up_devices(
    population: Population, numbers: Iterable[int], stack: ExitStack
) -> dict[DeviceId, SimulatedDevice]:
    """Set devices up, each with its own pool, keys and ledger; the stack closes the pools."""
    desk = desk_keys(population.seed)
    devices = {}
    for number in numbers:
        pool = Pool(None)
        stack.callback(pool.close)
        devices[device_id(number)] = _set_up(population, number, pool, desk)
    return devices


def _set_up(population: Population, number: int, pool: Pool, desk: DeskKeys) -> SimulatedDevice:
    """Fill one pool and put an agent in front of it."""
    dataset, seed, shared = population.dataset, population.seed, population.shared
    rows = np.flatnonzero(dataset.device == number)
    evaluates = bool(population.held_out[number])
    pool.add(
        population.item_ids(number),
        payloads_of(dataset, rows),
        gold=[int(label) for label in dataset.labels[rows]] if evaluates else None,
    )
    limits = shared.task.policy.limits
    ledger = Ledger(
        pool, Limits(candidates=limits.candidates, size_bytes=limits.size_bytes), lambda: NOON
    )
    outbox = Outbox(
        shared.task,
        ledger=ledger,
        redactor=shared.redactor,
        vocabulary=shared.vocabulary,
        signer=SigningKey.generate(keyed_entropy(seed, "signing key", number)),
        recipient=Recipient(
            labeling_keys=(DatedKey(public=desk.labeling.public),), now=lambda: NOON
        ),
        entropy=keyed_entropy(seed, "noise of fields", number),
    )
    agent = Agent(
        AgentParts(
            task=shared.task,
            pool=pool,
            scorer=shared.scorer,
            functions=shared.functions,
            outbox=outbox,
            sealing_key=SealingKey.generate(keyed_entropy(seed, "sealing key", number)),
            desk_keys=(DatedKey(public=desk.signing.public),),
            sketch_seed=int.from_bytes(keyed_entropy(seed, "fleet secret")(8), "big"),
            evaluates=evaluates,
            rng=lambda purpose, round_number: stream(seed, purpose, number, round_number),
        )
    )
    return SimulatedDevice(agent=agent, ledger=ledger)
