"""Asking the agent over its Unix socket: what a process beside it may do, and how frames are cut.

Whoever asks holds no item and no key; the side that answers is :mod:`edge.outbox`.
"""

import socket
import struct
from pathlib import Path

from fieldvote.codec import MAX_MESSAGE_BYTES
from fieldvote.errors import RefusalError, UnavailableError

_FRAME = struct.Struct(">I")


def ask(path: Path, request: bytes, timeout_s: float = 60.0) -> bytes:
    """Send one request to the agent that listens here, and return its reply.

    Raises:
        UnavailableError: no agent answers; retry.
        RefusalError: the agent refused, with its reason.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(timeout_s)
            peer.connect(str(path))
            send(peer, request)
            frame = receive(peer)
    except OSError as err:
        raise UnavailableError(
            f"no agent answers on {path.name}: is 'fieldvote edge run' up?"
        ) from err
    if frame[:1] == b"\x00":
        return frame[1:]
    raise RefusalError(frame[1:].decode("utf-8", errors="replace"))


def peer_uid(peer: socket.socket) -> int:
    """Return the user id of the process at the other end."""
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


def send(peer: socket.socket, body: bytes) -> None:
    """Send one frame."""
    peer.sendall(_FRAME.pack(len(body)) + body)


def receive(peer: socket.socket) -> bytes:
    """Read one frame; a length past the limit is refused before anything is read."""
    (size,) = _FRAME.unpack(_exactly(peer, _FRAME.size))
    if size > MAX_MESSAGE_BYTES + 1:
        raise RefusalError(f"a frame of {size} bytes passes the limit")
    return _exactly(peer, size)


def _exactly(peer: socket.socket, size: int) -> bytes:
    """Read this many bytes or fail."""
    out = bytearray()
    while len(out) < size:
        part = peer.recv(min(size - len(out), 1 << 20))
        if not part:
            raise ConnectionError("the other end hung up")
        out += part
    return bytes(out)
