"""A deployed coordinator: its settings, the campaign it drives, and where that stands."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from coordinator.inbox import Inbox
from coordinator.labels.desk import AwaitAnswers
from coordinator.models.shelf import Shelf
from coordinator.models.totals import shapes_of
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
from coordinator.store.sqlite import Store
from coordinator.transport import Transport
from fieldvote.errors import InputError, SettingsError, StoreError, UnavailableError
from fieldvote.settings import load_settings
from fieldvote.task import Task

STORE_FILE = "campaign.sqlite"
_RETRY_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorSettings:
    """Settings of one coordinator; paths in the file are relative to it.

    Attributes:
        folder: Where the store, the models and Flower's own files live; made if absent.
        task: The task folder the fleet has installed.
        rounds: How many rounds to turn.
        quorum: Training devices that must be there before a round begins.
        answers_wait_s: How long a round waits for people; later answers count in the next.
        address: Where the SuperLink listens, host:port; loopback unless a proxy stands before it.
        campaign: What the rounds do.
    """

    folder: str
    task: str
    campaign: CampaignSettings
    rounds: int = 10
    quorum: int = 1
    answers_wait_s: float = 86400.0
    address: str = "127.0.0.1:9092"

    def __post_init__(self) -> None:
        """Refuse what no campaign can do."""
        if self.rounds < 1 or self.quorum < 1:
            raise SettingsError("rounds and quorum: expected 1 or more")
        if not self.address.rpartition(":")[2].isdigit() or not self.address.rpartition(":")[0]:
            raise SettingsError(f"address: expected host:port, got '{self.address}'")

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
    return Store(folder / STORE_FILE, now=lambda: datetime.now(UTC))


def drive(config: Path, transport: Transport, say: Callable[[str], None]) -> None:
    """Turn the campaign's rounds over a transport, from where it stands to its last round.

    Waits for the quorum, and again whenever nobody answers: a fleet comes and goes.
    """
    settings = CoordinatorSettings.load(config)
    task = Task.load(Path(settings.task))
    store = open_store(settings, make=True)
    try:
        scheduler = Scheduler(
            Parts(
                task=task,
                settings=settings.campaign,
                store=store,
                inbox=Inbox(store, shapes_of(task)),
                shelf=Shelf(Path(settings.folder) / "models"),
                labeling=AwaitAnswers(
                    wait_s=settings.answers_wait_s, now_s=time.monotonic, sleep_s=time.sleep
                ),
                transport=transport,
            ),
            watch=lambda progress: say(_sentence(progress)),
        )
        while not _over(scheduler.state, settings):
            try:
                scheduler.greet(settings.quorum)
                scheduler.run_round()
            except UnavailableError as err:
                say(f"waiting: {err}")
                time.sleep(_RETRY_S)
    finally:
        store.close()


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
