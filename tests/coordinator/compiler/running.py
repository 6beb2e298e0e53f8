"""Running a compiled step as a device would, for tests that want its outputs by name."""

from collections.abc import Mapping

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from coordinator.compiler import TrainStep

Arrays = Mapping[str, NDArray[np.generic]]


def run(
    step: TrainStep, feed: Arrays, *, rate: float = 0.1, **more: object
) -> dict[str, NDArray[np.float32]]:
    """Run a step once from its initial values; return every output."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    if step.frozen:
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(a) for a in step.frozen.values()]
        options.add_external_initializers(list(step.frozen), values)
    session = onnxruntime.InferenceSession(step.graph, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    scalars = {name: np.asarray(value, np.float32) for name, value in more.items()}
    given = {
        **step.parameters,
        **step.state,
        "lr": np.asarray(rate, np.float32),
        **scalars,
        **feed,
    }
    return dict(zip(names, session.run(names, given), strict=True))


def distance(found: NDArray[np.generic], expected: NDArray[np.generic]) -> float:
    """Return the largest difference in shares of the largest expected value."""
    scale = float(np.abs(expected).max()) + 1e-3  # what is zero by symmetry is rounding here
    return float(np.abs(np.asarray(found, np.float64) - expected).max()) / scale
