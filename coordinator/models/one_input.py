"""One input that a person asks about, as the task's model sees it."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fieldvote.durable import read_whole
from fieldvote.errors import InputError, TaskError, nearest
from fieldvote.task import TabularInput, Task
from strategies.text_features import hash_ngrams

_LARGEST_FILE = 1 << 20


def read_input(task: Task, *, text: str = "", file: Path | None = None) -> NDArray[np.float32]:
    """Return what the task's model is fed. Shape (1, width), float32.

    Args:
        task: Says what an input is.
        text: The input itself, of a task whose inputs are texts.
        file: A file with it: a text, or a JSON object of numbers by field.

    Raises:
        InputError: neither was given, or both, or it is no input of this task.
    """
    if (file is None) == (not text):
        raise InputError("give one input: --text TEXT, or --input FILE")
    content = text if file is None else _content(file)
    if isinstance(task.input, TabularInput):
        if file is None:
            raise InputError("this task's inputs are rows: write one as a JSON object into a file")
        return _row(content, task.input, file)
    return hash_ngrams([content], task.input.width)


def embedding_of(task: Task, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what the task's model makes of one input. Shape (d,).

    Raises:
        TaskError: the model cannot be run here, or gives something else.
    """
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(task.model, providers=["CPUExecutionProvider"])
        (found,) = session.run([task.names.embedding], {task.names.input: inputs})
    except Exception as err:  # the runtime's own errors have no common root
        raise TaskError(f"{task.names.file}: does not run on this input") from err
    embedding = np.asarray(found, dtype=np.float32)
    if embedding.ndim != 2 or len(embedding) != 1 or not np.isfinite(embedding).all():
        raise TaskError(f"{task.names.file}: gives no embedding for this input")
    return np.asarray(embedding[0])


def _content(file: Path) -> str:
    """Return a file as text."""
    blob = read_whole(file)
    if len(blob) > _LARGEST_FILE:
        raise InputError(f"{file}: {len(blob)} bytes; one input is at most {_LARGEST_FILE}")
    try:
        return blob.decode()
    except UnicodeDecodeError as err:
        raise InputError(f"{file}: is no UTF-8 text") from err


def _row(content: str, wanted: TabularInput, file: Path) -> NDArray[np.float32]:
    """Return a JSON object of numbers by field as a row."""
    try:
        said = json.loads(content)
    except (ValueError, RecursionError) as err:
        raise InputError(f"{file}: is no JSON") from err
    if not isinstance(said, dict):
        raise InputError(f"{file}: expected a JSON object of numbers by field")
    for name in said:
        if name not in wanted.fields:
            raise InputError(f"{file}: no field '{name[:64]}'; {nearest(name, wanted.fields)}")
    row = []
    for name in wanted.fields:
        value = said.get(name)
        # a device fills a gap with its own pool's median, and there is no pool here
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise InputError(f"{file}: field '{name}': expected a number")
        row.append(float(value))
    made = np.array([row], dtype=np.float32)
    if not np.isfinite(made).all():
        raise InputError(f"{file}: holds a number that is not finite")
    return made
