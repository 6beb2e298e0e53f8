"""Metadata that somebody signed: who must have, and a count of who did.

Layout::

    magic (4)  msgpack [[[public key, signature], ...], body]; see privacy.sealing.role_bytes

- A signature is over a prefix of this project, the role's name, and the body: what was signed as
  one role, or for any other purpose, is nothing as another.
- Only keys that hold the role are tried, and the body is parsed after enough of them have signed.
  A root alone brings keys of its own: it is parsed once the root before it vouches for it.
- Every signature that is there must be valid, and by somebody whom it concerns. So no bit of a
  signed file can be changed and the file still be taken.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Generic

import msgpack

from fieldvote.errors import SignatureError
from privacy.sealing.keys import SigningKey, verify
from privacy.sealing.role_bytes import M, decode_body, encode_body, unpack
from privacy.sealing.roles import MAX_KEYS, FileInfo, Keys, Metadata, Pin, Role, Root

MAGIC = b"FVR1"
DOMAIN = b"fieldvote role 1 "
MAX_SMALL_BYTES = 64 * 2**10
"""Of a root, a snapshot and a timestamp, whose size nothing else tells beforehand."""

MAX_METADATA_BYTES = 4 * 2**20
_MAX_SIGNATURES = 2 * MAX_KEYS  # a new root: of the one before, and its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Held(Generic[M]):
    """Metadata whose signatures were checked.

    Attributes:
        blob: As it travels.
        value: What it says.
        signers: Public keys of those who signed it.
    """

    blob: bytes = field(repr=False)
    value: M
    signers: frozenset[bytes]

    def is_accepted_by(self, keys: Keys) -> bool:
        """Return whether enough of these keys signed it."""
        return len(self.signers & set(keys.keys)) >= keys.threshold

    @property
    def pin(self) -> Pin:
        """How another role pins exactly these bytes."""
        return Pin(version=self.value.version, file=FileInfo.of(self.blob))


def sign(metadata: Metadata, signers: Collection[SigningKey]) -> bytes:
    """Return metadata signed by these keys, each once.

    >>> from privacy.sealing.roles import Timestamp
    >>> key, pin = SigningKey(b"k" * 32), Pin(version=1, file=FileInfo.of(b"snapshot"))
    >>> blob = sign(Timestamp(version=3, expires_s=10, snapshot=pin), [key])
    >>> open_signed(blob, Timestamp, Role.TIMESTAMP, Keys.of(key.public)).value.version
    3
    """
    body = encode_body(metadata)
    message = _message(metadata.role, body)
    by_key = {signer.public: signer.sign(message) for signer in signers}
    return _wrap(sorted(by_key.items()), body)


def open_signed(
    blob: bytes, kind: type[M], role: Role, keys: Keys, *, most_bytes: int = MAX_SMALL_BYTES
) -> Held[M]:
    """Return metadata that enough holders of its role signed; for a root see open_root.

    Args:
        blob: What sign returned.
        kind: What it must be.
        role: In which role it must speak.
        keys: Who holds the role.
        most_bytes: Longer is refused unread.

    Raises:
        SignatureError: it is anything else.
    """
    signatures, body = _unwrap(blob, role, most_bytes)
    signers = _count(signatures, role, body, keys)
    _refuse_strangers(signatures, role, signers)
    return Held(blob=blob, value=decode_body(body, kind, role), signers=signers)


def open_root(blob: bytes, before: Keys | None) -> Held[Root]:
    """Return a root that enough of its own keys signed, and of those before it.

    Args:
        blob: What sign returned.
        before: Who held the role until now; None where trust begins with this very file.

    Raises:
        SignatureError: it is anything else.
    """
    signatures, body = _unwrap(blob, Role.ROOT, MAX_SMALL_BYTES)
    old = frozenset[bytes]() if before is None else _count(signatures, Role.ROOT, body, before)
    root = decode_body(body, Root, Role.ROOT)
    signers = _count(signatures, Role.ROOT, body, root.keys(Role.ROOT))
    _refuse_strangers(signatures, Role.ROOT, old | signers)
    return Held(blob=blob, value=root, signers=signers)


def reopen(blob: bytes, kind: type[M], role: Role) -> Held[M]:
    """Return metadata that was checked before and kept where only this program writes."""
    signatures, body = _unwrap(blob, role, MAX_METADATA_BYTES)
    signers = frozenset(public for public, _ in signatures)
    return Held(blob=blob, value=decode_body(body, kind, role), signers=signers)


def _message(role: Role, body: bytes) -> bytes:
    """Return what is signed; no role's name begins with another's and a zero."""
    return DOMAIN + role.encode() + b"\0" + body


def _count(
    signatures: Sequence[tuple[bytes, bytes]], role: Role, body: bytes, keys: Keys
) -> frozenset[bytes]:
    """Return which of these keys signed; enough of them, and none wrongly."""
    signers = frozenset(public for public, _ in signatures) & frozenset(keys.keys)
    if len(signers) < keys.threshold:
        raise SignatureError(
            f"{role}: signed by {len(signers)} of those who may, {keys.threshold} are needed"
        )
    for public, signature in signatures:
        if public in signers:
            try:
                verify(signature, _message(role, body), public=public)
            except SignatureError as err:
                raise SignatureError(f"{role}: a signature is not of this file") from err
    return signers


def _refuse_strangers(
    signatures: Sequence[tuple[bytes, bytes]], role: Role, known: Collection[bytes]
) -> None:
    if any(public not in known for public, _ in signatures):
        raise SignatureError(f"{role}: signed by somebody who does not hold the role, too")


def _wrap(signatures: Sequence[tuple[bytes, bytes]], body: bytes) -> bytes:
    packed: bytes = msgpack.packb([[list(pair) for pair in signatures], body])
    return MAGIC + packed


def _unwrap(blob: bytes, role: Role, most_bytes: int) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Take signatures and body apart, without looking into the body."""
    if len(blob) > most_bytes:
        raise SignatureError(f"{role}: {len(blob)} bytes, at most {most_bytes} are read")
    try:
        said = unpack(blob[len(MAGIC) :], most_items=_MAX_SIGNATURES, most_bytes=most_bytes)
        match said:
            case [[*rows], bytes(body)]:
                signatures = [_read_signature(row) for row in rows]
            case _:
                raise ValueError("not two parts")
        if [public for public, _ in signatures] != sorted({public for public, _ in signatures}):
            raise ValueError("not sorted, or one key twice")
        if _wrap(signatures, body) != blob:
            raise ValueError("another magic, or another writing")
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as err:
        raise SignatureError(f"{role}: these {len(blob)} bytes are no signed metadata") from err
    return signatures, body


def _read_signature(said: object) -> tuple[bytes, bytes]:
    match said:
        case [bytes(public), bytes(signature)]:
            return public, signature
    raise ValueError("no signature")
