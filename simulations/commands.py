"""What the commands do between parsing and printing."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from fieldvote.errors import DataError, InputError, MissingDataError, StoreError
from simulations.datasets import load_dataset
from simulations.plots import learning_curve_png, learning_curve_text
from simulations.rehearsal import run
from simulations.report import TARGETS, CurvePoint, Report
from simulations.scenario import Scenario

_DEMO_ROUNDS = 20


def choose_scenario(
    name: str | None,
    data: Path | None,
    *,
    devices: int | None,
    rounds: int | None,
    strategy: str | None,
) -> Scenario:
    """Return the scenario that the options describe.

    Raises:
        InputError: neither a scenario nor data was named, or an option does not fit.
    """
    if name is None and data is None:
        raise InputError("name a scenario, or give --data FILE.npz: fieldvote simulate digits")
    if data is not None and not data.is_file():
        raise DataError(f"{data}: no such file")
    if name is None and data is not None:
        scenario = Scenario.for_data(data)
    else:
        scenario = Scenario.load(name or "")
        scenario = scenario if data is None else replace(scenario, data=str(data))
    return replace(
        scenario,
        devices=scenario.devices if devices is None else devices,
        rounds=scenario.rounds if rounds is None else rounds,
        strategy=scenario.strategy if strategy is None else strategy,
    )


def rehearse(scenario: Scenario, *, seed: int, engine: str = "in-process") -> Report:
    """Run a scenario with a progress line on standard error."""
    with _progress(scenario) as watch:
        return run(scenario, seed=seed, engine=engine, watch=watch)


def check_writable(path: str) -> None:
    """Refuse a place the report cannot be written to, before minutes are spent on it.

    Raises:
        StoreError: the folder is not there, or not ours to write in.
    """
    folder = Path(path).parent
    if path != "-" and not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise StoreError(f"{path}: cannot be written, {folder} is no folder we may write in")


def write_report(report: Report, path: str) -> None:
    """Write the report as JSON; "-" is standard output.

    Raises:
        StoreError: the file cannot be written.
    """
    if path == "-":
        sys.stdout.write(report.to_json())
        return
    try:
        Path(path).write_text(report.to_json(), encoding="utf-8")
    except OSError as err:
        raise StoreError(f"{path}: cannot be written ({err.strerror or err})") from err


def show(report: Report, out: TextIO) -> None:
    """Print what a person wants to know of a report."""
    console = Console(file=out, highlight=False)
    console.print(
        f"\n[bold]{escape(report.scenario)}[/]  seed {report.seed}, {report.devices} devices,"
        f" {report.rounds} round{'' if report.rounds == 1 else 's'}, strategy {report.strategy}\n"
    )
    console.print(learning_curve_text(_curves(report), targets=_targets(report)), markup=False)
    console.print()
    console.print(_labels_table(report))
    console.print(_left_table(report))


def run_demo(folder: Path, *, seed: int, out: TextIO) -> None:
    """Rehearse text messages, report, and leave the files where the report says."""
    console = Console(file=out, highlight=False)
    scenario = replace(_demo_scenario(console), rounds=_DEMO_ROUNDS)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise StoreError(f"{folder}: cannot be made ({err.strerror or err})") from err
    report = rehearse(scenario, seed=seed)
    picture, written = folder / "learning-curve.png", folder / "report.json"
    write_report(report, str(written))
    metric = report.metric.replace("f1", "F1")
    title = f"{report.scenario}: {metric} on held-out devices"
    learning_curve_png(picture, _curves(report), targets=_targets(report), title=title)
    show(report, out)
    console.print("Files")
    for path, what in ((written, "the whole report"), (picture, "the learning curve")):
        console.print(f"  {path}  {what}", soft_wrap=True, markup=False)
    console.print("\nNext: fieldvote new my-task, then fieldvote check my-task")


def _demo_scenario(console: Console) -> Scenario:
    """Return the real messages where they are at hand or can be fetched, else generated ones."""
    try:
        load_dataset("sms", 1)
    except MissingDataError:
        console.print(
            "[bold]messages[/]: generated text messages with planted personal data."
            " The real ones (sms) are not here and could not be fetched."
        )
        return Scenario.load("messages")
    console.print("[bold]sms[/]: 5,574 real text messages on 40 phones; which of them are spam?")
    return Scenario.load("sms")


@contextmanager
def _progress(scenario: Scenario) -> Iterator[Callable[[str, CurvePoint], None]]:
    """Show one line per arm on standard error while a rehearsal runs."""
    columns = (
        TextColumn("{task.description:>7}"),
        BarColumn(bar_width=24),
        TextColumn("round {task.fields[round]:>3}  {task.fields[labels]:>5} labels"),
        TextColumn("score {task.fields[score]:.3f}"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True, no_color="NO_COLOR" in os.environ)
    with Progress(*columns, console=console, transient=False) as bar:
        lines = {
            arm: bar.add_task(arm, total=scenario.rounds, start=False, round=0, labels=0, score=0.0)
            for arm in ("active", "random")
        }

        def watch(arm: str, point: CurvePoint) -> None:
            bar.start_task(lines[arm])
            bar.update(
                lines[arm],
                completed=point.round,
                round=point.round,
                labels=point.labels,
                score=point.metric,
            )

        try:
            yield watch
        except BaseException:  # nothing to see beside the line that says what is wrong
            if not any(bar.tasks[line].started for line in lines.values()):
                bar.live.transient = True
                for line in lines.values():
                    bar.update(line, visible=False)
            raise


def _labels_table(report: Report) -> Table:
    """Return how many labels it took, against random picking."""
    table = Table(title="Labels needed", title_justify="left", box=None, pad_edge=False)
    table.add_column("share of the full-data score")
    for name in ("score", report.strategy, "random", "saved"):
        table.add_column(name, justify="right")
    for target in TARGETS:
        key = f"{target:.2f}"
        ours, twin = report.labels_to[key], report.random_labels_to[key]
        table.add_row(
            f"{target:.0%}",
            f"{target * report.full_data_metric:.3f}",
            _count(ours),
            _count(twin),
            f"{1 - ours / twin:.0%}" if ours and twin else "",
        )
    return table


def _left_table(report: Report) -> Table:
    """Return what left the devices, and how good the weak labels are."""
    table = Table(title="\nWhat left the devices", title_justify="left", box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("", justify="right")
    table.add_column("")
    kinds = report.bytes_up_by_kind
    rows = [
        ("raw data", "0 B", f"of {_size(report.raw_bytes)} on the training devices"),
        ("sums of votes", _size(kinds["summaries"]), "counts over whole pools"),
        ("offers", _size(kinds["offers"]), "random ids, scores and sketches"),
        ("candidates", _size(kinds["candidates"]), f"{report.candidates} masked, sealed items"),
        ("model updates", _size(kinds["updates"]), "sums of gradients"),
        ("overhead", _size(kinds["overhead"]), "message frames"),
    ]
    for row in rows:
        table.add_row(*row)
    leaked = f"of {report.pii_planted} planted names, numbers and addresses"
    if not report.pii_planted:
        leaked = "of 0 planted; 'fieldvote simulate messages' plants some"
    table.add_row("leaked", str(report.pii_leaked), leaked)
    epsilon = "off" if report.epsilon is None else f"{report.epsilon:g}"
    table.add_row("epsilon", epsilon, report.sums)
    weak = report.label_model
    if weak.accuracy is not None and weak.majority_accuracy is not None:
        table.add_row(
            "label model",
            f"{weak.accuracy:.1%}",
            f"right on voted items (majority {weak.majority_accuracy:.1%})",
        )
    right = f"{report.annotator_accuracy:.1%}"
    table.add_row("annotator", right, "right, seeing masked items only")
    return table


def _curves(report: Report) -> dict[str, list[tuple[int, float]]]:
    """Return both learning curves by name."""
    return {
        report.strategy: [(point.labels, point.metric) for point in report.curve],
        "random": [(point.labels, point.metric) for point in report.random_curve],
    }


def _targets(report: Report) -> dict[str, float]:
    """Return the scores that count, by name."""
    return {f"{target:.0%} of full data": target * report.full_data_metric for target in TARGETS}


def _count(labels: float | None) -> str:
    return "not yet" if labels is None else f"{labels:.0f}"


def _size(size_bytes: int) -> str:
    """Return a size for people."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
