"""What `fieldvote check` found, as a value, as a table, and as JSON."""

import json
from dataclasses import asdict, dataclass
from io import StringIO


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedExample:
    """An example that did not get its vote; position counts from 1."""

    position: int
    expected: str
    got: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduct:
    """How a function behaves on the given items. Shares are of all items.

    Attributes:
        coverage: Share it votes on.
        overlap: Share it votes on and another function does too.
        conflict: Share it votes on and another one votes otherwise.
        accuracy: Share of its votes that are right; None without labels or votes.
        latency_us: Microseconds per item, alone.
        errors: Items it could not answer for.
    """

    coverage: float
    overlap: float
    conflict: float
    accuracy: float | None
    latency_us: float
    errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCheck:
    """One labeling function: its name and version, its examples, its conduct."""

    id: str
    kind: str
    version: str
    classes: tuple[str, ...]
    examples: int
    failed: tuple[FailedExample, ...]
    conduct: Conduct | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What was found.

    Attributes:
        task: Name of the task.
        digest: Digest over its files.
        width: Features the model takes.
        embedding: Dimensions of the model's embedding.
        functions: One per labeling function, in the order of vote columns.
        items: How many items were voted on; None without a file.
        covered: Share of items with at least one vote.
        latency_us: Microseconds per item, all functions together.
        model_latency_us: Microseconds per item, features and model.
    """

    task: str
    digest: str
    width: int
    embedding: int
    functions: tuple[FunctionCheck, ...]
    items: int | None = None
    covered: float | None = None
    latency_us: float | None = None
    model_latency_us: float | None = None

    @property
    def passed(self) -> bool:
        """Whether every example got its vote."""
        return not any(function.failed for function in self.functions)


def to_json(report: CheckReport) -> str:
    """Return the report as one JSON object."""
    return json.dumps({**asdict(report), "passed": report.passed}, indent=2)


def to_table(report: CheckReport) -> str:
    """Return the report as people read it."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    headings = ["function", "kind", "class", "version", "examples"]
    if report.items is not None:
        headings += ["coverage", "overlap", "conflict", "accuracy", "µs/item", "errors"]
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="left" if i < 4 else "right", no_wrap=i != 2)
    for function in report.functions:
        table.add_row(*_cells(function))
    paper = StringIO()
    console = Console(file=paper, width=140, color_system=None, highlight=False, markup=False)
    console.print(f"task {report.task}, {report.digest[:12]}")
    console.print(f"model: {report.width} features in, an embedding of {report.embedding} out")
    console.print(table if report.functions else "no labeling functions")
    if report.items is not None and report.covered is not None:
        cost = f"{report.latency_us:.1f} µs an item to vote, {report.model_latency_us:.0f} to score"
        console.print(f"{report.items} items, {report.covered:.1%} with a vote; {cost}")
    for function in report.functions:
        for each in function.failed:
            asked = f"expected {each.expected}, got {each.got}"
            console.print(f"FAILED {function.id}: example {each.position}: {asked}")
    if report.passed:
        console.print("all is well")
    return "\n".join(line.rstrip() for line in paper.getvalue().splitlines())


def _cells(function: FunctionCheck) -> list[str]:
    """Return one row of the table."""
    passed = function.examples - len(function.failed)
    cells = [function.id, function.kind, ", ".join(function.classes), function.version]
    cells.append(f"{passed} of {function.examples}" if function.examples else "none")
    if (seen := function.conduct) is not None:
        cells += [f"{share:.1%}" for share in (seen.coverage, seen.overlap, seen.conflict)]
        cells.append("-" if seen.accuracy is None else f"{seen.accuracy:.1%}")
        cells += [f"{seen.latency_us:.1f}", str(seen.errors)]
    return cells
