"""A served socket in a thread, at a path that is short enough to be one."""

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
        while not path.is_socket() and time.monotonic() < until:
            time.sleep(0.01)
        yield
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()
