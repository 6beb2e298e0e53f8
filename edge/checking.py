"""`fieldvote check`: is this task whole, do its functions do what their examples say, and how well?

Nothing is sent, and nothing is written but the baseline that was asked for.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from edge.check_baseline import Tolerance
from fieldvote.errors import InputError

_ALLOWED = Tolerance()


def check(
    task: Annotated[Path, typer.Argument(help="The task folder.")],
    items: Annotated[
        Path | None,
        typer.Option(help="Vote on these: a .txt of one text a line, or an .npz with X or utf8."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(help="Show groups: a field, or an array of the .npz beside X or utf8."),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(help="Fail where the functions do worse on the items than this file says."),
    ] = None,
    write_baseline: Annotated[
        Path | None,
        typer.Option("--save-baseline", help="Write how the functions do on the items."),
    ] = None,
    save_golden: Annotated[
        Path | None,
        typer.Option(help="Write what the model answers to made-up inputs; task.toml names it."),
    ] = None,
    coverage_drop: Annotated[
        float, typer.Option(help="How much coverage may fall below the baseline, a share.")
    ] = _ALLOWED.coverage,
    accuracy_drop: Annotated[
        float, typer.Option(help="How much accuracy may fall below the baseline, a share.")
    ] = _ALLOWED.accuracy,
    conflict_rise: Annotated[
        float, typer.Option(help="How much conflict may rise above the baseline, a share.")
    ] = _ALLOWED.conflict,
    pin: Annotated[
        list[str] | None,
        typer.Option(help="Run an installed Python function: NAME=DIGEST. May be repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check a task folder: its files, its functions and their examples, its model.

    Ends with 2 where the task contradicts itself, an example does not get its vote, or the
    functions do worse than the baseline.

    Example: fieldvote check my-task --items messages.txt --baseline baseline.json
    """
    from edge.check_baseline import regressions, save_baseline
    from edge.check_golden import write_golden
    from edge.check_report import to_json
    from edge.check_table import to_table
    from edge.check_task import check_task
    from fieldvote.task import Task

    tolerance = Tolerance(coverage=coverage_drop, accuracy=accuracy_drop, conflict=conflict_rise)
    if save_golden is not None:
        write_golden(Task.load(task), save_golden)  # first: the task may name this very file
    report = check_task(task, items, by=by, pins=_pins(pin or ()))
    if baseline is not None:
        report = replace(report, regressions=regressions(report, baseline, tolerance))
    if write_baseline is not None:
        save_baseline(report, write_baseline)
    typer.echo(to_json(report) if as_json else to_table(report))
    if not report.passed:
        raise typer.Exit(2)


def _pins(given: Sequence[str]) -> dict[str, str]:
    """Read NAME=DIGEST."""
    pins = {}
    for each in given:
        name, sign, digest = each.partition("=")
        if not sign or not name or not digest:
            raise InputError(f"--pin: expected NAME=DIGEST, got '{each}'")
        pins[name] = digest
    return pins
