"""A deployed coordinator: its settings, the campaign it drives, and where that stands."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from coordinator.delivery import Delivery, Parcel
from coordinator.flower_settings import FlowerSettings, is_loopback
from coordinator.inbox import Inbox
from coordinator.labels.desk import AwaitAnswers
from coordinator.models.shelf import Shelf
from coordinator.models.totals import shapes_of
from coordinator.processes import alone
from coordinator.pulse import Pulse
from coordinator.rounds.machine import (
    Evaluated,
    Labeled,
    Phase,
    RoundState,
    Trained,
    load_event,
    replay,
)
from coordinator.rounds.scheduler import STREAM, Progress, Scheduler
from coordinator.rounds.steps import Parts
from coordinator.settings import CampaignSettings
from coordinator.store.campaign import Store
from coordinator.store.database import Database
from coordinator.transport import Transport
from fieldvote.errors import (
    InputError,
    RefusalError,
    SettingsError,
    StoreError,
    UnavailableError,
)
from fieldvote.settings import load_settings
from fieldvote.task import Task

STORE_FILE = "campaign.sqlite"
LOG_FILE = "campaign.log"  # what the campaign says, line by line
_RETRY_S = 2.0
_TASKS, _TASK = "task", "Task"  # stream and kind of the event that says what a campaign is about


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorSettings:
    """Settings of one coordinator; paths in the file are relative to it.

    Attributes:
        folder: Where the store, the models and Flower's own files live; made if absent.
        task: The task folder the fleet has installed.
        rounds: How many rounds to turn.
        quorum: Training devices that must be there before a round begins.
        answers_wait_s: How long a round waits for people; later answers count in the next.
        address: Where the SuperLink listens, host:port; without TLS on loopback only.
        campaign: What the rounds do.
        flower: TLS, registered devices, or a SuperLink that runs already.
    """

    folder: str
    task: str
    campaign: CampaignSettings
    rounds: int = 10
    quorum: int = 1
    answers_wait_s: float = 86400.0
    address: str = "127.0.0.1:9092"
    flower: FlowerSettings = field(default_factory=FlowerSettings)

    def __post_init__(self) -> None:
        """Refuse what no campaign can do."""
        if self.rounds < 1 or self.quorum < 1:
            raise SettingsError("rounds and quorum: expected 1 or more")
        host, _, port = self.address.rpartition(":")
        if not port.isdigit() or not host:
            raise SettingsError(f"address: expected host:port, got '{self.address}'")
        if not self.flower.ca and not is_loopback(host):
            # without TLS anyone between a device and us could read sums and forge requests
            raise SettingsError(
                f"address: {host} is not loopback, so TLS is needed: set flower.ca and, unless the"
                " SuperLink is joined, flower.certificate and flower.key"
            )

    @staticmethod
    def load(path: Path) -> "CoordinatorSettings":
        """Read a coordinator's file, with its paths as seen from here.

        Raises:
            SettingsError: the file cannot be read, or says something we do not know.
        """
        settings = load_settings(path, CoordinatorSettings)
        return replace(
            settings,
            folder=str(path.parent / settings.folder),
            task=str(path.parent / settings.task),
            flower=settings.flower.beside(path.parent),
        )


def open_store(settings: CoordinatorSettings, *, make: bool = False) -> Store:
    """Open the campaign's store.

    Raises:
        InputError: there is none yet, and none is to be made.
        StoreError: the folder cannot be used.
    """
    folder = Path(settings.folder)
    if make:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise StoreError(f"{folder}: cannot be made ({err.strerror or err})") from err
    elif not (folder / STORE_FILE).is_file():
        raise InputError(f"{folder}: no campaign yet; 'fieldvote coordinator serve' begins one")
    return Store(Database.open(folder / STORE_FILE, now=lambda: datetime.now(UTC)))


def check_task(settings: CoordinatorSettings, task: Task) -> None:
    """Return if a campaign may go on, or begin, with a task.

    Its sums are of one task's votes: those of another would be added to them unseen.

    Raises:
        InputError: the folder's campaign is about another task.
    """
    store = open_store(settings, make=True)
    try:
        begun = [body for kind, body in store.events(_TASKS) if kind == _TASK]
        if not begun:
            with store.transaction():
                store.append(_TASKS, 0, _TASK, task.digest)
        elif begun != [task.digest]:
            raise InputError(
                f"{settings.folder}: this campaign is about task {begun[0][:12]}, and"
                f" {settings.task} holds {task.digest[:12]}: set another folder for a new"
                " campaign, or put the task back"
            )
    finally:
        store.close()


def drive(
    config: Path, transport: Transport, pulse: Pulse, *, courier: Transport | None = None
) -> None:
    """Turn the campaign's rounds over a transport, from where it stands to its last round.

    Waits for the quorum, and again whenever nobody answers: a fleet comes and goes.

    Args:
        config: The coordinator's file.
        transport: How devices are asked.
        pulse: Takes the lines people read.
        courier: How the task is brought to devices that run another, from threads of its own;
            without one they are left as they are.

    Raises:
        InputError: the folder's campaign is about another task.
        UnavailableError: another process drives this campaign.
    """
    settings = CoordinatorSettings.load(config)
    task = Task.load(Path(settings.task))
    check_task(settings, task)
    delivery = Delivery(_parcel(settings, task, pulse), courier, pulse.aside) if courier else None
    store = open_store(settings, make=True)
    refusal = "another run drives this campaign"
    try:
        with alone(Path(settings.folder) / "drive.lock", refusal):
            scheduler = Scheduler(
                Parts(
                    task=task,
                    settings=settings.campaign,
                    store=store,
                    inbox=Inbox(store, shapes_of(task)),
                    shelf=Shelf(Path(settings.folder) / "models"),
                    labeling=AwaitAnswers(
                        wait_s=settings.answers_wait_s,
                        now_s=time.monotonic,
                        sleep_s=_telling(store, pulse),
                    ),
                    transport=transport,
                ),
                watch=lambda progress: pulse(_sentence(progress)),
                updates=delivery,
            )
            pulse(_standing(scheduler.state, settings))
            while not _over(scheduler.state, settings):
                try:
                    scheduler.greet(settings.quorum)
                    scheduler.run_round()
                except UnavailableError as err:
                    pulse.waiting(f"waiting: {err}", about=str(err))
                    time.sleep(_RETRY_S)
    finally:
        if delivery:
            delivery.close()
        store.close()


def _parcel(settings: CoordinatorSettings, task: Task, pulse: Pulse) -> Parcel | None:
    """Return the campaign's task as it is delivered, if it can be."""
    try:
        return Parcel.load(Path(settings.task), task)
    except RefusalError as err:
        pulse(f"the task is not delivered to any device: {err}; sign it again")
        return None


