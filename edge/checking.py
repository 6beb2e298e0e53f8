"""`fieldvote check`: is this task whole, do its functions do what their examples say, and how well?

Nothing is written and nothing is sent.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from edge.check_report import CheckReport, Conduct, FailedExample, FunctionCheck, to_json, to_table
from edge.item_file import ItemFile, load_items
from edge.items import items_of, model_inputs, row_payload
from edge.labeling import Items, compile_functions
from edge.scorer import Scorer
from fieldvote.errors import FieldvoteError, TaskError
from fieldvote.functions import ABSTAIN, LabelingFunction, Source
from fieldvote.task import Task, TextInput
from strategies.labeling import analyse

Clock = Callable[[], float]


def check(
    task: Annotated[Path, typer.Argument(help="The task folder.")],
    items: Annotated[
        Path | None,
        typer.Option(help="Vote on these: a .txt of one text a line, or an .npz with X or utf8."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check a task folder: its files, its functions and their examples, its model.

    Ends with 2 where the task contradicts itself or an example does not get its vote.

    Example: fieldvote check my-task --items messages.txt
    """
    report = check_task(task, items)
    typer.echo(to_json(report) if as_json else to_table(report))
    if not report.passed:
        raise typer.Exit(2)


def check_task(
    folder: Path, items: Path | None = None, *, clock: Clock = time.perf_counter
) -> CheckReport:
    """Check the task in a folder, and its functions on a file of items.

    Args:
        folder: The task folder.
        items: A .txt of one text a line, or an .npz as for `fieldvote simulate --data`.
        clock: Seconds; what latencies are measured with.

    Raises:
        TaskError, SettingsError: The task contradicts itself; the message says where.
        DataError: The file is not what this task reads.
    """
    task = Task.load(folder)
    scorer, embedding = _open_model(task, f"{folder}/{task.names.file}")
    failed = [run_examples(task, function) for function in task.functions]
    compile_functions(task.functions, task.input, task.classes)
    conducts: tuple[Conduct | None, ...] = (None,) * len(task.functions)
    totals: dict[str, float] = {}
    held = None if items is None else load_items(items, task.input, len(task.classes))
    if held is not None:
        conducts, totals = _observe(task, scorer, held, clock)
    return CheckReport(
        task=task.name,
        digest=task.digest,
        width=task.input.width,
        embedding=embedding,
        functions=tuple(
            FunctionCheck(
                id=function.id,
                kind=function.kind,
                version=function.version,
                classes=function.classes,
                examples=len(function.examples),
                failed=failures,
                conduct=conduct,
            )
            for function, failures, conduct in zip(task.functions, failed, conducts, strict=True)
        ),
        items=None if held is None else len(held.payloads),
        **totals,
    )


def run_examples(task: Task, function: LabelingFunction) -> tuple[FailedExample, ...]:
    """Return the examples of a function that do not get the vote they ask for."""
    if not function.examples:
        return ()
    ready = compile_functions([function], task.input, task.classes)
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


def _open_model(task: Task, where: str) -> tuple[Scorer, int]:
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


def _observe(
    task: Task, scorer: Scorer, held: ItemFile, clock: Clock
) -> tuple[tuple[Conduct, ...], dict[str, float]]:
    """Vote on the items and say how each function did, and what they cost together."""
    n = len(held.payloads)
    started = clock()
    inputs = model_inputs(held.payloads, task.input)
    probabilities = scorer.score(inputs).probabilities.astype(np.float64)
    scored = clock()
    items = items_of(held.payloads, task.input, probabilities)
    ready = compile_functions(task.functions, task.input, task.classes)
    voting = clock()
    votes = ready.vote(items)
    voted = clock()
    reports = analyse(votes, classes=len(task.classes), labels=held.labels)
    conducts = []
    for function, report in zip(task.functions, reports, strict=True):
        alone = compile_functions([function], task.input, task.classes)
        began = clock()
        alone.vote(items)
        conducts.append(
            Conduct(
                coverage=report.coverage,
                overlap=report.overlap,
                conflict=report.conflict,
                accuracy=report.accuracy,
                latency_us=1e6 * (clock() - began) / n,
                errors=ready.abstained_by_error[function.id],
            )
        )
    return tuple(conducts), {
        "covered": float((votes >= 0).any(axis=1).mean()),
        "latency_us": 1e6 * (voted - voting) / n,
        "model_latency_us": 1e6 * (scored - started) / n,
    }
