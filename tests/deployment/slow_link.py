"""A slow link between a device and its SuperLink: little rate, much delay, lost segments, cuts.

TLS goes through unchanged; what is modelled is what TCP makes of such a link, not TCP itself:

- Each direction is one queue that all connections share. A segment of 1,448 bytes occupies it for
  its own length and 52 bytes of headers, and arrives `delay_s` after it has left.
- A lost segment is sent again one round trip later, and then after 1, 2, 4 ... s should that be
  lost too. It takes its time on the link each time, and what follows on its connection waits for
  it, as a TCP receiver's reader does.
- The sender's window is taken to fill the link. At 64 kbit/s, 5 % loss and a round trip of 0.6 s
  it does: Mathis et al. 1997 allow 1448 * 8 / 0.6 * sqrt(1.5 / 0.05), which is 106 kbit/s.
- A cut ends every open connection, and what was under way on them is gone. Cuts follow the bytes
  at random, with a given mean between two of them.
"""

import random
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event, Lock, Thread

_SEGMENT, _HEADERS = 1448, 52
_BUFFER = 16 * 1024  # little, so that a sender feels the link soon


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What the link is like.

    Attributes:
        rate_bit_s: In each direction.
        delay_s: In each direction; a round trip takes twice as long.
        loss: Share of the segments that are lost.
        cut_every_bytes: Payload towards the device between two cuts, on average.
        seed: Names which segments are lost.
    """

    rate_bit_s: float
    delay_s: float
    loss: float
    cut_every_bytes: int
    seed: int = 1


class _Way:
    """One direction, shared by all connections."""

    def __init__(self, link: Link, seed: int) -> None:
        self._link, self._lock = link, Lock()
        self._rng = random.Random(seed)  # noqa: S311  # which segments are lost is no secret
        self._free_s = 0.0
        self.payload, self.lost = 0, 0

    def wait(self) -> None:
        """Return when the link takes another segment."""
        time.sleep(max(0.0, self._free_s - time.monotonic()))

    def admit(self, size: int) -> float:
        """Take a segment; return when it arrives."""
        link = self._link
        with self._lock:
            takes_s = (size + _HEADERS) * 8 / link.rate_bit_s
            self._free_s = max(self._free_s, time.monotonic()) + takes_s
            late_s, again_s = 0.0, 2 * link.delay_s
            while self._rng.random() < link.loss:
                self.lost += 1
                self._free_s += takes_s
                late_s, again_s = late_s + again_s, max(1.0, 2 * again_s)
            self.payload += size
            return self._free_s + late_s + link.delay_s


class SlowLink:
    """A proxy that is such a link.

    Attributes:
        port: Where the device finds its SuperLink.
        cuts: How often all connections were cut.
    """

    def __init__(self, link: Link, target: int) -> None:
        """Listen; carry to this port of the machine."""
        self._link, self._target = link, target
        self._down, self._up = _Way(link, link.seed), _Way(link, link.seed + 1)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: set[_Connection] = set()
        self._lock = Lock()
        self._cutter = random.Random(link.seed + 2)  # noqa: S311  # as for the segments
        self._next_cut = self._until_cut()
        self.cuts = 0
        Thread(target=self._accept, daemon=True).start()

    @property
    def down_bytes(self) -> int:
        """Payload towards the device so far, TLS included; lost segments are counted once."""
        return self._down.payload

    @property
    def lost_segments(self) -> int:
        """Segments lost so far, both ways."""
        return self._down.lost + self._up.lost

    def close(self) -> None:
        """Take the link away."""
        self._listener.close()
        self._cut()

    def _accept(self) -> None:
        """Carry each connection, until the listener is closed."""
        with suppress(OSError):
            while True:
                device, _ = self._listener.accept()
                superlink = socket.socket()
                superlink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
                try:
                    superlink.connect(("127.0.0.1", self._target))
                except OSError:
                    device.close()
                    superlink.close()
                    continue
                connection = _Connection(device, superlink)
                with self._lock:
                    self._open.add(connection)
                for source, sink, way in (
                    (superlink, device, self._down), (device, superlink, self._up),
                ):  # fmt: skip
                    Thread(
                        target=self._carry, args=(connection, source, sink, way), daemon=True
                    ).start()

    def _carry(
        self, connection: "_Connection", source: socket.socket, sink: socket.socket, way: _Way
    ) -> None:
        """Carry one direction of one connection to its end."""
        queue: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
        Thread(target=connection.arrive, args=(queue, sink), daemon=True).start()
        arrives_s = 0.0
        with suppress(OSError):
            while not connection.over.is_set():
                way.wait()
                segment = source.recv(_SEGMENT)
                arrives_s = max(arrives_s, way.admit(len(segment)))
                queue.put((arrives_s, segment))
                if not segment:
                    return
                if way is self._down and way.payload >= self._next_cut:
                    self._next_cut = way.payload + self._until_cut()
                    self.cuts += 1
                    self._cut()
        connection.end()
        queue.put((0.0, b""))
        with self._lock:
            self._open.discard(connection)

    def _until_cut(self) -> float:
        """Return how many bytes go through before the next cut."""
        return self._cutter.expovariate(1 / self._link.cut_every_bytes)

    def _cut(self) -> None:
        with self._lock:
            doomed, self._open = self._open, set()
        for connection in doomed:
            connection.end()


class _Connection:
    """Two sockets that end together."""

    def __init__(self, *sockets: socket.socket) -> None:
        self._sockets = sockets
        self._ended = 0
        self.over = Event()

    def arrive(self, queue: SimpleQueue[tuple[float, bytes]], sink: socket.socket) -> None:
        """Hand over each segment when it arrives."""
        with suppress(OSError):
            while True:
                at_s, segment = queue.get()
                time.sleep(max(0.0, at_s - time.monotonic()))
                if self.over.is_set():
                    return
                if not segment:
                    sink.shutdown(socket.SHUT_WR)
                    break
                sink.sendall(segment)
        self._ended += 1
        if self._ended == len(self._sockets):
            self.end()

    def end(self) -> None:
        """Hang up on both sides."""
        self.over.set()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@contextmanager
def slow_link(link: Link, target: int) -> Iterator[SlowLink]:
    """Lay a slow link to this port while the block lasts."""
    laid = SlowLink(link, target)
    try:
        yield laid
    finally:
        laid.close()
