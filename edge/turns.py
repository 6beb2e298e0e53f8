"""Who may work with a pool's places: one program at a time, for as long as one request takes.

Places move up when an item is let go. Whoever read places and then writes by them holds the turn in
between; the others wait.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fieldvote.locks import lock_file

_PLACES, _ADDING = "places.lock", "adding.lock"


@contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """Hold the places of the pool in this folder."""
    with lock_file(folder / _PLACES):
        yield


@contextmanager
def one_adding(folder: Path) -> Iterator[None]:
    """Be the only one who adds items to the pool in this folder; it may take as long as a file."""
    with lock_file(folder / _ADDING):
        yield
