"""Installing a task: where keys are trusted, nothing is loaded that none of them signed."""

from collections.abc import Collection
from pathlib import Path

from fieldvote.errors import SignatureError
from fieldvote.task import Task
from privacy.pii import Redactor, Vocabulary
from privacy.sealing import SigningKey, sign_manifest, verify_manifest

MANIFEST_FILE = "manifest.sig"
_VOCABULARY = "vocabulary/"  # no task file has a slash in its name


def sign_task(folder: Path, *, version: int, signer: SigningKey) -> None:
    """Sign a task folder together with the public vocabularies its policy relies on.

    The vocabulary's digest is part of what is signed: with other words allowed out, the same task
    would be another promise.
    """
    files = Task.files(folder)
    manifest = sign_manifest(_signed_files(folder, files), version=version, signer=signer)
    (folder / MANIFEST_FILE).write_bytes(manifest)


def install_task(folder: Path, *, trusted: Collection[bytes]) -> Task:
    """Return the task in a folder, checked against its manifest.

    Args:
        folder: The task folder.
        trusted: Public keys that may sign a task; empty trusts the folder as it is.

    Raises:
        SignatureError: no trusted key signed these files and vocabularies.
        TaskError: the files contradict each other.
    """
    files = Task.files(folder)
    if trusted:
        try:
            manifest = (folder / MANIFEST_FILE).read_bytes()
        except OSError as err:
            raise SignatureError(
                f"{folder}: no {MANIFEST_FILE}, and only signed tasks are trusted"
            ) from err
        verify_manifest(manifest, trusted=trusted, files=_signed_files(folder, files))
    return Task.parse(files, str(folder))


def redaction_of(task: Task) -> tuple[Redactor, Vocabulary]:
    """Return the redactor a policy names, and the vocabulary the second scan uses."""
    candidates = task.policy.candidates
    redactor = Redactor(mode=candidates.redaction.value, locales=candidates.locales)
    return redactor, Vocabulary.load(candidates.locales[0])


def _signed_files(folder: Path, files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the task's files, and the digest of each vocabulary as if it were one."""
    locales = Task.parse(files, str(folder)).policy.candidates.locales
    words = {_VOCABULARY + name: Vocabulary.load(name).digest.encode() for name in locales}
    return {**files, **words}
