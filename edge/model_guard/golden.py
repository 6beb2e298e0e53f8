"""Golden outputs: what a model answers to a few made-up inputs, signed with its task.

A model that computes something else on a device than on the desk of whoever signed it (another
build of ONNX Runtime, a processor with other instructions) is found out before it serves.
`fieldvote check --save-golden` writes the file, and task.toml names it: `[model] golden =
"golden.msgpack"`. The inputs are drawn, not taken from items: the file goes to every device.
"""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from fieldvote.codec import FloatVector, decode, encode
from fieldvote.errors import TaskError, WireError
from fieldvote.rng import stream

TOLERANCE: Final = 2e-3  # absolute and relative: instruction sets differ by less, weights by more
_ROWS = 8
_MOST_ROWS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """Inputs and what the model makes of them, row after row.

    Attributes:
        rows: How many there are, n.
        inputs: Shape (n * width,).
        probabilities: Shape (n * k,).
        embeddings: Shape (n * d,).
    """

    rows: int
    inputs: FloatVector
    probabilities: FloatVector
    embeddings: FloatVector

    def to_bytes(self) -> bytes:
        """Return the file."""
        return encode(self, {1: Golden})

    @staticmethod
    def from_bytes(content: bytes, *, width: int, classes: int, where: str) -> "Golden":
        """Read the file of a task whose items have width features.

        Raises:
            TaskError: these bytes are no golden outputs of such a task.
        """
        try:
            golden = decode(content, {1: Golden}, (Golden,))
        except WireError as err:
            raise TaskError(f"{where} are no golden outputs: {err}") from err
        rows = golden.rows
        if not 1 <= rows <= _MOST_ROWS:
            raise TaskError(f"{where}: {rows} golden rows, expected 1 to {_MOST_ROWS}")
        sizes = (len(golden.inputs), len(golden.probabilities), len(golden.embeddings))
        if sizes[:2] != (rows * width, rows * classes) or not sizes[2] or sizes[2] % rows:
            raise TaskError(f"{where}: {sizes} golden numbers do not fit {rows} rows of this task")
        return golden


class Answers(Protocol):
    """What a model says: (n, k) and (n, d)."""

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """Shape (n, k)."""

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """Shape (n, d)."""


def made_up(rows: int, width: int) -> NDArray[np.float32]:
    """Return inputs that are nobody's. Shape (rows, width)."""
    return stream(0, "golden inputs").normal(size=(rows, width)).astype(np.float32)


def golden_inputs(width: int) -> NDArray[np.float32]:
    """Return the inputs golden outputs are made with. Shape (8, width)."""
    return made_up(_ROWS, width)


def golden_of(inputs: NDArray[np.float32], answers: Answers) -> Golden:
    """Return what a model answered, to be kept."""
    return Golden(
        rows=len(inputs),
        inputs=inputs.astype(np.float64).ravel(),
        probabilities=answers.probabilities.astype(np.float64).ravel(),
        embeddings=answers.embeddings.astype(np.float64).ravel(),
    )


def differs(kept: NDArray[np.float64], made: NDArray[np.float32]) -> bool:
    """Return whether a model's output is another than was kept of it."""
    flat = made.astype(np.float64).ravel()
    return len(flat) != len(kept) or not np.allclose(flat, kept, rtol=TOLERANCE, atol=TOLERANCE)
