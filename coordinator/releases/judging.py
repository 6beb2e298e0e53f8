"""Judging a release by its sums: what differs, by how much, and whether that breaks a limit.

Old and new are read with the same label model: once fitted to the columns of the task as it is,
once to those of the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from coordinator.releases.keyed import KeyedSums
from coordinator.releases.report import Conduct, FunctionRow, Report
from coordinator.settings import ReleaseSettings
from fieldvote.task import Task
from strategies.labeling import LabelModel


def new_versions(before: Task, after: Task) -> tuple[str, ...]:
    """Return the versions a release brings, in the order of its functions."""
    return tuple(version for version in after.versions if version not in before.versions)


def judge(
    before: Task, after: Task, sums: KeyedSums, conduct: Conduct, limits: ReleaseSettings
) -> Report:
    """Return what a trial came to, and which limits it breaks.

    Args:
        before: The campaign's task.
        after: The release.
        sums: Everything that was ever summed, by version.
        conduct: What devices said beside it.
        limits: What a release may do.
    """
    old, new = _Side.of(before, sums), _Side.of(after, sums)
    brought = new_versions(before, after)
    rows = [
        _row(function.id, function.version, old, new, sums, conduct, brought)
        for function in after.functions
        if function.version in brought
    ]
    ids = {function.id for function in after.functions}
    rows += [
        FunctionRow(
            function=function.id,
            change="retired",
            version=function.version,
            items=int(old.seen(function.version)),
            coverage_before=old.coverage(function.version),
            conflict_before=old.conflict(function.version),
            accuracy_before=old.accuracy(function.version),
        )
        for function in before.functions
        if function.id not in ids
    ]
    error = sqrt(old.variance(set(old.versions) - set(new.versions)) + new.variance(set(brought)))
    report = Report(
        devices=conduct.devices,
        items=conduct.items,
        kept=len(set(before.versions) & set(after.versions)),
        conflict=(round(old.all_conflict, 6), round(new.all_conflict, 6)),
        accuracy=(round(old.mean_accuracy, 6), round(new.mean_accuracy, 6)),
        error=round(error, 6),
        functions=tuple(rows),
    )
    return replace(
        report,
        breaches=tuple(_breaches(report, conduct, old, new, limits)),
        doubts=tuple(_doubts(report, limits)),
    )


def _row(
    name: str,
    version: str,
    old: "_Side",
    new: "_Side",
    sums: KeyedSums,
    conduct: Conduct,
    brought: Sequence[str],
) -> FunctionRow:
    """Return what is known of one function that is new or changed."""
    earlier = old.version_of.get(name)
    place = brought.index(version)
    tried = int(conduct.seen[place])
    return FunctionRow(
        function=name,
        change="new" if earlier is None else "changed",
        version=version,
        items=new.seen(version),
        coverage=new.coverage(version),
        conflict=new.conflict(version),
        accuracy=new.accuracy(version),
        coverage_before=None if earlier is None else old.coverage(earlier),
        conflict_before=None if earlier is None else old.conflict(earlier),
        accuracy_before=None if earlier is None else old.accuracy(earlier),
        agreement=None if earlier is None else _agreement(sums, earlier, version),
        errors=_share(int(conduct.errors[place]), tried),
        ms_per_1000=_share(int(conduct.micros[place]), 1000 * conduct.timed, digits=3),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """One of the two tasks with its columns of the sums, and the label model fitted to them."""

    versions: tuple[str, ...]
    version_of: dict[str, str]
    sums: KeyedSums
    model: LabelModel

    @staticmethod
    def of(task: Task, sums: KeyedSums) -> "_Side":
        own = sums.select(task.versions)
        anchors = own.anchors if own.anchors.items.any() else None
        return _Side(
            versions=task.versions,
            version_of={function.id: function.version for function in task.functions},
            sums=own,
            model=LabelModel.fit(own.votes, anchors=anchors),
        )

    def seen(self, version: str) -> int:
        return int(self.sums.seen[self.versions.index(version)])

    def coverage(self, version: str) -> float | None:
        place = self.versions.index(version)
        return _share(int(self.sums.votes.counts[place].sum()), int(self.sums.seen[place]))

    def conflict(self, version: str) -> float | None:
        place = self.versions.index(version)
        together = int(self.sums.votes.co_votes[place].sum())
        return _share(together - int(self.sums.votes.agreements[place].sum()), together)

    def accuracy(self, version: str) -> float | None:
        place = self.versions.index(version)
        if not self.sums.votes.counts[place].any():
            return None
        return round(float(self.model.accuracies[place]), 6)

    @property
    def all_conflict(self) -> float:
        """How often two votes on an item differ."""
        together = int(self.sums.votes.co_votes.sum())
        return 1.0 - int(self.sums.votes.agreements.sum()) / together if together else 0.0

    @property
    def rates(self) -> NDArray[np.float64]:
        """Each function's share of all votes. Shape (m,)."""
        coverage = self.sums.votes.counts.sum(axis=1) / np.maximum(self.sums.seen, 1)
        return np.asarray(coverage / max(float(coverage.sum()), 1e-300), dtype=np.float64)

    @property
    def mean_accuracy(self) -> float:
        """The estimated accuracy of a vote."""
        return float(self.rates @ self.model.accuracies)

    def variance(self, versions: set[str]) -> float:
        """Return what these functions' few votes leave open of the mean accuracy.

        An accuracy is read off agreements, so it is no surer than a share of so many co-votes.
        """
        total = 0.0
        for version in versions:
            place = self.versions.index(version)
            votes = int(self.sums.votes.counts[place].sum())
            shared = min(int(self.sums.votes.co_votes[place].sum()), votes)
            accuracy = float(self.model.accuracies[place])
            total += float(self.rates[place]) ** 2 * accuracy * (1 - accuracy) / max(shared, 1)
        return total


