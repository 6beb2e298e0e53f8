"""What people do with a campaign's store from a terminal: look, ask, back up, verify, rebuild."""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from coordinator.labels.label_tables import write_labels
from coordinator.labels.provenance import list_labels
from coordinator.labels.reasons import explain_votes
from coordinator.releases.asking import releases_of
from coordinator.releases.machine import Phase
from coordinator.releases.tasks import current_task, known_task
from coordinator.rounds import views
from coordinator.rounds.campaign import STREAM
from coordinator.rounds.clock import Clock, SteadyClock
from coordinator.rounds.commands import Command, ask
from coordinator.rounds.events import load_event
from coordinator.rounds.views import Row
from coordinator.service import CoordinatorSettings, open_store
from coordinator.store.archive import backup, restore
from coordinator.store.campaign import Store
from coordinator.store.verify import verify
from fieldvote.custody import CustodySettings, change_key, locked_in
from fieldvote.errors import InputError
from fieldvote.task import Task

_WAIT_S = 5.0
_TOLD = {
    "plan": "a round is planned",
    "pause": "round {} is paused",
    "resume": "round {} goes on",
    "abort": "round {} is given up",
}


@contextmanager
def _store_of(config: Path) -> Iterator[tuple[CoordinatorSettings, Store]]:
    """Open the store of a campaign that has begun."""
    settings = CoordinatorSettings.load(config)
    with closing(open_store(settings)) as store:
        yield settings, store


def rounds_of(config: Path) -> list[Row]:
    """Return every round in a line."""
    with _store_of(config) as (_, store):
        return views.list_rounds(store)


def round_of(config: Path, number: int | None) -> Row:
    """Return all that matters of one round."""
    with _store_of(config) as (settings, store):
        task = current_task(store, Task.load(Path(settings.task)))
        return views.show_round(store, number, classes=task.classes)


def labels_of(config: Path, number: int | None) -> list[Row]:
    """Return every label, of one round or of all, with where it came from."""
    with _store_of(config) as (settings, store):
        task = current_task(store, Task.load(Path(settings.task)))
        return list_labels(store, task, number)


def export_labels(config: Path, path: Path, number: int | None) -> str:
    """Write every label, of one round or of all, into a table.

    Raises:
        InputError: the file's suffix names no table we write.
        StoreError: the file cannot be written.
    """
    rows = labels_of(config, number)
    write_labels(rows, path)
    return f"{path}: {len(rows)} labels"


def reasons_of(config: Path, votes: Sequence[str]) -> list[Row]:
    """Return what the newest label model makes of an item's votes."""
    with _store_of(config) as (settings, store):
        return explain_votes(store, Task.load(Path(settings.task)), votes)


def ask_coordinator(
    config: Path, command: Command, *, wait_s: float = _WAIT_S, clock: Clock | None = None
) -> str:
    """Ask for something; return what became of it, in a line.

    Raises:
        InputError: the round is not where that can be done.
    """
    with _store_of(config) as (settings, store):
        done = ask(store, command, wait_s=wait_s, clock=clock or SteadyClock(), entropy=os.urandom)
    if done:
        return _TOLD[command.what].format(command.round)
    return (
        f"noted: campaign {settings.campaign.name} does it as soon as a coordinator leads it;"
        " 'fieldvote rounds show' tells"
    )


def reproduce_round(config: Path, number: int) -> list[Row]:
    """Make a round again from its record, and compare."""
    from coordinator.rounds.reproduce import reproduce  # all that a round does

    with _store_of(config) as (settings, store):
        events = [load_event(*row) for row in store.events(STREAM)]
        task = _task_of_round(store, Task.load(Path(settings.task)), number)
        return [
            {
                "step": made.step,
                "recorded": made.recorded,
                "rebuilt": made.rebuilt,
                "same": "yes" if made.same else "NO",
            }
            for made in reproduce(store, task, settings.campaign, events, number)
        ]


def _task_of_round(store: Store, folder: Task, number: int) -> Task:
    """Return the task a round was turned with: that of the last release promoted before it."""
    releases = sorted(releases_of(store).items())
    promoted = [state for _, state in releases if state.phase is Phase.PROMOTED]
    if not promoted:
        return folder
    before = [state.task for state in promoted if state.after < number]
    digest = before[-1] if before else promoted[0].parent
    return known_task(store, digest) or folder


def back_up(config: Path, path: Path) -> str:
    """Copy the store into one file.

    Raises:
        InputError: the file is there already.
        StoreError: it cannot be written.
    """
    with _store_of(config) as (_, store):
        backup(store.database, path)
    return f"{path}: {path.stat().st_size / 1e6:.1f} MB; keep it as safe as the store"


def change_store_key(config: Path, to: CustodySettings | None) -> str:
    """Let another key open the store; no row is written anew. Return what is left to do."""
    with _store_of(config) as (settings, store):
        old = locked_in(settings.custody, Path(settings.folder))
        new = old if to is None else replace(old, settings=to)
        return change_key(old, new, store.database.secret, store.database.rewrap)


def bring_back(config: Path, path: Path, key: Path | None = None) -> str:
    """Fill an empty store from a backup.

    Args:
        config: The coordinator's file.
        path: The backup.
        key: The key file it was locked with, where the store's own is another.

    Raises:
        SealError: it was locked with another key.
        InputError: the store is not empty, or the file is none that backup wrote.
    """
    settings = CoordinatorSettings.load(config)
    if not path.is_file():  # before a store is made that would be taken for a campaign
        raise InputError(f"{path}: there is no such backup")
    with closing(open_store(settings, make=True)) as store:
        custody = locked_in(CustodySettings(file=str(key)), path.parent) if key else None
        report = restore(path, store.database, custody=custody)
        if not store.events(STREAM):
            raise InputError(
                f"{path} is restored, and holds no campaign '{settings.campaign.name}': set"
                " campaign.name to one of its own"
            )
    return f"{report.events} events in {report.streams} streams are back, all chains whole"


def check_store(config: Path) -> Row:
    """Check the store, and say where each stream ends.

    Written down elsewhere, the ends show later whether a stream was cut short.
    """
    with _store_of(config) as (_, store):
        report = verify(store.database)
        heads = {f"head of {head.stream}": f"{head.version} {head.hash}" for head in store.heads()}
    return {
        "events": report.events,
        "streams": report.streams,
        "artifacts": report.artifacts,
        **heads,
        "faults": "; ".join(report.faults),
    }
