"""What `fieldvote edge` does between parsing and printing."""

import fcntl
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from threading import Event, Lock
from typing import TypedDict

from edge.arrivals import Part, newest_version
from edge.device import POOL_FILE, Device, ledger_of, opened, private_folder
from edge.outbox import serve
from edge.pool import Pool
from edge.serving_head import named, served_by
from edge.settings import EdgeSettings
from fieldvote.errors import InputError, UnavailableError
from fieldvote.task import Task


class LedgerRow(TypedDict):
    """One release, as it is printed."""

    at: str
    kind: str
    bytes: int
    candidates: int


def run_agent(config: Path, say: Callable[[str], None]) -> None:
    """Answer on the socket until a signal says stop; one agent per folder."""
    settings = EdgeSettings.load(config)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    folder = private_folder(Path(settings.folder))
    with _alone(folder), ExitStack() as held:
        serving = Serving(settings, held, say)
        with _in_fleet(settings, folder, serving.answer, say, stop):
            serve(settings.socket_path, serving.answer, stop)
    say("stopped")


class Serving:
    """The device of the task that is installed at the moment, for one request at a time."""

    def __init__(self, settings: EdgeSettings, held: ExitStack, say: Callable[[str], None]) -> None:
        """Open the device; held closes it in the end.

        Raises:
            FieldvoteError: as edge.device.opened does.
        """
        self._settings, self._held, self._say = settings, held, say
        self._turn = Lock()  # the socket and the fleet take turns: a pool has one writer
        self._device: Device | None = self._open()

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
        device = self._held.enter_context(opened(self._settings))
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
    answer: Callable[[bytes], bytes],
    say: Callable[[str], None],
    stop: Event,
) -> AbstractContextManager[None]:
    """Return what answers a Flower fleet beside the socket, if the settings name one."""
    if settings.flower is None:
        return nullcontext()
    from edge.flower.running import on_flower

    return on_flower(settings.flower, folder / POOL_FILE, answer, say=say, stop=stop)


def status_of(config: Path) -> dict[str, str | int]:
    """Return what the device holds and has given away."""
    settings, task, pool = look(config)
    try:
        spent, limits = ledger_of(pool, task).spent, task.policy.limits
        return {
            "task": task.name,
            "task_digest": task.digest,
            **_version_rows(pool),
            "items": len(pool),
            "answered": int((pool.column("answer") >= 0).sum()),
            "shipped": int((pool.column("arm") >= 0).sum()),
            "in_a_sum": int((pool.column("summed") > 0).sum()),
            "serves": named(served_by(pool)),
            "candidates_spent": f"{spent.candidates} of {limits.candidates}",
            "bytes_spent": f"{spent.size_bytes} of {limits.size_bytes}",
            "sums": "exact sums",
            "agent": "up" if settings.socket_path.is_socket() else "down",
            **_node_rows(settings, pool),
        }
    finally:
        pool.close()


def _version_rows(pool: Pool) -> dict[str, str | int]:
    """Return which version is installed, if it was signed, and what is on its way."""
    version, part = newest_version(pool), Part.of(pool)
    rows: dict[str, str | int] = {} if version is None else {"task_version": version}
    if part.bundle:
        rows["arriving"] = f"{part.have_bytes} of {part.size_bytes} bytes"
    return rows


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
        with _alone(Path(settings.folder)):
            return False
    except UnavailableError:
        return True


def ledger_rows(config: Path) -> list[LedgerRow]:
    """Return every release, oldest first."""
    _, task, pool = look(config)
    try:
        return [
            LedgerRow(
                at=entry.at.isoformat(timespec="seconds"),
                kind=entry.kind,
                bytes=entry.size_bytes,
                candidates=entry.candidates,
            )
            for entry in ledger_of(pool, task).entries()
        ]
    finally:
        pool.close()


def purge_pool(config: Path) -> int:
    """Delete every item; refuse while the agent is up. Return how many there were."""
    settings, _, pool = look(config)
    try:
        with _alone(Path(settings.folder)):
            return pool.purge()
    finally:
        pool.close()


def look(config: Path) -> tuple[EdgeSettings, Task, Pool]:
    """Return settings, task and pool of a device that has run before."""
    settings = EdgeSettings.load(config)
    task = Task.load(Path(settings.task))
    place = Path(settings.folder) / POOL_FILE
    if not place.is_file():
        raise InputError(f"{place}: no pool yet; start the device once with 'fieldvote edge run'")
    return settings, task, Pool(place)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: two agents on one pool would answer half of the requests each."""
    with (folder / "agent.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            raise UnavailableError(f"an agent is running in {folder}; stop it first") from err
        yield
