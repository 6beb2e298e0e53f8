"""A tap on the wire: ends a device's TLS, writes down what goes by, and passes it on unchanged."""

import re
import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from threading import Thread
from zipfile import ZipFile

_CALL = re.compile(rb"POST (/v1/fleet/[a-z-]+) HTTP/1\.1")
_ARCHIVE = b"PK\x03\x04"


class Tap:
    """One device's line to the SuperLink.

    Attributes:
        port: Where the device finds it.
        said: What the device has sent, one entry a connection.
        heard: What it was sent.
    """

    def __init__(self, folder: Path, superlink: int) -> None:
        """Listen with the SuperLink's own certificate, which make_certificates wrote."""
        self._inward = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._inward.load_cert_chain(folder / "server.pem", folder / "server.key")
        self._outward = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        self._superlink = superlink
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        self.port = int(self._listener.getsockname()[1])
        self.said: list[bytearray] = []
        self.heard: list[bytearray] = []
        Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Cut the line."""
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def calls(self) -> set[str]:
        """Return which calls of the fleet protocol the device has made."""
        return {
            name.decode().removeprefix("/v1/fleet/")
            for connection in list(self.said)
            for name in _CALL.findall(bytes(connection))
        }

    def archives(self) -> list[list[str]]:
        """Return the names of the files in each archive the device was sent."""
        contents = [bytes(connection) for connection in list(self.heard)]
        starts = [content.find(_ARCHIVE) for content in contents]
        return [
            # from the first archive's first byte; whatever else followed it is no part of it
            ZipFile(BytesIO(_first_archive(content[start:]))).namelist()
            for content, start in zip(contents, starts, strict=True)
            if start >= 0
        ]

    def _accept(self) -> None:
        """Open a line onwards for each connection, until the listener is closed."""
        with suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                Thread(target=self._connect, args=(peer,), daemon=True).start()

    def _connect(self, peer: socket.socket) -> None:
        """Carry one connection to its end."""
        try:
            device = self._inward.wrap_socket(peer, server_side=True)
        except OSError:
            peer.close()
            return
        try:
            plain = socket.create_connection(("127.0.0.1", self._superlink))
            link = self._outward.wrap_socket(plain, server_hostname="127.0.0.1")
        except OSError:
            device.close()
            return
        self._sockets += [device, link]
        self.said.append(bytearray())
        self.heard.append(bytearray())
        with device, link, suppress(OSError):
            _carry(device, link, self.said[-1], self.heard[-1])


def _carry(device: ssl.SSLSocket, link: ssl.SSLSocket, said: bytearray, heard: bytearray) -> None:
    """Pass bytes on both ways until one side ends; OpenSSL takes one thread at a time."""
    ways = {device: (link, said), link: (device, heard)}
    for each in ways:
        each.setblocking(False)
    while True:
        for source in select.select(list(ways), [], [])[0]:
            target, record = ways[source]
            with suppress(ssl.SSLWantReadError):
                while True:
                    if not (content := source.recv(65536)):
                        return
                    record += content
                    _send(target, content)


def _send(target: ssl.SSLSocket, content: bytes) -> None:
    """Send all of it on a socket that does not block."""
    while content:
        try:
            content = content[target.send(content) :]
        except ssl.SSLWantWriteError:
            select.select([], [target], [])


def _first_archive(content: bytes) -> bytes:
    """Return an archive that other bytes follow; its end says how long its comment is."""
    end = content.index(b"PK\x05\x06")
    return content[: end + 22 + int.from_bytes(content[end + 20 : end + 22], "little")]


@contextmanager
def tapped(folder: Path, superlink: int) -> Iterator[Tap]:
    """Tap a line to the SuperLink on this port while the block lasts."""
    tap = Tap(folder, superlink)
    try:
        yield tap
    finally:
        tap.close()
