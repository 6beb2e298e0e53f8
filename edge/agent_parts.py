"""What an agent is made of."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from edge.labeling import CompiledFunctions
from edge.outbox import Outbox
from edge.pool import Pool
from edge.scorer import Scorer
from fieldvote.delivery import BundleReply, BundleRequest
from fieldvote.releases import TrialRequest
from fieldvote.task import Task
from privacy.sealing import SealingKey


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentParts:
    """What an agent is made of.

    Attributes:
        task: The installed task.
        pool: The device's items.
        scorer: The task's model.
        functions: The task's labeling functions, compiled.
        outbox: The one door.
        sealing_key: Opens the answers.
        desk_key: Public key answers must be signed with.
        sketch_seed: The fleet's secret projection.
        evaluates: Whether this device only evaluates.
        rng: Makes the random stream of a purpose and a round.
        arrive: Takes a piece of a new task.
        propose: Returns the task of a trial if its owner signed it, None if it is not newer.
        pins: The Python functions that may run here, also in a trial: entry point and digest.
        clock_s: What functions are timed by; it only goes forward.
    """

    task: Task
    pool: Pool
    scorer: Scorer
    functions: CompiledFunctions
    outbox: Outbox
    sealing_key: SealingKey
    desk_key: bytes
    sketch_seed: int
    evaluates: bool
    rng: Callable[[str, int], np.random.Generator]
    arrive: Callable[[BundleRequest], BundleReply] | None = None
    propose: Callable[[TrialRequest], Task | None] | None = None
    pins: Mapping[str, str] = field(default_factory=dict)
    clock_s: Callable[[], float] = time.perf_counter
