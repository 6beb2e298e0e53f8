"""What runs a train step for the first time: `python -m edge.model_guard.step_child`.

As :mod:`edge.model_guard.child`, for a graph of any inputs: it says nothing but the number it ends
with.
"""

import json
import struct
import sys
from io import BytesIO
from typing import BinaryIO

import numpy as np

from edge.model_guard.child import confine, verdict_of
from edge.model_guard.first_run import Verdict
from edge.model_guard.session import open_session
from fieldvote.errors import TaskError


def main(told: BinaryIO) -> Verdict:
    """Give every right away, load the graph, run it, and say how it went."""
    memory, cpu_s, *sizes = struct.unpack("<5q", told.read(40))
    wanted, graph, arrays = [told.read(size) for size in sizes]
    with np.load(BytesIO(arrays)) as kept:
        feed = {name: kept[name] for name in kept.files}
    import onnxruntime  # noqa: F401  # a graph has no say in what is imported: no file opens later

    confine(memory, cpu_s)
    try:
        session = open_session(graph, "step")
    except TaskError as err:
        return verdict_of(err.__cause__, Verdict.NOT_LOADED)
    shapes = {name: tuple(shape) for name, shape in json.loads(wanted).items()}
    try:
        outputs = session.run(list(shapes), feed)
    except Exception as err:  # onnxruntime's own errors share no public base class
        return verdict_of(err, Verdict.NOT_RUN)
    for output, shape in zip(outputs, shapes.values(), strict=True):
        if output.dtype != np.float32 or output.shape[: len(shape)] != shape:
            return Verdict.SHAPE
        if not np.isfinite(output).all():
            return Verdict.NOT_FINITE
    return Verdict.FINE


if __name__ == "__main__":
    import os

    # no goodbye: what a library would do at its end is not worth a second chance to crash
    os._exit(main(sys.stdin.buffer))
