"""The coordinator's part in what is signed: which versions are the newest, and which head to serve.

It holds three keys and no others. With them it can say "these, which the owner signed, belong
together", "this is the newest", and "serve this head": it can put no word into a policy.

News is made of what is in the folder and in the store at the time, so a folder that the owner has
brought anew is taken up without a restart. Snapshot and timestamp are signed again at half of
their life, or when something else is pinned; until then the same bytes are news to nobody.
"""

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from coordinator.keys.folder import KeyFolder
from coordinator.keys.online_settings import KeySettings as KeySettings  # what it is made with
from coordinator.keys.signing import DAY_S, LASTS_S, at, fresh, held_key
from coordinator.store.campaign import Store
from fieldvote.bundle import (
    DIRECTORY_FILE,
    DIRECTORY_METADATA,
    ROOT_SUFFIX,
    SNAPSHOT_FILE,
    TIMESTAMP_FILE,
    Bundle,
    unpack,
)
from fieldvote.errors import (
    InputError,
    RefusalError,
    SignatureError,
    UnavailableError,
)
from fieldvote.heads import ServeRequest
from fieldvote.records import DeviceId, encode
from privacy.sealing.keys import SigningKey
from privacy.sealing.roles import (
    MAX_VERSION,
    WEIGHTS,
    FileInfo,
    Role,
    Root,
    Snapshot,
    Targets,
    Timestamp,
)
from privacy.sealing.signed import Held, open_root, reopen, sign

OWNER_NEEDS_S = 30 * DAY_S
"""How long before its end an owner is told that something must be signed again."""

_RENEWED = {
    Role.ROOT: "fieldvote keys rotate",
    Role.TARGETS: "fieldvote keys sign",
    Role.DIRECTORY: "fieldvote keys directory",
}
_NEWS = "news of roles"
_TOLD = "told of "  # and a role
_MOST_DIRECTORY_BYTES = 4 * 2**20  # it travels in one message
_IN_HELLO = (Role.TIMESTAMP, Role.DIRECTORY)


