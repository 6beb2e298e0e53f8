"""Checking a task: its files, its functions and their examples, and its conduct on items."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge.check_baseline import items_digest
from edge.check_calibration import model_calibration
from edge.check_conduct import count_votes, effective_sources, suspicions, tally, tally_all
from edge.check_examples import open_model, run_examples
from edge.check_golden import check_golden
from edge.check_groups import Group, group_values, groups_of
from edge.check_report import CheckReport, ClassCheck, Conduct, FunctionCheck, Pair
from edge.item_file import ItemFile, load_items
from edge.items import items_of, model_inputs
from edge.labeling import compile_functions
from edge.redaction import redaction_of
from edge.scorer import Scorer, network_of
from fieldvote.errors import InputError
from fieldvote.functions import LabelingFunction
from fieldvote.task import Task

Clock = Callable[[], float]


def check_task(
    folder: Path,
    items: Path | None = None,
    *,
    by: str | None = None,
    pins: Mapping[str, str] | None = None,
    clock: Clock = time.perf_counter,
) -> CheckReport:
    """Check the task in a folder, and its functions on a file of items.

    Args:
        folder: The task folder.
        items: A .txt of one text a line, or an .npz as for `fieldvote simulate --data`.
        by: What items are grouped by, if they are.
        pins: Python functions that may run here: entry point and digest.
        clock: Seconds; what latencies are measured with.

    Raises:
        TaskError, SettingsError: The task contradicts itself; the message says where.
        DataError: The file is not what this task reads.
        RefusalError: A Python function is not pinned.
    """
    task, allowed = Task.load(folder), pins or {}
    redaction_of(task)  # what could not be masked is said here, before a device refuses the task
    scorer, embedding = open_model(task, f"{folder}/{task.names.file}")
    check_golden(task, scorer)
    network_of(task)  # a train step that no device would load is refused here
    compile_functions(task.functions, task.input, task.classes, pins=allowed)
    report = CheckReport(
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
                failed=run_examples(task, function, allowed),
                conduct=None,
                origin=function.origin,
            )
            for function in task.functions
        ),
        classes=tuple(
            ClassCheck(
                name=name,
                functions=tuple(each.id for each in task.functions if name in each.classes),
                tally=None,
            )
            for name in task.classes
        ),
        origins=len(set(_origins(task.functions))),
        notes=_notes(task.functions),
    )
    if items is None:
        if by is not None:
            raise InputError("--by: groups are of items: give --items")
        return report
    held = load_items(items, task.input, len(task.classes))
    return _observe(report, task, scorer, held, items, by, allowed, clock)


def _observe(
    report: CheckReport,
    task: Task,
    scorer: Scorer,
    held: ItemFile,
    file: Path,
    by: str | None,
    pins: Mapping[str, str],
    clock: Clock,
) -> CheckReport:
    """Vote on the items, and add to the report how it went and what it cost."""
    n, classes, labels = len(held.payloads), task.classes, held.labels
    started = clock()
    inputs = model_inputs(held.payloads, task.input)
    probabilities = scorer.score(inputs).probabilities.astype(np.float64)
    scored = clock()
    items = items_of(held.payloads, task.input, probabilities)
    ready = compile_functions(task.functions, task.input, classes, pins=pins)
    voting = clock()
    votes = ready.vote(items)
    voted = clock()
    checks, counts = [], count_votes(votes, len(classes))
    for place, (function, checked) in enumerate(zip(task.functions, report.functions, strict=True)):
        whole = tally(votes, counts, labels, function=place)
        alone = compile_functions([function], task.input, classes, pins=pins)
        began = clock()
        alone.vote(items)
        conduct = Conduct(
            coverage=whole.coverage,
            overlap=whole.overlap,
            conflict=whole.conflict,
            accuracy=whole.accuracy,
            latency_us=1e6 * (clock() - began) / n,
            errors=ready.abstained_by_error[function.id],
            by_class=tuple(
                (name, tally(votes, counts, labels, function=place, vote=classes.index(name)))
                for name in function.classes
            ),
        )
        checks.append(replace(checked, conduct=conduct))
    together = tally_all(votes, labels)
    origins = _origins(task.functions)
    names = sorted(set(origins))
    groups: tuple[Group, ...] = ()
    if by is not None:
        values = group_values(by, file, items.rows, items.names, n)
        groups = groups_of(values, votes, labels, len(classes))
    return replace(
        report,
        functions=tuple(checks),
        classes=tuple(
            replace(each, tally=tally_all(votes, labels, vote=place))
            for place, each in enumerate(report.classes)
        ),
        effective_origins=effective_sources(votes, [names.index(each) for each in origins]),
        items=n,
        items_digest=items_digest(held.payloads, None if labels is None else labels.tolist()),
        covered=together.coverage,
        all=together,
        pairs=tuple(
            Pair(
                first=task.functions[each.first].id,
                second=task.functions[each.second].id,
                agreement=each.agreement,
                expected=each.expected,
                same_origin=origins[each.first] == origins[each.second],
            )
            for each in suspicions(votes, labels, len(classes))
        ),
        by=by,
        groups=groups,
        calibration=None if labels is None else model_calibration(probabilities, labels),
        latency_us=1e6 * (voted - voting) / n,
        model_latency_us=1e6 * (scored - started) / n,
    )


def _origins(functions: Sequence[LabelingFunction]) -> list[str]:
    """Return the origin of each function; one that names none is taken as its own."""
    return [function.origin.strip() or f"function {function.id}" for function in functions]


def _notes(functions: Sequence[LabelingFunction]) -> tuple[str, ...]:
    """Return what is no error, and should be known."""
    unchecked = [each.id for each in functions if each.languages and each.language_rule is None]
    silent = [each.id for each in functions if not each.examples]
    notes = []
    if unchecked:
        notes.append(
            f"languages of {_listed(unchecked)} are declared and not checked: no [language] table"
        )
    if silent:
        notes.append(f"no example says what {_listed(silent)} should do")
    return tuple(notes)


def _listed(ids: Sequence[str], most: int = 3) -> str:
    """Return some names, and how many more there are."""
    more = len(ids) - most
    return ", ".join(ids[:most]) + (f" and {more} more" if more > 0 else "")
