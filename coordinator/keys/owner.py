"""The owner's keys: made once, changed one at a time, and shown."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from coordinator.keys.folder import OFFLINE, ONLINE, ROOT_KEYS, ROOTS_FOLDER, KeyFolder, Record
from coordinator.keys.signing import at, until
from fieldvote.errors import InputError, StoreError
from privacy.sealing.keys import SigningKey, key_id
from privacy.sealing.roles import DELEGATED, TOP, Keys, Role, Root
from privacy.sealing.signed import sign

THRESHOLD = 2  # of ROOT_KEYS
PLACES = (*OFFLINE, *ONLINE)
"""Every key there is, by the name of its file."""

Row = Mapping[str, str | int]


def make_keys(
    folder: KeyFolder, *, now_s: float, entropy: Callable[[int], bytes], passphrase: str = ""
) -> None:
    """Make the keys of every role, and the first root.

    Raises:
        InputError: there are keys already; nothing was changed.
        StoreError: the folder cannot be written.
    """
    if there := [name for name in PLACES if folder.has(name)]:
        raise InputError(
            f"{folder.folder}: {there[0]}.key is there already; keys are not written over"
        )
    try:
        for place in (folder.folder, folder.online, folder.folder / ROOTS_FOLDER):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as err:
        raise StoreError(f"{folder.folder}: cannot be made ({err.strerror or err})") from err
    keys = {name: folder.draft(name, entropy, passphrase=passphrase) for name in PLACES}
    record = Record(keys={name: [key.public.hex()] for name, key in keys.items()})
    folder.keep_record(record)
    folder.take_up(*PLACES)
    folder.keep_root(sign(_root(record, 1, now_s), [keys[name] for name in ROOT_KEYS]))


def rotate(
    folder: KeyFolder,
    name: str,
    *,
    now_s: float,
    entropy: Callable[[int], bytes],
    passphrase: str = "",
    at_once: bool = False,
) -> int:
    """Put a new key in a place; return the version of the root that is newest then.

    The key before stays good beside the new one until the place is given away again: what it signed
    holds, and nobody has to change in the same minute. A root key, and a lost one, goes at once.

    Args:
        folder: The owner's, with two root keys in it, unless the place is one tasks delegate.
        name: One of PLACES.
        now_s: Seconds since 1970.
        entropy: The system's.
        passphrase: Locks the new key where the old one could be.
        at_once: Whether the old key is good for nothing from now on.

    Raises:
        InputError: there is no such place, or too few root keys are here.
    """
    if name not in PLACES:
        raise InputError(f"{name}: no such key; known: {', '.join(PLACES)}")
    root, record = folder.roots()[-1].value, folder.record()
    drops = at_once or name in ROOT_KEYS
    signers = [] if name in list(DELEGATED) else _root_signers(folder, root.keys(Role.ROOT))
    draft = folder.draft(name, entropy, passphrase=passphrase)
    kept = [] if drops else record.keys[name][-1:]
    after = replace(record, keys={**record.keys, name: [*kept, draft.public.hex()]})
    version = root.version
    if signers:
        new, version = _root(after, version + 1, now_s), version + 1
        own = [*signers, draft] if name in ROOT_KEYS else signers
        folder.keep_root(sign(new, own))
    folder.keep_record(after)
    folder.take_up(name)
    return version


def show(folder: KeyFolder) -> list[Row]:
    """Return who holds which role, in rows."""
    root, record = folder.roots()[-1].value, folder.record()
    rows: list[Row] = []
    for role in (*TOP, *sorted(DELEGATED)):
        names = ROOT_KEYS if role is Role.ROOT else (str(role),)
        keys = root.keys(role) if role in TOP else Keys.of(*record.public(role))
        here = [f"{name}.key" for name in names if folder.has(name)]
        rows.append(
            {
                "role": str(role),
                "keys": " ".join(key_id(key).hex() for key in keys.keys),
                "threshold": keys.threshold,
                "said_by": f"root {root.version}" if role in TOP else "the next task signed",
                "expires": at(root.expires_s) if role in TOP else "with the task",
                "here": " ".join(here) or "no",
            }
        )
    return rows


def _root(record: Record, version: int, now_s: float) -> Root:
    """Return the root that a record stands for."""
    roots = Keys.of(*(record.public(name)[-1] for name in ROOT_KEYS), threshold=THRESHOLD)
    return Root(
        version=version,
        expires_s=until(Role.ROOT, now_s),
        roles=tuple(
            (role, roots if role is Role.ROOT else Keys.of(*record.public(role))) for role in TOP
        ),
    )


def _root_signers(folder: KeyFolder, keys: Keys) -> list[SigningKey]:
    """Return the root keys that are here; enough of them."""
    here = [folder.key(name) for name in ROOT_KEYS if folder.has(name)]
    signers = [key for key in here if key.public in keys.keys]
    if len(signers) < keys.threshold:
        raise InputError(
            f"{folder.folder}: {len(signers)} root keys are here, {keys.threshold} are needed to"
            " sign a new root; bring another back"
        )
    return signers