def _breaches(
    report: Report, conduct: Conduct, old: _Side, new: _Side, limits: ReleaseSettings
) -> list[str]:
    """Return the limits that are broken by more than chance would."""
    found = []
    brought = [row for row in report.functions if row.change != "retired"]
    for place, row in enumerate(brought):
        tried = int(conduct.seen[place])
        if row.errors is not None and _is_above(
            row.errors, limits.most_errors, _error(limits.most_errors, tried), limits.doubt
        ):
            found.append(
                f"{row.function} cannot answer for {row.errors:.1%} of items,"
                f" {limits.most_errors:.1%} are allowed"
            )
    pairs = [int(side.sums.votes.co_votes.sum()) // 2 for side in (old, new)]
    shares = report.conflict
    error = sqrt(sum(_error(s, n) ** 2 for s, n in zip(shares, pairs, strict=True)))
    rise = shares[1] - shares[0]
    if all(pairs) and _is_above(rise, limits.most_conflict_rise, error, limits.doubt):
        found.append(
            f"votes conflict in {shares[1]:.1%} instead of {shares[0]:.1%},"
            f" {limits.most_conflict_rise:.1%} more are allowed"
        )
    change = report.accuracy[1] - report.accuracy[0]
    if _is_above(-change, -limits.least_accuracy_change, report.error, limits.doubt):
        found.append(
            f"the estimated accuracy of a vote falls from {report.accuracy[0]:.1%} to"
            f" {report.accuracy[1]:.1%}, {limits.least_accuracy_change:+.1%} is allowed"
        )
    return found


def _doubts(report: Report, limits: ReleaseSettings) -> list[str]:
    """Return why a rule cannot promote this."""
    return [
        f"{row.function} was tried on {row.items} items, {limits.least_items} are needed"
        for row in report.functions
        if row.change != "retired" and row.items < limits.least_items
    ]


def _is_above(value: float, limit: float, error: float, doubt: float) -> bool:
    """Return whether a value is above a limit by more than so many standard errors."""
    return value - doubt * error > limit


def _error(share: float, items: int) -> float:
    """Return the standard error of a share of so many; one right and one wrong are added."""
    padded = (share * items + 1) / (items + 2)
    return sqrt(padded * (1 - padded) / (items + 2))


def _agreement(sums: KeyedSums, one: str, other: str) -> float | None:
    """Return how often two versions voted the same where both voted."""
    if one not in sums.versions or other not in sums.versions:
        return None
    places = sums.versions.index(one), sums.versions.index(other)
    return _share(int(sums.votes.agreements[places]), int(sums.votes.co_votes[places]))


def _share(part: int, whole: int, *, digits: int = 6) -> float | None:
    return round(part / whole, digits) if whole > 0 else None
