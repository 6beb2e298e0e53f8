"""What `fieldvote edge` does between parsing and printing."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock

from edge.adding import Added, fill
from edge.device import Device, opened
from edge.install import bring_previous_back, previous_of, settle
from edge.outbox import serve
from edge.settings import EdgeSettings
from edge.status import alone, look
from edge.stores import POOL_FILE, credential_of, private_folder, trust_of
from edge.turns import in_turn, one_adding
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
        with _certified(settings, say, stop), _in_fleet(settings, folder, serving, say, stop):
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
        with self._turn, in_turn(Path(self._settings.folder)):
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


def _certified(
    settings: EdgeSettings, say: Callable[[str], None], stop: Event
) -> AbstractContextManager[None]:
    """Return what keeps the device's certificate fresh, if it is enrolled."""
    credential = credential_of(settings)
    if credential is None:
        return nullcontext()
    from edge.credential import renewing

    return renewing(credential, say=say, stop=stop)


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


def add_items(config: Path, path: Path) -> Added:
    """Add a file's items to the pool; an agent that is up takes them in with its next request.

    In a pool that is bounded, what has no place among the rest is let go.

    Raises:
        DataError: the file does not hold what the task's items are; nothing was added.
    """
    settings, task, pool = look(config)
    try:
        folder = Path(settings.folder)
        with one_adding(folder):
            return fill(
                pool,
                path,
                task,
                evaluates=settings.evaluates,
                bound=settings.pool,
                pins=dict(settings.python_functions),
                turn=lambda: in_turn(folder),
            )
    finally:
        pool.close()


def purge_pool(config: Path) -> int:
    """Delete every item; refuse while the agent is up. Return how many there were."""
    settings, _, pool = look(config)
    try:
        folder = Path(settings.folder)
        with alone(folder), one_adding(folder):
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
