"""What people see of releases: a line each, or all of one and what its trial came to."""

from coordinator.releases.asking import releases_of
from coordinator.releases.machine import Phase, ReleaseState
from coordinator.releases.report import FunctionRow, Report
from coordinator.store.campaign import Store
from fieldvote.errors import InputError
from fieldvote.records import DeviceId

Row = dict[str, str | int | float]
_SHOWN = 12  # of a digest


def list_releases(store: Store) -> list[Row]:
    """Return every release in a line, oldest first."""
    return [
        {
            "release": number,
            "version": state.version,
            "task": state.task[:_SHOWN],
            "phase": state.phase.value,
            "decided_by": state.by,
            "reason": state.reason,
        }
        for number, state in sorted(releases_of(store).items())
    ]


def show_release(store: Store, number: int | None = None) -> tuple[Row, list[Row]]:
    """Return all that matters of one release, the newest without a number, and its functions.

    Raises:
        InputError: there is no such release.
    """
    releases = releases_of(store)
    number = max(releases, default=0) if number is None else number
    if number not in releases:
        raise InputError(f"there is no release {number}; 'fieldvote functions list' names them")
    state = releases[number]
    row: Row = {
        "release": number,
        "version": state.version,
        "task": state.task[:_SHOWN],
        "task_before": state.parent[:_SHOWN],
        "phase": state.phase.value,
        "waits_for": _waits_for(store, state),
        "decided_by": state.by,
        "reason": state.reason,
    }
    if not state.report:
        return {name: value for name, value in row.items() if value != ""}, []
    report = Report.from_json(store.artifact(state.report))
    row |= {
        "devices": report.devices,
        "items": report.items,
        "functions_kept": report.kept,
        "conflict": _change(report.conflict),
        "estimated_accuracy": _change(report.accuracy, error=report.error),
        "breaks": "; ".join(report.breaches) or "no limit",
        "doubts": "; ".join(report.doubts),
    }
    functions = [_function(each) for each in report.functions]
    return {name: value for name, value in row.items() if value != ""}, functions


def _waits_for(store: Store, state: ReleaseState) -> str:
    """Return what a release waits for, in words."""
    exchange = state.exchange
    match state.phase:
        case Phase.PROPOSED:
            return "devices, and a first survey to compare with"
        case Phase.TRYING if exchange is not None and exchange.open:
            missing = store.expected(state.number, exchange.name)
            asked = {DeviceId(device) for device in exchange.devices}
            return f"devices: {len(asked - set(missing))} of {len(asked)} have answered"
        case Phase.TRIED:
            n = state.number
            return f"a person: fieldvote functions promote {n}, or rollback {n}"
        case Phase.APPROVED:
            return "the rounds under way to end"
        case _:
            return ""


def _function(row: FunctionRow) -> Row:
    """Return one function as it is printed."""
    shown: Row = {
        "function": row.function,
        "change": row.change,
        "version": row.version,
        "items": row.items,
        "coverage": _both(row.coverage_before, row.coverage),
        "conflict": _both(row.conflict_before, row.conflict),
        "accuracy": _both(row.accuracy_before, row.accuracy),
        "agrees_with_old": _percent(row.agreement),
        "errors": _percent(row.errors),
        "ms_per_1000": "-" if row.ms_per_1000 is None else row.ms_per_1000,
    }
    return shown


def _both(before: float | None, after: float | None) -> str:
    """Return a share before and after, as far as there are both."""
    if before is None:
        return _percent(after)
    return f"{_percent(before)} -> {_percent(after)}"


def _change(shares: tuple[float, ...], *, error: float | None = None) -> str:
    before, after = shares
    doubt = "" if error is None else f" (change {after - before:+.2%} ± {error:.2%})"
    return f"{before:.2%} -> {after:.2%}{doubt}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
