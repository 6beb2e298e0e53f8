"""What this device believes of its fleet's owner: kept in its pool, and asked before it acts.

It begins with one file, the root its operator put here, and moves by the rules of
:mod:`privacy.sealing.trusted`. What is believed is one note of the pool: written at once or not at
all, and never lowered, whichever task folder is put in place of another.

Rules it keeps:

- Over the wire a task comes only if the newest snapshot names it and it is newer than all before.
- Whoever can write the task folder is its operator: a task put there by hand must be signed and not
  older; no snapshot need name it. To go back to the task before is a command, and what it allows is
  exactly that task: for whoever is outside, nothing older than the newest is ever taken.
- Without a timestamp that is still good this device installs nothing and takes part in no round:
  who keeps news from it must not be able to keep it at work.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from edge.install import Installed
from edge.pool import Pool
from fieldvote.bundle import (
    DIRECTORY_FILE,
    ROOT_SUFFIX,
    SNAPSHOT_FILE,
    TARGETS_FILE,
    TIMESTAMP_FILE,
    Bundle,
    is_vocabulary,
    unpack,
)
from fieldvote.errors import InputError, RefusalError, SettingsError, SignatureError
from fieldvote.heads import ServeRequest
from fieldvote.records import encode
from fieldvote.task import Task
from privacy.sealing.news import from_notes, refreshed, to_notes
from privacy.sealing.roles import WEIGHTS, FileInfo, Role, Targets
from privacy.sealing.signed import Held
from privacy.sealing.signed_task import check_task
from privacy.sealing.trusted import Trusted, check_files

_NOTE = "trust"
_ANCHOR = "anchor"  # which root this began with
_ALLOWED = "rolled back to"


class Trust:
    """Belongs to whoever holds the device's turn."""

    def __init__(self, pool: Pool, root: bytes, now_s: Callable[[], float]) -> None:
        """Go on with what was believed, or begin with a root.

        A root file that is another than before begins anew: its operator decides.

        Args:
            pool: Keeps what is believed.
            root: The root the operator put here.
            now_s: Seconds since 1970.

        Raises:
            SignatureError: it is no root.
        """
        self._pool, self._now_s = pool, now_s
        self._anchor = sha256(root).digest()
        kept = pool.note(_NOTE)
        notes = {} if kept is None else unpack(kept)
        if notes.pop(_ANCHOR, b"") == self._anchor:
            self._directory = notes.pop(DIRECTORY_FILE, b"")
            self._trusted = from_notes(notes)
        else:
            self._directory = b""
            self._trusted = Trusted.begin(root)
        self._on_disk = b""
        self.generation = 0
        """Counts up whenever something new is believed."""

    @staticmethod
    def load(pool: Pool, path: Path, now_s: Callable[[], float]) -> "Trust":
        """Begin with a root in a file.

        Raises:
            SettingsError: it cannot be read.
            SignatureError: it is no root.
        """
        try:
            root = path.read_bytes()
        except OSError as err:
            raise SettingsError(f"root: {path}: cannot be read ({err.strerror or err})") from err
        return Trust(pool, root, now_s)

    @property
    def newest(self) -> int | None:
        """The highest version that was ever installed here."""
        targets = self._trusted.targets
        return None if targets is None else targets.value.version

    @property
    def directory(self) -> bytes:
        """The fleet's directory as its owner signed it; empty before one has come."""
        return self._directory

    def staleness(self) -> str:
        """Return why this device should do nothing; empty while all is well."""
        return self._trusted.staleness(self._now_s())

    def installed(self, folder: Path) -> Installed:
        """Return the task in a folder, whoever has put it there.

        Raises:
            SignatureError: its owner did not sign it, or it is older than one that was here.
            TaskError: the files contradict each other.
        """
        files, metadata = Task.files(folder), _metadata_in(folder)
        blob = metadata.get(TARGETS_FILE)
        if blob is None:
            raise SignatureError(f"{folder}: no {TARGETS_FILE}, and only signed tasks are trusted")
        roots = {name: held for name, held in metadata.items() if name.endswith(ROOT_SUFFIX)}
        trusted = refreshed(self._trusted, roots, self._now_s())
        if TIMESTAMP_FILE in metadata:
            news = {name: metadata.get(name, b"") for name in (TIMESTAMP_FILE, SNAPSHOT_FILE)}
            # a folder grows old, and that is no attack: only what is newer in it is news
            with suppress(RefusalError):
                trusted = refreshed(trusted, news, self._now_s())
        held = trusted.targets
        if held is None or held.blob != blob:
            if self._pool.note(_ALLOWED) == sha256(blob).digest():
                held = trusted.signed_targets(blob)
            else:
                trusted = trusted.with_local_targets(blob)
                held = trusted.targets
        task = check_task(_value(held), files, str(folder))
        self._keep(trusted)
        self._on_disk = blob
        return Installed(task=task, version=_value(held).version)

    def version_in(self, folder: Path) -> int | None:
        """Return what the task in a folder was signed as, for people; nothing is written down."""
        blob, held = _metadata_in(folder).get(TARGETS_FILE, b""), self._trusted.targets
        if held is not None and held.blob == blob:
            return held.value.version
        with suppress(RefusalError):
            return self._trusted.signed_targets(blob).value.version
        return None

    def refresh(self, news: bytes) -> None:
        """Follow what the coordinator brings of the top roles.

        Raises:
            WireError: it is no bundle of files.
            SignatureError: something in it breaks a rule; nothing is believed of it.
        """
        if not news:
            return
        files = unpack(news)
        trusted = refreshed(self._trusted, files, self._now_s())
        self._keep(trusted, files.get(DIRECTORY_FILE))

    def admitted(self, files: Mapping[str, bytes]) -> Held[Targets]:
        """Return the targets in a bundle, if they are those that should be here.

        Raises:
            SignatureError: its owner did not sign it, or the newest snapshot names another.
            RefusalError: it is not newer than what was here.
        """
        if reason := self.staleness_of_top():
            raise RefusalError(reason)
        after = self._trusted.with_targets(files.get(TARGETS_FILE, b""), self._now_s())
        if after.targets is None:
            raise SignatureError("the bundle is signed by nobody")
        before, new = self._trusted.targets, after.targets
        if before is not None and before.blob == new.blob and new.blob != self._on_disk:
            version = new.value.version
            raise RefusalError(f"version {version} is not newer than {version}, which was left")
        return new

    def staleness_of_top(self) -> str:
        """Return why no task should be installed: as staleness, whatever the old one's own state.

        A task whose own targets are over, or signed by a lost key, is mended by a newer one.
        """
        return replace(self._trusted, targets=None).staleness(self._now_s())

    def completed(
        self, targets: Targets, files: Mapping[str, bytes], folder: Path
    ) -> tuple[dict[str, bytes], tuple[str, ...]]:
        """Fill up a bundle with files that are here; return them, and which are nowhere."""
        found = {name: held for name, held in files.items() if name != TARGETS_FILE}
        try:
            here = Task.files(folder)
        except InputError:
            here = {}
        missing = []
        for path, info in targets.files:
            if path in found or is_vocabulary(path):
                continue
            if path in here and FileInfo.of(here[path]) == info:
                found[path] = here[path]
            else:
                missing.append(path)
        return found, tuple(missing)

    def took(self, targets: Held[Targets]) -> None:
        """Remember that targets are installed; nothing older comes over the wire from now on."""
        self._keep(self._trusted.with_targets(targets.blob, self._now_s()))
        self._on_disk = targets.blob

    def proposed(self, targets: bytes, files: Mapping[str, bytes]) -> Task | None:
        """Return the task a trial is about, if its owner signed it; None if it is not newer.

        No snapshot names it yet: it is looked at, and not installed.

        Raises:
            SignatureError: its owner did not sign these files.
            TaskError: the files contradict each other.
        """
        new = self._trusted.signed_targets(targets)
        if self._now_s() >= new.value.expires_s:
            raise SignatureError("targets: those of the release are over")
        task = check_task(new.value, files, "the release")
        newest = self.newest
        return task if newest is None or new.value.version > newest else None

    def check_order(self, order: ServeRequest, family: str) -> None:
        """Return if the coordinator's online role signed this order for this family of tasks.

        Raises:
            SignatureError: it did not, or it signed another.
        """
        signed = self._trusted.delegated(Role.ONLINE, order.order, self._now_s()).value
        if signed.version != order.serial:
            raise SignatureError(f"online: serial {order.serial}, signed as {signed.version}")
        check_files(signed, {WEIGHTS + family: encode(replace(order, order=b""))})

    def allow_back(self, folder: Path) -> int:
        """Let the task in a folder serve although it is older; return its version.

        Raises:
            SignatureError: those who may sign today did not sign it.
        """
        blob = _metadata_in(folder).get(TARGETS_FILE, b"")
        held = self._trusted.signed_targets(blob)
        check_task(held.value, Task.files(folder), str(folder))
        self._pool.keep_note(_ALLOWED, sha256(blob).digest())
        return held.value.version

    def _keep(self, trusted: Trusted, directory: bytes | None = None) -> None:
        """Write down what is believed, before anything goes by it."""
        if trusted == self._trusted and self._pool.note(_NOTE) is not None:
            return
        content = self._directory if directory is None else directory
        notes = {**to_notes(trusted), _ANCHOR: self._anchor, DIRECTORY_FILE: content}
        self._pool.keep_note(_NOTE, Bundle.of(notes).content)
        self._trusted, self._directory = trusted, content
        self.generation += 1


def _value(held: Held[Targets] | None) -> Targets:
    if held is None:
        raise SignatureError("no targets are signed")
    return held.value


def _metadata_in(folder: Path) -> dict[str, bytes]:
    """Return what is signed in a folder, by file name."""
    names = [TARGETS_FILE, SNAPSHOT_FILE, TIMESTAMP_FILE]
    paths = [*(folder / name for name in names), *folder.glob(f"*{ROOT_SUFFIX}")]
    return {path.name: path.read_bytes() for path in paths if path.is_file()}
