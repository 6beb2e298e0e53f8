"""Files read and written whole, and on the disk before anything relies on them.

What is written is for its owner alone unless a mode says otherwise.
"""

import os
from pathlib import Path

from fieldvote.errors import InputError, StoreError

FOR_ALL = 0o666
"""Mode of a file that holds no secret; less what the umask takes away."""


def read_whole(path: Path) -> bytes:
    """Return what is in a small file.

    Raises:
        InputError: it is not there, or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as err:
        raise InputError(f"{path}: cannot be read ({err.strerror or err})") from err


def write_once(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file that is not there yet, and see it onto the disk.

    Killed in between, it leaves a part; where that may be taken for the whole, use write_new.

    Raises:
        FileExistsError: it is there, and stays as it is.
        OSError: it cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_new(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file that must not be there yet; it is there whole, or not at all.

    Raises:
        InputError: it is there; a key that is written over is lost.
        StoreError: it cannot be written.
    """
    try:
        draft = _draft(path, content, mode)
        try:
            os.link(draft, path)  # unlike a rename, this refuses to take another's place
        finally:
            draft.unlink()
        sync_folder(path.parent)
    except FileExistsError as err:
        raise InputError(f"{path}: is there already and stays as it is") from err
    except OSError as err:
        raise StoreError(f"{path}: cannot be written ({err.strerror or err})") from err


def write_over(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file in one step, in place of what was there.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        _draft(path, content, mode).replace(path)
        sync_folder(path.parent)
    except OSError as err:
        raise StoreError(f"{path}: cannot be written ({err.strerror or err})") from err


def sync_folder(folder: Path) -> None:
    """See a folder's list of names onto the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _draft(path: Path, content: bytes, mode: int) -> Path:
    """Write a file that is nobody's yet beside the one it is to become."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    write_once(draft, content, mode=mode)
    return draft
