"""Model versions on disk: each file is named by the digest of what it holds, and names its parent.

A version is written beside its place, synced, and moved there, so a crash leaves either the whole
file or none. What is read back is checked against its name.
"""

import os
from hashlib import sha256
from pathlib import Path

from fieldvote.errors import DataError, StoreError
from fieldvote.records import HeadModel, decode, encode

_SUFFIX = ".head"


def digest_of(model: HeadModel) -> str:
    """Return the digest a version is called by: 64 hexadecimal digits."""
    return sha256(encode(model)).hexdigest()


class Shelf:
    """A folder of model versions."""

    def __init__(self, folder: Path) -> None:
        """Use this folder, made if absent."""
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise StoreError(f"cannot make {folder}: {err.strerror}") from err

    def put(self, model: HeadModel) -> str:
        """Store a version and return its digest; storing it again changes nothing.

        Raises:
            StoreError: the disk would not take it; no part of it is there.
        """
        blob = encode(model)
        digest = sha256(blob).hexdigest()
        place = self._place(digest)
        if place.exists():
            return digest
        beside = place.with_suffix(".part")
        try:
            with beside.open("wb") as file:
                file.write(blob)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(place)
            self._sync()
        except OSError as err:
            beside.unlink(missing_ok=True)
            raise StoreError(f"model {digest[:12]} could not be written: {err.strerror}") from err
        return digest

    def get(self, digest: str) -> HeadModel:
        """Return the version of this digest.

        Raises:
            DataError: it is not here, or is not what its name says.
        """
        try:
            blob = self._place(digest).read_bytes()
        except OSError as err:
            raise DataError(f"no model {digest[:12]} on the shelf") from err
        if sha256(blob).hexdigest() != digest:
            raise DataError(f"model {digest[:12]} was changed on the disk: its digest differs")
        return decode(blob, HeadModel)

    def versions(self) -> tuple[str, ...]:
        """Return the digests of every version here."""
        return tuple(sorted(path.stem for path in self._folder.glob(f"*{_SUFFIX}")))

    def lineage(self, digest: str) -> tuple[str, ...]:
        """Return a version's ancestors, itself first."""
        line = []
        while digest:
            line.append(digest)
            digest = self.get(digest).parent
        return tuple(line)

    def _sync(self) -> None:
        """Make the new name last: an event that names the model may be durable a moment later."""
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _place(self, digest: str) -> Path:
        return self._folder / f"{digest}{_SUFFIX}"
