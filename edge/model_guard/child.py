"""What runs a model for the first time: `python -m edge.model_guard.child`, told on its input.

It says nothing but the number it ends with (:class:`~edge.model_guard.first_run.Verdict`).
"""

import resource
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from edge.model_guard.first_run import Verdict
from edge.model_guard.golden import differs
from edge.model_guard.session import open_session
from fieldvote.errors import TaskError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_SUM_TOLERANCE = 1e-3


def main(told: BinaryIO) -> Verdict:
    """Give every right away, load the model, run it, and say how it went."""
    memory, cpu_s, width, classes = struct.unpack("<4q", told.read(32))
    sizes = struct.unpack("<6q", told.read(48))
    names, model, *rest = [told.read(size) for size in sizes]
    inputs, probabilities, embeddings, batch = (np.frombuffer(part, "<f4") for part in rest)
    import onnxruntime  # noqa: F401  # a model has no say in what is imported: no file opens later

    confine(memory, cpu_s)
    try:
        session = open_session(model, "model")
    except TaskError as err:
        return verdict_of(err.__cause__, Verdict.NOT_LOADED)
    golden = (probabilities, embeddings) if len(probabilities) else None
    for rows, kept in ((inputs, golden), (batch, None)):
        verdict = _run(session, names.decode().split("\n"), rows.reshape(-1, width), classes, kept)
        if verdict is not Verdict.FINE:
            return verdict
    return Verdict.FINE


def confine(memory: int, cpu_s: int) -> None:
    """Let go of what a model has no use for; a process cannot take it back.

    Args:
        memory: Bytes beyond what the process has now.
        cpu_s: Processor time beyond what it has spent.
    """
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + memory
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(used.ru_utime + used.ru_stime) + 1
    for what, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_AS, most),
        (resource.RLIMIT_CPU, spent + cpu_s),
        (resource.RLIMIT_NOFILE, 3),  # input and two ways to nowhere are open; nothing else opens
    ):
        resource.setrlimit(what, (limit, limit + (what == resource.RLIMIT_CPU)))


def _run(
    session: "InferenceSession",
    names: list[str],
    rows: NDArray[np.float32],
    classes: int,
    golden: tuple[NDArray[np.float32], NDArray[np.float32]] | None,
) -> Verdict:
    """Run one batch, and judge what comes out."""
    try:
        outputs = session.run(names[1:], {names[0]: rows})
    except Exception as err:  # onnxruntime's own errors share no public base class
        return verdict_of(err, Verdict.NOT_RUN)
    for output in outputs:
        if output.dtype != np.float32 or output.ndim != 2 or len(output) != len(rows):
            return Verdict.SHAPE
        if not np.isfinite(output).all():
            return Verdict.NOT_FINITE
    probabilities, embeddings = outputs
    if probabilities.shape[1] != classes:
        return Verdict.SHAPE
    if (probabilities < 0).any() or not np.allclose(
        probabilities.sum(axis=1), 1.0, atol=_SUM_TOLERANCE
    ):
        return Verdict.NO_PROBABILITIES
    if golden is not None and any(
        differs(kept.astype(np.float64), made)
        for kept, made in zip(golden, (probabilities, embeddings), strict=True)
    ):
        return Verdict.NOT_GOLDEN
    return Verdict.FINE


def verdict_of(err: BaseException | None, otherwise: Verdict) -> Verdict:
    """Tell a lack of memory, which ONNX Runtime reports in words, from other faults."""
    spent = isinstance(err, MemoryError) or "alloc" in str(err) or "would require" in str(err)
    return Verdict.MEMORY if spent else otherwise


if __name__ == "__main__":
    import os

    # no goodbye: what a library would do at its end is not worth a second chance to crash
    os._exit(main(sys.stdin.buffer))
