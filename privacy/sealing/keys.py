"""The two kinds of key: one signs, one opens envelopes; neither ever shows itself in a log.

Entropy is an argument: a deployed program passes the system's (`os.urandom`), a rehearsal a keyed
stream. A key pair is 32 secret bytes and the 32 public bytes that follow from them.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from fieldvote.errors import InputError, SignatureError

KEY_BYTES = 32
SIGNATURE_BYTES = 64
KEY_ID_BYTES = 8


class SigningKey:
    """An Ed25519 key: says who made something (RFC 8032).

    >>> key = SigningKey.generate(lambda size: bytes(size))
    >>> key
    SigningKey(id=68d8322a07498cac)
    >>> verify(key.sign(b"hello"), b"hello", public=key.public)
    """

    __slots__ = ("_key", "public")

    public: bytes

    def __init__(self, secret: bytes) -> None:
        """Take the secret of 32 bytes."""
        self._key = Ed25519PrivateKey.from_private_bytes(_secret(secret))
        self.public = self._key.public_key().public_bytes_raw()

    @classmethod
    def generate(cls, entropy: Callable[[int], bytes]) -> Self:
        """Make a new key from 32 bytes of entropy."""
        return cls(entropy(KEY_BYTES))

    @classmethod
    def from_bytes(cls, secret: bytes) -> Self:
        """Read back what to_bytes wrote."""
        return cls(secret)

    def to_bytes(self) -> bytes:
        """Return the secret; whoever holds it is this key."""
        return self._key.private_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """Return the signature of 64 bytes; the caller separates domains by a prefix."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return f"SigningKey(id={key_id(self.public).hex()})"

    def __reduce__(self) -> str | tuple[object, ...]:
        # A pickled key is a secret in a file nobody decided to write.
        raise InputError("a SigningKey is not pickled; use to_bytes where a secret may be written")


class SealingKey:
    """An X25519 key: opens the envelopes sealed to its public half (RFC 7748).

    >>> SealingKey.generate(lambda size: bytes(size))
    SealingKey(id=29ed69a66e021881)
    """

    __slots__ = ("_key", "public")

    public: bytes

    def __init__(self, secret: bytes) -> None:
        """Take the secret of 32 bytes."""
        self._key = X25519PrivateKey.from_private_bytes(_secret(secret))
        self.public = self._key.public_key().public_bytes_raw()

    @classmethod
    def generate(cls, entropy: Callable[[int], bytes]) -> Self:
        """Make a new key from 32 bytes of entropy."""
        return cls(entropy(KEY_BYTES))

    @classmethod
    def from_bytes(cls, secret: bytes) -> Self:
        """Read back what to_bytes wrote."""
        return cls(secret)

    def to_bytes(self) -> bytes:
        """Return the secret; whoever holds it reads every envelope sealed to this key."""
        return self._key.private_bytes_raw()

    def exchange_key(self) -> X25519PrivateKey:
        """Return the key as the HPKE suite takes it."""
        return self._key

    def __repr__(self) -> str:
        return f"SealingKey(id={key_id(self.public).hex()})"

    def __reduce__(self) -> str | tuple[object, ...]:
        # As for SigningKey.
        raise InputError("a SealingKey is not pickled; use to_bytes where a secret may be written")


def verify(signature: bytes, message: bytes, *, public: bytes) -> None:
    """Return if the signature over message was made by the key with this public half.

    Raises:
        SignatureError: it was not.
        InputError: public is no Ed25519 key.
    """
    try:
        key = Ed25519PublicKey.from_public_bytes(public)
    except ValueError as err:
        raise InputError(f"a public signing key has {KEY_BYTES} bytes, got {len(public)}") from err
    try:
        key.verify(signature, message)
    except InvalidSignature as err:
        raise SignatureError("the signature does not belong to this message and key") from err


def exchange_public(public: bytes) -> X25519PublicKey:
    """Return a public sealing key as the HPKE suite takes it.

    Raises:
        InputError: it does not have 32 bytes.
    """
    try:
        return X25519PublicKey.from_public_bytes(public)
    except ValueError as err:
        raise InputError(f"a public sealing key has {KEY_BYTES} bytes, got {len(public)}") from err


def key_id(public: bytes) -> bytes:
    """Return the eight bytes by which a public key is called in headers and logs."""
    return sha256(b"fieldvote key id" + public).digest()[:KEY_ID_BYTES]


def _secret(secret: bytes) -> bytes:
    """Check the length here: the library's error could quote what it was given."""
    if not isinstance(secret, bytes) or len(secret) != KEY_BYTES:
        raise InputError(f"a secret key is {KEY_BYTES} bytes, got another type or length")
    return secret
