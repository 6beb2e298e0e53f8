"""The roles of a fleet and what each may say, as values (after The Update Framework, v1.0.33).

::

    root         who holds which role, and how many of them must sign; offline, 2 of 3
      targets    every file of a task by size and hash, and two delegations; offline
        directory    the fleet's devices and their keys; offline, apart from targets
        online       weights and steps; the coordinator's
      snapshot   which version of targets and directory belong together; the coordinator's
      timestamp  which snapshot is the newest; the coordinator's, and soon over

A value checks itself on birth, from a person or from the wire alike. How values become bytes that
somebody signed is in :mod:`privacy.sealing.signed`; which may follow which, in
:mod:`privacy.sealing.trusted`.
"""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TypeAlias

from fieldvote.errors import InputError
from privacy.sealing.keys import KEY_BYTES

MAX_VERSION = 2**53
MAX_FILES = 10_000
MAX_KEYS = 16
MAX_PATH_CHARS = 255
WEIGHTS = "weights/"
STEPS = "steps/"


class Role(StrEnum):
    """Who signs; the word stands in front of what is signed, so that no role speaks for another."""

    ROOT = "root"
    TARGETS = "targets"
    SNAPSHOT = "snapshot"
    TIMESTAMP = "timestamp"
    DIRECTORY = "directory"
    ONLINE = "online"


TOP = (Role.ROOT, Role.SNAPSHOT, Role.TARGETS, Role.TIMESTAMP)
"""The roles a root names, in the order of the alphabet."""

