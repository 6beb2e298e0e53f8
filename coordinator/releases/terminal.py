"""What people do with releases from a terminal: propose, look, promote, roll back."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from coordinator.releases import views
from coordinator.releases.asking import ReleaseCommand, ask, propose, releases_of
from coordinator.releases.views import Row
from coordinator.rounds.clock import Clock, SteadyClock
from coordinator.service import CoordinatorSettings, open_store
from coordinator.store.campaign import Store
from fieldvote.errors import InputError

_WAIT_S = 5.0


@contextmanager
def _store_of(config: Path) -> Iterator[tuple[CoordinatorSettings, Store]]:
    """Open the store of a campaign that has begun."""
    settings = CoordinatorSettings.load(config)
    with closing(open_store(settings)) as store:
        yield settings, store


def release(
    config: Path,
    next_task: Path,
    *,
    share: float | None = None,
    wait_s: float | None = None,
    clock: Clock | None = None,
) -> Row:
    """Propose the functions of a signed task; return what became of it.

    Raises:
        InputError: the folder is no release of the campaign's task.
    """
    if share is not None and not 0.0 < share <= 1.0:
        raise InputError(f"--share: expected above 0, to 1, got {share}")
    with _store_of(config) as (settings, store):
        taken = share or settings.campaign.releases.share
        command = propose(store, Path(settings.task), next_task, taken)
        return _asked(store, command, wait_s, clock)


def change(
    config: Path,
    command: ReleaseCommand,
    *,
    wait_s: float | None = None,
    clock: Clock | None = None,
) -> Row:
    """Promote a release or roll it back; return what became of it.

    Raises:
        InputError: the release is not where that can be done.
    """
    with _store_of(config) as (_, store):
        return _asked(store, command, wait_s, clock)


def releases(config: Path) -> list[Row]:
    """Return every release in a line."""
    with _store_of(config) as (_, store):
        return views.list_releases(store)


def one_release(config: Path, number: int | None) -> tuple[Row, list[Row]]:
    """Return all that matters of one release, and its functions."""
    with _store_of(config) as (_, store):
        return views.show_release(store, number)


def _asked(store: Store, command: ReleaseCommand, wait_s: float | None, clock: Clock | None) -> Row:
    """Ask the leader, and say how far it is."""
    wait_s = _WAIT_S if wait_s is None else wait_s
    done = ask(store, command, wait_s=wait_s, clock=clock or SteadyClock(), entropy=os.urandom)
    if not done:
        return {
            "asked_for": command.what,
            "done": "as soon as a coordinator leads the campaign: 'fieldvote functions list' tells",
        }
    found = releases_of(store)
    number = command.number or max(found, default=0)
    phase = found[number].phase.value if number in found else "refused; see the coordinator's log"
    return {"release": number, "phase": phase}
