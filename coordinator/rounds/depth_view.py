"""What people see of which label taught how deep in a round: a line for each depth."""

from coordinator.rounds.governing import report_at
from coordinator.rounds.machine import RoundState
from coordinator.store.campaign import Store
from strategies.governance import Depth, DepthReport
from strategies.governance.depth_report import BANDS

_SHOWN = {
    "taught_all_layers": Depth.ALL,
    "taught_the_head": Depth.HEAD,
    "left_to_people": Depth.QUERY,
}


def taught_of(store: Store, state: RoundState) -> dict[str, str | int]:
    """Return how many lessons of which confidence taught how deep; nothing where nobody asked."""
    report = report_at(store, state.depth)
    return {} if report is None else lines_of(report)


def lines_of(report: DepthReport) -> dict[str, str | int]:
    """Return a report as a line for each depth, the surest labels last.

    >>> lines_of(DepthReport.none())["taught_all_layers"]
    'none'
    """
    lines: dict[str, str | int] = {}
    for name, depth in _SHOWN.items():
        counts = zip(BANDS, report.counts[:, depth].tolist(), strict=True)
        lines[name] = ", ".join(f"{count} {band}" for band, count in counts if count) or "none"
    return {**lines, "weights_cut": report.clipped}
