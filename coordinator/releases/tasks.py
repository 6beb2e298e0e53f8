"""The tasks of a campaign: the one it began with, and the releases that followed it.

Their files are kept as bundles in the store, so that a campaign goes on with a release whatever
folder its coordinator was started with, and a round can be made again with the task it had.
"""

import json
from collections.abc import Iterable

from coordinator.store.campaign import Store
from fieldvote.bundle import TARGETS_FILE, Bundle, unpack
from fieldvote.errors import InputError
from fieldvote.records import DeviceId
from fieldvote.task import FUNCTIONS_FILE, Task

TASK = "task"
"""What the note is called that says which task a campaign is about."""
_BEFORE = "task before"
_BUNDLE = "bundle of "  # and a task's digest
_RUNNING = "devices that run the task"


def current_task(store: Store, folder: Task) -> Task:
    """Return the campaign's task: the folder's, or the release that was promoted after it."""
    about = store.note(TASK)
    if about is None or about == folder.digest:
        return folder
    return known_task(store, about) or folder


def known_task(store: Store, digest: str) -> Task | None:
    """Return a task of this campaign by its digest; None if its files were never kept."""
    bundle = kept_bundle(store, digest)
    if bundle is None:
        return None
    return task_in(bundle, f"task {digest[:12]}")


def kept_bundle(store: Store, digest: str) -> Bundle | None:
    """Return the kept files of a task of this campaign."""
    name = store.note(f"{_BUNDLE}{digest}")
    return None if name is None else load_bundle(store, name)


def load_bundle(store: Store, artifact: str) -> Bundle:
    """Return a bundle that is kept as this artifact."""
    content = store.artifact(artifact)
    return Bundle(name=bytes.fromhex(artifact), content=content)


def task_in(bundle: Bundle, where: str) -> Task:
    """Return the task in a bundle, signed or not."""
    files = unpack(bundle.content)
    files.pop(TARGETS_FILE, None)
    return Task.parse(files, where)


def keep_bundle(store: Store, digest: str, artifact: str) -> None:
    """Remember which artifact holds a task's files."""
    store.keep_note(f"{_BUNDLE}{digest}", artifact)


def move_on(store: Store, before: str, after: str) -> None:
    """Make a release the campaign's task; every device has to say again what it runs."""
    store.keep_note(TASK, after)
    store.keep_note(_BEFORE, before)
    store.keep_note(_RUNNING, "[]")


def is_of(store: Store, digest: str) -> bool:
    """Return whether a campaign may be driven from a folder with this task.

    It is about the task, or about the one before its newest release: whoever promotes from one
    machine need not copy a folder to all others first.
    """
    return store.note(TASK) in (None, digest) or store.note(_BEFORE) == digest


def running(store: Store) -> frozenset[DeviceId] | None:
    """Return the devices that said they run the promoted task; None if there was no promotion."""
    note = store.note(_RUNNING)
    return None if note is None else frozenset(DeviceId(each) for each in json.loads(note))


def note_running(store: Store, devices: Iterable[DeviceId]) -> None:
    """Remember that these devices run the campaign's task."""
    known = running(store)
    if known is not None:
        store.keep_note(_RUNNING, json.dumps(sorted(known | set(devices))))


def check_release(before: Bundle, after: Bundle) -> None:
    """Return if one bundle is a release of the task in the other.

    Raises:
        InputError: more differs than the functions, or nothing does.
    """
    old, new = unpack(before.content), unpack(after.content)
    for name in sorted((old.keys() | new.keys()) - {TARGETS_FILE, FUNCTIONS_FILE}):
        if old.get(name) != new.get(name):
            raise InputError(
                f"{name} differs from the campaign's: a release changes {FUNCTIONS_FILE} only;"
                " anything else is a new campaign"
            )
    if old.get(FUNCTIONS_FILE) == new.get(FUNCTIONS_FILE):
        raise InputError(f"{FUNCTIONS_FILE} is the campaign's own: there is nothing to release")
