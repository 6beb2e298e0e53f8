"""The task's ONNX model on this device: probabilities and an embedding for each item.

The backbone is frozen; what is learned sits on top of the embedding (:mod:`edge.learning`). Nothing
reaches ONNX Runtime that :mod:`edge.model_guard` has not read first: inputs and outputs that are
not exactly those of the task are refused there, with all that could cost more than a device has.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.learning.network import Network
from edge.model_guard.admission import Notes, admit
from edge.model_guard.first_run import LARGEST_BATCH
from edge.model_guard.rules import Wanted, check_model
from edge.model_guard.session import open_session
from fieldvote.errors import InputError, ShapeError, TaskError
from fieldvote.task import Task

_BATCH = LARGEST_BATCH


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What the model says of n items.

    Attributes:
        probabilities: Shape (n, k).
        embeddings: Shape (n, d).
    """

    probabilities: NDArray[np.float32]
    embeddings: NDArray[np.float32]


class Scorer:
    """One loaded model; many devices of a rehearsal may share it."""

    def __init__(
        self,
        model: bytes,
        *,
        names: tuple[str, str, str],
        where: str = "model",
        width: int | None = None,
        classes: int | None = None,
        network: Network | None = None,
    ) -> None:
        """Check the model's file, then load it.

        Args:
            model: The ONNX file.
            names: Name of the input, of the probabilities and of the embedding.
            where: How to call the model in errors.
            width: Features of an item, where that is known.
            classes: How many probabilities there are, where that is known.
            network: The same model as it is trained; None where only a head on it is.

        Raises:
            TaskError: the bytes are no model, or one that a device does not load.
        """
        check_model(model, Wanted.backbone(names, width, classes), where=where)
        self._names, self._where = names, where
        self.network = network
        self._session = open_session(model, where)
        declared = self._session.get_inputs()[0].shape[-1]
        self.width: int | None = declared if isinstance(declared, int) else None

    def score(self, inputs: NDArray[np.float32]) -> Scores:
        """Return probabilities and embeddings of the inputs, in order.

        Args:
            inputs: Shape (n, width), float32, finite.

        Raises:
            ShapeError: another width than the model's.
            InputError: a value is not finite.
            TaskError: the model fails on these inputs, or gives no row per item.
        """
        if inputs.ndim != 2 or (self.width is not None and inputs.shape[1] != self.width):
            raise ShapeError("model input", inputs.shape, ("n", self.width or "width"))
        if not np.isfinite(inputs).all():
            raise InputError("model input holds a value that is not finite; fill it first")
        parts = [
            self._run(np.ascontiguousarray(inputs[start : start + _BATCH], dtype=np.float32))
            for start in range(0, max(len(inputs), 1), _BATCH)
        ]
        return Scores(
            probabilities=np.concatenate([part[0] for part in parts]),
            embeddings=np.concatenate([part[1] for part in parts]),
        )

    def _run(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run one batch with bound input and outputs."""
        binding = self._session.io_binding()
        try:
            binding.bind_cpu_input(self._names[0], batch)
            binding.bind_output(self._names[1])
            binding.bind_output(self._names[2])
            self._session.run_with_iobinding(binding)
            probabilities, embeddings = binding.copy_outputs_to_cpu()
        except Exception as err:  # as in edge.model_guard.session
            raise TaskError(
                f"{self._where} does not run on {batch.shape} float32: {type(err).__name__}"
            ) from err
        for name, output in zip(self._names[1:], (probabilities, embeddings), strict=True):
            if output.ndim != 2 or len(output) != len(batch) or not np.isfinite(output).all():
                raise TaskError(
                    f"{self._where}: '{name}' has shape {output.shape} for {len(batch)} items; "
                    "expected one row of finite numbers each"
                )
        return (
            np.asarray(probabilities, dtype=np.float32),
            np.asarray(embeddings, dtype=np.float32),
        )


def scorer_of(task: Task, notes: Notes) -> Scorer:
    """Load a task's model, after a first run in a process of its own if this device is new to it.

    Args:
        task: Whose model.
        notes: Where the device remembers which models it has let in.

    Raises:
        TaskError: the model is not one for this task, or did not pass its first run.
    """
    admit(task, notes)
    names = (task.names.input, task.names.probabilities, task.names.embedding)
    return Scorer(
        task.model,
        names=names,
        where=task.names.file,
        width=task.input.width,
        classes=len(task.classes),
        network=network_of(task),
    )


def network_of(task: Task) -> Network | None:
    """Return a task's network as it is trained; None where the task trains a head alone.

    Raises:
        TaskError: its train step is not one for its model.
    """
    return None if task.training is None else Network(task)
