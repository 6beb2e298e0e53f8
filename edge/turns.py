"""Who may work with a pool's places: one program at a time, for as long as one request takes.

Places move up when an item is let go. Whoever read places and then writes by them holds the turn in
between; the others wait.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PLACES, _ADDING = "places.lock", "adding.lock"


@contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """Hold the places of the pool in this folder."""
    with _held(folder / _PLACES):
        yield


@contextmanager
def one_adding(folder: Path) -> Iterator[None]:
    """Be the only one who adds items to the pool in this folder; it may take as long as a file."""
    with _held(folder / _ADDING):
        yield


@contextmanager
def _held(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # let go of with the file, also by a kill
        yield
