"""The registrar as a program: TLS on one port, a few talks at a time, each short and small.

Its own TLS key is made at every start and its certificate is signed by the intermediate, so a
device that knows the fleet's root needs no other trust.
"""

import os
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import BoundedSemaphore, Event, Thread

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from coordinator.keys.authority import Authority
from coordinator.keys.enrolled import opened_book
from coordinator.keys.registrar import Line, Registrar
from coordinator.keys.registrar_settings import Handout, RegistrarSettings
from coordinator.processes import stopping
from fieldvote.durable import write_new
from fieldvote.errors import FieldvoteError, UnavailableError
from fieldvote.frames import Frames
from fieldvote.locks import lock_file
from privacy.sealing.authority import make_server, to_pem

MAX_REQUEST_BYTES = 8192
"""The longest message a device sends; nothing longer is read."""

TALK_S = 10.0
_TALKS = 16
_BACKLOG = 64
_LOOK_S = 0.2


def serve_registrar(folder: Path, say: Callable[[str], None]) -> None:
    """Enrol and renew devices until a signal comes.

    Raises:
        InputError: the folder holds no authority, or its settings cannot be used.
        RefusalError: the intermediate's certificate is over.
        UnavailableError: another registrar works in this folder, or the port is taken.
    """
    settings = RegistrarSettings.load(folder)
    refusal = f"a registrar is working in {folder}; stop it first"
    with stopping() as stop, lock_file(folder / "registrar.lock", refusal):
        authority = Authority.load(folder, now=_now())
        registrar = Registrar(
            authority=authority,
            handout=Handout.read(settings),
            life=timedelta(days=settings.certificate_days),
            now=_now,
            entropy=os.urandom,
            say=say,
        )
        hosts = {place.rpartition(":")[0] for place in (settings.address, settings.listen)}
        context = server_context(authority, tuple(sorted(hosts)))
        with opened_book(folder), listening(settings.listen) as door:
            say(f"devices enrol at {settings.address}; tokens come from 'fieldvote keys invite'")
            serve_talks(registrar, folder, door, context, stop)
        say("stopped")


def serve_talks(
    registrar: Registrar,
    folder: Path,
    door: socket.socket,
    context: ssl.SSLContext,
    stop: Event,
) -> None:
    """Take calls at the door until told to stop; each talk in a thread of its own."""
    free = BoundedSemaphore(_TALKS)
    door.settimeout(_LOOK_S)
    while not stop.is_set():
        try:
            caller, _ = door.accept()
        except TimeoutError:
            continue
        except OSError:
            stop.wait(_LOOK_S)  # too many open files: those who call now wait in the backlog
            continue
        if not free.acquire(blocking=False):
            caller.close()  # as many as may be are talking; a device tries again
            continue
        Thread(
            target=_receive, args=(registrar, folder, caller, context, free), daemon=True
        ).start()


def server_context(authority: Authority, hosts: tuple[str, ...]) -> ssl.SSLContext:
    """Return TLS 1.3 under the fleet's root, with a key that was made for it just now."""
    key = ed25519.Ed25519PrivateKey.generate()
    certificate = make_server(
        key.public_key().public_bytes_raw(),
        hosts,
        authority=authority.certificate,
        key=authority.key,
        now=_now(),
        entropy=os.urandom,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    # the library reads files only; these are gone before anyone calls
    with TemporaryDirectory(prefix="registrar-") as place:
        chain, own = Path(place) / "chain.pem", Path(place) / "key.pem"
        write_new(chain, to_pem(certificate) + to_pem(authority.certificate))
        write_new(own, secret)
        context.load_cert_chain(chain, own)
    return context


def listening(place: str) -> socket.socket:
    """Return a socket that listens at host:port.

    Raises:
        UnavailableError: nothing can listen there.
    """
    host, _, port = place.rpartition(":")
    try:
        return socket.create_server((host.strip("[]"), int(port)), backlog=_BACKLOG)
    except (OSError, OverflowError) as err:
        reason = getattr(err, "strerror", None) or "no such port"
        raise UnavailableError(f"cannot listen at {place} ({reason})") from err


def _receive(
    registrar: Registrar,
    folder: Path,
    caller: socket.socket,
    context: ssl.SSLContext,
    free: BoundedSemaphore,
) -> None:
    """Have one talk; whatever goes wrong in it ends it and nothing else."""
    with ExitStack() as held:
        held.callback(free.release)
        held.enter_context(closing(caller))
        # a line that breaks is the device's to try again
        held.enter_context(suppress(OSError, UnavailableError))
        caller.settimeout(TALK_S)
        line = held.enter_context(closing(context.wrap_socket(caller, server_side=True)))
        frames = Frames(line, most_bytes=MAX_REQUEST_BYTES, limit_s=TALK_S)
        try:
            with opened_book(folder) as book:
                registrar.talk(Line(send=frames.send, receive=frames.receive), book)
        except UnavailableError:
            raise
        except FieldvoteError as err:
            registrar.say(f"refused: {err}")


def _now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)
