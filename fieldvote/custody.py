"""Where the key is that locks what lies on a disk: a file, the system's keyring, or a passphrase.

What each is worth against somebody who carries the disk away is in docs/guide/custody.md. A secret
never comes from a command line, which every user of a machine can read.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from getpass import getpass
from pathlib import Path
from typing import Protocol, cast

from fieldvote.durable import sync_folder, write_once
from fieldvote.errors import InputError, MissingExtraError, SettingsError, StoreError

KEY_FILE = "at_rest.key"
PASSPHRASE_FILE = "FIELDVOTE_PASSPHRASE_FILE"  # noqa: S105  # the name of a variable
_KEY_BYTES = 32
_MOST_BYTES = 4096
_SERVICE = "fieldvote"


class KeyPlace(StrEnum):
    """Where a key can be."""

    FILE = "file"
    KEYRING = "keyring"
    PASSPHRASE = "passphrase"  # noqa: S105  # a choice, not one


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodySettings:
    """Which key locks what lies on this disk.

    Attributes:
        key: "file", "keyring" or "passphrase".
        file: With "file": holds the key, mode 0600, made if absent; empty: at_rest.key beside what
            it locks. With "passphrase": holds it on its first line, a descriptor as /dev/fd/3 will
            do; empty: the file FIELDVOTE_PASSPHRASE_FILE names, else it is asked for.
        name: With "keyring": what the key is called there; empty: the folder it is for.
    """

    key: KeyPlace = KeyPlace.FILE
    file: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        """Refuse what would be read as another choice than was made."""
        if self.file and self.key is KeyPlace.KEYRING:
            raise SettingsError("custody.file: the keyring has no file; set custody.name, or none")
        if self.name and self.key is not KeyPlace.KEYRING:
            raise SettingsError("custody.name: only for custody.key = 'keyring'")

    def beside(self, folder: Path) -> "CustodySettings":
        """Return this with its path as seen from here."""
        return replace(self, file=str(folder / self.file) if self.file else "")


@cache
def _ask(prompt: str) -> str:
    """Ask whoever sits at the terminal; once for each prompt in the life of this program."""
    if not sys.stdin.isatty():
        raise InputError(f"{prompt}nobody is there to ask; name its file in {PASSPHRASE_FILE}")
    with suppress(EOFError):
        return getpass(prompt)
    raise InputError(f"{prompt}nothing was typed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Custody:
    """The key of one folder, wherever it is.

    Attributes:
        settings: Where it is.
        folder: What it is for.
        ask: Shows a prompt and returns what was typed unseen.
    """

    settings: CustodySettings
    folder: Path
    ask: Callable[[str], str] = _ask

    def secrets(self, *, make: bool) -> Iterator[bytes | str]:
        """Yield the key, or the passphrase.

        Args:
            make: Whether there should be none yet: then it is made, and a passphrase is asked for
                twice.

        Raises:
            InputError: the key is not there, is none, or others can read it.
            MissingExtraError: the keyring's library is not installed.
            StoreError: it cannot be written.
        """
        match self.settings.key:
            case KeyPlace.FILE:
                yield from self._files(make=make)
            case KeyPlace.KEYRING:
                yield from self._in_keyring(make=make)
            case KeyPlace.PASSPHRASE:
                yield self._words(make=make)

    @property
    def path(self) -> Path:
        """The key's file."""
        return Path(self.settings.file) if self.settings.file else self.folder / KEY_FILE

    def next_key(self) -> bytes | str:
        """Return the key that is to take this one's place; nothing is locked by it yet.

        It is kept beside the one in use, and both are offered until `settle`.
        """
        match self.settings.key:
            case KeyPlace.FILE:
                return _made(self._next)
            case KeyPlace.KEYRING:
                key = os.urandom(_KEY_BYTES)
                _keyring().set_password(_SERVICE, self._next_account, key.hex())
                return key
            case KeyPlace.PASSPHRASE:
                return self._words(make=True, kind="new passphrase")

    def settle(self, used: bytes | str) -> None:
        """Let the key that is used be the only one: what locks nothing is dropped."""
        if self.settings.key is KeyPlace.FILE and self._next.exists():
            if _read(self._next) == used:
                os.replace(self._next, self.path)
            else:
                self._next.unlink()
        elif self.settings.key is KeyPlace.KEYRING and isinstance(used, bytes):
            ring = _keyring()
            if ring.get_password(_SERVICE, self._next_account) is not None:
                ring.set_password(_SERVICE, self._account, used.hex())
                ring.delete_password(_SERVICE, self._next_account)

    @property
    def _next(self) -> Path:
        return self.path.with_name(f"{self.path.name}.next")

    @property
    def _account(self) -> str:
        return self.settings.name or str(self.folder.resolve())

    @property
    def _next_account(self) -> str:
        return f"{self._account} next"

    def _files(self, *, make: bool) -> Iterator[bytes]:
        """Yield the key in the file, and one that was to follow it when a program died."""
        if make:
            yield _read(self.path) if self.path.exists() else _made(self.path)
            return
        yield _read(self.path)
        if self._next.exists():
            yield _read(self._next)

    def _in_keyring(self, *, make: bool) -> Iterator[bytes]:
        """Yield the key in the system's keyring, and one that was to follow it."""
        ring, name = _keyring(), self._account
        found = ring.get_password(_SERVICE, name)
        if found is None and make:
            found = os.urandom(_KEY_BYTES).hex()
            ring.set_password(_SERVICE, name, found)
        yield _in_hex(found or "", name)
        following = ring.get_password(_SERVICE, self._next_account)
        if following is not None:
            yield _in_hex(following, self._next_account)

    def _words(self, *, make: bool, kind: str = "passphrase") -> str:
        """Return the passphrase, from a file or from a person."""
        name = self.settings.file or os.environ.get(PASSPHRASE_FILE, "")
        if name:
            return _first_line(Path(name))
        said = self.ask(f"{kind} for {self.folder}: ")
        if make and self.ask(f"{kind} for {self.folder}, again: ") != said:
            raise InputError("the two passphrases are not the same; nothing was locked")
        return said


