"""The first run of a model: in a process of its own, within limits, and thrown away.

ONNX Runtime is a million lines that read what somebody sent. Should the model crash it, hang it or
eat all memory, that happens to a child that has nothing: no open file but its input, no right to
write, so much memory and time and no more. Nothing the child says is read but the number it ends
with, so a child that was taken over can tell the device no more than "fine".

The child runs the golden inputs, and then as many items as ever go in one batch.
"""

import os
import signal
import struct
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.model_guard.golden import Golden, made_up
from fieldvote.errors import TaskError, UnavailableError

LARGEST_BATCH: Final = 512  # rows of one run: enough to amortise the call, few enough for a device
_CHILD: Final = "edge.model_guard.child"
_MB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """What a first run may use.

    Attributes:
        memory_bytes: Beyond what the empty library and eight times the model's file take.
        cpu_s: Processor time.
        wall_s: Time until the child is killed.
    """

    memory_bytes: int = 512 * _MB
    cpu_s: int = 60
    wall_s: float = 180.0


class Verdict(IntEnum):
    """The number a child ends with; apart from those Python itself ends with."""

    FINE = 0
    NOT_LOADED = 40
    NOT_RUN = 41
    SHAPE = 42
    NOT_FINITE = 43
    NO_PROBABILITIES = 44
    NOT_GOLDEN = 45
    MEMORY = 46


_SENTENCES: Final[Mapping[int, str]] = {
    Verdict.NOT_LOADED: "is not a model ONNX Runtime can load",
    Verdict.NOT_RUN: "does not run on a batch of items",
    Verdict.SHAPE: "does not give one row of the right width per item",
    Verdict.NOT_FINITE: "gives numbers that are not finite",
    Verdict.NO_PROBABILITIES: "gives probabilities that do not sum to 1; end it with a softmax",
    Verdict.NOT_GOLDEN: "does not give the golden outputs it was signed with",
    Verdict.MEMORY: "needs more memory for a batch of items than a first run may have",
    -signal.SIGXCPU: "computes longer on a batch of items than a first run may",
    -signal.SIGKILL: "was killed in its first run",
}


def run_apart(
    model: bytes,
    *,
    names: tuple[str, str, str],
    width: int,
    classes: int,
    golden: Golden | None = None,
    where: str = "model",
    limits: RunLimits | None = None,
) -> None:
    """Load and run a model in a child process; return if it did what a model does.

    Args:
        model: The ONNX file, which :func:`~edge.model_guard.rules.check_model` let through.
        names: Name of the input, of the probabilities and of the embedding.
        width: Features of an item.
        classes: How many probabilities there are, k.
        golden: What the model has to answer, if that was signed with it.
        where: How to call the model in errors.
        limits: What the child may use.

    Raises:
        TaskError: the child crashed, hung, used more than it may, or the answers are wrong.
        UnavailableError: this system starts no process now.
    """
    limits = limits or RunLimits()
    memory = limits.memory_bytes + 8 * len(model)
    parts = [
        "\n".join(names).encode(),
        model,
        _rows(golden.inputs if golden else made_up(1, width)),
        _rows(golden.probabilities) if golden else b"",
        _rows(golden.embeddings) if golden else b"",
        _rows(made_up(LARGEST_BATCH, width)),
    ]
    head = struct.pack("<4q", memory, limits.cpu_s, width, classes)
    said = head + struct.pack("<6q", *map(len, parts)) + b"".join(parts)
    judge_child(said, limits.wall_s, where)


def judge_child(said: bytes, wall_s: float, where: str, *, module: str = "") -> None:
    """Run a child on what it is told; return if it ends with a good word.

    Args:
        said: What it is told on its input.
        wall_s: Time until it is killed.
        where: How to call what it runs in errors.
        module: The child; that of models if empty.

    Raises:
        TaskError: it does not.
        UnavailableError: this system starts no process now.
    """
    code = _child(said, wall_s, where, module or _CHILD)
    if code:
        how = _SENTENCES.get(code) or f"crashes in its first run ({_named(code)})"
        raise TaskError(f"{where} {how}")


def _rows(numbers: NDArray[np.float64] | NDArray[np.float32]) -> bytes:
    """Return numbers as the child reads them."""
    return numbers.astype("<f4").tobytes()


def _child(said: bytes, wall_s: float, where: str, module: str) -> int:
    """Run the child on what it is told, and return the number it ended with."""
    # what is imported there is what is imported here, wherever this program was started
    environment = {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PATH": os.defpath,
        "ORT_DISABLE_TELEMETRY": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    try:
        child = subprocess.Popen(  # noqa: S603  # this interpreter, and a module of ours
            [sys.executable, "-s", "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
    except OSError as err:
        raise UnavailableError(f"{where}: no process for a first run ({err.strerror})") from err
    try:
        with suppress(BrokenPipeError):
            child.communicate(said, timeout=wall_s)
        return child.wait(timeout=wall_s)
    except subprocess.TimeoutExpired as err:
        raise TaskError(f"{where} does not end its first run within {wall_s:g} s") from err
    finally:
        # whole: what it may have started is in its session
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _named(code: int) -> str:
    """Return what a process ended with, for people."""
    if code >= 0:
        return f"status {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
