"""The task's own network, told its weights: one session scores with any of them, one trains.

Weights come as one vector of whole numbers, in the order of the signed train step. Their number is
checked here, because ONNX Runtime checks no shape of what it is given in a weight's place. Nothing
is loaded again for other weights, so two sets of them can be compared item by item, and going back
is as quick as going on.
"""

from collections.abc import Mapping
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from edge.learning.step_runner import FloatArray, StepRunner
from edge.model_guard.first_run import LARGEST_BATCH
from edge.model_guard.session import open_session
from edge.model_guard.step_run import LARGEST_STEP
from edge.model_guard.steps import StepForm, form_of
from edge.model_guard.weights import values_of, with_weights
from fieldvote.codec import IntVector
from fieldvote.errors import InputError, ShapeError, TaskError
from fieldvote.task import Task
from fieldvote.training import HEAD
from strategies.aggregation.deep_update import from_steps, to_steps

_SUM_TOLERANCE = 1e-3


class Network:
    """A network that can be trained; many devices of a rehearsal may share it."""

    def __init__(self, task: Task, *, threads: int = 1) -> None:
        """Check the task's step and scoring graph, and load the latter.

        Raises:
            TaskError: they are not what a device may load for this model.
        """
        self._task, self._threads = task, threads
        self.form: StepForm = form_of(task)
        said = task.training
        assert said is not None  # noqa: S101  # a task with a form has it
        self.head_only = said.depth == HEAD and not said.parameters
        self.terms, self.input = said.terms, task.names.input
        self.digest = sha256(task.step).hexdigest()
        scoring = with_weights(task.scoring, task.model, self.form.scoring_outside)
        self._session = open_session(scoring, said.scoring)
        self._runner: StepRunner | None = None
        self._told: tuple[IntVector, dict[str, FloatArray]] | None = None

    @property
    def first(self) -> IntVector:
        """The weights the task was signed with. Shape (p,)."""
        return to_steps(list(values_of(self._task.model, self.form.parameters).values()))

    def weights(self, vector: IntVector) -> dict[str, FloatArray]:
        """Return a vector as weights by name.

        Raises:
            ShapeError: it is not as long as this network's weights.
            InputError: it holds a weight that is none.
        """
        if self._told is None or not np.array_equal(self._told[0], vector):
            shapes = list(self.form.parameters.values())
            arrays = from_steps(vector, shapes)
            self._told = vector.copy(), dict(zip(self.form.parameters, arrays, strict=True))
        return self._told[1]

    def vector(self, weights: Mapping[str, FloatArray]) -> IntVector:
        """Return weights by name as a vector.

        Raises:
            InputError: a weight is not finite, or beyond what travels.
        """
        return to_steps([weights[name] for name in self.form.parameters])

    def probabilities(self, vector: IntVector, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what the network says of items under these weights; rows sum to 1. Shape (n, k).

        Raises:
            ShapeError, InputError: the vector is not this network's.
            TaskError: it does not run on these items, or says something that is no probability.
        """
        told, names = self.weights(vector), self._task.names
        parts = [np.empty((0, len(self._task.classes)), np.float32)]
        for start in range(0, len(inputs), LARGEST_BATCH):
            batch = np.ascontiguousarray(inputs[start : start + LARGEST_BATCH], dtype=np.float32)
            try:
                (made,) = self._session.run([names.probabilities], {names.input: batch, **told})
            except Exception as err:  # onnxruntime's own errors share no public base class
                raise TaskError(
                    f"the network does not run on {batch.shape} float32: {type(err).__name__}"
                ) from err
            parts.append(made)
        found = np.concatenate(parts).astype(np.float64)
        sums = found.sum(axis=1)
        if found.shape != (len(inputs), len(self._task.classes)) or not bool(
            np.all(np.abs(sums - 1.0) <= _SUM_TOLERANCE) and np.all(found >= 0)
        ):
            raise TaskError("with these weights the network gives no probabilities")
        return np.asarray(found / sums[:, None])

    def runner(self, vector: IntVector) -> StepRunner:
        """Return what trains, at the start of these weights; the one before is over.

        Raises:
            ShapeError, InputError: the vector is not this network's.
        """
        start = {**self.weights(vector), **self._blank_states()}
        if self._runner is None:
            graph = with_weights(self._task.step, self._task.model, self.form.step_outside)
            self._runner = StepRunner(
                graph,
                start,
                threads=self._threads,
                rows_at_once=LARGEST_STEP if self.form.in_parts else None,
            )
        else:
            self._runner.restart(start)
        return self._runner

    def check(self, vector: IntVector, inputs: NDArray[np.float32]) -> None:
        """Return if these weights could serve: they fit, and score these items.

        Raises:
            InputError: they do not; whatever serves goes on serving.
        """
        if vector.shape != (self.form.size,):
            raise ShapeError("network", vector.shape, (self.form.size,))
        try:
            self.probabilities(vector, inputs[:LARGEST_BATCH])
        except TaskError as err:
            raise InputError(str(err)) from err

    def _blank_states(self) -> dict[str, FloatArray]:
        """Return what an optimizer remembers before its first step."""
        return {name: np.zeros(shape, np.float32) for name, shape in self.form.states.items()}