def locked_in(
    settings: CustodySettings, folder: Path, ask: Callable[[str], str] | None = None
) -> Custody:
    """Return the custody of a folder; a person is asked once in the life of a program."""
    return Custody(settings=settings, folder=folder, ask=ask or _ask)


def change_key(
    old: Custody, new: Custody, used: bytes | str, rewrap: Callable[[bytes | str], None]
) -> str:
    """Let another key open what the old one does; only the wrapped data key is written anew.

    A crash at any point leaves it open to one of the keys that are offered.

    Args:
        old: Where the key is.
        new: Where the next one shall be; the same place changes the key there.
        used: The key it was opened with.
        rewrap: Writes the data key anew, wrapped by this key or passphrase.

    Returns:
        The lines to put into the settings, and what is left to do.

    Raises:
        InputError: the passphrase would be read from where the old one is.
    """
    old.settle(used)  # an earlier change may have died half way
    if new == old:
        if old.settings.key is KeyPlace.PASSPHRASE and old.settings.file:
            raise InputError("name the file of the new passphrase: the old one is still needed")
        key = old.next_key()
        rewrap(key)
        old.settle(key)
        return "the key is another now; the settings stay. Older backups still need the old key"
    key = next(iter(new.secrets(make=True)))
    rewrap(key)
    named = {"file": new.settings.file, "name": new.settings.name}
    lines = ["[custody]", f'key = "{new.settings.key}"']
    lines += [f'{name} = "{value}"' for name, value in named.items() if value]
    left = f"\n# then delete {old.path}" if old.settings.key is KeyPlace.FILE else ""
    return "\n".join(lines) + left


class _Keyring(Protocol):
    """What we need of the keyring's library."""

    def get_password(self, service: str, name: str) -> str | None:
        """Return what is kept under this name."""

    def set_password(self, service: str, name: str, password: str) -> None:
        """Keep this under this name."""

    def delete_password(self, service: str, name: str) -> None:
        """Forget what is kept under this name."""


def _keyring() -> _Keyring:
    """Return the system's keyring."""
    try:
        import keyring  # type: ignore[import-not-found,unused-ignore]  # an extra: often not there
    except ImportError as err:
        raise MissingExtraError("the system's keyring", "keyring") from err
    return cast(_Keyring, keyring)


def _in_hex(kept: str, name: str) -> bytes:
    """Read a key as the keyring keeps it."""
    try:
        key = bytes.fromhex(kept)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise InputError(f"the keyring holds no key '{name}' of {_SERVICE}: is it another user's"
                         " keyring?")  # fmt: skip
    return key


def _made(path: Path) -> bytes:
    """Write a new key, durable before it is used: what it locks is lost without it."""
    key = os.urandom(_KEY_BYTES)
    try:
        write_once(path, key)
        sync_folder(path.parent)
    except FileExistsError:
        return _read(path)  # another program was faster
    except OSError as err:
        raise StoreError(f"{path}: cannot be written ({err.strerror or err})") from err
    return key


def _read(path: Path) -> bytes:
    """Read a key that nobody else can."""
    try:
        mode, key = path.stat().st_mode, path.read_bytes()
    except OSError as err:
        raise InputError(f"{path}: no key; without it nothing here opens: bring it back") from err
    if mode & 0o077:
        raise InputError(f"{path}: others on this machine can read it; chmod 600 {path}")
    if len(key) != _KEY_BYTES:
        raise InputError(f"{path}: {len(key)} bytes where a key of {_KEY_BYTES} should be")
    return key


def _first_line(path: Path) -> str:
    """Read a passphrase from a file or a descriptor."""
    try:
        with path.open("rb") as file:
            line = file.read(_MOST_BYTES).partition(b"\n")[0].rstrip(b"\r")
        said = line.decode()
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f"{path}: holds no passphrase that can be read") from err
    if not said:
        raise InputError(f"{path}: its first line is empty where a passphrase should be")
    return said