DELEGATED = {Role.DIRECTORY: ("directory",), Role.ONLINE: (STEPS, WEIGHTS)}
"""The only delegations there are, and what each is given: nothing a policy is made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Who holds a role.

    Attributes:
        keys: Public Ed25519 keys, sorted, each once.
        threshold: How many of them must sign.
    """

    keys: tuple[bytes, ...]
    threshold: int = 1

    def __post_init__(self) -> None:
        """Refuse a role that nobody could fill, or that one key could fill twice."""
        if not 1 <= len(self.keys) <= MAX_KEYS or any(not _is_key(key) for key in self.keys):
            raise InputError(f"a role has 1 to {MAX_KEYS} keys of {KEY_BYTES} bytes")
        if list(self.keys) != sorted(set(self.keys)):
            raise InputError("the keys of a role are sorted, and each is there once")
        if type(self.threshold) is not int or not 1 <= self.threshold <= len(self.keys):
            raise InputError(f"a threshold is 1 to the number of keys, got {self.threshold!r}")

    @staticmethod
    def of(*keys: bytes, threshold: int = 1) -> "Keys":
        """Return the role of these keys in any order.

        >>> Keys.of(b"b" * 32, b"a" * 32, threshold=2).keys[0][:1]
        b'a'
        """
        return Keys(keys=tuple(sorted(keys)), threshold=threshold)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """What is said of one file."""

    size_bytes: int
    sha256: bytes

    def __post_init__(self) -> None:
        """Refuse what is no size or no hash."""
        if type(self.size_bytes) is not int or not 0 <= self.size_bytes <= MAX_VERSION:
            raise InputError("a size is a whole number of bytes")
        if not isinstance(self.sha256, bytes) or len(self.sha256) != sha256().digest_size:
            raise InputError("a SHA-256 has 32 bytes")

    @staticmethod
    def of(content: bytes) -> "FileInfo":
        """Describe a file."""
        return FileInfo(size_bytes=len(content), sha256=sha256(content).digest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """Another role's metadata, of one version and no other bytes."""

    version: int
    file: FileInfo

    def __post_init__(self) -> None:
        """Refuse what is no version."""
        _check_version(self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """Who holds which role.

    Attributes:
        version: Counts up by one.
        expires_s: From this second since 1970 on it says nothing any more.
        roles: Keys of each of TOP, in its order.
    """

    version: int
    expires_s: int
    roles: tuple[tuple[Role, Keys], ...]

    def __post_init__(self) -> None:
        """Refuse a root that leaves a role out."""
        _check_head(self.version, self.expires_s)
        if tuple(role for role, _ in self.roles) != TOP:
            raise InputError(f"a root names {', '.join(TOP)}, each once")

    role = Role.ROOT

    def keys(self, role: Role) -> Keys:
        """Return who holds a role of TOP."""
        return dict(self.roles)[role]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """Another key that may speak, and of which paths only."""

    role: Role
    keys: Keys
    paths: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse more than such a role may ever be given, whoever signs it."""
        if self.role not in DELEGATED or self.paths != DELEGATED[self.role]:
            raise InputError(f"{self.role} cannot be given {', '.join(map(str, self.paths))}")

    def covers(self, path: str) -> bool:
        """Return whether a path is one of those given."""
        return any(
            path.startswith(given) if given.endswith("/") else path == given for given in self.paths
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Files by size and hash: of a task, or of what was delegated.

    Attributes:
        role: TARGETS, or one of DELEGATED.
        version: Grows.
        expires_s: From this second since 1970 on it says nothing any more.
        files: By path, sorted.
        delegations: By role, sorted; a delegated role passes nothing on.
    """

    role: Role = Role.TARGETS
    version: int
    expires_s: int
    files: tuple[tuple[str, FileInfo], ...]
    delegations: tuple[Delegation, ...] = ()

    def __post_init__(self) -> None:
        """Refuse paths that lead elsewhere, twice the same, and delegations of delegations."""
        _check_head(self.version, self.expires_s)
        paths = [path for path, _ in self.files]
        if len(paths) > MAX_FILES or not all(map(is_plain_path, paths)):
            raise InputError(f"targets name at most {MAX_FILES} files, by plain relative paths")
        if paths != sorted(set(paths)):
            raise InputError("the files of targets are sorted, and each is there once")
        roles = [delegation.role for delegation in self.delegations]
        if roles != sorted(set(roles)) or (roles and self.role is not Role.TARGETS):
            raise InputError("delegations are sorted, each once, and of targets alone")

    def delegation(self, role: Role) -> Delegation | None:
        """Return what a role was given here."""
        return next((each for each in self.delegations if each.role is role), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Which metadata belong together: of targets always, of directory where there is one."""

    version: int
    expires_s: int
    pins: tuple[tuple[Role, Pin], ...]

    def __post_init__(self) -> None:
        """Refuse a snapshot of something else."""
        _check_head(self.version, self.expires_s)
        roles = [role for role, _ in self.pins]
        if roles not in ([Role.TARGETS], [Role.DIRECTORY, Role.TARGETS]):
            raise InputError("a snapshot pins targets, and may pin directory")

    role = Role.SNAPSHOT

    def pin(self, role: Role) -> Pin | None:
        """Return what is pinned of a role."""
        return dict(self.pins).get(role)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamp:
    """Which snapshot is the newest, for a short while."""

    version: int
    expires_s: int
    snapshot: Pin

    def __post_init__(self) -> None:
        """Refuse what is no version."""
        _check_head(self.version, self.expires_s)

    role = Role.TIMESTAMP


Metadata: TypeAlias = Root | Targets | Snapshot | Timestamp


def is_plain_path(path: object) -> bool:
    """Return whether a path stays inside the folder it is unpacked to, on any system.

    >>> [is_plain_path(path) for path in ("weights/a", "../a", "a//b", "c:a")]
    [True, False, False, False]
    """
    if not isinstance(path, str) or not 0 < len(path) <= MAX_PATH_CHARS or not path.isprintable():
        return False
    return not set(path) & set("\\:") and all(
        part not in ("", ".", "..") for part in path.split("/")
    )


def _check_head(version: int, expires_s: int) -> None:
    _check_version(version)
    if type(expires_s) is not int or not 0 < expires_s <= MAX_VERSION:
        raise InputError("expiry is a whole number of seconds since 1970")


def _check_version(version: int) -> None:
    if type(version) is not int or not 1 <= version <= MAX_VERSION:
        raise InputError(f"a version is a whole number from 1 to 2**53, got {version!r}")


def _is_key(key: object) -> bool:
    return isinstance(key, bytes) and len(key) == KEY_BYTES
