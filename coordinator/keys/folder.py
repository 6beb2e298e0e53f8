"""The owner's key folder: who signs for a fleet, as files.

======================  ====  ==================================================================
``root-1.key`` to 3     0600  two of three sign a new root; keep them in three places
``targets.key``         0600  signs tasks: policy, functions, model; offline
``directory.key``       0600  signs the directory of devices; offline
``roots/``                    every root there was, signed: N.root.msgpack
``root.msgpack``        0644  the newest of them; each device is given this one file
``signed.json``         0600  the last versions, and which keys hold which place
``online/``                   goes to the coordinator as it is: `[keys] folder`
  ``snapshot.key``      0600  signs which versions belong together
  ``timestamp.key``     0600  signs that they are the newest
  ``online.key``        0600  signs weights and steps, nothing else
  ``*.root.msgpack``    0644  the roots
  ``directory``         0644  the directory, and directory.msgpack that signs it
======================  ====  ==================================================================

Each key is its 32 raw bytes; the offline ones may be locked by a passphrase.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fieldvote.bundle import ROOT_FILE, ROOT_SUFFIX
from fieldvote.durable import write_new, write_over
from fieldvote.errors import InputError, StoreError
from privacy.sealing.keys import KEY_BYTES, SigningKey
from privacy.sealing.passphrase import is_locked, lock, unlock
from privacy.sealing.roles import Role, Root
from privacy.sealing.signed import Held, open_root

ROOT_KEYS = ("root-1", "root-2", "root-3")
OFFLINE = (*ROOT_KEYS, "targets", "directory")
ONLINE = ("snapshot", "timestamp", "online")
ONLINE_FOLDER, ROOTS_FOLDER, RECORD_FILE = "online", "roots", "signed.json"
_PUBLIC = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the owner remembers between signatures.

    Attributes:
        versions: The last version signed, by role.
        keys: Public keys in hexadecimal that hold each key's place, the newest last.
    """

    versions: dict[str, int] = field(default_factory=dict)
    keys: dict[str, list[str]] = field(default_factory=dict)

    def public(self, name: str) -> list[bytes]:
        """Return the keys that hold a place, the newest last."""
        return [bytes.fromhex(key) for key in self.keys[name]]


class KeyFolder:
    """Reads and writes one owner's folder."""

    def __init__(
        self,
        folder: Path,
        *,
        online: Path | None = None,
        passphrase: Callable[[], str] | None = None,
    ) -> None:
        """Look at a folder.

        Args:
            folder: The owner's.
            online: What is called online in it, where that was carried elsewhere.
            passphrase: Asked for once, when a locked key is read.
        """
        self.folder, self.online = folder, online or folder / ONLINE_FOLDER
        self._ask, self._known = passphrase, ""

    def path_of(self, name: str) -> Path:
        """Return where a key is kept, whether it is there or not."""
        return (self.online if name in ONLINE else self.folder) / f"{name}.key"

    def has(self, name: str) -> bool:
        """Return whether a key is here."""
        return self.path_of(name).is_file()

    def key(self, name: str) -> SigningKey:
        """Return a key.

        Raises:
            InputError: it is not here, is none, or others may read it.
            SealError: the passphrase is another.
        """
        path = self.path_of(name)
        try:
            content, mode = path.read_bytes(), path.stat().st_mode
        except FileNotFoundError as err:
            raise InputError(f"{path}: not here; bring it back from where it is kept") from err
        except OSError as err:
            raise StoreError(f"{path}: cannot be read ({err.strerror or err})") from err
        if mode & 0o077:
            raise InputError(f"{path}: others may read this secret; chmod 600 it")
        if is_locked(content):
            if not self._known:
                self._known = self._ask() if self._ask else ""
            content = unlock(content, self._known)
        if len(content) != KEY_BYTES:
            raise InputError(f"{path}: {len(content)} bytes where a key of {KEY_BYTES} should be")
        return SigningKey.from_bytes(content)

    def draft(
        self, name: str, entropy: Callable[[int], bytes], *, passphrase: str = ""
    ) -> SigningKey:
        """Make a key that `take_up` puts in its place; a passphrase locks the offline ones.

        Raises:
            StoreError: it cannot be written.
        """
        key = SigningKey.generate(entropy)
        secret = key.to_bytes()
        if passphrase and name in OFFLINE:
            secret = lock(secret, passphrase, entropy)
        write_over(self._draft_of(name), secret)
        return key

    def take_up(self, *names: str) -> None:
        """Put drafted keys in their places."""
        for name in names:
            self._draft_of(name).replace(self.path_of(name))

    def roots(self) -> list[Held[Root]]:
        """Return every root, the oldest first, each signed by the one before.

        Raises:
            InputError: there is none.
            SignatureError: one was changed.
        """
        chain: list[Held[Root]] = []
        while (path := self._root_path(len(chain) + 1)).is_file():
            before = chain[-1].value.keys(Role.ROOT) if chain else None
            chain.append(open_root(path.read_bytes(), before))
        if not chain:
            raise InputError(
                f"{self.folder}: no owner's keys here; make them with"
                f" 'fieldvote keys init {self.folder}'"
            )
        return chain

    def keep_root(self, blob: bytes) -> None:
        """Keep a signed root in every place it is looked for; first where it counts.

        Raises:
            SignatureError: it is no root that follows the last.
            StoreError: it cannot be written.
        """
        number = 1
        while self._root_path(number).is_file():
            number += 1
        before = self.roots()[-1].value.keys(Role.ROOT) if number > 1 else None
        open_root(blob, before)
        write_new(self._root_path(number), blob, mode=_PUBLIC)
        self.spread_roots()

    def spread_roots(self) -> None:
        """Copy the roots to the online folder, and the newest to the file for devices."""
        chain = self.roots()
        for held in chain:
            name = f"{held.value.version}{ROOT_SUFFIX}"
            write_over(self.online / name, held.blob, mode=_PUBLIC)
        write_over(self.folder / ROOT_FILE, chain[-1].blob, mode=_PUBLIC)

    def record(self) -> Record:
        """Return what was signed last.

        Raises:
            InputError: the record is not readable as one.
        """
        path = self.folder / RECORD_FILE
        try:
            said = json.loads(path.read_bytes())
            return Record(versions=dict(said["versions"]), keys=dict(said["keys"]))
        except FileNotFoundError:
            return Record()
        except (OSError, ValueError, KeyError, TypeError) as err:
            raise InputError(f"{path}: is no record of signatures ({type(err).__name__})") from err

    def keep_record(self, record: Record) -> None:
        """Write down what is signed, before it is."""
        said = {"versions": record.versions, "keys": record.keys}
        write_over(self.folder / RECORD_FILE, json.dumps(said, indent=1).encode())

    def _draft_of(self, name: str) -> Path:
        return self.path_of(name).with_suffix(".draft")

    def _root_path(self, number: int) -> Path:
        return self.folder / ROOTS_FOLDER / f"{number}{ROOT_SUFFIX}"
