"""What a device holds while it answers: its pool's items, scored and voted on once."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.agent_parts import AgentParts
from edge.items import items_of
from edge.learning.kept_lessons import KeptLessons
from edge.learning.learner import Learner
from edge.learning.views import SecondViews
from edge.selection import for_evaluation
from edge.sums import earlier_tasks
from fieldvote.errors import InputError, RefusalError, ShapeError
from fieldvote.records import ARM_RANDOM


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Holdings:
    """A pool's arrays in memory, by place.

    Attributes:
        parts: What the agent is made of.
        ids: Every item's id.
        positions: The place of an id.
        half: Which items are for evaluation only, if the random arm draws them. Shape (n,).
        learner: Their embeddings, and what a head makes of them.
        views: Their second views.
        votes: Of the functions, -1 abstains. Shape (n, m). They stay on the device.
        voted: Which items have any. Shape (n,).
        lessons: What they last taught.
    """

    parts: AgentParts
    ids: list[bytes]
    positions: dict[bytes, int]
    half: NDArray[np.bool_]
    learner: Learner
    views: SecondViews
    votes: NDArray[np.int8]
    voted: NDArray[np.bool_]
    lessons: KeptLessons = field(default_factory=KeptLessons)

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
        seen = parts.model_inputs(payloads, parts.task.input)
        scores = parts.scorer.score(seen)
        if scores.probabilities.shape[1] != classes:
            raise ShapeError("probabilities", scores.probabilities.shape, ("n", classes))
        ids = parts.pool.ids()
        views = SecondViews(
            parts.pool.payloads, ids, task_input=parts.task.input, scorer=parts.scorer
        )
        votes = parts.functions.vote(
            items_of(payloads, parts.task.input, scores.probabilities.astype(np.float64))
        )
        return cls(
            parts=parts,
            ids=ids,
            positions={item: place for place, item in enumerate(ids)},
            half=np.array([for_evaluation(item) for item in ids], dtype=np.bool_),
            learner=Learner(
                scores.embeddings,
                classes=classes,
                second=lambda: views.embeddings,
                network=parts.scorer.network,
                seen=None if parts.scorer.network is None else seen,
            ),
            views=views,
            votes=votes,
            voted=np.asarray((votes >= 0).any(axis=1)),
        )

    def grown(self) -> "Holdings":
        """Return what is held once items that came since are scored and voted on too.

        What was let go since is held no more; what stayed is in the order in which it was.

        Raises:
            ShapeError: the model's outputs are not of the task's classes.
        """
        parts, ids = self.parts, self.parts.pool.ids()
        known = [self.positions[item] for item in ids if item in self.positions]
        stays, start = np.array(known, dtype=np.int64), len(known)
        payloads = parts.pool.payloads(start)
        if not payloads and start == len(self.ids):
            return self
        seen = parts.model_inputs(payloads, parts.task.input)
        scores = parts.scorer.score(seen)
        if scores.probabilities.shape[1] != self.classes:
            raise ShapeError("probabilities", scores.probabilities.shape, ("n", self.classes))
        votes = parts.functions.vote(
            items_of(payloads, parts.task.input, scores.probabilities.astype(np.float64))
        )
        views = SecondViews(
            parts.pool.payloads, ids, task_input=parts.task.input, scorer=parts.scorer
        )
        half = np.array([for_evaluation(item) for item in ids[start:]], dtype=np.bool_)
        votes = np.concatenate([self.votes[stays], votes])
        return Holdings(
            parts=parts,
            ids=ids,
            positions={item: place for place, item in enumerate(ids)},
            half=np.concatenate([self.half[stays], half]),
            learner=self.learner.grown(
                scores.embeddings,
                stays=stays,
                second=lambda: views.embeddings,
                seen=None if parts.scorer.network is None else seen,
            ),
            views=views,
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

    @property
    def judged(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Positions of answered items that are never trained on, and what they are."""
        pool = self.parts.pool
        truth = pool.column("gold")
        if not self.parts.evaluates:
            truth = np.where(self.held_out(pool.column("arm")), pool.column("answer"), -1)
        places = np.flatnonzero(truth[: len(self.ids)] >= 0)  # the pool may have grown
        return places, truth[places]

    def held_out(self, arms: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which items are for evaluation only, answered or not. Shape (n,)."""
        return np.asarray((arms == ARM_RANDOM) & self.half)
