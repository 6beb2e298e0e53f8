"""The directory: which keys belong to which device of a fleet, and which are revoked.

The owner signs it with the key of its own role, offline, so that a coordinator cannot put a device
of its own making into a cohort. Whoever reads it trusts the signature, not the way it came; here is
only what is signed, and what it means.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fieldvote.codec import decode, encode
from fieldvote.errors import InputError
from privacy.sealing.certificate import DeviceCertificate
from privacy.sealing.device_keys import DeviceKeys
from privacy.sealing.token import check_name

MAX_DEVICES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One device.

    Attributes:
        id: What it is called in the fleet; never given to another device.
        signing: Ed25519, 32 bytes.
        sealing: X25519, 32 bytes.
        node: P-384 or P-256, as SubjectPublicKeyInfo in DER.
        serial: Number of its newest certificate when this was written, in hexadecimal.
        revoked: Whether it is no device of the fleet any more, whatever certificate it shows.
    """

    id: str
    signing: bytes
    sealing: bytes
    node: bytes
    serial: str
    revoked: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no device."""
        check_name(self.id)
        DeviceKeys(signing=self.signing, sealing=self.sealing, node=self.node)


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """Every device that was ever enrolled.

    Attributes:
        version: Grows with every change.
        entries: The devices, in the order of their ids.
    """

    version: int
    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        """Refuse an order that is not canonical, and keys that two devices share."""
        ids = [entry.id for entry in self.entries]
        if self.version < 1 or ids != sorted(set(ids)):
            raise InputError("a directory has a version, and each device once, in order")
        for name in ("signing", "sealing", "node"):
            if len({getattr(entry, name) for entry in self.entries}) != len(ids):
                raise InputError(f"two devices of a directory have the same {name} key")

    @staticmethod
    def from_bytes(blob: bytes) -> "Directory":
        """Read a directory whose signature was checked.

        Raises:
            InputError: it is none.
        """
        return decode(blob, _KINDS, (Directory,))

    def to_bytes(self) -> bytes:
        """Return the directory as it is signed: the same devices are the same bytes."""
        return encode(self, _KINDS)

    @property
    def signing_keys(self) -> Mapping[str, bytes]:
        """Who signs with which key, for devices that are not revoked."""
        return {entry.id: entry.signing for entry in self.entries if not entry.revoked}


class Lookup:
    """A directory by name and by key: asked about every device, whenever some are chosen."""

    def __init__(self, directory: Directory) -> None:
        """Sort the entries once."""
        self.version = directory.version
        self._named = {entry.id: entry for entry in directory.entries}
        self._signing = {entry.signing: entry for entry in directory.entries}

    def revokes(self, certificate: DeviceCertificate) -> bool:
        """Return whether the device behind a certificate is revoked, by its name or by its key.

        One that the directory does not know yet is not: it is signed now and then, and devices are
        enrolled at any time. Where only devices it knows may take part, ask lists.
        """
        found = self._named.get(certificate.name), self._signing.get(certificate.keys.signing)
        return any(entry is not None and entry.revoked for entry in found)

    def lists(self, certificate: DeviceCertificate) -> bool:
        """Return whether the device behind a certificate is here, with these keys, not revoked."""
        entry, keys = self._named.get(certificate.name), certificate.keys
        return (
            entry is not None
            and not entry.revoked
            and (entry.signing, entry.sealing, entry.node)
            == (keys.signing, keys.sealing, keys.node)
        )


_KINDS: dict[int, type] = {1: Directory}
