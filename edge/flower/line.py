"""One kept HTTP/1.1 connection, on which several requests may be under way.

The standard library's client waits for each answer before the next request. A reply of ours is
three objects, and a coordinator that looks while they are still coming waits for a second.
"""

import http.client
import io
import socket
import ssl
from collections.abc import Mapping
from typing import cast

from fieldvote.codec import MAX_MESSAGE_BYTES

Answer = tuple[int, str, bytes]
"""Status, the server's date, body."""

_LONGEST_ANSWER = MAX_MESSAGE_BYTES + (1 << 20)


class _Reader(io.BufferedReader):
    """What comes in; a response closes it when it ends, but the next one may be in here already."""

    def makefile(self, _mode: str) -> "_Reader":
        """Be what a response reads from."""
        return self

    def close(self) -> None:
        """Stay open."""


class Line:
    """One connection, on which several requests may be under way."""

    def __init__(self, address: str, context: ssl.SSLContext | None, timeout_s: float) -> None:
        """Connect."""
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        self.ended = False
        self._socket = socket.create_connection((host, int(port)), timeout=timeout_s)
        # what is sent is complete; Nagle would hold its end back
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            try:
                self._socket = context.wrap_socket(self._socket, server_hostname=host)
            except BaseException:
                self._socket.close()
                raise
        self._reader = _Reader(socket.SocketIO(self._socket, "r"))

    def exchange(
        self, path: str, headers: Mapping[str, str], bodies: list[bytes], timeout_s: float
    ) -> list[Answer]:
        """Post each body, then return the answers in order."""
        self._socket.settimeout(timeout_s)
        fixed = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        for body in bodies:
            head = f"POST {path} HTTP/1.1\r\n{fixed}content-length: {len(body)}\r\n\r\n"
            self._socket.sendall(head.encode() + body)
        return [self._answer() for _ in bodies]

    def _answer(self) -> Answer:
        """Read one answer."""
        # the standard library's parser asks a socket for nothing but its reader
        response = http.client.HTTPResponse(cast(socket.socket, self._reader), method="POST")
        response.begin()
        answer = response.read(_LONGEST_ANSWER + 1)
        if len(answer) > _LONGEST_ANSWER:
            raise http.client.HTTPException(f"an answer of more than {_LONGEST_ANSWER} bytes")
        if response.length:
            # asked for so many bytes at most, it takes a line that was cut for the end of them
            raise http.client.IncompleteRead(answer, response.length)
        self.ended = self.ended or response.will_close
        return response.status, response.headers.get("date", ""), answer

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
