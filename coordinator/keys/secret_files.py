"""Small files that hold secrets: nobody else may read them."""

from pathlib import Path

from fieldvote.errors import InputError


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
