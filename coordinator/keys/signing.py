"""What an owner signs: a task, the directory of devices, and what is the newest of both.

Whatever is signed here gets the next version of its role. Snapshot and timestamp are versioned by
the clock, so that the owner's and a coordinator's never have to know of each other.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from coordinator.keys.folder import KeyFolder, Record
from fieldvote.bundle import (
    DIRECTORY_FILE,
    DIRECTORY_METADATA,
    ROOT_SUFFIX,
    SNAPSHOT_FILE,
    TARGETS_FILE,
    TIMESTAMP_FILE,
)
from fieldvote.durable import write_over
from fieldvote.errors import FieldvoteError, InputError
from fieldvote.task import Task
from privacy.sealing.keys import SigningKey, key_id
from privacy.sealing.roles import (
    DELEGATED,
    Delegation,
    FileInfo,
    Keys,
    Pin,
    Role,
    Snapshot,
    Targets,
    Timestamp,
)
from privacy.sealing.signed import reopen, sign
from privacy.sealing.signed_task import named_files

DAY_S = 86400
LASTS_S = {
    Role.ROOT: 730 * DAY_S,
    Role.TARGETS: 365 * DAY_S,
    Role.DIRECTORY: 365 * DAY_S,
    Role.ONLINE: 365 * DAY_S,
    Role.SNAPSHOT: 60 * DAY_S,
    Role.TIMESTAMP: 7 * DAY_S,
}
"""How long what a role signs holds."""

_SIGNED_SUFFIX = ".msgpack"


def at(expires_s: int) -> str:
    """Return a time for people."""
    return datetime.fromtimestamp(expires_s, UTC).isoformat(timespec="minutes")


def sign_task(folder: KeyFolder, task: Path, *, now_s: float) -> int:
    """Sign a task folder as the next version; return which.

    Where snapshot and timestamp keys are still here, the folder gets what a device needs that is
    given it by hand, too.

    Raises:
        InputError: the keys are not here.
        TaskError: the folder holds no task, or one whose train step is not of its model.
        StoreError: a file cannot be written.
    """
    files, chain, record = Task.files(task), folder.roots(), folder.record()
    if taken := sorted(name for name in files if name.endswith(_SIGNED_SUFFIX)):
        raise InputError(f"{task}: '{taken[0]}' has the name of what is signed; call it otherwise")
    # here, and not above: whoever reads settings of keys would load the compiler with them
    from coordinator.models.compiling import check_compiled

    check_compiled(files, str(task))
    version = 1 + max(record.versions.get(Role.TARGETS, 0), _version_in(task / TARGETS_FILE))
    key = held_key(folder, "targets", chain[-1].value.keys(Role.TARGETS))
    targets = Targets(
        version=version,
        expires_s=until(Role.TARGETS, now_s),
        files=named_files(files, str(task)),
        delegations=tuple(_delegation(role, record) for role in sorted(DELEGATED)),
    )
    blob = sign(targets, [key])
    folder.keep_record(replace(record, versions={**record.versions, Role.TARGETS: version}))
    signed = {f"{held.value.version}{ROOT_SUFFIX}": held.blob for held in chain}
    if folder.has("snapshot") and folder.has("timestamp"):
        pins = {Role.TARGETS: Pin(version=version, file=FileInfo.of(blob))}
        signed |= fresh(
            pins,
            snapshot=held_key(folder, "snapshot", chain[-1].value.keys(Role.SNAPSHOT)),
            timestamp=held_key(folder, "timestamp", chain[-1].value.keys(Role.TIMESTAMP)),
            now_s=now_s,
        )
    for name, content in {**signed, TARGETS_FILE: blob}.items():
        write_over(task / name, content, mode=0o644)
    return version


def sign_directory(folder: KeyFolder, content: bytes, *, now_s: float) -> int:
    """Sign the fleet's directory as the next version, for the coordinator; return which.

    Raises:
        InputError: the key is not here.
        StoreError: a file cannot be written.
    """
    record = folder.record()
    version = 1 + record.versions.get(Role.DIRECTORY, 0)
    key = held_key(folder, "directory", _delegation(Role.DIRECTORY, record).keys)
    signed = Targets(
        role=Role.DIRECTORY,
        version=version,
        expires_s=until(Role.DIRECTORY, now_s),
        files=((DIRECTORY_FILE, FileInfo.of(content)),),
    )
    folder.keep_record(replace(record, versions={**record.versions, Role.DIRECTORY: version}))
    write_over(folder.online / DIRECTORY_FILE, content, mode=0o644)
    write_over(folder.online / DIRECTORY_METADATA, sign(signed, [key]), mode=0o644)
    return version


def fresh(
    pins: Mapping[Role, Pin],
    *,
    snapshot: SigningKey,
    timestamp: SigningKey,
    now_s: float,
    after: int = 0,
    lasts_s: Mapping[Role, int] | None = None,
) -> dict[str, bytes]:
    """Return a snapshot of these metadata, and a timestamp that names it, by file name.

    Args:
        pins: What belongs together.
        snapshot: Signs the one.
        timestamp: Signs the other.
        now_s: Seconds since 1970; versions follow it.
        after: The last version there was.
        lasts_s: How long both hold; by default LASTS_S.
    """
    lasts = {**LASTS_S, **(lasts_s or {})}
    version = max(after + 1, int(now_s))
    named = Snapshot(
        version=version,
        expires_s=int(now_s) + lasts[Role.SNAPSHOT],
        pins=tuple((role, pins[role]) for role in sorted(pins)),
    )
    blob = sign(named, [snapshot])
    newest = Timestamp(
        version=version,
        expires_s=int(now_s) + lasts[Role.TIMESTAMP],
        snapshot=Pin(version=version, file=FileInfo.of(blob)),
    )
    return {SNAPSHOT_FILE: blob, TIMESTAMP_FILE: sign(newest, [timestamp])}


def until(role: Role, now_s: float) -> int:
    """Return when what a role signs now is over."""
    return int(now_s) + LASTS_S[role]


def _delegation(role: Role, record: Record) -> Delegation:
    keys = Keys.of(*record.public(role))
    return Delegation(role=role, keys=keys, paths=DELEGATED[role])


def held_key(folder: KeyFolder, name: str, keys: Keys) -> SigningKey:
    """Return a key, if it is the role's."""
    key = folder.key(name)
    if key.public not in keys.keys:
        raise InputError(
            f"{folder.path_of(name)}: key {key_id(key.public).hex()} does not hold the role;"
            " copy the owner's online folder anew, or sign the task again"
        )
    return key


def _version_in(path: Path) -> int:
    """Return what a folder was signed as, by whomever; 0 if it was not."""
    try:
        return reopen(path.read_bytes(), Targets, Role.TARGETS).value.version
    except (OSError, FieldvoteError):
        return 0
