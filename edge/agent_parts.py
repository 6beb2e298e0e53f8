"""What an agent is made of."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge.items import TaskInput, model_inputs
from edge.labeling import CompiledFunctions
from edge.outbox import Outbox
from edge.pool import Pool
from edge.scorer import Scorer
from edge.trust import Trust
from fieldvote.delivery import BundleReply, BundleRequest
from fieldvote.records import HelloRequest
from fieldvote.releases import TrialRequest
from fieldvote.task import Task
from privacy.pii import Redactor
from privacy.sealing import SealingKey
from privacy.sealing.rotation import DatedKey

if TYPE_CHECKING:
    from edge.secure_means import SecureMeans


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
        desk_keys: Public keys answers may be signed with, and when each is good.
        now: Tells which are.
        sketch_seed: The fleet's secret projection.
        evaluates: Whether this device only evaluates.
        rng: Makes the random stream of a purpose and a round.
        arrive: Takes a piece of a new task.
        propose: Returns the task of a trial if its owner signed it, None if it is not newer.
        trust: What is believed of the owner; None asks for no signature.
        show: Returns the device's certificate and a signature that it is its own, for whoever asks
            who it is, and the task it has; None where it is not enrolled.
        pins: The Python functions that may run here, also in a trial: entry point and digest.
        clock_s: What functions are timed by; it only goes forward.
        secure: What sums under masks are made with; None takes no part in any.
        model_inputs: Returns what the task's model is fed for payloads of a pool.
        redactor: Masks texts as the outbox does, to see what would be left; None looks at no mask.
    """

    task: Task
    pool: Pool
    scorer: Scorer
    functions: CompiledFunctions
    outbox: Outbox
    sealing_key: SealingKey
    desk_keys: tuple[DatedKey, ...]
    sketch_seed: int
    evaluates: bool
    rng: Callable[[str, int], np.random.Generator]
    arrive: Callable[[BundleRequest], BundleReply] | None = None
    propose: Callable[[TrialRequest], Task | None] | None = None
    trust: Trust | None = None
    show: Callable[[HelloRequest, str], tuple[bytes, bytes]] | None = None
    pins: Mapping[str, str] = field(default_factory=dict)
    clock_s: Callable[[], float] = time.perf_counter
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    secure: "SecureMeans | None" = None
    model_inputs: Callable[[Sequence[bytes], TaskInput], NDArray[np.float32]] = model_inputs
    redactor: Redactor | None = None
