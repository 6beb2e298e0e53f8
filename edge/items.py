"""Items as the pool keeps them, as the labeling functions see them, and as the model wants them.

One feature path: what is scored on a device, what is rehearsed, and what trains is made here.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.labeling import Items
from fieldvote.errors import InputError, ShapeError
from fieldvote.task import TabularInput, TextInput
from strategies.text_features import hash_ngrams

TaskInput = TextInput | TabularInput


def text_payload(text: str) -> bytes:
    """Return a text as the pool keeps it; what is not valid Unicode is replaced."""
    return text.encode("utf-8", errors="replace")


def row_payload(row: NDArray[np.float64]) -> bytes:
    """Return a row of fields as the pool keeps it; NaN means missing.

    Raises:
        InputError: a field is infinite.
    """
    if np.isinf(row).any():
        raise InputError(f"field {int(np.flatnonzero(np.isinf(row))[0])} of an item is infinite")
    return row.astype("<f8").tobytes()


def texts_of(payloads: Sequence[bytes]) -> tuple[str, ...]:
    """Return payloads as texts."""
    return tuple(payload.decode("utf-8", errors="replace") for payload in payloads)


def rows_of(payloads: Sequence[bytes], fields: int) -> NDArray[np.float64]:
    """Return payloads as a matrix. Shape (n, fields).

    Raises:
        ShapeError: a payload has another number of fields.
    """
    for payload in payloads:
        if len(payload) != 8 * fields:
            raise ShapeError("item", (len(payload) // 8,), (fields,))
    return (
        np.frombuffer(b"".join(payloads), dtype="<f8").reshape(len(payloads), fields).astype(float)
    )


def model_inputs(payloads: Sequence[bytes], task_input: TaskInput) -> NDArray[np.float32]:
    """Return what the task's model is fed. Shape (n, width), float32, finite.

    A missing field is filled with the pool's own median of that field, or 0 where the pool has
    never seen it: a device knows no other pool.
    """
    if isinstance(task_input, TextInput):
        return hash_ngrams(texts_of(payloads), task_input.width)
    rows = rows_of(payloads, len(task_input.fields))
    return _filled(rows).astype(np.float32)


def _filled(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace NaN by the column's median."""
    missing = np.isnan(rows)
    if not missing.any():
        return rows
    medians = np.array(
        [
            np.median(column[~gaps]) if (~gaps).any() else 0.0
            for column, gaps in zip(rows.T, missing.T, strict=True)
        ]
    )
    return np.where(missing, medians, rows)


def items_of(
    payloads: Sequence[bytes], task_input: TaskInput, probabilities: NDArray[np.float64] | None
) -> Items:
    """Return items as labeling functions see them.

    Args:
        payloads: As the pool keeps them; n of them.
        task_input: What an item of the task is.
        probabilities: What the model says of them. Shape (n, k); None where no function asks it.
    """
    if isinstance(task_input, TextInput):
        return Items(texts=texts_of(payloads), probabilities=probabilities)
    rows = rows_of(payloads, task_input.width)
    return Items(rows=rows, names=task_input.fields, probabilities=probabilities)
