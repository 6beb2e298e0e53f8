"""The registrar's book: every device, every certificate, every token that was spent.

One SQLite file, 0600. A token is spent by the row of the certificate it bought, in one transaction
that is on the disk before anything is answered: whoever is cut off may ask again with the same
request, and is shown the same certificate; a token buys nothing twice.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fieldvote.errors import InputError, RefusalError, StoreBusyError, StoreError
from privacy.sealing.certificate import DeviceCertificate
from privacy.sealing.device_keys import DeviceKeys
from privacy.sealing.enrolment import Asked

BOOK_FILE = "enrolled.sqlite"
_WAIT_S = 10.0
_VERSION = 1
_SCHEMA = """
CREATE TABLE device (
    name       TEXT PRIMARY KEY,          -- never given to other keys, revoked or not
    signing    BLOB NOT NULL UNIQUE,
    sealing    BLOB NOT NULL UNIQUE,
    node       BLOB NOT NULL UNIQUE,
    revoked_at TEXT,
    reason     TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE certificate (
    number    INTEGER PRIMARY KEY,
    serial    TEXT NOT NULL UNIQUE,
    name      TEXT NOT NULL REFERENCES device (name),
    chain     BLOB NOT NULL,
    issued_at TEXT NOT NULL,
    ends      TEXT NOT NULL,
    token     BLOB UNIQUE,                -- what bought it; none for a renewal
    digest    BLOB                        -- of the request it was spent on
) STRICT;
CREATE TABLE published (
    version INTEGER PRIMARY KEY,
    digest  BLOB NOT NULL
) STRICT;
"""
_NEWEST = """
SELECT d.name, d.signing, d.sealing, d.node, c.serial, c.issued_at, c.ends, c.chain, d.revoked_at,
       d.reason
FROM device d JOIN certificate c ON c.name = d.name
WHERE c.number = (SELECT max(number) FROM certificate WHERE name = d.name)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolledDevice:
    """A device, with its newest certificate.

    Attributes:
        name: What it is called.
        keys: Its public keys.
        serial: Number of the certificate, in hexadecimal.
        issued_at: When that was issued.
        ends: When it ends.
        chain: The certificate's chain, in PEM.
        revoked_at: When the device was revoked; empty if it is not.
        reason: Why.
    """

    name: str
    keys: DeviceKeys
    serial: str
    issued_at: datetime
    ends: datetime
    chain: bytes
    revoked_at: str
    reason: str


class Book:
    """What the registrar remembers; one for a thread."""

    def __init__(self, path: Path) -> None:
        """Open the book, or begin one.

        Raises:
            StoreError: it cannot be opened.
        """
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)
            # the answer leaves after the commit: then the commit must be on the disk
            self._db.execute("PRAGMA synchronous = EXTRA")
            self._db.execute("PRAGMA foreign_keys = ON")
        except (OSError, sqlite3.Error) as err:
            raise StoreError(f"{path}: cannot be opened ({err})") from err
        if self._version():  # strangers call as well: they take no turn at writing
            return
        with self._writing():
            if not self._version():
                for statement in _SCHEMA.split(";\n"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {_VERSION}")

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def spend(
        self, asked: Asked, make: Callable[[], tuple[bytes, DeviceCertificate]], now: datetime
    ) -> bytes:
        """Return the chain a token buys, on the disk before it is returned.

        Args:
            asked: A request whose signatures were checked.
            make: Makes the chain, and says what is in it; called if there is none yet.
            now: The time, with its zone.

        Raises:
            RefusalError: the token is over, was spent on another request, or the device is revoked.
            InputError: the name, or a key, is another device's.
        """
        with self._writing():
            spent = self._db.execute(
                "SELECT c.digest, c.chain, d.revoked_at FROM certificate c"
                " JOIN device d ON d.name = c.name WHERE c.token = ?",
                (asked.token,),
            ).fetchone()
            if spent is not None:
                digest, chain, revoked_at = spent
                if digest != asked.digest:
                    raise RefusalError("this token was spent: ask the owner for another")
                if revoked_at:
                    raise RefusalError(f"{asked.name} is revoked")
                return bytes(chain)
            if asked.is_over(now):
                raise RefusalError("this token is over: ask the owner for another")
            self._admit(asked)
            chain, made = make()
            self._keep(chain, made, now, token=asked.token, digest=asked.digest)
            return chain

    def newest(self, serial: str) -> EnrolledDevice | None:
        """Return the device that was ever given a certificate of this number."""
        rows = self._devices(
            "AND d.name = (SELECT name FROM certificate WHERE serial = ?)", (serial,)
        )
        return rows[0] if rows else None

    def renew(
        self,
        before: EnrolledDevice,
        make: Callable[[], tuple[bytes, DeviceCertificate]],
        now: datetime,
    ) -> bytes:
        """Return the chain that follows a device's newest, on the disk before it is returned.

        Two that ask at once are shown the same.

        Raises:
            RefusalError: the device was revoked meanwhile.
        """
        with self._writing():
            [found] = self._devices("AND d.name = ?", (before.name,))
            if found.revoked_at:
                raise RefusalError(f"{found.name} is revoked")
            if found.serial != before.serial:
                return found.chain
            chain, made = make()
            self._keep(chain, made, now)
            return chain

    def revoke(self, name: str, reason: str, now: datetime) -> None:
        """Give no certificate to a device any more, and list it as revoked.

        Raises:
            InputError: there is no such device, or it is revoked already.
        """
        with self._writing():
            done = self._db.execute(
                "UPDATE device SET revoked_at = ?, reason = ?"
                " WHERE name = ? AND revoked_at IS NULL",
                (now.isoformat(timespec="seconds"), reason, name),
            )
            if done.rowcount != 1:
                raise InputError(f"no device '{name}' is enrolled and not revoked")

    def devices(self) -> list[EnrolledDevice]:
        """Return every device, in the order of names."""
        return self._devices("ORDER BY d.name")

    def publish(self, digest: bytes) -> int:
        """Return the version of a directory with this content: a new one, if it changed."""
        with self._writing():
            newest = self._db.execute(
                "SELECT version, digest FROM published ORDER BY version DESC LIMIT 1"
            ).fetchone()
            if newest is not None and newest[1] == digest:
                return int(newest[0])
            version = 1 if newest is None else int(newest[0]) + 1
            self._db.execute("INSERT INTO published VALUES (?, ?)", (version, digest))
            return version

    def _version(self) -> int:
        """Return which schema the file has, 0 for none yet."""
        with _stored():
            [version] = self._db.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise StoreError("the book of devices was written by a newer program: update this one")
        return int(version)

    def _admit(self, asked: Asked) -> None:
        """Know a device, or see that it is the one that is known."""
        keys = asked.keys
        given = (keys.signing, keys.sealing, keys.node)
        known = self._db.execute(
            "SELECT signing, sealing, node, revoked_at FROM device WHERE name = ?", (asked.name,)
        ).fetchone()
        if known is None:
            try:
                self._db.execute(
                    "INSERT INTO device (name, signing, sealing, node) VALUES (?, ?, ?, ?)",
                    (asked.name, *given),
                )
            except sqlite3.IntegrityError as err:
                raise InputError("one of these keys is another device's of this fleet") from err
        elif tuple(known[:3]) != given:
            raise InputError(f"{asked.name} is the name of another device: invite under a new one")
        elif known[3]:
            raise RefusalError(f"{asked.name} is revoked")

    def _keep(
        self,
        chain: bytes,
        made: DeviceCertificate,
        now: datetime,
        *,
        token: bytes | None = None,
        digest: bytes | None = None,
    ) -> None:
        """Write a certificate down."""
        self._db.execute(
            "INSERT INTO certificate (serial, name, chain, issued_at, ends, token, digest)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (made.serial, made.name, chain, now.isoformat(), made.ends.isoformat(), token, digest),
        )

    def _devices(self, more: str, values: tuple[str, ...] = ()) -> list[EnrolledDevice]:
        """Return devices with their newest certificates."""
        with _stored():
            rows = self._db.execute(f"{_NEWEST} {more}", values).fetchall()
        return [
            EnrolledDevice(
                name=name,
                keys=DeviceKeys(signing=signing, sealing=sealing, node=node),
                serial=serial,
                issued_at=datetime.fromisoformat(issued_at),
                ends=datetime.fromisoformat(ends),
                chain=chain,
                revoked_at=revoked_at or "",
                reason=reason,
            )
            for (
                name, signing, sealing, node, serial, issued_at, ends, chain, revoked_at, reason
            ) in rows
        ]  # fmt: skip

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Write in one transaction; an error takes all of it back."""
        with _stored():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")


@contextmanager
def opened_book(folder: Path) -> Iterator[Book]:
    """Open the book of a key folder, and close it in the end."""
    with closing(Book(folder / BOOK_FILE)) as book:
        yield book


@contextmanager
def _stored() -> Iterator[None]:
    """Turn what SQLite says into our own words."""
    try:
        yield
    except sqlite3.OperationalError as err:
        busy = err.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
        raise (StoreBusyError if busy else StoreError)(f"the book of devices: {err}") from err
    except sqlite3.Error as err:
        raise StoreError(f"the book of devices: {err}") from err
