"""Secrets behind a passphrase: what a person remembers opens them, what lies on a disk does not.

Layout::

    magic (4)  log2 N (1)  r (1)  p (1)  salt (16)  nonce (12)  AES-256-GCM ciphertext and tag

- The key is scrypt's (RFC 7914) of the passphrase; what it costs to try one stands in the header,
  so that later programs may ask more. A reader bounds it: a forged header must not make this
  program eat a machine's memory before the first check.
- All that comes before the ciphertext is authenticated with it: the cost cannot be talked down.
- A wrong passphrase and a changed file look the same. That is one error, and says so.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from fieldvote.errors import InputError, SealError, UnavailableError

MAGIC = b"FVP1"
SALT_BYTES = 16
NONCE_BYTES = 12
TAG_BYTES = 16
HEADER_BYTES = len(MAGIC) + 3 + SALT_BYTES + NONCE_BYTES
MAX_SECRET_BYTES = 64 * 2**10
MAX_MEMORY_BYTES = 64 * 2**20
MAX_LANES = 8
_KEY_BYTES = 32
_BLOCK_BYTES = 128  # of scrypt, times r


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What trying one passphrase costs.

    Attributes:
        log_n: Two to this many blocks are kept in memory.
        r: 128 times this is the size of a block in bytes.
        p: How often all of it is done.
    """

    log_n: int
    r: int
    p: int

    def __post_init__(self) -> None:
        """Keep memory and time of a reader in bounds."""
        fits = 1 <= self.r <= 32 and 1 <= self.p <= MAX_LANES
        # RFC 7914, section 6: N is below 2 ** (128 r / 8)
        if not (fits and 1 <= self.log_n < min(16 * self.r, 30)):
            raise InputError(f"scrypt with log2 N {self.log_n}, r {self.r}, p {self.p} is refused")
        if self.memory_bytes > MAX_MEMORY_BYTES:
            raise InputError(f"scrypt would take {self.memory_bytes} bytes, the most here is"
                             f" {MAX_MEMORY_BYTES}")  # fmt: skip

    @property
    def memory_bytes(self) -> int:
        """How much memory a reader needs."""
        return _BLOCK_BYTES * self.r << self.log_n


COST = Cost(log_n=15, r=8, p=3)
"""32 MiB and a third of a second on a small machine; OWASP's password storage sheet, 2023, lists
it as equal to (17, 8, 1), which would take a small device 128 MiB."""


def lock(
    secret: bytes, passphrase: str, entropy: Callable[[int], bytes], *, cost: Cost = COST
) -> bytes:
    """Return a secret locked by a passphrase.

    Args:
        secret: At most 64 KiB.
        passphrase: Not empty; normalised (NFKC), so that any keyboard's accents will do.
        entropy: Salt and nonce; the system's outside of rehearsals.
        cost: What a guess costs.

    Raises:
        InputError: the passphrase is empty, or the secret is too long.

    >>> blob = lock(b"key", "open sesame", bytes, cost=Cost(log_n=4, r=1, p=1))
    >>> unlock(blob, "open sesame")
    b'key'
    """
    if len(secret) > MAX_SECRET_BYTES:
        raise InputError(f"a locked secret has at most {MAX_SECRET_BYTES} bytes, got {len(secret)}")
    salt, nonce = entropy(SALT_BYTES), entropy(NONCE_BYTES)
    header = MAGIC + bytes((cost.log_n, cost.r, cost.p)) + salt + nonce
    return header + AESGCM(_key(passphrase, salt, cost)).encrypt(nonce, secret, header)


def unlock(blob: bytes, passphrase: str) -> bytes:
    """Return the secret that lock put behind this passphrase.

    Raises:
        SealError: it is none of ours, asks for too much work, was changed, or the passphrase is
            another; which of the last two cannot be told.
        InputError: the passphrase is empty.
        UnavailableError: there is not enough memory.
    """
    longest = HEADER_BYTES + MAX_SECRET_BYTES + TAG_BYTES
    if not is_locked(blob) or not HEADER_BYTES + TAG_BYTES <= len(blob) <= longest:
        raise SealError("these bytes are not a secret locked by a passphrase of this version")
    header = blob[:HEADER_BYTES]
    log_n, r, p = header[len(MAGIC) : len(MAGIC) + 3]
    salt, nonce = header[len(MAGIC) + 3 : -NONCE_BYTES], header[-NONCE_BYTES:]
    try:
        cost = Cost(log_n=log_n, r=r, p=p)
    except InputError as err:
        raise SealError(f"the locked secret asks for too much: {err}") from err
    try:
        return AESGCM(_key(passphrase, salt, cost)).decrypt(nonce, blob[HEADER_BYTES:], header)
    except InvalidTag as err:
        raise SealError("wrong passphrase, or the locked secret was changed") from err


def is_locked(blob: bytes) -> bool:
    """Return whether these bytes begin as a locked secret does."""
    return blob.startswith(MAGIC)


def _key(passphrase: str, salt: bytes, cost: Cost) -> bytes:
    """Return the key a passphrase stands for."""
    if not passphrase:
        raise InputError("the passphrase is empty")
    said = unicodedata.normalize("NFKC", passphrase).encode()
    try:
        return Scrypt(salt, length=_KEY_BYTES, n=1 << cost.log_n, r=cost.r, p=cost.p).derive(said)
    except MemoryError as err:
        need = cost.memory_bytes >> 20
        raise UnavailableError(f"a passphrase takes {need} MiB of memory for a moment") from err
