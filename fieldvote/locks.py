"""Lock files: one process at a time, and free again when its process ends, however it ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fieldvote.errors import StoreError, UnavailableError


@contextmanager
def lock_file(path: Path, refusal: str = "") -> Iterator[None]:
    """Hold a lock file.

    Args:
        path: The file; made if absent, and left there.
        refusal: What to say where somebody else holds it: who, and what to do. Without one, wait.

    Raises:
        UnavailableError: somebody else holds it, and there is a refusal.
        StoreError: the file cannot be made.
    """
    try:
        file = path.open("w")
    except OSError as err:
        raise StoreError(f"{path}: cannot be written ({err.strerror or err})") from err
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if refusal else 0))
        except OSError as err:
            raise UnavailableError(refusal) from err
        yield
