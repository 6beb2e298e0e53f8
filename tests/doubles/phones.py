"""A device's disk and the part of its program that takes a new task in pieces."""

import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from edge.arrivals import Arrivals, Place
from edge.device import try_out
from edge.install import installed_in, settle
from edge.items import text_payload
from edge.pool import Pool
from edge.trust import Trust
from fieldvote.bundle import TARGETS_FILE, Bundle, unpack
from fieldvote.delivery import BundleReply, BundleRequest
from fieldvote.errors import FieldvoteError
from fieldvote.task import Task
from privacy.sealing.roles import Role, Targets
from privacy.sealing.signed import reopen
from tests.doubles.owner import OWNER, Owner
from tests.doubles.tasks import text_files, write_task

OLD, NEW = text_files(), text_files(candidates=7)


@cache
def owned(version: int) -> Bundle:
    """Return what the owner signed: up to version 3 the old files, after that the new ones."""
    return OWNER.bundle(OLD if version <= 3 else NEW, version)


def news_of(bundle: Bundle, owner: Owner = OWNER) -> bytes:
    """Return what hello says of a bundle; nothing of one that nobody signed."""
    try:
        blob = unpack(bundle.content)[TARGETS_FILE]
        version = reopen(blob, Targets, Role.TARGETS).value.version
    except (FieldvoteError, KeyError):
        return b""
    return owner.news(bundle, version)


@dataclass(slots=True)
class Phone:
    """A device's disk, and the part of its program that takes pieces."""

    root: Path
    owner: Owner | None = OWNER
    largest_bytes: int = 10_000_000
    free_bytes: int = 10**12
    tries: bool = True
    arrivals: Arrivals = field(init=False)
    pool: Pool = field(init=False)
    trust: Trust | None = field(init=False)
    passed_s: float = 0.0

    def __post_init__(self) -> None:
        if not self.task.exists():
            write_task(self.task, OLD)
            OWNER.sign_task(self.task, 3)
        (self.root / "state").mkdir(exist_ok=True)
        self.start()

    @property
    def task(self) -> Path:
        return self.root / "task"

    def now_s(self) -> float:
        return time.time() + self.passed_s

    def start(self) -> None:
        """Open everything as the agent does."""
        settle(self.task)
        self.pool = Pool(self.root / "state" / "pool.sqlite")
        if not len(self.pool):
            self.pool.add([bytes(16)], [text_payload("a prize")])
        self.trust = Trust(self.pool, self.owner.roots[0], self.now_s) if self.owner else None
        installed = self.trust.installed(self.task) if self.trust else installed_in(self.task)
        self.arrivals = Arrivals(
            Place(
                folder=self.root / "state",
                task=self.task,
                trust=self.trust,
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

    def hear(self, news: bytes) -> None:
        """Take news in, as far as it is believed."""
        with suppress(FieldvoteError):
            if self.trust:
                self.trust.refresh(news)

    def send(self, bundle: Bundle, offset: int = 0, size: int = 0) -> BundleReply:
        content = bundle.content[offset : offset + size]
        return self.arrivals.take(
            BundleRequest(
                bundle=bundle.name, size=bundle.size_bytes, offset=offset, content=content
            )
        )

    def finish(self, bundle: Bundle, size: int = 3000) -> BundleReply:
        """Say what is new, and send what is missing, as a coordinator does."""
        self.hear(news_of(bundle))
        reply = self.send(bundle)
        while not reply.installed and not reply.refusal:
            reply = self.send(bundle, reply.have, size)
        return reply

    def digest(self) -> str:
        return Task.load(self.task).digest
