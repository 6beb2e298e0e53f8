"""What `fieldvote edge` does between parsing and printing."""

import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock

from edge.accounts import LedgerRow, TotalRow, epsilon_rows, rows_of, totals_of
from edge.arrivals import Part
from edge.credential import Credential, renewing
from edge.device import (
    POOL_FILE,
    Device,
    barred_items,
    fill,
    ledger_of,
    open_pool,
    opened,
    private_folder,
    trust_of,
)
from edge.incidents import Incidents
from edge.install import bring_previous_back, previous_of, settle
from edge.outbox import serve
from edge.pool import Pool
from edge.serving_head import named, served_by
from edge.settings import EdgeSettings
from edge.summing import is_seated
from fieldvote.errors import FieldvoteError, InputError, UnavailableError
from fieldvote.rights import Rights
from fieldvote.task import Task


def run_agent(config: Path, say: Callable[[str], None]) -> None:
    """Answer on the socket until a signal says stop; one agent per folder."""
    settings = EdgeSettings.load(config)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    folder = private_folder(Path(settings.folder))
    with alone(folder), ExitStack() as held:
        serving = Serving(settings, held, say)
        certified = renewing(Credential.of(settings), say=say, stop=stop)
        with certified, _in_fleet(settings, folder, serving, say, stop):
            serve(settings.socket_path, serving.answer, stop)
    say("stopped")


class Serving:
    """The device of the task that is installed at the moment, for one request at a time."""

    def __init__(
        self,
        settings: EdgeSettings,
        held: ExitStack,
        say: Callable[[str], None],
        *,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Open the device; held closes it in the end.

        Args:
            settings: The device's.
            held: Closes what is open.
            say: Takes the operator's lines.
            now_s: Seconds since 1970; what was signed is over by it.

        Raises:
            FieldvoteError: as edge.device.opened does.
        """
        self._settings, self._held, self._say, self._now_s = settings, held, say, now_s
        self._turn = Lock()  # the socket and the fleet take turns: a pool has one writer
        self._device: Device | None = self._open()
        self.locker = self._device.pool.locker  # the node's journal is in the same file

    def answer(self, request: bytes) -> bytes:
        """Return the reply to a request.

        Between the reply that says a new task is installed and the next request, the device of the
        old task gives way to that of the new one.
        """
        with self._turn:
            if self._device is None or self._device.outdated:
                self._device = None
                self._held.close()
                self._device = self._open()
            return self._device.agent.handle(request)

    def _open(self) -> Device:
        """Open the device as it is installed."""
        device = self._held.enter_context(opened(self._settings, now_s=self._now_s))
        task = _named(device.task.name, device.version)
        self._say(f"{len(device.pool)} items, task {task}, on {self._settings.socket_path}")
        if device.adopted:
            self._say("the task is another than before: items may enter its sums anew")
        return device


def _named(task: str, version: int | None) -> str:
    """Return what a task is called, for people."""
    return task if version is None else f"{task} v{version}"


def _in_fleet(
    settings: EdgeSettings,
    folder: Path,
    serving: Serving,
    say: Callable[[str], None],
    stop: Event,
) -> AbstractContextManager[None]:
    """Return what answers a Flower fleet beside the socket, if the settings name one."""
    if settings.flower is None:
        return nullcontext()
    from edge.flower.running import on_flower

    return on_flower(
        settings.flower,
        folder / POOL_FILE,
        serving.answer,
        locker=serving.locker,
        say=say,
        stop=stop,
    )


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
            "agent": "up" if settings.socket_path.is_socket() else "down",
            **_certificate_rows(settings),
            **_node_rows(settings, pool),
        }
    finally:
        pool.close()


def _secure_rows(settings: EdgeSettings, task: Task, pool: Pool) -> dict[str, str | int]:
    """Return why this device takes no part in sums, where its policy asks for secure ones."""
    if not task.policy.cohort.secure:
        return {}
    trust = trust_of(settings, pool, time.time)
    if (trust is None or not trust.directory) and not settings.directory:
        return {"secure_sums": "none: no directory says which devices are real"}
    return {"secure_sums": "in an epoch" if is_seated(pool) else "in no epoch yet"}


def _door_rows(pool: Pool) -> dict[str, str | int]:
    """Return what was stopped at the door, 0 included, and what that says of the device."""
    incidents = Incidents(pool)
    rows: dict[str, str | int] = {f"stopped_{stage}": incidents[stage] for stage in incidents}
    healthy = not any(incidents.values())
    return {**rows, "health": "ok" if healthy else "incidents: see the counts of what was stopped"}


def _version_rows(settings: EdgeSettings, pool: Pool) -> dict[str, str | int]:
    """Return which version is installed, if it was signed, and what is on its way."""
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


def enroll_device(
    token: str, folder: Path, *, task: Path | None, items: Path | None
) -> tuple[str, str]:
    """Enrol this device; return what to tell its owner."""
    from edge.enrolment import Wishes, enroll

    wishes = Wishes(folder=folder, task=task, items=items)
    config, certificate = enroll(token, wishes, now=datetime.now(UTC), entropy=os.urandom)
    return (
        f"{certificate.name} is enrolled until {certificate.ends:%Y-%m-%d}, and renews by itself",
        f"start it: fieldvote edge run --config {config}",
    )


def _certificate_rows(settings: EdgeSettings) -> dict[str, str | int]:
    """Return who the device is in its fleet and until when, if it is enrolled."""
    credential = Credential.of(settings)
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


def add_items(config: Path, path: Path) -> int:
    """Add a file's items to the pool; an agent that is up takes them in with its next request.

    Raises:
        DataError: the file does not hold what the task's items are; nothing was added.
    """
    settings, task, pool = look(config)
    try:
        return fill(pool, path, task, evaluates=settings.evaluates)
    finally:
        pool.close()


def purge_pool(config: Path) -> int:
    """Delete every item; refuse while the agent is up. Return how many there were."""
    settings, _, pool = look(config)
    try:
        with alone(Path(settings.folder)):
            return pool.purge()
    finally:
        pool.close()


def roll_back(config: Path) -> str:
    """Go back to the task before the one that is installed; return what serves now, in a line.

    What is allowed is that one task. The newest version that was ever here stays the mark: what
    comes over the wire must be newer, so that nobody outside can bring an old fault back.

    Raises:
        InputError: there was no task before.
        SignatureError: it is not signed by those who may sign today.
        UnavailableError: the agent is up.
    """
    settings, _, pool = look(config)
    folder = Path(settings.task)
    try:
        with alone(Path(settings.folder)):
            settle(folder)
            before = previous_of(folder)
            trust = trust_of(settings, pool, time.time)
            task = Task.load(before)
            version = trust.allow_back(before) if trust else None
            bring_previous_back(folder)
    finally:
        pool.close()
    newer = "" if trust is None else f"; over the wire only what is newer than v{trust.newest}"
    return f"{_named(task.name, version)} serves from the next start on{newer}"


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
    with (folder / "agent.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            raise UnavailableError(f"an agent is running in {folder}; stop it first") from err
        yield
