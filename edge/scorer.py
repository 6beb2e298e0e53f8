"""The task's ONNX model on this device: probabilities and an embedding for each item.

The backbone is frozen; what is learned sits on top of the embedding (:mod:`edge.learning`). Inputs
and outputs are bound by name, so a model that calls them otherwise is refused when it is loaded.
"""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError, TaskError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_BATCH = 512  # rows per run: large enough to amortise the call, small enough for a device


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

    def __init__(self, model: bytes, *, names: tuple[str, str, str], where: str = "model") -> None:
        """Load the model and check its names.

        Args:
            model: The ONNX file.
            names: Name of the input, of the probabilities and of the embedding.
            where: How to call the model in errors.

        Raises:
            TaskError: the bytes are no model, or a name is not in it.
        """
        self._names, self._where = names, where
        self._session = _load(model, where)
        has_inputs = {value.name for value in self._session.get_inputs()}
        has_outputs = {value.name for value in self._session.get_outputs()}
        for kind, name, has in (
            ("input", names[0], has_inputs),
            ("output", names[1], has_outputs),
            ("output", names[2], has_outputs),
        ):
            if name not in has:
                raise TaskError(f"{where} has no {kind} '{name}'; it has {', '.join(sorted(has))}")
        if len(has_inputs) > 1:
            raise TaskError(f"{where} wants {len(has_inputs)} inputs; a task gives it one")
        width = self._session.get_inputs()[0].shape[-1]
        self.width: int | None = width if isinstance(width, int) else None

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
        except Exception as err:  # as in _load
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


def _load(model: bytes, where: str) -> "InferenceSession":
    """Open a session with one thread: a device has other things to do."""
    # the library would otherwise write an id of this machine into the user's cache and report it
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as err:  # onnxruntime's own errors share no public base class
        raise TaskError(
            f"{where} is not a model ONNX Runtime can load: {type(err).__name__}"
        ) from err
