"""Putting a task in the place of another: whole, or not at all. Who may is for :mod:`edge.trust`.

A new version takes the place of the old one by two renames beside each other, and the old one comes
back by three::

    task            what is served
    task.arriving   the next one, while it is written
    task.previous   the last one
    task.leaving    the one that changes places with the last

A crash anywhere leaves `task` old or new and whole; or, between renames, absent, and then what is
beside it is whole and :func:`settle` finishes what was begun.
"""

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fieldvote.durable import FOR_ALL, sync_folder, write_once
from fieldvote.errors import InputError, StoreError
from fieldvote.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A task and the version it was signed as; none where no root is set."""

    task: Task
    version: int | None


def installed_in(folder: Path) -> Installed:
    """Return the task in a folder as it is, where nobody's signature is asked for.

    Raises:
        TaskError: the files contradict each other.
    """
    return Installed(task=Task.load(folder), version=None)


def replace_task(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put files in the place of a task folder, all or nothing; the folder before stays beside it.

    Raises:
        StoreError: the disk does not take it; the task is the one before.
    """
    arriving, previous = _beside(folder, "arriving"), _beside(folder, "previous")
    try:
        _remove(arriving)
        arriving.mkdir()
        for name, content in files.items():
            write_once(arriving / name, content, mode=FOR_ALL)
        # only a folder that is whole on the disk may ever be taken for the task
        sync_folder(arriving)
        _remove(previous)
        os.rename(folder, previous)
        os.rename(arriving, folder)
        sync_folder(folder.parent)
    except OSError as err:
        with suppress(OSError):
            settle(folder)
        # without a path: this sentence may travel to the coordinator
        raise StoreError(f"the task folder cannot be replaced ({err.strerror})") from err


def is_task(folder: Path, files: Mapping[str, bytes]) -> bool:
    """Return whether a folder holds the task of these files, whoever signed it."""
    try:
        return Task.files(folder) == files
    except InputError:
        return False


def replace_file(path: Path, content: bytes) -> None:
    """Write one file in place of what was there, all or nothing.

    Raises:
        StoreError: the disk does not take it; the file is the one before.
    """
    draft = path.with_name(f"{path.name}.arriving")
    try:
        draft.unlink(missing_ok=True)
        write_once(draft, content, mode=FOR_ALL)
        os.rename(draft, path)
        sync_folder(path.parent)
    except OSError as err:
        raise StoreError(f"{path.name} cannot be replaced ({err.strerror})") from err


def settle(folder: Path) -> None:
    """Finish what a crash has interrupted, or clear away what it has left."""
    arriving, leaving = _beside(folder, "arriving"), _beside(folder, "leaving")
    previous = _beside(folder, "previous")
    if leaving.is_dir():
        if folder.exists() and not previous.exists():
            os.rename(leaving, previous)
        elif not folder.exists():
            os.rename(previous, folder)
            os.rename(leaving, previous)
        sync_folder(folder.parent)
    if not arriving.is_dir():
        return
    if folder.exists():
        _remove(arriving)
    elif previous.exists():
        os.rename(arriving, folder)
        sync_folder(folder.parent)


def previous_of(folder: Path) -> Path:
    """Return where the task before is kept.

    Raises:
        InputError: there is none.
    """
    previous = _beside(folder, "previous")
    if not previous.is_dir():
        raise InputError(f"{previous}: no task was here before; there is nothing to go back to")
    return previous


def bring_previous_back(folder: Path) -> None:
    """Let the task and the one before change places, all or nothing.

    Raises:
        StoreError: the disk does not take it; the task is the one it was.
    """
    leaving, previous = _beside(folder, "leaving"), _beside(folder, "previous")
    try:
        os.rename(folder, leaving)
        os.rename(previous, folder)
        os.rename(leaving, previous)
        sync_folder(folder.parent)
    except OSError as err:
        with suppress(OSError):
            settle(folder)
        raise StoreError(f"the task folder cannot be replaced ({err.strerror})") from err


def _beside(folder: Path, word: str) -> Path:
    return folder.with_name(f"{folder.name}.{word}")


def _remove(folder: Path) -> None:
    """Remove a folder of ours, or a link somebody has put in its place."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
