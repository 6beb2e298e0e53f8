"""Metadata as files: what is new of the top roles, and what a device keeps of all it believes."""

from collections.abc import Mapping

from fieldvote.bundle import (
    DIRECTORY_METADATA,
    ROOT_FILE,
    ROOT_SUFFIX,
    SNAPSHOT_FILE,
    TARGETS_FILE,
    TIMESTAMP_FILE,
)
from fieldvote.errors import SignatureError
from privacy.sealing.roles import Role, Root, Snapshot, Targets, Timestamp
from privacy.sealing.signed import reopen
from privacy.sealing.trusted import Trusted


def refreshed(trusted: Trusted, files: Mapping[str, bytes], now_s: float) -> Trusted:
    """Return what is believed after news of the top roles: roots, timestamp, snapshot, directory.

    Args:
        trusted: What is believed so far.
        files: Metadata by file name; roots before the one believed are passed over.
        now_s: Seconds since 1970.

    Raises:
        SignatureError: something in it breaks a rule, or does not belong there.
    """
    roots, rest = _roots_in(files)
    for number in sorted(roots):
        if number > trusted.root.value.version:
            trusted = trusted.with_root(roots[number])
        if number == trusted.root.value.version and roots[number] == trusted.root.blob:
            continue
        if not 0 < number < trusted.root.value.version:
            raise SignatureError(f"root: what is called {number} is another")
    if surplus := sorted(
        rest.keys() - {TIMESTAMP_FILE, SNAPSHOT_FILE, DIRECTORY_METADATA, str(Role.DIRECTORY)}
    ):
        raise SignatureError(f"{surplus[0][:64]!r} is no news of a role")
    if TIMESTAMP_FILE in rest:
        trusted = trusted.with_timestamp(rest[TIMESTAMP_FILE], now_s)
        trusted = trusted.with_snapshot(rest.get(SNAPSHOT_FILE, b""), now_s)
    if DIRECTORY_METADATA in rest:
        content = rest.get(str(Role.DIRECTORY), b"")
        trusted = trusted.with_directory(rest[DIRECTORY_METADATA], content, now_s)
    return trusted


def to_notes(trusted: Trusted) -> dict[str, bytes]:
    """Return what is believed as files, to be kept where only this device writes."""
    held = {
        ROOT_FILE: trusted.root,
        TIMESTAMP_FILE: trusted.timestamp,
        SNAPSHOT_FILE: trusted.snapshot,
        TARGETS_FILE: trusted.targets,
        DIRECTORY_METADATA: trusted.directory,
    }
    return {name: each.blob for name, each in held.items() if each is not None}


def from_notes(files: Mapping[str, bytes]) -> Trusted:
    """Undo to_notes; what was checked before it was kept is not checked again."""
    timestamp, snapshot = files.get(TIMESTAMP_FILE), files.get(SNAPSHOT_FILE)
    targets, directory = files.get(TARGETS_FILE), files.get(DIRECTORY_METADATA)
    return Trusted(
        root=reopen(files[ROOT_FILE], Root, Role.ROOT),
        timestamp=reopen(timestamp, Timestamp, Role.TIMESTAMP) if timestamp else None,
        snapshot=reopen(snapshot, Snapshot, Role.SNAPSHOT) if snapshot else None,
        targets=reopen(targets, Targets, Role.TARGETS) if targets else None,
        directory=reopen(directory, Targets, Role.DIRECTORY) if directory else None,
    )


def _roots_in(files: Mapping[str, bytes]) -> tuple[dict[int, bytes], dict[str, bytes]]:
    """Return roots by the number in their name, and the other files."""
    roots, rest = dict[int, bytes](), dict[str, bytes]()
    for name, content in files.items():
        number = name.removesuffix(ROOT_SUFFIX)
        if name != number and number.isascii() and number.isdigit() and len(number) < 16:
            roots[int(number)] = content
        else:
            rest[name] = content
    return roots, rest
