"""Simulated devices: the agents, doors and ledgers of a deployment, set up from a population.

Only two things differ: entropy comes from a keyed stream, and the clock stands still.
"""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from coordinator.labels.desk_keys import DeskKeys
from edge.agent import Agent, AgentParts
from edge.keeper import is_bounded
from edge.keeper_views import KeeperMeans
from edge.outbox import Outbox, Recipient
from edge.pool import Pool
from edge.secure_means import SecureMeans
from edge.spending import limits_of, task_limits
from fieldvote.records import DeviceId
from fieldvote.rng import keyed_entropy, stream
from privacy.dp import Ledger
from privacy.sealing import SealingKey, SigningKey
from privacy.sealing.rotation import DatedKey
from privacy.secagg.roster import device_number
from simulations.arrivals import ArrivingAgent
from simulations.population import Population, device_id

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


def signer_of(seed: int, number: int) -> SigningKey:
    """Return the key a device signs with, and is known by in the fleet's directory."""
    return SigningKey.generate(keyed_entropy(seed, "signing key", number))


@lru_cache(maxsize=4)
def directory_of(seed: int, devices: int) -> Mapping[int, bytes]:
    """Return the public keys of a rehearsal's devices by their number in rosters."""
    keys = [signer_of(seed, number).public for number in range(devices)]
    return {device_number(key): key for key in keys}


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


def _keeping(population: Population, number: int, *, evaluates: bool) -> KeeperMeans | None:
    """Return how a device decides what stays in its pool; None where everything does."""
    shared, bound = population.shared, population.scenario.pool
    if not is_bounded(shared.task, bound, evaluates=evaluates):
        return None
    return KeeperMeans(
        task=shared.task,
        bound=bound,
        scorer=lambda: shared.scorer,
        functions=lambda: shared.functions,
        entropy=keyed_entropy(population.seed, "lots", number),
        model_inputs=shared.model_inputs,
    )


def _set_up(population: Population, number: int, pool: Pool, desk: DeskKeys) -> SimulatedDevice:
    """Fill one pool and put an agent in front of it."""
    seed, shared = population.seed, population.shared
    evaluates = bool(population.held_out[number])
    ledger = Ledger(pool, limits_of(shared.task), lambda: NOON, tasks=task_limits(shared.task))
    signer = signer_of(seed, number)
    outbox = Outbox(
        shared.task,
        ledger=ledger,
        redactor=shared.redactor,
        vocabulary=shared.vocabulary,
        signer=signer,
        recipient=Recipient(
            labeling_keys=(DatedKey(public=desk.labeling.public),), now=lambda: NOON
        ),
        entropy=keyed_entropy(seed, "noise of fields", number),
    )
    agent = ArrivingAgent(
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
            clock_s=lambda: 0.0,
            model_inputs=shared.model_inputs,
            redactor=shared.redactor,
            secure=SecureMeans(
                signer=signer,
                directory=lambda: directory_of(seed, population.dataset.devices),
                entropy=keyed_entropy(seed, "sums", number),
            ),
        ),
        population.supply(number),
        _keeping(population, number, evaluates=evaluates),
    )
    return SimulatedDevice(agent=agent, ledger=ledger)
