"""What `fieldvote check` found, as people read it: the verdict last, where the eye rests."""

from io import StringIO
from typing import TYPE_CHECKING

from edge.check_conduct import Tally
from edge.check_report import CheckReport, Conduct, FunctionCheck

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_WIDTH = 140
_MOST_PAIRS = 10
# no line of a check is so long that what follows cannot be seen beside it
_MOST_CLASSES = 24


def to_table(report: CheckReport) -> str:
    """Return the report as people read it."""
    from rich.console import Console

    paper = StringIO()
    console = Console(file=paper, width=_WIDTH, color_system=None, highlight=False, markup=False)
    console.print(f"task {report.task}, {report.digest[:12]}")
    console.print(f"model: {report.width} features in, an embedding of {report.embedding} out")
    console.print(_functions(report) if report.functions else "no labeling functions")
    if report.items is not None and report.all is not None:
        console.print(_classes(report))
        cost = f"{report.latency_us:.1f} µs an item to vote, {report.model_latency_us:.0f} to score"
        voted = f"{report.items} items, {report.all.coverage:.1%} with a vote"
        console.print(f"{voted}, {report.all.conflict:.1%} in conflict; {cost}")
    if (seen := report.calibration) is not None:
        better = f"; {seen.calibrated_log_loss:.3f} at temperature {seen.temperature:.2f}"
        hint = better if seen.temperature != 1.0 else ""
        console.print(f"the model's log loss on these items is {seen.log_loss:.3f}{hint}")
    _sources(report, console)
    if report.groups:
        console.print(_groups(report))
    _findings(report, console)
    return "\n".join(line.rstrip() for line in paper.getvalue().splitlines())


def _table(*headings: str, words: int) -> "Table":
    """Return an empty table whose first columns are words and whose others are numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="left" if i < words else "right", no_wrap=i != 2)
    return table


def _functions(report: CheckReport) -> "Table":
    """One line a function, and one more for each class where it votes for several."""
    headings = ["function", "kind", "class", "version", "examples"]
    if report.items is not None:
        headings += ["coverage", "overlap", "conflict", "accuracy", "µs/item", "errors"]
    table = _table(*headings, words=4)
    for function in report.functions:
        table.add_row(*_cells(function))
        if function.conduct is not None and len(function.classes) > 1:
            for name, tally in function.conduct.by_class:
                table.add_row("", "", f"  {name}", "", "", *_shares(tally), "", "")
    return table


def _cells(function: FunctionCheck) -> list[str]:
    """Return one line of the table."""
    passed = function.examples - len(function.failed)
    cells = [function.id, function.kind, ", ".join(function.classes), function.version]
    cells.append(f"{passed} of {function.examples}" if function.examples else "none")
    if (seen := function.conduct) is not None:
        cells += [*_shares(seen), f"{seen.latency_us:.1f}", str(seen.errors)]
    return cells


def _shares(seen: Tally | Conduct) -> list[str]:
    """Return coverage, overlap, conflict and accuracy."""
    cells = [f"{share:.1%}" for share in (seen.coverage, seen.overlap, seen.conflict)]
    return [*cells, "-" if seen.accuracy is None else f"{seen.accuracy:.1%}"]


def _classes(report: CheckReport) -> "Table":
    """One line a class, the least covered first where there are many."""
    shown = report.classes
    if len(shown) > _MOST_CLASSES:
        shown = tuple(sorted(shown, key=lambda each: each.tally.coverage if each.tally else 0.0))
    table = _table("class", "functions", "coverage", "overlap", "conflict", "accuracy", words=1)
    for each in shown[:_MOST_CLASSES]:
        shares = ["-"] * 4 if each.tally is None else _shares(each.tally)
        table.add_row(each.name, str(len(each.functions)), *shares)
    return table


def _sources(report: CheckReport, console: "Console") -> None:
    """Say how many independent sources there are, and which functions seem to be one."""
    if report.functions:
        weighed = report.effective_origins
        effective = "" if weighed is None else f", effectively {weighed:.1f}"
        plural = "" if report.origins == 1 else "s"
        console.print(f"labels come from {report.origins} origin{plural}{effective}")
    for pair in report.pairs[:_MOST_PAIRS]:
        console.print(
            f"SUSPECT {pair.first} and {pair.second}: same vote on {pair.agreement:.0%} of the "
            f"rarer one's items, {pair.expected:.0%} by chance"
            f"{'; same origin' if pair.same_origin else ''}"
        )
    if (more := len(report.pairs) - _MOST_PAIRS) > 0:
        console.print(f"SUSPECT and {more} pairs more; --json lists all")


def _groups(report: CheckReport) -> "Table":
    """One line a group."""
    names = [each.name for each in report.classes][:_MOST_CLASSES]
    table = _table(
        report.by or "", "items", "coverage", "conflict", "accuracy",
        *(f"votes {name}" for name in names), words=1,
    )  # fmt: skip
    for group in report.groups:
        table.add_row(
            group.name,
            str(group.items),
            f"{group.coverage:.1%}",
            f"{group.conflict:.1%}",
            "-" if group.accuracy is None else f"{group.accuracy:.1%}",
            *(f"{share:.1%}" for share in group.shares[: len(names)]),
        )
    return table


def _findings(report: CheckReport, console: "Console") -> None:
    """Say what is wrong, what is worse, and what should be known; or that all is well."""
    for group in report.groups:
        for said in group.stands_out:
            console.print(f"UNEVEN {report.by} {group.name}: {said}")
    for name in report.gaps:
        console.print(f"GAP {name}: no function votes for it")
    for note in report.notes:
        console.print(f"NOTE {note}")
    for function in report.functions:
        for each in function.failed:
            asked = f"expected {each.expected}, got {each.got}"
            console.print(f"FAILED {function.id}: example {each.position}: {asked}")
    for said in report.regressions:
        console.print(f"WORSE {said}")
    if report.passed:
        console.print("all is well")
