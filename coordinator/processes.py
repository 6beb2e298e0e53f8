"""Programs a coordinator starts, and how to be sure that they are gone.

Flower's programs start others in sessions of their own, so neither a process group nor a parent
finds them all. Whatever we start inherits one mark in its environment; who carries it, is ours.
Where there is no /proc, only process groups are left.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

MARK = "FIELDVOTE_SERVES"
"""Environment variable that names the folder a program works for; nobody reads it but this file."""

# Flower's ServerApp never ends by itself once its SuperLink has: it asks on for a farewell
_POLITE_S, _HARD_S = 2.0, 4.0
_LOOK_S = 0.05

Process = subprocess.Popen[bytes] | subprocess.Popen[str]


def marked(mark: str) -> list[int]:
    """Return the programs that carry a mark, this one apart."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # gone meanwhile, or somebody else's
            if wanted in (place / "environ").read_bytes().split(b"\0"):
                found.append(int(place.name))
    return [pid for pid in found if pid != os.getpid()]


def end_all(mark: str, started: Sequence[Process] = ()) -> int:
    """End every program that carries a mark: politely, then not. Return how many there were.

    Args:
        mark: Whose programs.
        started: Those of them that are our own children, each in a session of its own.
    """
    ended: set[int] = set()
    for number, limit_s in ((signal.SIGTERM, _POLITE_S), (signal.SIGKILL, _HARD_S)):
        told: set[int] = set()
        end = time.monotonic() + limit_s
        for process in started:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                told.add(process.pid)
        while there := _alive(mark, started):
            # what is being told to end may still start something: look again
            for pid in there - told:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            told |= there
            if time.monotonic() > end:
                break
            time.sleep(_LOOK_S)
        ended |= told
    return len(ended)


def _alive(mark: str, started: Sequence[Process]) -> set[int]:
    """Return who is still there; a child that has ended is let go of."""
    return {process.pid for process in started if process.poll() is None} | set(marked(mark))


@contextmanager
def stopping() -> Iterator[Event]:
    """Return what SIGTERM and Ctrl-C set, so that whoever waits can put things away and end."""
    stop = Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
