"""What lies on a disk, locked: one data key for each database, wrapped by a key kept elsewhere.

- A **data key** of 256 random bits locks single values of a database with AES-256-GCM. What is
  authenticated with a value is its place: table, column, and the row's key. So whoever writes to
  the disk cannot put one row's content into another, nor into another database, whose key differs.
  What he can do is put a row's own older content back; only a copy kept elsewhere shows that.
- The data key lies in the database, **wrapped** by a key from a file or the system's keyring, or
  locked by a passphrase. To change who may open a database, only this is written anew.
- A nonce is 96 random bits. NIST SP 800-38D, section 8.3, allows 2**32 values under one key; a
  device or a campaign writes millions at most.

A wrapped key::

    magic (4)  id of the wrapping key (8)  nonce (12)  AES-256-GCM ciphertext and tag (48)
"""

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Protocol, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fieldvote.errors import InputError, SealError
from privacy.sealing.passphrase import is_locked, lock, unlock

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
KEY_ID_BYTES = 8
MAGIC = b"FVW1"
_ID_AT, _NONCE_AT = len(MAGIC), len(MAGIC) + KEY_ID_BYTES
_SEALED_AT = _NONCE_AT + NONCE_BYTES


class KeySource(Protocol):
    """Where wrapping keys come from: a file, a keyring, a person."""

    def secrets(self, *, make: bool) -> Iterable[bytes | str]:
        """Return 32-byte keys or passphrases to try; make says that there should be a new one."""


class Held:
    """A secret that is held already: what opened one database opens a copy of it."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes | str) -> None:
        """Take the secret."""
        self._secret = secret

    def secrets(self, *, make: bool) -> Iterable[bytes | str]:
        """Return it, whether there is something to open yet or not."""
        return (self._secret,)


class DataKey:
    """Locks the values of one database.

    >>> key = DataKey(b"k" * 32, bytes)
    >>> key.open(key.seal(b"text", b"here"), b"here")
    b'text'
    >>> key
    DataKey(id=75c21dcf4105f0ea)
    """

    __slots__ = ("_cipher", "_entropy", "_secret")

    def __init__(self, secret: bytes, entropy: Callable[[int], bytes]) -> None:
        """Take the secret of 32 bytes, and what draws nonces; the system's outside of tests."""
        if not isinstance(secret, bytes) or len(secret) != KEY_BYTES:
            raise InputError(f"a data key is {KEY_BYTES} bytes, got another type or length")
        self._secret, self._entropy = secret, entropy
        self._cipher = AESGCM(secret)

    @classmethod
    def generate(cls, entropy: Callable[[int], bytes]) -> Self:
        """Make a new key."""
        return cls(entropy(KEY_BYTES), entropy)

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """Return a value locked for its place."""
        nonce = self._entropy(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """Return what was locked for this place.

        Raises:
            SealError: it was changed, cut short, or is from another place or database.
        """
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place)
        except (InvalidTag, ValueError) as err:
            raise SealError(
                "a stored value does not open: it was changed, cut short or moved on the disk;"
                " restore a backup"
            ) from err

    def wrapped(self, by: bytes | str) -> bytes:
        """Return this key wrapped by a key of 32 bytes, or locked by a passphrase."""
        if isinstance(by, str):
            return lock(self._secret, by, self._entropy)
        header = MAGIC + wrapping_id(by)
        nonce = self._entropy(NONCE_BYTES)
        return header + nonce + AESGCM(by).encrypt(nonce, self._secret, header)

    def __repr__(self) -> str:
        return f"DataKey(id={wrapping_id(self._secret).hex()})"

    def __reduce__(self) -> str | tuple[object, ...]:
        # A pickled key is a secret in a file nobody decided to write.
        raise InputError("a DataKey is not pickled; it is wrapped")


def unwrapped(
    wrapped: bytes, secrets: Iterable[bytes | str], entropy: Callable[[int], bytes]
) -> tuple[DataKey, bytes | str]:
    """Return the data key, and the first of these secrets that opens it.

    Raises:
        SealError: none does; the message says which key is needed.
    """
    wants_words = is_locked(wrapped)
    if not wants_words and (len(wrapped) != _SEALED_AT + KEY_BYTES + TAG_BYTES
                            or not wrapped.startswith(MAGIC)):  # fmt: skip
        raise SealError("the data key is damaged; restore a backup")
    held = list[str]()
    for secret in secrets:
        if isinstance(secret, str) and wants_words:
            return DataKey(unlock(wrapped, secret), entropy), secret
        if isinstance(secret, str) or wants_words:
            held.append("a passphrase" if isinstance(secret, str) else "a key")
            continue
        if wrapping_id(secret) == wrapped[_ID_AT:_NONCE_AT]:
            return DataKey(_opened(wrapped, secret), entropy), secret
        held.append(f"key {wrapping_id(secret).hex()}")
    wanted = "a passphrase" if wants_words else f"key {wrapped[_ID_AT:_NONCE_AT].hex()}"
    raise SealError(f"locked by {wanted}, opened with {', '.join(held) or 'nothing'}: give it the"
                    " key it was locked with")  # fmt: skip


def place(table: str, column: str, *key: bytes | str | int) -> bytes:
    """Return the place of a value: each part of the row's key goes in with its type and length.

    >>> place("t", "c", "ab", "c") == place("t", "c", "a", "bc")
    False
    >>> place("t", "c", 1) == place("t", "c", "1")
    False
    """
    framed = bytearray(b"fieldvote row 1")
    for part in (table, column, *key):
        match part:
            case bytes():
                kind, content = b"b", part
            case str():
                kind, content = b"s", part.encode()
            case int():
                kind, content = b"i", b"%d" % part
        framed += kind + len(content).to_bytes(4, "big") + content
    return bytes(framed)


def wrapping_id(secret: bytes) -> bytes:
    """Return the eight bytes by which a wrapping key is called in messages."""
    if not isinstance(secret, bytes) or len(secret) != KEY_BYTES:
        raise InputError(f"a wrapping key is {KEY_BYTES} bytes, got another type or length")
    return sha256(b"fieldvote wrapping key" + secret).digest()[:KEY_ID_BYTES]


def _opened(wrapped: bytes, secret: bytes) -> bytes:
    """Unwrap with the key the header names."""
    nonce, sealed = wrapped[_NONCE_AT:_SEALED_AT], wrapped[_SEALED_AT:]
    try:
        return AESGCM(secret).decrypt(nonce, sealed, wrapped[:_NONCE_AT])
    except InvalidTag as err:
        raise SealError("the data key is damaged; restore a backup") from err
