"""From the registrar's book to what others hold: the signed directory, tables, node keys."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from coordinator.keys.enrolled import EnrolledDevice, opened_book
from fieldvote.durable import write_over
from fieldvote.errors import InputError, StoreError
from privacy.sealing.device_keys import node_line
from privacy.sealing.directory import Directory, Entry

Row = dict[str, str | int | float]
_SERIAL = 12  # of a serial number's digits, enough to tell certificates of one fleet apart


def directory_of(folder: Path) -> Directory:
    """Return the directory of everyone enrolled in this key folder, revoked devices included.

    Its version grows whenever something in it has changed since it was asked for.

    Raises:
        InputError: nobody is enrolled.
    """
    with opened_book(folder) as book:
        devices = book.devices()
        if not devices:
            raise InputError(f"{folder}: no device is enrolled yet: 'fieldvote keys invite' first")
        draft = Directory(version=1, entries=tuple(map(_entry, devices)))
        version = book.publish(sha256(draft.to_bytes()).digest())
    return replace(draft, version=version)


def publish(folder: Path, sign: Callable[[bytes], int]) -> tuple[Directory, int]:
    """Return the directory of a key folder, once it is signed, and what it was signed as.

    Args:
        folder: The owner's.
        sign: Signs it for the coordinator; returns the version of the signature.

    Raises:
        InputError: nobody is enrolled, or the key that signs is not here.
    """
    directory = directory_of(folder)
    return directory, sign(directory.to_bytes())


def enrolled_rows(folder: Path) -> list[Row]:
    """Return every device as a row of a table."""
    with opened_book(folder) as book:
        return [
            {
                "device": device.name,
                "certificate": device.serial[:_SERIAL],
                "issued": f"{device.issued_at:%Y-%m-%d %H:%M}",
                "until": f"{device.ends:%Y-%m-%d}",
                "revoked": _revoked(device),
            }
            for device in book.devices()
        ]


def node_files(folder: Path, out: Path) -> list[Path]:
    """Write the public node key of each device that is not revoked; return the files.

    Raises:
        InputError: nobody is enrolled.
        StoreError: a file cannot be written.
    """
    entries = directory_of(folder).entries
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise StoreError(f"{out}: cannot be made ({err.strerror or err})") from err
    paths = []
    for entry in entries:
        path = out / f"{entry.id}.pub"
        if entry.revoked:
            path.unlink(missing_ok=True)
            continue
        write_over(path, node_line(entry.node, entry.id), mode=0o644)
        paths.append(path)
    return paths


def _entry(device: EnrolledDevice) -> Entry:
    """Return a device as the directory has it."""
    return Entry(
        id=device.name,
        signing=device.keys.signing,
        sealing=device.keys.sealing,
        node=device.keys.node,
        serial=device.serial,
        revoked=bool(device.revoked_at),
    )


def _revoked(device: EnrolledDevice) -> str:
    """Return when and why a device was revoked, for people."""
    if not device.revoked_at:
        return ""
    return f"{device.revoked_at[:10]} {device.reason}".strip()
