"""What a device holds while it answers: its pool's items, scored and voted on once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.agent_parts import AgentParts
from edge.items import items_of, model_inputs
from edge.learning.learner import Learner
from edge.selection import for_evaluation
from edge.sums import earlier_tasks
from fieldvote.errors import InputError, RefusalError, ShapeError
from fieldvote.records import ARM_RANDOM


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Holdings:
    """A pool's arrays in memory, by position.

    Attributes:
        parts: What the agent is made of.
        ids: Every item's id.
        positions: Where an id is.
        half: Which items are for evaluation only, if the random arm draws them. Shape (n,).
        learner: Their embeddings, and what a head makes of them.
        votes: Of the functions, -1 abstains. Shape (n, m). They stay on the device.
        voted: Which items have any. Shape (n,).
    """

    parts: AgentParts
    ids: list[bytes]
    positions: dict[bytes, int]
    half: NDArray[np.bool_]
    learner: Learner
    votes: NDArray[np.int8]
    voted: NDArray[np.bool_]

    @classmethod
    def of(cls, parts: AgentParts) -> "Holdings":
        """Score and vote on the whole pool once.

        Raises:
            InputError: the pool is empty.
            ShapeError: the model's outputs are not of the task's classes.
        """
        payloads = parts.pool.payloads()
        if not payloads:
            raise InputError("the pool is empty: add items before the agent takes part")
        classes = len(parts.task.classes)
        scores = parts.scorer.score(model_inputs(payloads, parts.task.input))
        if scores.probabilities.shape[1] != classes:
            raise ShapeError("probabilities", scores.probabilities.shape, ("n", classes))
        ids = parts.pool.ids()
        votes = parts.functions.vote(
            items_of(payloads, parts.task.input, scores.probabilities.astype(np.float64))
        )
        return cls(
            parts=parts,
            ids=ids,
            positions={item: place for place, item in enumerate(ids)},
            half=np.array([for_evaluation(item) for item in ids], dtype=np.bool_),
            learner=Learner(scores.embeddings, classes=classes),
            votes=votes,
            voted=np.asarray((votes >= 0).any(axis=1)),
        )

    @property
    def classes(self) -> int:
        """How many classes the task has."""
        return len(self.parts.task.classes)

    def check_task(self, asked: str, *, earlier: bool = True) -> None:
        """Refuse what is asked of another task than ours, or than a release before it."""
        own = self.parts.task.digest
        known = (own, *earlier_tasks(self.parts.pool)) if earlier else (own,)
        if asked and asked not in known:
            raise RefusalError(f"asked of task {asked[:12]}, this device runs {own[:12]}")

    def held_out(self, arms: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which items are for evaluation only, answered or not. Shape (n,)."""
        return np.asarray((arms == ARM_RANDOM) & self.half)
