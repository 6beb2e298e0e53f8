"""A deployed coordinator: its settings, its store, and where its campaign stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from coordinator.admission import EnrolmentSettings
from coordinator.flower_settings import FlowerSettings, is_loopback
from coordinator.keys.online_settings import KeySettings
from coordinator.releases.asking import is_busy, newest_of, releases_of
from coordinator.releases.tasks import TASK, current_task, is_of
from coordinator.rounds.allocation import check_classes
from coordinator.rounds.campaign import load_state
from coordinator.rounds.commands import COMMAND
from coordinator.rounds.steering_view import steering_rows, suggestion_rows
from coordinator.settings import CampaignSettings
from coordinator.store.campaign import Store
from coordinator.store.database import Database
from fieldvote.bundle import TARGETS_FILE, Bundle, unpack
from fieldvote.custody import CustodySettings, locked_in
from fieldvote.errors import (
    InputError,
    SettingsError,
    StoreError,
)
from fieldvote.settings import load_settings
from fieldvote.task import Task

STORE_FILE = "campaign.sqlite"
LOG_FILE = "campaign.log"  # what the campaign says, line by line


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorSettings:
    """Settings of one coordinator; paths in the file are relative to it.

    Attributes:
        folder: Where the store, the models and Flower's own files live; made if absent.
        task: The task folder the fleet has installed.
        store: postgresql://USER@HOST/NAME for a database several coordinators share; empty for one
            file in the folder. A password belongs in libpq's own password file.
        rounds: How many rounds to turn.
        quorum: Training devices that must be there before a round begins.
        answers_wait_s: How long a round waits for people; later answers count in the next.
        address: Where the SuperLink listens, host:port; without TLS on loopback only.
        campaign: What the rounds do.
        flower: TLS, registered devices, or a SuperLink that runs already.
        keys: The coordinator's own keys. Without them devices with a root take no part.
        enrolment: Who vouches for devices; without it every device is met.
        custody: Which key locks what devices sent, on this disk or in the shared database. Whoever
            opens the store needs it, the desk too; it opens no candidate.
    """

    folder: str
    task: str
    campaign: CampaignSettings
    store: str = ""
    rounds: int = 10
    quorum: int = 1
    answers_wait_s: float = 86400.0
    address: str = "127.0.0.1:9092"
    flower: FlowerSettings = field(default_factory=FlowerSettings)
    keys: KeySettings | None = None
    enrolment: EnrolmentSettings | None = None
    custody: CustodySettings = field(default_factory=CustodySettings)

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

    @property
    def place(self) -> Path | str:
        """Where the store is."""
        return self.store or Path(self.folder) / STORE_FILE

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
            keys=settings.keys and settings.keys.beside(path.parent),
            enrolment=settings.enrolment and settings.enrolment.beside(path.parent),
            custody=settings.custody.beside(path.parent),
        )


def open_store(settings: CoordinatorSettings, *, make: bool = False) -> Store:
    """Open the campaign's store.

    Raises:
        InputError: there is none yet, and none is to be made.
        StoreError: the folder or the database cannot be used.
        SealError: it is locked, and not by the key the settings name.
    """
    place, folder = settings.place, Path(settings.folder)
    if make:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise StoreError(f"{folder}: cannot be made ({err.strerror or err})") from err
    elif isinstance(place, Path) and not place.is_file():
        raise InputError(f"{folder}: no campaign yet; 'fieldvote coordinator serve' begins one")
    database = Database.open(
        place, now=lambda: datetime.now(UTC), make=make, custody=locked_in(settings.custody, folder)
    )
    return Store(database, settings.campaign.name)


def check_task(settings: CoordinatorSettings, task: Task) -> None:
    """Return if a campaign may go on, or begin, with a task.

    Its sums are of one task's votes: those of another would be added to them unseen. A release that
    was promoted may be driven from its own folder, or from that of the task before it.

    Raises:
        InputError: the campaign is about another task, or has a quota for a class it does not know.
    """
    check_classes(settings.campaign, task.classes)
    store = open_store(settings, make=True)
    try:
        with store.transaction():
            about, fits = store.note(TASK), is_of(store, task.digest)
            if about is None:
                store.keep_note(TASK, task.digest)
        if about is not None and not fits:
            raise InputError(
                f"{settings.campaign.name}: this campaign is about task {about[:12]}, and"
                f" {settings.task} holds {task.digest[:12]}: give a new campaign a name and a"
                " folder of its own, or put the task back"
            )
    finally:
        store.close()


def status_of(config: Path) -> dict[str, str | int | float]:
    """Return where a campaign stands; of one not begun, what its privacy policy buys and costs."""
    settings = CoordinatorSettings.load(config)
    try:
        store = open_store(settings)
    except InputError:
        if not Task.load(Path(settings.task)).policy.privacy.on:
            raise
        name, said = settings.campaign.name, _sums(settings, 0, 0)
        return {"campaign": name, "phase": "not begun", **said}
    try:
        _, campaign = load_state(store)
        state = campaign.newest
        answers, cost = store.paid()
        devices = store.devices().values()
        training = sum(not device.evaluates for device in devices)
        releases = releases_of(store)
        return {
            "campaign": settings.campaign.name,
            "round": state.number,
            "phase": state.phase.value,
            "training_devices": training,
            "evaluating_devices": sum(device.evaluates for device in devices),
            "waiting_for_an_answer": len(store.queue()),
            "labels": answers,
            "cost": round(cost, 2),
            "model": campaign.model,
            "served": campaign.served,
            **_budget(settings, store),
            **steering_rows(campaign),
            **_suggested(settings, store),
            **({"task": about[:12]} if (about := store.note(TASK)) else {}),
            **{f"release_{n}": it.phase.value for n, it in releases.items() if not it.over},
            **_sums(settings, campaign.last, training),
            **_signature_rows(settings, store),
        }
    finally:
        store.close()


def _budget(settings: CoordinatorSettings, store: Store) -> dict[str, str]:
    """Return what the budget still pays for, where there is one for what people answer."""
    limits = settings.campaign.budget
    if limits.labels is None and limits.money is None and limits.minutes is None:
        return {}
    from coordinator.rounds.planning import affordable

    left = affordable(settings.campaign, store)
    if left <= 0:
        return {"budget": "spent: it pays for no further item"}
    return {"budget": f"pays for {left} more item{'s' if left != 1 else ''}"}


def _sums(settings: CoordinatorSettings, rounds: int, devices: int) -> dict[str, str]:
    """Return what sums are under the policy of the task that is installed, and who sees whose."""
    task = Task.load(Path(settings.task))
    if not task.policy.privacy.on:
        return {"sums": task.policy.cohort.in_words(noised=False)}
    # a look costs what it imports: these are for few campaigns
    from coordinator.rounds.drift import may_watch
    from coordinator.rounds.private_budget import privacy_rows

    rows = privacy_rows(task, rounds=rounds, devices=devices)
    if settings.campaign.drift.watch and not may_watch(task):
        rows["drift"] = "not watched: privacy.split.watch is 0, so no histogram leaves a device"
    return rows


def _suggested(settings: CoordinatorSettings, store: Store) -> Mapping[str, str | int | float]:
    """Return which items may be a class of their own."""

    def classes() -> tuple[str, ...]:
        return current_task(store, Task.load(Path(settings.task))).classes

    return suggestion_rows(store, settings.campaign.drift.alike, classes)


def _signature_rows(settings: CoordinatorSettings, store: Store) -> dict[str, str]:
    """Return what the owner has to sign again, if the coordinator holds keys at all."""
    if settings.keys is None:
        return {}
    from coordinator.keys.online import online_keys

    said: list[str] = []
    try:
        task = Task.load(Path(settings.task))
        bundle = Bundle.load(Path(settings.task))
        online_keys(
            settings.keys,
            store,
            targets=unpack(bundle.content)[TARGETS_FILE] if bundle else None,
            family=task.family,
            now_s=lambda: datetime.now(UTC).timestamp(),
            say=said.append,
        )
    except InputError as err:
        said.append(str(err))
    return {"signatures": "; ".join(said) or "good"}


def is_finished(settings: CoordinatorSettings) -> bool:
    """Return whether the campaign has turned its last round, and nothing is asked or under way."""
    from coordinator.models.asking import INQUIRY

    store = open_store(settings, make=True)
    try:
        _, campaign = load_state(store)
        last = campaign.last >= settings.rounds or bool(campaign.steering.stopped)
        asked = any(row.kind in (COMMAND, INQUIRY) for row in store.owed())
        over = last and not campaign.open and not asked
        return over and not is_busy(store, newest_of(releases_of(store)))
    finally:
        store.close()
