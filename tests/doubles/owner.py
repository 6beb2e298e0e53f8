"""The owner of a fleet with every key in memory: signs whatever a test asks for, in one line.

Keys follow from a number and times from one second at import, so that the same call gives the same
bytes. Snapshot and timestamp get the version of the task they name.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fieldvote.bundle import (
    DIRECTORY_FILE,
    DIRECTORY_METADATA,
    ROOT_SUFFIX,
    SNAPSHOT_FILE,
    TARGETS_FILE,
    TIMESTAMP_FILE,
    Bundle,
    unpack,
)
from fieldvote.heads import ServeRequest
from fieldvote.records import encode
from fieldvote.rng import keyed_entropy
from fieldvote.task import Task
from privacy.sealing import SigningKey
from privacy.sealing.roles import (
    DELEGATED,
    TOP,
    WEIGHTS,
    Delegation,
    FileInfo,
    Keys,
    Pin,
    Role,
    Root,
    Snapshot,
    Targets,
    Timestamp,
)
from privacy.sealing.signed import sign
from privacy.sealing.signed_task import named_files

NOW_S = int(time.time())
DAY_S = 86400
ROOT_KEYS = ("root-1", "root-2", "root-3")
ONLINE_KEYS = ("snapshot", "timestamp", "online")


@dataclass(eq=False)
class Owner:
    """Holds every role.

    Attributes:
        seed: Names its keys.
        now_s: When everything is signed.
        roots: Every root so far, signed.
    """

    seed: int = 1
    now_s: int = NOW_S
    keys: dict[str, SigningKey] = field(init=False)
    roots: list[bytes] = field(init=False)

    def __post_init__(self) -> None:
        names = (*ROOT_KEYS, *(role for role in Role if role is not Role.ROOT))
        self.keys = {str(name): self.new_key(name) for name in names}
        self.roots = [self.sign_root(self.root_value(1), ROOT_KEYS)]

    def new_key(self, name: str) -> SigningKey:
        """Return the key of this name."""
        return SigningKey.generate(keyed_entropy(self.seed, "owner", name))

    def root_value(self, version: int, *, lasts_days: int = 700, **roles: Keys) -> Root:
        """Return a root; further roles take the place of the usual ones."""
        held = {str(role): Keys.of(self.keys[role].public) for role in TOP if role != Role.ROOT}
        held["root"] = Keys.of(*(self.keys[name].public for name in ROOT_KEYS), threshold=2)
        held |= roles
        return Root(
            version=version,
            expires_s=self.now_s + lasts_days * DAY_S,
            roles=tuple((role, held[role]) for role in TOP),
        )

    def sign_root(self, root: Root, names: Sequence[str] = ROOT_KEYS) -> bytes:
        """Return a root signed by these keys."""
        return sign(root, [self.keys[name] for name in names])

    def targets(self, files: Mapping[str, bytes], version: int, *, lasts_days: int = 300) -> bytes:
        """Return the targets of a task's files."""
        delegations = tuple(
            Delegation(role=role, keys=Keys.of(self.keys[role].public), paths=DELEGATED[role])
            for role in sorted(DELEGATED)
        )
        named = Targets(
            version=version,
            expires_s=self.now_s + lasts_days * DAY_S,
            files=named_files(files, "task"),
            delegations=delegations,
        )
        return sign(named, [self.keys["targets"]])

    def bundle(self, files: Mapping[str, bytes], version: int) -> Bundle:
        """Return a signed task as it travels."""
        return Bundle.of({**files, TARGETS_FILE: self.targets(files, version)})

    def sign_task(self, folder: Path, version: int) -> None:
        """Sign a task folder, with all a device needs that is given it by hand."""
        blob = self.targets(Task.files(folder), version)
        for name, content in {**self.fresh(blob, version), TARGETS_FILE: blob}.items():
            (folder / name).write_bytes(content)

    def fresh(
        self,
        targets: bytes,
        version: int,
        *,
        newer: int = 0,
        directory: tuple[int, bytes] | None = None,
        lasts_days: int = 7,
    ) -> dict[str, bytes]:
        """Return snapshot and timestamp that name these targets; newer raises their version."""
        pins = {Role.TARGETS: Pin(version=version, file=FileInfo.of(targets))}
        if directory is not None:
            pins[Role.DIRECTORY] = Pin(version=directory[0], file=FileInfo.of(directory[1]))
        number, until_s = version + newer, self.now_s + lasts_days * DAY_S
        snapshot = sign(
            Snapshot(
                version=number, expires_s=until_s, pins=tuple((r, pins[r]) for r in sorted(pins))
            ),
            [self.keys["snapshot"]],
        )
        pin = Pin(version=number, file=FileInfo.of(snapshot))
        timestamp = Timestamp(version=number, expires_s=until_s, snapshot=pin)
        return {
            SNAPSHOT_FILE: snapshot,
            TIMESTAMP_FILE: sign(timestamp, [self.keys["timestamp"]]),
        }

    def news(self, bundle: Bundle, version: int, *, newer: int = 0, lasts_days: int = 7) -> bytes:
        """Return what hello says of a bundle."""
        targets = unpack(bundle.content)[TARGETS_FILE]
        roots = {f"{n}{ROOT_SUFFIX}": blob for n, blob in enumerate(self.roots, start=1)}
        files = self.fresh(targets, version, newer=newer, lasts_days=lasts_days)
        return Bundle.of({**roots, **files}).content

    def directory(self, content: bytes, version: int) -> dict[str, bytes]:
        """Return a signed directory, by file name."""
        named = Targets(
            role=Role.DIRECTORY,
            version=version,
            expires_s=self.now_s + 300 * DAY_S,
            files=((DIRECTORY_FILE, FileInfo.of(content)),),
        )
        blob = sign(named, [self.keys["directory"]])
        return {DIRECTORY_FILE: content, DIRECTORY_METADATA: blob}

    def order(self, request: ServeRequest, family: str) -> ServeRequest:
        """Return an order signed as the coordinator does."""
        said = FileInfo.of(encode(replace(request, order=b"")))
        named = Targets(
            role=Role.ONLINE,
            version=request.serial,
            expires_s=self.now_s + 300 * DAY_S,
            files=((WEIGHTS + family, said),),
        )
        return replace(request, order=sign(named, [self.keys["online"]]))

    def put_root(self, folder: Path) -> str:
        """Write the root beside a device's file; return what the file says of it, as TOML."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "root.msgpack").write_bytes(self.roots[0])
        return '"root.msgpack"'

    def put_online(self, folder: Path) -> str:
        """Write the coordinator's keys; return what its file says of them, as TOML."""
        place = folder / "online"
        place.mkdir(parents=True, exist_ok=True)
        for name in ONLINE_KEYS:
            (place / f"{name}.key").touch(mode=0o600)
            (place / f"{name}.key").write_bytes(self.keys[name].to_bytes())
        for number, blob in enumerate(self.roots, start=1):
            (place / f"{number}{ROOT_SUFFIX}").write_bytes(blob)
        return 'keys.folder = "online"\n'


OWNER, STRANGER = Owner(1), Owner(2)
