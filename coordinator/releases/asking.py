"""What people ask of releases: kept in the store, and done by whoever leads the campaign."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from coordinator.delivery import Parcel
from coordinator.releases.events import STREAM, load_event
from coordinator.releases.machine import Phase, ReleaseState, replay
from coordinator.releases.tasks import check_release, current_task, kept_bundle
from coordinator.rounds.clock import Clock
from coordinator.store.campaign import Store
from coordinator.store.written import ask_leader, dump_wish, load_wish
from fieldvote.bundle import TARGETS_FILE, Bundle, unpack
from fieldvote.errors import InputError
from fieldvote.task import Task

RELEASE = "release"
"""What the store calls such a row among what it owes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseCommand:
    """One thing a person asked for.

    Attributes:
        what: Which.
        number: Of which release; 0 for a new one.
        reason: Why, for the record.
        bundle: Artifact with the next task; of a new one.
        parent: Artifact with the campaign's task; of a new one.
        share: Share of the training devices it is tried on; of a new one.
    """

    what: Literal["propose", "promote", "rollback"]
    number: int = 0
    reason: str = ""
    bundle: str = ""
    parent: str = ""
    share: float = 0.0

    def to_json(self) -> bytes:
        """Return this as the store keeps it."""
        return dump_wish(self)

    @staticmethod
    def from_json(body: bytes) -> "ReleaseCommand":
        """Undo to_json.

        Raises:
            DataError: it is no command of this program's.
        """
        return load_wish(body, ReleaseCommand)


def releases_of(store: Store) -> dict[int, ReleaseState]:
    """Return every release of a campaign by its number."""
    return replay(load_event(*row) for row in store.events(STREAM))


def newest_of(releases: Mapping[int, ReleaseState]) -> ReleaseState:
    """Return the release that was proposed last; one that is not where there is none."""
    return releases[max(releases)] if releases else ReleaseState()


def is_busy(store: Store, newest: ReleaseState) -> bool:
    """Return whether a release has something to do that no person is waited for with."""
    if newest.phase in (Phase.PROPOSED, Phase.TRYING, Phase.APPROVED):
        return True
    return any(row.kind == RELEASE for row in store.owed())


def propose(store: Store, campaign_folder: Path, next_folder: Path, share: float) -> ReleaseCommand:
    """Return the command that releases the functions of a signed task folder; keeps its bundle.

    Raises:
        InputError: nobody signed it, it is no release of the campaign's task, not newer, or another
            release is open.
        SignatureError: what was signed are other files.
        TaskError: the folder holds no task.
    """
    before = bundle_of(store, campaign_folder)
    after = Bundle.load(next_folder)
    if after is None:
        raise InputError(f"{next_folder}: no {TARGETS_FILE}; its owner has to sign it first")
    check_proposal(store, before, after)
    with store.transaction():
        return ReleaseCommand(
            what="propose",
            bundle=store.keep_artifact(after.content),
            parent=store.keep_artifact(before.content),
            share=share,
        )


def bundle_of(store: Store, folder: Path) -> Bundle:
    """Return the campaign's task as a bundle, with its targets if somebody signed it."""
    task = Task.load(folder)
    current = current_task(store, task)
    kept = kept_bundle(store, current.digest)
    if kept is not None:
        return kept
    return Bundle.load(folder) or Bundle.of(Task.files(folder))


def check_proposal(store: Store, before: Bundle, after: Bundle) -> int:
    """Return the version of a release that may be proposed.

    Raises:
        InputError: it is no release of the campaign's task, not newer, or another one is open.
        SignatureError: what was signed are other files.
    """
    open_ = [state.number for state in releases_of(store).values() if not state.over]
    if open_:
        raise InputError(
            f"release {open_[0]} is open: 'fieldvote functions promote {open_[0]}' or rollback it"
        )
    check_release(before, after)
    version = Parcel.of(after, "the next task").version
    signed = _version(before)
    if signed is not None and version <= signed:
        raise InputError(f"version {version} is not newer than {signed}: sign it as a later one")
    return version


def check_command(releases: Mapping[int, ReleaseState], command: ReleaseCommand) -> ReleaseState:
    """Return the release that a command to promote it or roll it back is about.

    Raises:
        InputError: it is not where that can be done.
    """
    state = releases.get(command.number)
    if state is None:
        known = f"the last is {max(releases)}" if releases else "none was proposed"
        raise InputError(f"there is no release {command.number}; {known}")
    if state.phase is Phase.PROMOTED and command.what == "rollback":
        raise InputError(
            f"release {state.number} is what devices run, and they take no older version: sign the"
            f" functions of before as version {state.version + 1} and release that; what they were"
            " summed on is kept, and is not asked again"
        )
    able = state.phase is Phase.TRIED if command.what == "promote" else not state.over
    if not able:
        raise InputError(f"release {state.number} is not to be changed: {state.phase.value}")
    return state


def ask(
    store: Store,
    command: ReleaseCommand,
    *,
    wait_s: float,
    clock: Clock,
    entropy: Callable[[int], bytes],
) -> bool:
    """Ask the leader to do something; return whether it was done while we waited.

    Raises:
        InputError: the release is not where that can be done.
    """
    if command.what != "propose":
        check_command(releases_of(store), command)
    return ask_leader(
        store, RELEASE, command.to_json(), wait_s=wait_s, sleep=clock.sleep, entropy=entropy
    )


def _version(bundle: Bundle) -> int | None:
    """Return what a bundle was signed as; None if nobody did."""
    if TARGETS_FILE not in unpack(bundle.content):
        return None
    return Parcel.of(bundle, "the campaign's task").version
