"""Installing a task: where keys are trusted, nothing is loaded that none of them signed.

A new version takes the place of the old one by two renames beside each other::

    task            what is served
    task.arriving   the next one, while it is written
    task.previous   the last one

A crash anywhere leaves `task` old or new and whole; or, between the two renames, absent, and then
`task.arriving` is whole and :func:`settle` finishes what was begun.
"""

import os
import shutil
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fieldvote.bundle import MANIFEST_FILE, signed_content
from fieldvote.errors import InputError, SignatureError, StoreError
from fieldvote.task import Task
from privacy.pii import Redactor, Vocabulary
from privacy.sealing import SigningKey, sign_manifest, verify_manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A task and the version it was signed as; none where no key is trusted."""

    task: Task
    version: int | None


def sign_task(folder: Path, *, version: int, signer: SigningKey) -> None:
    """Sign a task folder together with the public vocabularies its policy relies on.

    The vocabulary's digest is part of what is signed: with other words allowed out, the same task
    would be another promise.
    """
    content = _signed(Task.files(folder), str(folder))
    manifest = sign_manifest(content, version=version, signer=signer)
    (folder / MANIFEST_FILE).write_bytes(manifest)


def sign_as_owner(
    folder: Path, *, version: int, key: Path, make: bool, entropy: Callable[[int], bytes]
) -> bytes:
    """Sign a task folder with the key in a file; return its public half.

    Args:
        folder: The task folder.
        version: Higher than any it was signed as before; devices take no older one.
        key: The file that holds the owner's secret.
        make: Whether the key is to be made.
        entropy: What it is made of.

    Raises:
        InputError: there is no such key, or there is one already.
        TaskError: the folder holds no task.
        StoreError: a file cannot be written.
    """
    if key.exists() == make:
        raise InputError(
            f"{key}: is there already; sign with it, or name another file"
            if make
            else f"{key}: no such key; --new-key makes one"
        )
    content = _signed(Task.files(folder), str(folder))  # before a key is made for nothing
    try:
        if make:
            key.touch(mode=0o600)
            key.write_bytes(SigningKey.generate(entropy).to_bytes())
        signer = SigningKey.from_bytes(key.read_bytes())
        manifest = sign_manifest(content, version=version, signer=signer)
        (folder / MANIFEST_FILE).write_bytes(manifest)
    except OSError as err:
        raise StoreError(f"{err.filename}: cannot be written ({err.strerror or err})") from err
    return signer.public


def install_task(folder: Path, *, trusted: Collection[bytes]) -> Task:
    """Return the task in a folder, checked against its manifest.

    Args:
        folder: The task folder.
        trusted: Public keys that may sign a task; empty trusts the folder as it is.

    Raises:
        SignatureError: no trusted key signed these files and vocabularies.
        TaskError: the files contradict each other.
    """
    return installed_in(folder, trusted=trusted).task


def installed_in(folder: Path, *, trusted: Collection[bytes]) -> Installed:
    """Return the task in a folder as install_task does, and its version."""
    files = Task.files(folder)
    if not trusted:
        return Installed(task=Task.parse(files, str(folder)), version=None)
    try:
        manifest = (folder / MANIFEST_FILE).read_bytes()
    except OSError as err:
        raise SignatureError(
            f"{folder}: no {MANIFEST_FILE}, and only signed tasks are trusted"
        ) from err
    return checked(files, manifest, trusted=trusted, where=str(folder))


def checked(
    files: Mapping[str, bytes], manifest: bytes, *, trusted: Collection[bytes], where: str
) -> Installed:
    """Return the task in these files if a trusted key signed them.

    Raises:
        SignatureError: no trusted key signed these files and vocabularies.
        TaskError: the files contradict each other.
    """
    signed = verify_manifest(manifest, trusted=trusted, files=_signed(files, where))
    return Installed(task=Task.parse(files, where), version=signed.version)


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
            with (arriving / name).open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
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


def settle(folder: Path) -> None:
    """Finish a replacement that a crash has interrupted, or clear away what it has left."""
    arriving = _beside(folder, "arriving")
    if not arriving.is_dir():
        return
    if folder.exists():
        _remove(arriving)
    elif _beside(folder, "previous").exists():
        os.rename(arriving, folder)
        sync_folder(folder.parent)


def redaction_of(task: Task) -> tuple[Redactor, Vocabulary]:
    """Return the redactor a policy names, and the vocabulary the second scan uses."""
    candidates = task.policy.candidates
    redactor = Redactor(mode=candidates.redaction.value, locales=candidates.locales)
    return redactor, Vocabulary.load(candidates.locales[0])


def _signed(files: Mapping[str, bytes], where: str) -> dict[str, bytes]:
    """Return what a manifest is about."""
    return signed_content(files, where, vocabulary=lambda name: Vocabulary.load(name).digest)


def _beside(folder: Path, word: str) -> Path:
    return folder.with_name(f"{folder.name}.{word}")


def _remove(folder: Path) -> None:
    """Remove a folder of ours, or a link somebody has put in its place."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
