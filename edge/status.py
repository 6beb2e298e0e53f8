"""What a device tells its operator of itself: nothing is scored, and no model is loaded for it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from edge.accounts import LedgerRow, TotalRow, epsilon_rows, rows_of, totals_of
from edge.adding import barred_items
from edge.incidents import Incidents
from edge.pool import Pool
from edge.serving_head import named, served_by
from edge.settings import EdgeSettings
from edge.stores import POOL_FILE, credential_of, ledger_of, open_pool, trust_of
from fieldvote.errors import FieldvoteError, InputError, UnavailableError
from fieldvote.locks import lock_file
from fieldvote.rights import Rights
from fieldvote.task import Task


def status_of(config: Path) -> dict[str, str | int]:
    """Return what the device holds and has given away."""
    settings, task, pool = look(config)
    try:
        spent, limits = ledger_of(pool, task).spent, task.policy.limits
        return {
            "task": task.name,
            "task_digest": task.digest,
            **_version_rows(settings, pool),
            "items": len(pool),
            **_keeping_rows(settings, task, pool),
            "answered": int((pool.column("answer") >= 0).sum()),
            "shipped": int((pool.column("arm") >= 0).sum()),
            "in_a_sum": int((pool.column("summed") > 0).sum()),
            "not_to_be_shown": int((pool.column("rights") < Rights.SHIP.level).sum()),
            "not_taken": barred_items(pool),
            "serves": named(served_by(pool)),
            "candidates_spent": f"{spent.candidates} of {limits.candidates}",
            "bytes_spent": f"{spent.size_bytes} of {limits.size_bytes}",
            "sums": task.policy.cohort.in_words(noised=task.policy.privacy.on),
            **epsilon_rows(ledger_of(pool, task), task),
            **_secure_rows(settings, task, pool),
            **_door_rows(pool),
            "agent": "up" if _is_running(settings) else "down",  # a killed one leaves its socket
            **_certificate_rows(settings),
            **_node_rows(settings, pool),
        }
    finally:
        pool.close()


def _keeping_rows(settings: EdgeSettings, task: Task, pool: Pool) -> dict[str, str | int]:
    """Return what a bounded pool keeps of what came, and by what."""
    from edge.keeper import is_bounded
    from edge.keeper_state import KeeperState

    state = KeeperState.of(pool)
    if not settings.pool.most_items and not state.came:
        return {}
    if is_bounded(task, settings.pool, evaluates=settings.evaluates):
        bound = f"{settings.pool.most_items} items nobody was asked about"
    elif task.policy.privacy.on:
        bound = "none: the policy hides records, and none may take the place of another"
    else:
        bound = "none"
    unsure: dict[str, str | int] = (
        {} if state.threshold is None else {"least_doubt_kept": f"{state.threshold:.4f}"}
    )
    rows: dict[str, str | int] = {
        "keeps_at_most": bound,
        "came": state.came or len(pool),
        "let_go": state.let_go,
    }
    return {**rows, **unsure}


def _secure_rows(settings: EdgeSettings, task: Task, pool: Pool) -> dict[str, str | int]:
    """Return why this device takes no part in sums, where its policy asks for secure ones."""
    if not task.policy.cohort.secure:
        return {}
    trust = trust_of(settings, pool, time.time)
    if (trust is None or not trust.directory) and not settings.directory:
        return {"secure_sums": "none: no directory says which devices are real"}
    from edge.summing import is_seated

    return {"secure_sums": "in an epoch" if is_seated(pool) else "in no epoch yet"}


def _door_rows(pool: Pool) -> dict[str, str | int]:
    """Return what was stopped at the door, 0 included, and what that says of the device."""
    incidents = Incidents(pool)
    rows: dict[str, str | int] = {f"stopped_{stage}": incidents[stage] for stage in incidents}
    healthy = not any(incidents.values())
    return {**rows, "health": "ok" if healthy else "incidents: see the counts of what was stopped"}


def _version_rows(settings: EdgeSettings, pool: Pool) -> dict[str, str | int]:
    """Return which version is installed, if it was signed, and what is on its way."""
    from edge.arrivals import Part

    rows: dict[str, str | int] = {}
    trust = trust_of(settings, pool, time.time)
    if trust is not None:
        version = trust.version_in(Path(settings.task))
        rows["task_version"] = "not signed" if version is None else version
        if version is not None and trust.newest is not None and version < trust.newest:
            rows["rolled_back_from"] = trust.newest
        rows["trust"] = trust.staleness() or "ok"
    part = Part.of(pool)
    if part.bundle:
        rows["arriving"] = f"{part.have_bytes} of {part.size_bytes} bytes"
    return rows


def _certificate_rows(settings: EdgeSettings) -> dict[str, str | int]:
    """Return who the device is in its fleet and until when, if it is enrolled."""
    credential = credential_of(settings)
    if credential is None:
        return {}
    try:
        held = credential.checked(datetime.now(UTC))
    except FieldvoteError as err:
        return {"certificate": str(err)}
    return {
        "enrolled_as": held.name,
        "certificate_until": held.ends.isoformat(timespec="seconds"),
        "renews_from": held.renew_from.isoformat(timespec="seconds"),
    }


def _node_rows(settings: EdgeSettings, pool: Pool) -> dict[str, str | int]:
    """Return where the device stands in its Flower fleet, if it has one."""
    if settings.flower is None:
        return {}
    from edge.flower.journal import STATE, NodeState, NodeStatus

    status = NodeStatus.from_note(pool.note(STATE))
    state = status.state.value
    if status.state in (NodeState.ONLINE, NodeState.RETRYING) and not _is_running(settings):
        state = f"not running, was {state}"
    reason = {"node_reason": status.reason} if status.reason else {}
    return {"node": state, "node_id": status.node_id or "none yet", **reason}


def _is_running(settings: EdgeSettings) -> bool:
    """Return whether an agent holds the folder's lock."""
    try:
        with alone(Path(settings.folder)):
            return False
    except UnavailableError:
        return True


def ledger_rows(config: Path) -> list[LedgerRow]:
    """Return every release, oldest first."""
    _, task, pool = look(config)
    try:
        return rows_of(ledger_of(pool, task), task)
    finally:
        pool.close()


def ledger_totals(config: Path) -> list[TotalRow]:
    """Return what was given away for each task, by kind, and in all."""
    _, task, pool = look(config)
    try:
        return totals_of(ledger_of(pool, task), task)
    finally:
        pool.close()


def look(config: Path) -> tuple[EdgeSettings, Task, Pool]:
    """Return settings, task and pool of a device that has run before."""
    settings = EdgeSettings.load(config)
    task = Task.load(Path(settings.task))
    place = Path(settings.folder) / POOL_FILE
    if not place.is_file():
        raise InputError(f"{place}: no pool yet; start the device once with 'fieldvote edge run'")
    return settings, task, open_pool(settings)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: two agents on one pool would answer half of the requests each."""
    with lock_file(folder / "agent.lock", f"an agent is running in {folder}; stop it first"):
        yield
