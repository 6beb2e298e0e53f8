"""What a device may give away for a task, and how its ledger calls it."""

from fieldvote.task import Task
from privacy.dp import Ledger, Limits
from privacy.dp.campaign import policy_of

_MOST_CHARS = 128


def limits_of(task: Task) -> Limits:
    """Return what the task's policy lets a device give away.

    Where the policy adds no noise there is no privacy to spend, so no noised sum is let out.
    """
    limits, privacy = task.policy.limits, task.policy.privacy
    if not privacy.on:
        return Limits(candidates=limits.candidates, size_bytes=limits.size_bytes)
    promised = policy_of(privacy)
    return Limits(
        candidates=limits.candidates,
        size_bytes=limits.size_bytes,
        micro_rho=promised.micro_rho,
        micro_rho_by_kind=promised.micro_rho_by_kind,
    )


def account_of(task: Task) -> str:
    """Return what a ledger calls a task: its name, as far as that can be printed in a line.

    The releases of a task share a name, and so an account: what leaves for all of them adds up.
    """
    return "".join(char for char in task.name if char.isprintable())[:_MOST_CHARS]


def account_in(ledger: Ledger, task: Task) -> str:
    """Return what this ledger calls a task; nothing where it keeps no account of it."""
    name = account_of(task)
    return name if name in ledger.tasks else ""


def task_limits(task: Task) -> dict[str, Limits]:
    """Return the limits of each task a ledger keeps an account of."""
    name = account_of(task)
    return {name: limits_of(task)} if name else {}
