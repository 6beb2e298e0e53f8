"""The desk's key folder: what opens candidates and signs answers, now and while keys change.

    labeling.key   desk.key                 the newest pair, mode 0600
    older/labeling-ID-SWITCH-END.key        keys before it; the moments are part of the name, so a
    older/desk-ID-SWITCH-END.key            change is one new name and one rename, whole or not

Until END an older labeling key still opens what was sealed to it. An older desk key goes on
signing until SWITCH, halfway: by then devices should have been told of the new one, and what it
signed last has the other half to arrive. After END a key is as if it were not there, and `retire`
deletes its file. Any of the files may be locked by a passphrase.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from fieldvote.durable import write_once
from fieldvote.errors import InputError, SealError, StoreError
from privacy.sealing import SealingKey, SigningKey
from privacy.sealing.keys import key_id
from privacy.sealing.passphrase import is_locked, lock, unlock

LABELING, SIGNING = "labeling", "desk"
_OLDER = "older"
_MOMENT = "%Y%m%dT%H%M%SZ"
_CLASSES: dict[str, type[SealingKey] | type[SigningKey]] = {
    LABELING: SealingKey,
    SIGNING: SigningKey,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskKeys:
    """The keys of the desk.

    Attributes:
        labeling: Opens candidates.
        signing: Signs answers.
        older: Open candidates that were sealed before the key was changed; newest first.
        names: Other keys that sign, or did: what people were called by them, they still are.
    """

    labeling: SealingKey
    signing: SigningKey
    older: tuple[SealingKey, ...] = ()
    names: tuple[SigningKey, ...] = ()

    def pseudonyms(self, name: str) -> frozenset[str]:
        """Return everything the store may call an annotator."""
        return frozenset(pseudonym(name, key) for key in (self.signing, *self.names))


@dataclass(frozen=True, slots=True, kw_only=True)
class OlderKey:
    """A key that was changed, as the name of its file tells.

    Attributes:
        path: Its file.
        kind: "labeling" or "desk".
        id: Of its public half, hexadecimal.
        switch: Until when it signs.
        end: Until when it is good.
    """

    path: Path
    kind: str
    id: str
    switch: datetime
    end: datetime


def make_keys(
    folder: Path, entropy: Callable[[int], bytes], *, passphrase: str = ""
) -> dict[str, str]:
    """Make the desk's keys in a new folder, and return the public halves devices need.

    Args:
        folder: Made if absent.
        entropy: The system's, outside of tests.
        passphrase: Locks the files; empty leaves them readable to whoever has the disk.

    Raises:
        InputError: there are keys already; they are left as they are.
        StoreError: the folder cannot be written.
    """
    if any(_path(folder, kind).exists() for kind in _CLASSES):
        raise InputError(f"{folder}: holds keys already; --rotate makes the next ones")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = {kind: _CLASSES[kind].generate(entropy) for kind in _CLASSES}
        for kind, key in made.items():
            _write(_path(folder, kind), key.to_bytes(), passphrase, entropy)
    except OSError as err:
        raise StoreError(f"{folder}: cannot be written ({err.strerror or err})") from err
    return {f"{kind}_key": key.public.hex() for kind, key in made.items()}


def rotate_keys(
    folder: Path,
    entropy: Callable[[int], bytes],
    *,
    now: datetime,
    overlap: timedelta,
    passphrase: str = "",
) -> tuple[dict[str, str], dict[str, str]]:
    """Make the next pair; the one before stays good for the overlap.

    Returns:
        The new public halves, and the old ones, as devices need them.

    Raises:
        InputError: there are no keys yet, or the overlap is none.
        StoreError: the folder cannot be written.
    """
    if overlap <= timedelta(0):
        raise InputError("an overlap is a day or more: what is on its way would be lost")
    before = {kind: _read(_path(folder, kind), kind, passphrase) for kind in _CLASSES}
    after = {kind: _CLASSES[kind].generate(entropy) for kind in _CLASSES}
    stamp = f"{now + overlap / 2:{_MOMENT}}-{now + overlap:{_MOMENT}}"
    try:
        (folder / _OLDER).mkdir(mode=0o700, exist_ok=True)
        for kind, key in after.items():
            named = folder / _OLDER / f"{kind}-{key_id(before[kind].public).hex()}-{stamp}.key"
            fresh = _path(folder, kind).with_suffix(".next")
            fresh.unlink(missing_ok=True)
            _write(fresh, key.to_bytes(), passphrase, entropy)
            # the old key has its new name before the old name is given away: one is always there
            with suppress(FileExistsError):  # a change that died here, within the same second
                os.link(_path(folder, kind), named)
            os.replace(fresh, _path(folder, kind))
    except OSError as err:
        raise StoreError(f"{folder}: cannot be written ({err.strerror or err})") from err
    return (
        {f"{kind}_key": key.public.hex() for kind, key in after.items()},
        {f"{kind}_key": key.public.hex() for kind, key in before.items()},
    )


def retire_keys(folder: Path, *, now: datetime, named: str = "") -> list[str]:
    """Delete older keys whose end has come, or the one that is named, whatever its end.

    Returns:
        The ids of the keys that were deleted; what is sealed to them opens no more.

    Raises:
        InputError: none is named so.
        StoreError: one cannot be deleted.
    """
    older = list(older_keys(folder))
    gone = [key for key in older if (key.id == named if named else key.end <= now)]
    if named and not gone:
        known = ", ".join(sorted({key.id for key in older})) or "none"
        raise InputError(f"{folder}: no older key '{named}'; there are: {known}")
    for key in gone:
        try:
            key.path.unlink()
        except OSError as err:
            raise StoreError(f"{key.path}: cannot be deleted ({err.strerror or err})") from err
    return [key.id for key in gone]


def read_keys(
    folder: Path, *, now: datetime | None = None, passphrase: Callable[[], str] | None = None
) -> DeskKeys:
    """Read the keys the desk works with at this moment.

    Args:
        folder: Where they are.
        now: Which older ones are still good; the system's time by default.
        passphrase: Returns it, asked only where a file is locked.

    Raises:
        InputError: they are not there, or locked and nobody can be asked.
        SealError: the passphrase is another.
    """
    now = now or datetime.now(UTC)
    files = [_path(folder, LABELING), _path(folder, SIGNING)]
    older = [key for key in older_keys(folder) if key.end > now]
    said = ""
    if any(_is_locked(path) for path in (*files, *(key.path for key in older))):
        if passphrase is None:
            raise InputError(f"{folder}: the keys are locked, and nobody can be asked")
        said = passphrase()
    newest = SigningKey.from_bytes(_secret(files[1], said))
    signing = {
        key: SigningKey.from_bytes(_secret(key.path, said)) for key in older if key.kind == SIGNING
    }
    not_yet = [key for key in signing if key.switch > now]
    # of two changes that overlap, the older pair is what every device knows
    signs = signing[min(not_yet, key=lambda key: key.switch)] if not_yet else newest
    return DeskKeys(
        labeling=SealingKey.from_bytes(_secret(files[0], said)),
        signing=signs,
        older=tuple(
            SealingKey.from_bytes(_secret(key.path, said)) for key in older if key.kind == LABELING
        ),
        names=(newest, *signing.values()),
    )


def older_keys(folder: Path) -> Iterator[OlderKey]:
    """Yield the keys that were changed, those whose end is furthest first."""
    found = []
    for path in (folder / _OLDER).glob("*.key"):
        kind, name, switch, end = path.stem.split("-")
        moments = [datetime.strptime(each, _MOMENT).replace(tzinfo=UTC) for each in (switch, end)]
        found.append(OlderKey(path=path, kind=kind, id=name, switch=moments[0], end=moments[1]))
    yield from sorted(found, key=lambda key: (key.end, key.id, key.kind), reverse=True)


def is_locked_folder(folder: Path) -> bool:
    """Return whether the newest keys are behind a passphrase.

    Raises:
        InputError: there are none.
    """
    return _is_locked(_path(folder, LABELING))


def _path(folder: Path, kind: str) -> Path:
    return folder / f"{kind}.key"


def _read(path: Path, kind: str, passphrase: str) -> SealingKey | SigningKey:
    """Read one key."""
    return _CLASSES[kind].from_bytes(_secret(path, passphrase))


def _is_locked(path: Path) -> bool:
    """Return whether a file needs a passphrase."""
    return is_locked(_bytes(path))


def _secret(path: Path, passphrase: str) -> bytes:
    """Return the secret in a file."""
    content = _bytes(path)
    if not is_locked(content):
        return content
    try:
        return unlock(content, passphrase)
    except SealError as err:
        raise SealError(f"{path.name}: {err}") from err


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        raise InputError(
            f"{path.parent}: no keys of a desk; 'fieldvote labels keys' makes them"
        ) from err


def _write(path: Path, secret: bytes, passphrase: str, entropy: Callable[[int], bytes]) -> None:
    """Write a secret for its owner alone, durable before anything is sealed to it."""
    content = lock(secret, passphrase, entropy) if passphrase else secret
    write_once(path, content)


def pseudonym(name: str, key: SigningKey) -> str:
    """Return what the store calls an annotator: nobody without the desk's key can tell who it is.

    >>> key = SigningKey(b"d" * 32)
    >>> len(pseudonym("ann", key)), pseudonym("ann", key) == pseudonym("bob", key)
    (12, False)
    """
    return sha256(key.sign(b"fieldvote annotator " + name.encode())).hexdigest()[:12]
