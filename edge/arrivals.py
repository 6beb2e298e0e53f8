"""A signed task as it arrives in pieces: kept across any break, checked whole, then installed.

Rules it keeps:

- What a reply says is here, is on the disk: first the piece is made durable, then how much counts.
- Only the piece that comes next is taken; any other changes nothing and is told what comes next.
- One bundle arrives at a time; the first piece of another takes its place.
- Files that are here already need not arrive: which are missing is said, and nothing is kept.
- Nothing is installed that :mod:`edge.trust` does not admit, or that this device could not work
  with. Until then, and if not, the old task serves on.
"""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from edge.install import is_task, replace_file, replace_task
from edge.pool import Pool
from edge.trust import Trust
from fieldvote.bundle import NAME_BYTES, TARGETS_FILE, Bundle, unpack
from fieldvote.delivery import CHUNK_LIMIT, BundleReply, BundleRequest
from fieldvote.durable import sync_folder
from fieldvote.errors import (
    FieldvoteError,
    InternalError,
    RefusalError,
    SignatureError,
    StoreError,
    WireError,
)
from fieldvote.task import Task
from privacy.sealing.signed_task import check_task

_ARRIVING = "arriving bundle"
_SPARE_BYTES = 32 * 2**20  # what an arrival leaves free for the pool and everybody else
_PART_FILE = "arriving.part"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """How much of which bundle is here.

    Attributes:
        bundle: Its name; empty where none is arriving.
        size_bytes: How much there will be.
        have_bytes: How much is durable.
    """

    bundle: bytes = b""
    size_bytes: int = 0
    have_bytes: int = 0

    def to_note(self) -> bytes:
        """Return this as the pool keeps it."""
        return json.dumps([self.bundle.hex(), self.size_bytes, self.have_bytes]).encode()

    @staticmethod
    def of(pool: Pool) -> "Part":
        """Return what is arriving on a device."""
        note = pool.note(_ARRIVING)
        if note is None:
            return Part()
        name, size, have = json.loads(note)
        return Part(bundle=bytes.fromhex(name), size_bytes=size, have_bytes=have)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where bundles go and what may come.

    Attributes:
        folder: The device's own folder, where pieces are put together.
        task: The task folder.
        trust: Says what may be installed; without it nothing is taken.
        largest_bytes: Larger bundles are refused.
    """

    folder: Path
    task: Path
    trust: Trust | None
    largest_bytes: int


class MissingFilesError(RefusalError):
    """A bundle leaves files out that are not here."""

    def __init__(self, names: tuple[str, ...]) -> None:
        """Remember which."""
        super().__init__(f"{', '.join(names)}: left out of the bundle, and not here")
        self.names = names


class Arrivals:
    """Takes pieces for one device. Belongs to whoever holds the device's turn."""

    def __init__(
        self,
        place: Place,
        pool: Pool,
        *,
        try_out: Callable[[Task], None],
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        """Go on with what has arrived before.

        Args:
            place: Where bundles go.
            pool: Remembers how far an arrival is.
            try_out: Raises an error of ours where the device could not work with a task.
            free_bytes: How much a disk still takes.
        """
        self._place = place
        self._pool = pool
        self._try_out = try_out
        self._free_bytes = free_bytes
        self._path = place.folder / _PART_FILE
        self._part = self._resumed()
        # by the bundle and what was believed then: news may vouch for what was refused
        self._refused: dict[tuple[bytes, int], str] = {}
        self._serves = {_on_disk(place.task)} if place.trust else set[bytes]()
        self._new = False
        if self._part.bundle in {b"", *self._serves}:
            self._forget()  # what a crash has left of one that was installed or given up

    @property
    def installed(self) -> bool:
        """Whether the task folder holds another task than when this device was opened."""
        return self._new

    def take(self, request: BundleRequest) -> BundleReply:
        """Take a piece, install what is complete, and say what is here.

        Raises:
            WireError: no coordinator sends such a piece.
            StoreError: the pool cannot be written; ask again.
        """
        _check(request)
        if request.bundle in self._serves:
            return _reply(request, have=request.size, installed=True)
        try:
            return self._arrive(request)
        except (StoreError, InternalError):
            raise
        except MissingFilesError as err:
            return _reply(request, have=0, refusal=str(err), missing=err.names)
        except FieldvoteError as err:
            return _reply(request, have=0, refusal=str(err))

    def _arrive(self, request: BundleRequest) -> BundleReply:
        """Take a piece of a bundle that is not installed."""
        self._refuse_early(request)
        if self._have(request) == request.offset and request.content:
            self._append(request)
        have = self._have(request)
        if have < request.size:
            return _reply(request, have=have)
        content = self._path.read_bytes()
        if sha256(content).digest() != request.bundle:
            self._forget()
            raise RefusalError("the bytes that arrived are not those the bundle is named by")
        try:
            self._install(self._place.trust, request.bundle, content)
        except StoreError as err:
            # the whole bundle stays: another try needs no piece of it
            raise RefusalError(f"not installed: {err}") from err
        except FieldvoteError as err:
            self._forget()
            if self._place.trust and not isinstance(err, MissingFilesError):
                self._refused[request.bundle, self._place.trust.generation] = str(err)
            raise
        return _reply(request, have=request.size, installed=True)

    def _refuse_early(self, request: BundleRequest) -> None:
        """Refuse what would be refused in the end, before it costs anybody a byte."""
        trust = self._place.trust
        if trust is None:
            raise SignatureError("no root is set, so no task is taken over the wire")
        if reason := trust.staleness_of_top():
            raise RefusalError(reason)
        if refused := self._refused.get((request.bundle, trust.generation)):
            raise RefusalError(refused)
        largest = self._place.largest_bytes
        if request.size > largest:
            raise RefusalError(f"a bundle of {request.size} bytes, largest_bundle_bytes: {largest}")
        # the rest of it, and all of it once more as files
        wanted = 2 * request.size - self._have(request) + _SPARE_BYTES
        free = self._free_bytes(self._place.folder)
        if free < wanted:
            raise RefusalError(f"the disk has {free} bytes free, {wanted} are needed")

    def _have(self, request: BundleRequest) -> int:
        """Return how much of this bundle is durable."""
        part = self._part
        same = (part.bundle, part.size_bytes) == (request.bundle, request.size)
        return part.have_bytes if same else 0

    def _append(self, request: BundleRequest) -> None:
        """Make a piece durable, then make it count."""
        have = self._have(request)
        if have == 0:
            self._forget()  # first, so that no crash leaves these bytes under another's name
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                # what a crash has left behind what counts was never confirmed
                file.truncate(have)
                file.seek(have)
                file.write(request.content)
                file.flush()
                os.fsync(file.fileno())
            if have == 0:
                sync_folder(self._place.folder)
        except OSError as err:
            raise RefusalError(f"the disk does not take it ({err.strerror or err})") from err
        part = Part(
            bundle=request.bundle,
            size_bytes=request.size,
            have_bytes=have + len(request.content),
        )
        self._pool.keep_note(_ARRIVING, part.to_note())
        self._part = part

    def _install(self, trust: Trust | None, name: bytes, content: bytes) -> None:
        """Check what has arrived, and put it in the place of the task.

        Raises:
            WireError: the bytes are no bundle.
            SignatureError: their owner did not sign them, or no snapshot names them.
            RefusalError: the version is not newer.
            MissingFilesError: more was left out than is here.
            TaskError: the device cannot work with it.
        """
        if trust is None:
            raise InternalError("a bundle has arrived where none is taken")
        arrived = unpack(content)
        targets = trust.admitted(arrived)
        files, missing = trust.completed(targets.value, arrived, self._place.task)
        if missing:
            raise MissingFilesError(missing)
        task = check_task(targets.value, files, "the bundle")
        whole = Bundle.of({**files, TARGETS_FILE: targets.blob})
        if is_task(self._place.task, files):  # signed anew, or brought by hand
            replace_file(self._place.task / TARGETS_FILE, targets.blob)
        else:
            self._try_out(task)
            replace_task(self._place.task, unpack(whole.content))
            self._new = True
        # after the folder: a crash in between leaves a newer one, which is taken up when opened
        trust.took(targets)
        self._serves = {whole.name, name}
        self._forget()

    def _resumed(self) -> Part:
        """Return what is here of the bundle that was arriving, without what never counted."""
        part = Part.of(self._pool)
        try:
            there = self._path.stat().st_size
        except OSError:
            there = 0
        return part if there >= part.have_bytes else Part()

    def _forget(self) -> None:
        """Let go of what has arrived."""
        self._part = Part()
        self._pool.keep_note(_ARRIVING, self._part.to_note())
        self._path.unlink(missing_ok=True)


def _check(request: BundleRequest) -> None:
    """Refuse what contradicts itself."""
    end = request.offset + len(request.content)
    if len(request.bundle) != NAME_BYTES or len(request.content) >= CHUNK_LIMIT:
        raise WireError(f"a piece of {len(request.content)} bytes of no bundle")
    if not 0 <= request.offset <= end <= request.size or not request.size:
        raise WireError(f"a piece from {request.offset} to {end} of {request.size} bytes")


def _on_disk(task: Path) -> bytes:
    """Return the name of the bundle a task folder is; nothing where it is not one."""
    try:
        bundle = Bundle.load(task)
    except FieldvoteError:
        return b""
    return bundle.name if bundle else b""


def _reply(
    request: BundleRequest,
    *,
    have: int,
    installed: bool = False,
    refusal: str = "",
    missing: tuple[str, ...] = (),
) -> BundleReply:
    return BundleReply(
        bundle=request.bundle, have=have, installed=installed, refusal=refusal, missing=missing
    )
