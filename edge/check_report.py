"""What `fieldvote check` found, as a value and as JSON; `edge.check_table` prints it for people."""

import json
from dataclasses import asdict, dataclass

from edge.check_calibration import ModelCalibration
from edge.check_conduct import Tally
from edge.check_groups import Group


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
        by_class: The same for its votes for one class, by the class's name.
    """

    coverage: float
    overlap: float
    conflict: float
    accuracy: float | None
    latency_us: float
    errors: int
    by_class: tuple[tuple[str, Tally], ...] = ()

    @property
    def tally(self) -> Tally:
        """What its votes come to."""
        return Tally(
            coverage=self.coverage,
            overlap=self.overlap,
            conflict=self.conflict,
            accuracy=self.accuracy,
        )


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
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCheck:
    """One class.

    Attributes:
        name: The class.
        functions: The functions that may vote for it; none is a gap.
        tally: What the votes for it come to; None without items.
    """

    name: str
    functions: tuple[str, ...]
    tally: Tally | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two functions that seem to say one thing twice.

    Attributes:
        first: Id of one.
        second: Id of the other.
        agreement: Share of the rarer one's votes that the other one gives too.
        expected: What that share would be if they were independent given the class.
        same_origin: Whether both name the same origin.
    """

    first: str
    second: str
    agreement: float
    expected: float
    same_origin: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What was found.

    Attributes:
        task: Name of the task.
        digest: Digest over its files.
        width: Features the model takes.
        embedding: Dimensions of the model's embedding.
        functions: One per labeling function, in the order of vote columns.
        classes: One per class, in the order of the task.
        origins: How many origins the functions have; without one, a function is its own.
        effective_origins: How many origins the votes come from, weighted; None without items.
        notes: What is no error, and should be known.
        items: How many items were voted on; None without a file.
        items_digest: What a baseline calls them.
        covered: Share of items with at least one vote.
        all: What all votes together come to.
        pairs: Functions that seem to say one thing twice.
        by: What groups are of.
        groups: How groups of items are treated.
        regressions: What is worse than in the baseline.
        calibration: Whether the model can be believed; None without labels.
        latency_us: Microseconds per item, all functions together.
        model_latency_us: Microseconds per item, features and model.
    """

    task: str
    digest: str
    width: int
    embedding: int
    functions: tuple[FunctionCheck, ...]
    classes: tuple[ClassCheck, ...] = ()
    origins: int = 0
    effective_origins: float | None = None
    notes: tuple[str, ...] = ()
    items: int | None = None
    items_digest: str | None = None
    covered: float | None = None
    all: Tally | None = None
    pairs: tuple[Pair, ...] = ()
    by: str | None = None
    groups: tuple[Group, ...] = ()
    regressions: tuple[str, ...] = ()
    calibration: ModelCalibration | None = None
    latency_us: float | None = None
    model_latency_us: float | None = None

    @property
    def passed(self) -> bool:
        """Whether every example got its vote, and nothing is worse than in the baseline."""
        return not self.regressions and not any(function.failed for function in self.functions)

    @property
    def gaps(self) -> tuple[str, ...]:
        """The classes no function votes for."""
        return tuple(each.name for each in self.classes if not each.functions)


def to_json(report: CheckReport) -> str:
    """Return the report as one JSON object."""
    said = asdict(report)
    for function in said["functions"]:
        if function["conduct"] is not None:
            function["conduct"]["by_class"] = dict(function["conduct"]["by_class"])
    return json.dumps({**said, "gaps": report.gaps, "passed": report.passed}, indent=2)
