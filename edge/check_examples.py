"""Does a task run at all: its functions on their own examples, its model on one empty item."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from edge.check_report import FailedExample
from edge.items import model_inputs, row_payload
from edge.labeling import Items, compile_functions
from edge.scorer import Scorer
from fieldvote.errors import FieldvoteError, TaskError
from fieldvote.functions import ABSTAIN, LabelingFunction, Source
from fieldvote.task import Task, TextInput


def run_examples(
    task: Task, function: LabelingFunction, pins: Mapping[str, str]
) -> tuple[FailedExample, ...]:
    """Return the examples of a function that do not get the vote they ask for.

    Examples are in the function's own languages and were left to it: neither the language rule nor
    the function it stands in for is asked.
    """
    if not function.examples:
        return ()
    alone = replace(function, language_rule=None, fallback_for="")
    ready = compile_functions([alone], task.input, task.classes, pins=pins)
    votes = ready.vote(_example_items(task, function))[:, 0]
    failed = []
    for position, (example, vote) in enumerate(zip(function.examples, votes, strict=True), start=1):
        got = ABSTAIN if vote < 0 else task.classes[vote]
        if got != example.vote:
            failed.append(FailedExample(position=position, expected=example.vote, got=got))
    return tuple(failed)


def _example_items(task: Task, function: LabelingFunction) -> Items:
    """Return a function's examples as items; a field that is left out is missing."""
    inputs = [example.input for example in function.examples]
    if function.reads is Source.TEXT:
        return Items(texts=[given for given in inputs if isinstance(given, str)])
    of_fields = function.reads is Source.FIELDS
    names = task.input.field_names or () if of_fields else task.classes
    matrix = np.full((len(inputs), len(names)), np.nan if of_fields else 0.0)
    for row, given in zip(matrix, inputs, strict=True):
        for name, value in dict(given if not isinstance(given, str) else ()).items():
            row[names.index(name)] = value
    return Items(rows=matrix, names=names) if of_fields else Items(probabilities=matrix)


def open_model(task: Task, where: str) -> tuple[Scorer, int]:
    """Load the model, let it score one empty item, and return it with its embedding's width."""
    names = (task.names.input, task.names.probabilities, task.names.embedding)
    scorer = Scorer(task.model, names=names, where=where)
    wanted, k = task.input.width, len(task.classes)
    blank = b"" if isinstance(task.input, TextInput) else row_payload(np.zeros(wanted))
    if scorer.width not in (None, wanted):
        raise TaskError(
            f"{where}: input '{names[0]}' takes {scorer.width} features, the task has {wanted}"
        )
    try:
        scores = scorer.score(model_inputs([blank], task.input))
    except FieldvoteError:
        raise
    except Exception as err:  # onnxruntime's errors share no public base class
        raise TaskError(f"{where}: does not run on one item ({type(err).__name__})") from err
    if scores.probabilities.shape != (1, k):
        got = scores.probabilities.shape
        raise TaskError(f"{where}: output '{names[1]}' has shape {got}, expected (n, {k})")
    if not np.isclose(scores.probabilities.sum(), 1.0, atol=1e-3):
        raise TaskError(f"{where}: output '{names[1]}' does not sum to 1; end it with a softmax")
    if scores.embeddings.ndim != 2:
        got = scores.embeddings.shape
        raise TaskError(f"{where}: output '{names[2]}' has shape {got}, expected (n, d)")
    return scorer, scores.embeddings.shape[1]
