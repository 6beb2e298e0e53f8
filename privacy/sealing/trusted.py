"""What a device believes of its fleet's owner, and what may change that. Pure: no disk, no clock.

Rules, after the client workflow of The Update Framework (v1.0.33, section 5):

- *Root.* Version v is followed by v + 1 and no other. It is signed by the threshold of v's keys and
  by that of its own. What was signed by keys a new root no longer accepts binds nobody: a thief who
  signed far versions ahead is undone together with his key.
- *Timestamp.* Not over, its version not lower than the last; the same version is the same bytes.
- *Snapshot.* The one the timestamp names, by version, size and hash; no version in it goes back
  behind the snapshot before, and no role in it disappears.
- *Targets, directory.* The ones the snapshot names, by version, size and hash, and not lower than
  those that were held. Targets that a person puts on the device need no snapshot; the rest holds.
- *Delegated roles* are held by the keys targets give them, and name paths they were given and no
  others; there the search ends, and what they say of any other path is refused as a whole.
- *Files* are exactly those named, by size and hash; one too many is refused like a changed one.
- *Expiry* is judged by the caller's clock. Nothing that is over is taken, nothing is taken under a
  root that is over, and `staleness` says why a device should do nothing at all.

A refusal changes nothing: each rule returns another value, or raises.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from fieldvote.errors import SignatureError
from privacy.sealing.roles import FileInfo, Pin, Role, Root, Snapshot, Targets, Timestamp
from privacy.sealing.signed import MAX_METADATA_BYTES, Held, open_root, open_signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """What was checked last of each role.

    Attributes:
        root: Who holds which role.
        timestamp: Which snapshot is the newest.
        snapshot: Which versions belong together.
        targets: The newest task that was installed.
        directory: The newest directory.
    """

    root: Held[Root]
    timestamp: Held[Timestamp] | None = None
    snapshot: Held[Snapshot] | None = None
    targets: Held[Targets] | None = None
    directory: Held[Targets] | None = None

    @staticmethod
    def begin(blob: bytes) -> "Trusted":
        """Begin with a root that somebody put on the device.

        Raises:
            SignatureError: it is no root, or not enough of its own keys signed it.
        """
        return Trusted(root=open_root(blob, None))

    def with_root(self, blob: bytes) -> "Trusted":
        """Follow a new root."""
        old = self.root.value
        new = open_root(blob, old.keys(Role.ROOT))
        if new.value.version != old.version + 1:
            raise SignatureError(f"root: version {new.value.version} does not follow {old.version}")
        after = replace(self, root=new)
        kept = (after._binding(Role.TIMESTAMP), after._binding(Role.SNAPSHOT))
        if None in kept or (self.targets and after._binding(Role.TARGETS) is None):
            return replace(after, timestamp=None, snapshot=None)
        return after

    def with_timestamp(self, blob: bytes, now_s: float) -> "Trusted":
        """Believe a timestamp."""
        _refuse_over(Role.ROOT, self.root, now_s)
        keys = self.root.value.keys(Role.TIMESTAMP)
        new = open_signed(blob, Timestamp, Role.TIMESTAMP, keys)
        _refuse_over(Role.TIMESTAMP, new, now_s)
        if self.timestamp is not None:
            _refuse_back(Role.TIMESTAMP, self.timestamp.pin, new.pin)
            before, after = self.timestamp.value.snapshot, new.value.snapshot
            _refuse_back(Role.SNAPSHOT, before, after)
        return replace(self, timestamp=new)

    def with_snapshot(self, blob: bytes, now_s: float) -> "Trusted":
        """Believe the snapshot the timestamp names."""
        if self.timestamp is None:
            raise SignatureError("snapshot: no timestamp says that it is the newest")
        _refuse_other(Role.SNAPSHOT, self.timestamp.value.snapshot, blob)
        keys = self.root.value.keys(Role.SNAPSHOT)
        new = open_signed(blob, Snapshot, Role.SNAPSHOT, keys)
        _refuse_version(Role.SNAPSHOT, self.timestamp.value.snapshot, new.value.version)
        _refuse_over(Role.SNAPSHOT, new, now_s)
        known = dict(self.snapshot.value.pins) if self.snapshot else {}
        for role in (Role.TARGETS, Role.DIRECTORY):
            before, after = known.get(role), new.value.pin(role)
            if before is not None and after is None:
                raise SignatureError(f"snapshot: {role} is no longer in it")
            if before is not None and after is not None:
                _refuse_back(role, before, after)
        return replace(self, snapshot=new)

    def with_targets(self, blob: bytes, now_s: float) -> "Trusted":
        """Believe the targets the snapshot names."""
        pin = self._pin(Role.TARGETS)
        _refuse_other(Role.TARGETS, pin, blob)
        new = self.signed_targets(blob)
        _refuse_version(Role.TARGETS, pin, new.value.version)
        _refuse_over(Role.TARGETS, new, now_s)
        return self._holding(new)

    def with_local_targets(self, blob: bytes) -> "Trusted":
        """Believe targets that a person put on the device, if they are not older than those held.

        Whether they are over is for `staleness` to say: a device may start with them and be told.
        """
        return self._holding(self.signed_targets(blob))

    def signed_targets(self, blob: bytes) -> Held[Targets]:
        """Return targets that those signed who may, of whatever version."""
        keys = self.root.value.keys(Role.TARGETS)
        return open_signed(blob, Targets, Role.TARGETS, keys, most_bytes=MAX_METADATA_BYTES)

    def with_directory(self, blob: bytes, content: bytes, now_s: float) -> "Trusted":
        """Believe the directory the snapshot names."""
        pin = self._pin(Role.DIRECTORY)
        _refuse_other(Role.DIRECTORY, pin, blob)
        new = self.delegated(Role.DIRECTORY, blob, now_s)
        _refuse_version(Role.DIRECTORY, pin, new.value.version)
        before = self._binding(Role.DIRECTORY)
        if before is not None:
            _refuse_back(Role.DIRECTORY, before.pin, new.pin)
        check_files(new.value, {str(Role.DIRECTORY): content})
        return replace(self, directory=new)

    def delegated(self, role: Role, blob: bytes, now_s: float) -> Held[Targets]:
        """Return what a role says of the paths it was given, of whatever version."""
        given = self.targets.value.delegation(role) if self.targets else None
        if given is None:
            raise SignatureError(f"{role}: nothing was delegated to it")
        _refuse_over(Role.ROOT, self.root, now_s)
        new = open_signed(blob, Targets, role, given.keys, most_bytes=MAX_METADATA_BYTES)
        _refuse_over(role, new, now_s)
        for path, _ in new.value.files:
            if not given.covers(path):
                raise SignatureError(f"{role}: signs {path!r}, which was not given to it")
        return new

    def staleness(self, now_s: float) -> str:
        """Return why nothing should be believed at this time; empty while all is well."""
        if self.targets is not None and self._binding(Role.TARGETS) is None:
            return "the task is signed by a key that the newest root no longer names"
        if self.timestamp is None or self.snapshot is None:
            return "no timestamp has come that says which task is the newest"
        for held in (self.root, self.timestamp, self.snapshot, self.targets):
            if held is not None and now_s >= held.value.expires_s:
                return f"the {held.value.role} is over since {_at(held.value.expires_s)}"
        return ""

    def _holding(self, new: Held[Targets]) -> "Trusted":
        before = self._binding(Role.TARGETS)
        if before is not None:
            _refuse_back(Role.TARGETS, before.pin, new.pin)
        return replace(self, targets=new)

    def _pin(self, role: Role) -> Pin:
        pin = self.snapshot.value.pin(role) if self.snapshot else None
        if pin is None:
            raise SignatureError(f"{role}: no snapshot says which is the newest")
        return pin

    def _binding(self, role: Role) -> Held[Timestamp] | Held[Snapshot] | Held[Targets] | None:
        """Return what is held of a role, if those who may today have signed it."""
        held = {
            Role.TIMESTAMP: self.timestamp,
            Role.SNAPSHOT: self.snapshot,
            Role.TARGETS: self.targets,
            Role.DIRECTORY: self.directory,
        }[role]
        if role is Role.DIRECTORY:
            given = self.targets.value.delegation(role) if self.targets else None
            keys = given.keys if given else None
        else:
            keys = self.root.value.keys(role)
        return held if held is not None and keys and held.is_accepted_by(keys) else None


def check_files(targets: Targets, files: Mapping[str, bytes]) -> None:
    """Return if these files are exactly those that targets name.

    Raises:
        SignatureError: one is changed, missing or too many.
    """
    named = dict(targets.files)
    if named.keys() != files.keys():
        strange, missing = len(files.keys() - named.keys()), len(named.keys() - files.keys())
        raise SignatureError(f"{missing} signed files are missing, {strange} are not signed")
    for path, info in named.items():
        if len(files[path]) != info.size_bytes or FileInfo.of(files[path]) != info:
            raise SignatureError(f"file {path!r} is not the one that was signed")


def _refuse_over(
    role: Role,
    held: Held[Root] | Held[Timestamp] | Held[Snapshot] | Held[Targets],
    now_s: float,
) -> None:
    if now_s >= held.value.expires_s:
        raise SignatureError(f"{role}: it is over since {_at(held.value.expires_s)}")


def _refuse_back(role: Role, before: Pin, after: Pin) -> None:
    """Refuse an older version, and another writing of the same."""
    if after.version < before.version:
        raise SignatureError(f"{role}: version {after.version} is older than {before.version}")
    if after.version == before.version and after != before:
        raise SignatureError(f"{role}: version {after.version} was something else before")


def _refuse_other(role: Role, pin: Pin, blob: bytes) -> None:
    """Refuse bytes that are not those pinned; the size first, which costs nothing."""
    if len(blob) != pin.file.size_bytes or FileInfo.of(blob) != pin.file:
        raise SignatureError(f"{role}: not the {len(blob)} bytes that were pinned")


def _refuse_version(role: Role, pin: Pin, version: int) -> None:
    if version != pin.version:
        raise SignatureError(f"{role}: version {version}, and {pin.version} was pinned")


def _at(expires_s: int) -> str:
    return datetime.fromtimestamp(expires_s, UTC).isoformat(timespec="seconds")
