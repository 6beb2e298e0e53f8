"""A ledger as people read it: every release, and what they add up to for each task and in all."""

from typing import TypedDict

from edge.spending import account_of
from fieldvote.task import Task
from privacy.dp import Accountant, Ledger, Limits
from privacy.dp.policy import PrivacyPolicy
from privacy.dp.spending import Spent

_ALL = "(in all)"
_OUTSIDE = ("offers", "candidates")
"""Kinds that are of one item by their nature: no noise covers them, and no epsilon."""


class LedgerRow(TypedDict):
    """One release, as it is printed.

    epsilon is what this release amounts to on its own; what several amount to is in the totals, as
    micro-rho adds up and epsilon does not.
    """

    at: str
    task: str
    kind: str
    micro_rho: int
    epsilon: float
    bytes: int
    candidates: int


class TotalRow(TypedDict):
    """What releases add up to, as it is printed."""

    task: str
    kind: str
    releases: int
    micro_rho: int
    epsilon: float | None
    limit_micro_rho: int
    bytes: int
    candidates: int


def rows_of(ledger: Ledger, task: Task) -> list[LedgerRow]:
    """Return every release, oldest first."""
    delta = delta_of(task)
    return [
        LedgerRow(
            at=entry.at.isoformat(timespec="seconds"),
            task=entry.task,
            kind=entry.kind,
            micro_rho=entry.micro_rho,
            epsilon=_epsilon(entry.micro_rho, delta),
            bytes=entry.size_bytes,
            candidates=entry.candidates,
        )
        for entry in ledger.entries()
    ]


def totals_of(ledger: Ledger, task: Task) -> list[TotalRow]:
    """Return what was given away for each task, then of each kind, then in all.

    Offers and candidates have no epsilon: they are listed apart, and nothing is promised of them.
    """
    spent, delta, limits = ledger.spent, delta_of(task), ledger.limits
    rows = [
        _total(name, "", part, ledger.tasks.get(name), delta)
        for name, part in spent.by_task.items()
    ]
    for kind, part in spent.by_kind.items():
        row = _total(_ALL, kind, part, None, delta)
        row["limit_micro_rho"] = limits.micro_rho_by_kind.get(kind, 0)
        rows.append(row)
    return [*rows, _total(_ALL, "", spent, limits, delta)]


def epsilon_rows(ledger: Ledger, task: Task) -> dict[str, str | int]:
    """Return what a device's status says of epsilon; nothing where its sums are exact."""
    privacy = task.policy.privacy
    if not privacy.on:
        return {}
    spent = ledger.spent.by_task.get(account_of(task), Spent())
    epsilon = _epsilon(spent.micro_rho, privacy.delta)
    return {
        "hides": f"one {privacy.unit}",
        "epsilon": (
            f"{epsilon:.2f} of {privacy.epsilon:g} spent,"
            f" {max(privacy.epsilon - epsilon, 0.0):.2f} left (delta {privacy.delta:g})"
        ),
        "outside_epsilon": "offers, shipped candidates and what people answer",
    }


def delta_of(task: Task) -> float:
    """Return what epsilons of a task's ledger are about."""
    privacy = task.policy.privacy
    return privacy.delta if privacy.on else PrivacyPolicy().delta


def _total(task: str, kind: str, spent: Spent, limits: Limits | None, delta: float) -> TotalRow:
    """Return one row of totals."""
    return TotalRow(
        task=task,
        kind=kind,
        releases=spent.releases,
        micro_rho=spent.micro_rho,
        epsilon=None if kind in _OUTSIDE else _epsilon(spent.micro_rho, delta),
        limit_micro_rho=0 if limits is None else limits.micro_rho,
        bytes=spent.size_bytes,
        candidates=spent.candidates,
    )


def _epsilon(micro_rho: int, delta: float) -> float:
    """Return what so much amounts to, for people."""
    return round(Accountant(micro_rho=micro_rho).epsilon(delta=delta), 4)
