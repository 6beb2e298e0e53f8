"""A device's disk and the part of its program that takes a new task in pieces."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from edge.arrivals import Arrivals, Place
from edge.device import try_out
from edge.install import installed_in, settle, sign_task
from edge.items import text_payload
from edge.pool import Pool
from fieldvote.bundle import Bundle, unpack
from fieldvote.delivery import BundleReply, BundleRequest
from fieldvote.rng import keyed_entropy
from fieldvote.task import Task
from privacy.sealing import SigningKey
from tests.doubles.tasks import text_files, write_task

OWNER = SigningKey.generate(keyed_entropy(1, "owner"))
STRANGER = SigningKey.generate(keyed_entropy(2, "stranger"))
OLD, NEW = text_files(), text_files(candidates=7)


@cache
def owned(version: int) -> Bundle:
    """Return what the owner signed: up to version 3 the old files, after that the new ones."""
    with TemporaryDirectory() as name:
        return signed(Path(name) / "task", OLD if version <= 3 else NEW, version, OWNER)


def signed(folder: Path, files: dict[str, bytes], version: int, signer: SigningKey) -> Bundle:
    """Return files as a bundle that somebody signed."""
    sign_task(write_task(folder, files), version=version, signer=signer)
    bundle = Bundle.load(folder)
    assert bundle is not None
    return bundle


@dataclass(slots=True)
class Phone:
    """A device's disk, and the part of its program that takes pieces."""

    root: Path
    trusted: tuple[SigningKey, ...] = (OWNER,)
    largest_bytes: int = 10_000_000
    free_bytes: int = 10**12
    tries: bool = True
    arrivals: Arrivals = field(init=False)
    pool: Pool = field(init=False)

    def __post_init__(self) -> None:
        if not self.task.exists():
            write_task(self.task, unpack(owned(3).content))
        (self.root / "state").mkdir(exist_ok=True)
        self.start()

    @property
    def task(self) -> Path:
        return self.root / "task"

    def start(self) -> None:
        """Open everything as the agent does."""
        settle(self.task)
        installed = installed_in(self.task, trusted=[key.public for key in self.trusted])
        self.pool = Pool(self.root / "state" / "pool.sqlite")
        if not len(self.pool):
            self.pool.add([bytes(16)], [text_payload("a prize")])
        if installed.version is not None:
            self.pool.keep_note("task version", b"%d" % installed.version)
        self.arrivals = Arrivals(
            Place(
                folder=self.root / "state",
                task=self.task,
                trusted=[key.public for key in self.trusted],
                largest_bytes=self.largest_bytes,
            ),
            self.pool,
            try_out=lambda new: self._try(new, installed.task),
            free_bytes=lambda _: self.free_bytes,
        )

    def _try(self, new: Task, old: Task) -> None:
        """Try a task out as a device does, unless a test is not about that."""
        if self.tries:
            try_out(new, old, self.pool, evaluates=False)

    def restart(self) -> None:
        """Lose everything that is not on the disk."""
        self.pool.close()
        self.start()

    def send(self, bundle: Bundle, offset: int = 0, size: int = 0) -> BundleReply:
        content = bundle.content[offset : offset + size]
        return self.arrivals.take(
            BundleRequest(
                bundle=bundle.name, size=bundle.size_bytes, offset=offset, content=content
            )
        )

    def finish(self, bundle: Bundle, size: int = 3000) -> BundleReply:
        """Send what is missing, as a coordinator does."""
        reply = self.send(bundle)
        while not reply.installed and not reply.refusal:
            reply = self.send(bundle, reply.have, size)
        return reply

    def digest(self) -> str:
        return Task.load(self.task).digest
