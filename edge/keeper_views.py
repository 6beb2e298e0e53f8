"""What the head a device serves says of items that come, part by part, before they have a place."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.drifting import counted_by
from edge.items import TaskInput, items_of, model_inputs
from edge.labeling import CompiledFunctions
from edge.learning.learner import Learner
from edge.scorer import Scorer
from edge.settings import PoolSettings
from fieldvote.codec import IntVector
from fieldvote.heads import HeadModel
from fieldvote.task import Task
from strategies.arrivals import Layout

AMONG = 1024  # items that say where a device's centre is, and whose neighbours others are


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperMeans:
    """What a keeper works with.

    Attributes:
        task: The installed task.
        bound: How many items stay.
        scorer: Loads its model; called where there is a head to score with.
        functions: Compiles its functions; called where there is a head.
        entropy: Draws lots.
        model_inputs: Returns what the task's model is fed for payloads.
    """

    task: Task
    bound: PoolSettings
    scorer: Callable[[], Scorer]
    functions: Callable[[], CompiledFunctions]
    entropy: Callable[[int], bytes]
    model_inputs: Callable[[Sequence[bytes], TaskInput], NDArray[np.float32]] = model_inputs


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Views:
    """What the served head and the functions say of some items, row by row; empty without a head.

    Attributes:
        probabilities: Shape (n, k).
        embeddings: Shape (n, d).
        votes: Shape (n, m).
    """

    probabilities: NDArray[np.float64]
    embeddings: NDArray[np.float64]
    votes: NDArray[np.int8]

    def at(self, rows: NDArray[np.bool_]) -> "Views":
        """Return some rows."""
        return Views(
            probabilities=self.probabilities[rows],
            embeddings=self.embeddings[rows],
            votes=self.votes[rows],
        )

    def joined(self, other: "Views") -> "Views":
        """Return the rows of both."""
        return Views(
            probabilities=np.concatenate([self.probabilities, other.probabilities]),
            embeddings=np.concatenate([self.embeddings, other.embeddings]),
            votes=np.concatenate([self.votes, other.votes]),
        )


class ServedHead:
    """The head a device serves, as it scores items part by part."""

    def __init__(self, means: KeeperMeans, model: HeadModel) -> None:
        """Load what scores."""
        self._means, self.model = means, model
        self._scorer, self._functions = means.scorer(), means.functions()
        self._among: NDArray[np.float32] | None = None
        self.layout = Layout(classes=len(means.task.classes), functions=len(means.task.functions))

    def look_at(self, sample: Sequence[bytes]) -> None:
        """Take these items for where this device's centre is, and for everybody's neighbours."""
        if sample:
            seen = self._means.model_inputs(sample, self._means.task.input)
            self._among = self._scorer.score(seen).embeddings

    def views(self, payloads: Sequence[bytes]) -> Views:
        """Return what is said of items."""
        task = self._means.task
        seen = self._means.model_inputs(payloads, task.input)
        scores = self._scorer.score(seen)
        network = self._scorer.network
        if self._among is None:
            self._among = scores.embeddings[:AMONG]
        learner = Learner(
            scores.embeddings,
            classes=len(task.classes),
            network=network,
            seen=None if network is None else seen,
            among=self._among,
        )
        says = items_of(payloads, task.input, scores.probabilities.astype(np.float64))
        return Views(
            probabilities=learner.probabilities(self.model),
            embeddings=learner.embeddings,
            votes=self._functions.vote(says),
        )

    def counted(self, views: Views) -> IntVector:
        """Return these items as histograms of what is new."""
        return counted_by(
            self.model,
            self.layout,
            probabilities=views.probabilities,
            votes=views.votes,
            embeddings=views.embeddings,
        )
