"""What a device needs for sums under masks: its key, and which devices are real."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from edge.trust import Trust
from fieldvote.errors import RefusalError
from privacy.sealing import SigningKey
from privacy.sealing.directory import Directory
from privacy.secagg.roster import device_number


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureMeans:
    """What a device needs for sums under masks.

    Attributes:
        signer: Signs its keys; the one its fleet knows it by.
        directory: Returns the public keys of the fleet's devices, by their number in rosters.
        entropy: The system's, outside rehearsals.
    """

    signer: SigningKey
    directory: Callable[[], Mapping[int, bytes]]
    entropy: Callable[[int], bytes] = os.urandom


def numbered(directory: Directory) -> dict[int, bytes]:
    """Return the keys of a directory's devices by their number; a revoked one is nobody."""
    return {device_number(public): public for public in directory.signing_keys.values()}


def secure_means(
    signer: SigningKey, trust: Trust | None, directory: bytes | None
) -> SecureMeans | None:
    """Return what a device's settings give it for sums under masks; None if nothing does.

    Args:
        signer: The device's key.
        trust: What is believed of the owner; the directory it signed counts, and no other.
        directory: That of a fleet without a root.

    Raises:
        InputError: it is none.
    """
    read = lru_cache(maxsize=1)(lambda blob: numbered(Directory.from_bytes(blob)))
    if trust is None:
        if directory is None:
            return None
        given = read(directory)
        return SecureMeans(signer=signer, directory=lambda: given)
    believed = trust

    def signed() -> Mapping[int, bytes]:
        if not believed.directory:
            raise RefusalError("no directory has come yet: the owner signs one, and it is news")
        return read(believed.directory)

    return SecureMeans(signer=signer, directory=signed)