def _telling(store: Store, pulse: Pulse) -> Callable[[float], None]:
    """Return a sleep for the wait for people, that says how many answers are still missing."""
    asked: set[bytes] = set()

    def sleep(seconds: float) -> None:
        open_ = {candidate.item for candidate in store.queue()}
        if not open_ <= asked:  # another round's wait
            asked.clear()
            asked.update(open_)
        pulse.waiting(
            f"waiting for people: {len(asked - open_)} of {len(asked)} candidates are answered",
            about="people",
        )
        time.sleep(seconds)

    return sleep


def _standing(state: RoundState, settings: CoordinatorSettings) -> str:
    """Return what is driven, and from where."""
    name, rounds = settings.campaign.name, settings.rounds
    if state.phase is Phase.NONE:
        return f"campaign {name}: begins, {rounds} rounds"
    return f"campaign {name}: goes on at round {state.number} of {rounds}, {state.phase.value}"


def status_of(config: Path) -> dict[str, str | int | float]:
    """Return where a campaign stands."""
    settings = CoordinatorSettings.load(config)
    store = open_store(settings)
    try:
        events = [load_event(*row) for row in store.events(STREAM)]
        state = replay(events)
        labels, cost = store.labels()
        devices = store.devices().values()
        return {
            "campaign": settings.campaign.name,
            "round": state.number,
            "phase": state.phase.value,
            "training_devices": sum(not device.evaluates for device in devices),
            "evaluating_devices": sum(device.evaluates for device in devices),
            "waiting_for_an_answer": len(store.queue()),
            "labels": labels,
            "cost": round(cost, 2),
            "model": state.model,
            "sums": "exact sums",
        }
    finally:
        store.close()


def is_finished(settings: CoordinatorSettings) -> bool:
    """Return whether the campaign has turned its last round."""
    store = open_store(settings, make=True)
    try:
        return _over(replay(load_event(*row) for row in store.events(STREAM)), settings)
    finally:
        store.close()


def _over(state: RoundState, settings: CoordinatorSettings) -> bool:
    return state.number >= settings.rounds and state.phase in (Phase.DONE, Phase.ABANDONED)


def _sentence(progress: Progress) -> str:
    """Return what happened, for a log."""
    line = f"round {progress.state.number}: {progress.state.phase.value}"
    match progress.event:
        case Labeled(answers=answers, cost=cost):
            return f"{line}, {answers} answers for {cost:.2f}"
        case Trained(model=model, exchanges=exchanges):
            return f"{line}, model {model[:12]} after {exchanges} exchanges"
        case Evaluated(held_out=held_out, random_arm=random_arm):
            return f"{line}, held-out {_share(held_out)}, random arm {_share(random_arm)}"
        case _:
            return line


def _share(counts: tuple[int, ...]) -> str:
    """Return how many of these confusion counts are right."""
    classes = round(len(counts) ** 0.5)
    right = sum(counts[place * (classes + 1)] for place in range(classes))
    return f"{right} of {sum(counts)} right"
