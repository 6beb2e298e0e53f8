"""Messages over a stream socket: four bytes of length, then the message; bounded both ways.

For talks of a few messages, such as a device's with its registrar. The whole talk has one deadline:
a peer that sends a byte at a time holds a line no longer than one that sends nothing.
"""

import socket
import time
from collections.abc import Callable

from fieldvote.errors import UnavailableError, WireError

LENGTH_BYTES = 4


class Frames:
    """One end of a talk over a connected socket."""

    def __init__(
        self,
        line: socket.socket,
        *,
        most_bytes: int,
        limit_s: float,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Talk over this line.

        Args:
            line: Connected; whoever opened it closes it.
            most_bytes: Longer messages are refused before they are read.
            limit_s: How long the whole talk may take.
            now_s: A clock that only goes forward.
        """
        self._line = line
        self._most_bytes = most_bytes
        self._now_s = now_s
        self._end_s = now_s() + limit_s

    def send(self, message: bytes) -> None:
        """Send one message.

        Raises:
            UnavailableError: the other side is gone, or the time is over.
        """
        try:
            self._line.settimeout(self._left_s())
            self._line.sendall(len(message).to_bytes(LENGTH_BYTES, "big") + message)
        except OSError as err:
            raise UnavailableError(f"the line broke ({err.strerror or 'no answer'})") from err

    def receive(self) -> bytes:
        """Return the next message.

        Raises:
            WireError: it is longer than agreed.
            UnavailableError: the other side is gone, or the time is over.
        """
        length = int.from_bytes(self._read(LENGTH_BYTES), "big")
        if length > self._most_bytes:
            raise WireError(f"a message of {length} bytes passes the limit of {self._most_bytes}")
        return self._read(length)

    def _read(self, size: int) -> bytes:
        """Return exactly so many bytes."""
        parts, left = list[bytes](), size
        while left:
            try:
                self._line.settimeout(self._left_s())
                part = self._line.recv(min(left, 1 << 16))
            except OSError as err:
                raise UnavailableError(f"the line broke ({err.strerror or 'no answer'})") from err
            if not part:
                raise UnavailableError("the other side ended the talk")
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _left_s(self) -> float:
        """Return how much of the time is left."""
        left_s = self._end_s - self._now_s()
        if left_s <= 0:
            raise UnavailableError("the talk took too long")
        return left_s