class OnlineKeys:
    """Signs for one campaign and one task of it."""

    def __init__(
        self,
        settings: KeySettings,
        store: Store,
        *,
        targets: bytes,
        family: str,
        now_s: Callable[[], float],
    ) -> None:
        """Check that the folder fits the task.

        Args:
            settings: Where the keys are.
            store: Remembers what was signed last, and who was told.
            targets: What the owner signed of the campaign's task.
            family: Digest of what its releases share.
            now_s: Seconds since 1970.

        Raises:
            InputError: a key or the roots are not there, or do not hold their role.
            SignatureError: the targets are not signed by whom the newest root names.
        """
        self._settings, self._store, self._now_s = settings, store, now_s
        self._folder, self._family = Path(settings.folder), family
        self._sent = dict[Role, str]()
        root = self._roots()[-1]
        self._targets = reopen(targets, Targets, Role.TARGETS)
        if not self._targets.is_accepted_by(root.value.keys(Role.TARGETS)):
            raise SignatureError("the task is not signed by the keys of the newest root")
        self._key(Role.ONLINE)

    @property
    def version(self) -> int:
        """What the campaign's task was signed as."""
        return self._targets.value.version

    def ending(self) -> dict[Role, int]:
        """Return until when what the owner signed holds, where that is soon or over.

        Seconds since 1970 by role. Nothing the coordinator holds can renew these: devices that find
        one over take part in nothing until the owner has signed it again.
        """
        held = (self._roots()[-1], self._targets, self._directory())
        soon = self._now_s() + OWNER_NEEDS_S
        return {
            each.value.role: each.value.expires_s
            for each in held
            if each is not None and each.value.expires_s <= soon
        }

    def news(self, *, directory: bool = True) -> bytes:
        """Return what a device is told with hello: roots, snapshot, timestamp, and a directory."""
        files = {f"{held.value.version}{ROOT_SUFFIX}": held.blob for held in self._roots()}
        files |= self._newest()
        signed = self._directory()
        if directory and signed is not None:
            files |= {
                DIRECTORY_METADATA: signed.blob,
                DIRECTORY_FILE: (self._folder / DIRECTORY_FILE).read_bytes(),
            }
        return Bundle.of(files).content

    def news_for(self, devices: Collection[DeviceId]) -> dict[DeviceId, bytes]:
        """Return the news for devices: a directory that one was told of is left out.

        Raises:
            UnavailableError: the folder cannot be used at the moment.
        """
        with _used(self._folder):
            return self._news_for(devices)

    def _news_for(self, devices: Collection[DeviceId]) -> dict[DeviceId, bytes]:
        told, whole, short = self._told(Role.DIRECTORY), self.news(), self.news(directory=False)
        self._sent = {role: self._mark(role) for role in _IN_HELLO}
        return {device: short if device in told else whole for device in devices}

    def untold(self, devices: Collection[DeviceId]) -> list[DeviceId]:
        """Return which of these devices have not been told of the newest timestamp or directory.

        Raises:
            UnavailableError: the folder cannot be used at the moment.
        """
        with _used(self._folder):
            told = [self._told(role) for role in _IN_HELLO]
        return sorted(device for device in devices if any(device not in known for known in told))

    def note_told(self, devices: Collection[DeviceId]) -> None:
        """Remember that these devices have said hello to the news they were sent last."""
        for role, mark in self._sent.items():
            known = self._told(role) | set(devices)
            self._store.keep_note(_TOLD + role, json.dumps([mark, sorted(known)]))

    def signed(self, order: ServeRequest) -> ServeRequest:
        """Return an order signed by the online role; its serial is the version.

        Raises:
            UnavailableError: the folder cannot be used at the moment.
        """
        named = Targets(
            role=Role.ONLINE,
            version=order.serial,
            expires_s=int(self._now_s()) + LASTS_S[Role.ONLINE],
            files=((WEIGHTS + self._family, FileInfo.of(encode(replace(order, order=b"")))),),
        )
        with _used(self._folder):
            return replace(order, order=sign(named, [self._key(Role.ONLINE)]))

    def _newest(self) -> dict[str, bytes]:
        """Return snapshot and timestamp, signed again where they are not good any more."""
        now_s, lasts, root = self._now_s(), self._settings.lasts_s, self._roots()[-1].value
        note = self._store.note(_NEWS)
        kept = {} if note is None else unpack(bytes.fromhex(note))
        signed, pins = self._directory(), {Role.TARGETS: self._targets.pin}
        if signed is not None:
            pins[Role.DIRECTORY] = signed.pin
        after = 0
        if kept:
            snapshot = reopen(kept[SNAPSHOT_FILE], Snapshot, Role.SNAPSHOT)
            timestamp = reopen(kept[TIMESTAMP_FILE], Timestamp, Role.TIMESTAMP)
            after = timestamp.value.version
            good = (
                dict(snapshot.value.pins) == pins
                and snapshot.is_accepted_by(root.keys(Role.SNAPSHOT))
                and timestamp.is_accepted_by(root.keys(Role.TIMESTAMP))
                and snapshot.value.expires_s - now_s > lasts[Role.SNAPSHOT] / 2
                and lasts[Role.TIMESTAMP] / 2 < timestamp.value.expires_s - now_s
            )
            if good:
                return kept
        made = fresh(
            pins,
            snapshot=self._key(Role.SNAPSHOT),
            timestamp=self._key(Role.TIMESTAMP),
            now_s=now_s,
            after=min(after, MAX_VERSION - 1),
            lasts_s=lasts,
        )
        self._store.keep_note(_NEWS, Bundle.of(made).content.hex())
        return made

    def _directory(self) -> Held[Targets] | None:
        """Return the directory's metadata, if the owner has brought one."""
        path = self._folder / DIRECTORY_METADATA
        if not path.is_file():
            return None
        size = (self._folder / DIRECTORY_FILE).stat().st_size
        if size > _MOST_DIRECTORY_BYTES:
            raise InputError(f"{self._folder}: a directory of {size} bytes is too long to be told")
        return reopen(path.read_bytes(), Targets, Role.DIRECTORY)

    def _roots(self) -> list[Held[Root]]:
        chain: list[Held[Root]] = []
        while (path := self._folder / f"{len(chain) + 1}{ROOT_SUFFIX}").is_file():
            before = chain[-1].value.keys(Role.ROOT) if chain else None
            chain.append(open_root(path.read_bytes(), before))
        if not chain:
            raise InputError(f"{self._folder}: no roots here; copy the owner's online folder")
        return chain

    def _key(self, role: Role) -> SigningKey:
        """Return a key of ours, if the owner says that it is."""
        given = self._targets.value.delegation(role)
        keys = given.keys if given else self._roots()[-1].value.keys(role)
        # the owner's folder and ours look alike from here
        return held_key(KeyFolder(self._folder.parent, online=self._folder), role, keys)

    def _told(self, role: Role) -> frozenset[DeviceId]:
        note = self._store.note(_TOLD + role)
        mark, devices = ("", []) if note is None else json.loads(note)
        return frozenset(map(DeviceId, devices)) if mark == self._mark(role) else frozenset()

    def _mark(self, role: Role) -> str:
        """Return what the newest of a role is known by."""
        if role is Role.DIRECTORY:
            signed = self._directory()
            return "" if signed is None else signed.pin.file.sha256.hex()
        return FileInfo.of(self._newest()[TIMESTAMP_FILE]).sha256.hex()


@contextmanager
def _used(folder: Path) -> Iterator[None]:
    """Say what is wrong with the folder as what it is for a campaign: wait, and it is mended."""
    try:
        yield
    except (InputError, RefusalError, OSError) as err:
        raise UnavailableError(f"{folder} cannot be used: {err}") from err


def online_keys(
    settings: KeySettings | None,
    store: Store,
    *,
    targets: bytes | None,
    family: str,
    now_s: Callable[[], float],
    say: Callable[[str], None],
) -> OnlineKeys | None:
    """Return what signs for a campaign; None where nothing can, and that is said.

    Raises:
        InputError: a key or the roots are not there, or do not hold their role.
    """
    if settings is None:
        return None
    if targets is None:
        say("the task is not signed, so devices with a root take no part: fieldvote keys sign")
        return None
    try:
        keys = OnlineKeys(settings, store, targets=targets, family=family, now_s=now_s)
    except RefusalError as err:
        say(f"devices with a root take no part: {err}; sign the task again")
        return None
    for role, expires_s in keys.ending().items():
        when = "over since" if expires_s <= now_s() else "soon over, on"
        say(f"{role}: {when} {at(expires_s)}; then no device takes part: {_RENEWED[role]}")
    return keys
