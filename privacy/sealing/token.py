"""One-time tokens: the right to one place in a fleet, in one word a person can carry.

A token's secret follows from its other fields under a key of the registrar's. So nothing is kept of
tokens that were never used, and whoever invites needs that key and no line to the registrar.
"""

import base64
import re
from binascii import Error as Base64Error
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import digest as hmac

from fieldvote.codec import decode, encode
from fieldvote.errors import InputError

TOKEN_LIFE = timedelta(minutes=15)
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
"""What a device may be called: also a file's name, and a line of a table."""

_PREFIX = "fv1-"
_ID_BYTES, _TIME_BYTES, _SECRET_BYTES, _ROOT_BYTES, _CHECK_BYTES = 16, 8, 16, 32, 4
_MAX_TOKEN = 1024
STUB_BYTES = _ID_BYTES + _TIME_BYTES
"""Of a stub, before the name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What the owner gives a device: where to go, whom to believe, and the right to one place.

    Attributes:
        id: 16 random bytes.
        expires_at: Seconds since 1970 until which it can be spent.
        name: What the device will be called.
        secret: Whoever holds it may enrol one device; never sent.
        root: SHA-256 of the fleet's root certificate.
        address: Where the registrar is, host:port.
    """

    id: bytes
    expires_at: int
    name: str
    secret: bytes = field(repr=False)
    root: bytes
    address: str

    def __post_init__(self) -> None:
        """Refuse what no registrar gives out."""
        if len(self.id) != _ID_BYTES or len(self.secret) != _SECRET_BYTES:
            raise InputError("a token's id and secret have 16 bytes each")
        if len(self.root) != _ROOT_BYTES or not 0 <= self.expires_at < 1 << 63:
            raise InputError("a token names a root by its SHA-256, and a time")
        check_name(self.name)
        host, _, port = self.address.rpartition(":")
        if not host or not port.isdigit():
            raise InputError("a token names its registrar as host:port")

    @property
    def stub(self) -> bytes:
        """The token without its secret, as it is shown to the registrar."""
        return self.id + self.expires_at.to_bytes(_TIME_BYTES, "big") + self.name.encode()

    @property
    def text(self) -> str:
        """The token in one word without spaces."""
        blob = encode(self, {1: Token})
        return _PREFIX + base64.urlsafe_b64encode(blob + _check(blob)).decode().rstrip("=")

    @staticmethod
    def from_text(text: str) -> "Token":
        """Read a token back.

        Raises:
            InputError: it is none, or was mistyped; the message does not quote it.
        """
        word = text.strip()
        if not word.startswith(_PREFIX) or len(word) > _MAX_TOKEN:
            raise InputError(f"a token begins with {_PREFIX}: copy it whole, as it was printed")
        try:
            body = word.removeprefix(_PREFIX)
            blob = base64.b64decode(body + "=" * (-len(body) % 4), b"-_", validate=True)
        except (Base64Error, ValueError) as err:
            raise InputError("the token has letters no token has: copy it whole") from err
        if _check(blob[:-_CHECK_BYTES]) != blob[-_CHECK_BYTES:]:
            raise InputError("the token was mistyped or cut short: copy it whole")
        return decode(blob[:-_CHECK_BYTES], {1: Token}, (Token,))


def make_token(
    key: bytes,
    *,
    name: str,
    root: bytes,
    address: str,
    now: datetime,
    entropy: Callable[[int], bytes],
    life: timedelta = TOKEN_LIFE,
) -> Token:
    """Return a new token.

    Args:
        key: The registrar's key for tokens.
        name: What the device will be called; empty names it after the token.
        root: SHA-256 of the fleet's root certificate.
        address: Where the registrar is, host:port.
        now: The time, with its zone.
        entropy: For the token's id.
        life: How long it can be spent.
    """
    identity = entropy(_ID_BYTES)
    name = name or f"device-{identity[:4].hex()}"
    at = int((now + life).timestamp())
    stub = identity + at.to_bytes(_TIME_BYTES, "big") + name.encode()
    return Token(
        id=identity,
        expires_at=at,
        name=name,
        secret=secret_of(key, stub),
        root=root,
        address=address,
    )


def secret_of(key: bytes, stub: bytes) -> bytes:
    """Return the secret of the token with this stub, under the registrar's key for tokens."""
    return hmac(key, b"fieldvote token 1" + stub, "sha256")[:_SECRET_BYTES]


def read_stub(stub: bytes) -> tuple[bytes, int, str]:
    """Return the id, the end and the name in a stub that an HMAC has vouched for.

    Raises:
        InputError: there is no name in it.
    """
    try:
        name = stub[STUB_BYTES:].decode("ascii")
    except UnicodeDecodeError as err:
        raise InputError("a token without a name") from err
    check_name(name)
    return stub[:_ID_BYTES], int.from_bytes(stub[_ID_BYTES:STUB_BYTES], "big"), name


def check_name(name: str) -> None:
    """Refuse what no device is called; the message does not quote it.

    >>> check_name("phone-1")
    """
    if not NAME.fullmatch(name):
        raise InputError(
            "a device is called by at most 63 letters a to z, digits and dashes, no dash first"
        )


def _check(blob: bytes) -> bytes:
    """Return four bytes that tell a slip of the pen from a forgery; no protection."""
    return sha256(b"fieldvote token check" + blob).digest()[:_CHECK_BYTES]
