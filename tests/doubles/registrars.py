"""A real registrar over loopback, with a clock one can turn, in a folder of its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

from coordinator.keys.authority import Authority, make_authority
from coordinator.keys.enrolled import Book, opened_book
from coordinator.keys.registrar import Registrar
from coordinator.keys.registrar_server import listening, serve_talks, server_context
from coordinator.keys.registrar_settings import Handout, RegistrarSettings
from coordinator.keys.tokens import invite
from privacy.sealing.token import Token
from tests.doubles.tasks import DESK_KEY

DESK = f'labeling_key = "{DESK_KEY}"\ndesk_key = "{DESK_KEY}"\n'
HOST = "127.0.0.1"


@dataclass
class Clock:
    """The time, as somebody sets it."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now

    def passes(self, **span: float) -> None:
        """Let time pass."""
        self.now += timedelta(**span)


@dataclass
class Owner:
    """An owner's key folder and the registrar in it."""

    folder: Path
    port: int = 0
    clock: Clock = field(default_factory=Clock)
    said: list[str] = field(default_factory=list)

    @property
    def registrar(self) -> Registrar:
        """What answers, by this owner's clock."""
        settings = RegistrarSettings.load(self.folder)
        return Registrar(
            authority=self.authority,
            handout=Handout.read(settings),
            life=timedelta(days=settings.certificate_days),
            now=self.clock,
            entropy=os.urandom,
            say=self.said.append,
        )

    @property
    def authority(self) -> Authority:
        return Authority.load(self.folder, now=self.clock())

    @contextmanager
    def book(self) -> Iterator[Book]:
        with opened_book(self.folder) as book:
            yield book

    def names(self) -> list[str]:
        """Return who is enrolled."""
        with self.book() as book:
            return [device.name for device in book.devices()]

    def invite(self, name: str = "phone1") -> Token:
        """Return a token, as the owner's command does."""
        return invite(self.folder, name, now=self.clock())


def an_owner(folder: Path, *, port: int = 9, more: str = "") -> Owner:
    """Return a new owner's folder."""
    made = Owner(folder, port)
    make_authority(folder, fleet="ours", now=made.clock(), entropy=os.urandom)
    (folder / "desk.pub").write_text(DESK)
    (folder / "registrar.toml").write_text(f'desk = "desk.pub"\nlisten = "{HOST}:{port}"\n{more}')
    return made


@contextmanager
def a_registrar(folder: Path, *, more: str = "") -> Iterator[Owner]:
    """Yield an owner whose registrar answers on loopback."""
    door, stop = listening(f"{HOST}:0"), Event()
    owner = an_owner(folder, port=door.getsockname()[1], more=more)
    context = server_context(owner.authority, (HOST,))
    thread = Thread(target=serve_talks, args=(owner.registrar, folder, door, context, stop))
    thread.start()
    try:
        yield owner
    finally:
        stop.set()
        thread.join(10)
        door.close()
