"""Small files that hold secrets: whole or not there, and for nobody else to read."""

import os
from pathlib import Path

from fieldvote.errors import InputError, StoreError


def write_new(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file that must not be there yet; it is there whole, or not at all.

    Raises:
        InputError: it is there; a key that is written over is lost.
        StoreError: it cannot be written.
    """
    draft = path.with_name(f"{path.name}.new")
    try:
        write_draft(draft, content, mode=mode)
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
    draft = path.with_name(f"{path.name}.new")
    try:
        write_draft(draft, content, mode=mode)
        draft.replace(path)
        sync_folder(path.parent)
    except OSError as err:
        raise StoreError(f"{path}: cannot be written ({err.strerror or err})") from err


def read_secret(path: Path, size: int) -> bytes:
    """Return a secret of so many bytes.

    Raises:
        InputError: it is not there, has another size, or others may read it.
    """
    try:
        content, mode = path.read_bytes(), path.stat().st_mode
    except OSError as err:
        raise InputError(f"{path}: cannot be read ({err.strerror or err})") from err
    if mode & 0o077:
        raise InputError(f"{path}: others may read this secret; chmod 600 it")
    if len(content) != size:
        raise InputError(f"{path}: {len(content)} bytes where a secret of {size} should be")
    return content


def write_draft(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file that is nobody's yet, and see it onto the disk."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """See a folder's list of names onto the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
