"""A served socket in a thread, at a path that is short enough to be one."""

import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from edge.outbox import serve


@contextmanager
def short_folder() -> Iterator[Path]:
    """Make a folder: a socket's path has 108 bytes at most, and pytest's folders may be longer."""
    with tempfile.TemporaryDirectory(prefix="fv") as folder:
        yield Path(folder)


@contextmanager
def serving(path: Path, handle: Callable[[bytes], bytes]) -> Iterator[None]:
    """Serve until the block ends."""
    stop = Event()
    thread = Thread(target=serve, args=(path, handle, stop))
    thread.start()
    try:
        until = time.monotonic() + 10
        # a socket is there when it is bound, and answers a moment later
        while not _listens(path) and time.monotonic() < until:
            time.sleep(0.01)
        yield
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


def _listens(path: Path) -> bool:
    """Return whether somebody takes calls here; hangs up at once."""
    with socket.socket(socket.AF_UNIX) as peer:
        try:
            peer.connect(str(path))
        except OSError:
            return False
    return True
