"""Golden outputs at the desk of whoever signs a task: written and compared."""

from pathlib import Path

from edge.model_guard.golden import Golden, differs, golden_inputs, golden_of
from edge.scorer import Scorer
from fieldvote.errors import StoreError, TaskError
from fieldvote.task import Task


def write_golden(task: Task, path: Path) -> None:
    """Write what a task's model answers to made-up inputs.

    Raises:
        TaskError: the model does not run.
        StoreError: the file cannot be written.
    """
    names = (task.names.input, task.names.probabilities, task.names.embedding)
    inputs = golden_inputs(task.input.width)
    answers = Scorer(task.model, names=names, where=task.names.file).score(inputs)
    try:
        path.write_bytes(golden_of(inputs, answers).to_bytes())
    except OSError as err:
        raise StoreError(f"{path}: cannot be written ({err.strerror or err})") from err


def check_golden(task: Task, scorer: Scorer) -> None:
    """Return if a task's model gives its golden outputs, or has none.

    Raises:
        TaskError: it gives others: a device would not take it.
    """
    name = task.names.golden
    if not name:
        return
    width, classes = task.input.width, len(task.classes)
    golden = Golden.from_bytes(task.golden, width=width, classes=classes, where=name)
    inputs = golden.inputs.reshape(golden.rows, width).astype("float32")
    answers = scorer.score(inputs)
    for kept, made in (
        (golden.probabilities, answers.probabilities),
        (golden.embeddings, answers.embeddings),
    ):
        if differs(kept, made):
            raise TaskError(
                f"{task.names.file} does not give the golden outputs in {name}; if the model is"
                f" the one you mean, write them anew: fieldvote check TASK --save-golden {name}"
            )
