"""Sealed envelopes: only the recipient reads them, anyone who knows the sender may check them.

Layout, all lengths fixed but the last::

    magic (4)  recipient's key id (8)  marks (96)  Ed25519 signature (64)
    HPKE: encapsulated key, ciphertext

- HPKE base mode (RFC 9180): DHKEM(X25519), HKDF-SHA256, ChaCha20-Poly1305. Its `info` holds the
  context and the sender's public key. Without the latter, a thief could strip the signature, put
  his own on the same ciphertext, and pass the content off as his.
- The signature is over context, recipient and ciphertext, and is checked before anything opens. So
  the coordinator, which can open nothing, still knows who sealed what, when, and only once.
- The context is the scope both ends know and the marks in the header; see privacy.sealing.context.
- The plaintext is padded to a size bucket, so that its length says little.
- The ephemeral key inside HPKE always comes from the system, in rehearsals too.
- Recipient and sender may have several keys: they follow each other, with overlap.

Replay is the receiver's to refuse: the marks number each envelope; see privacy.sealing.replay.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from fieldvote.errors import InputError, SealError, SignatureError
from privacy.sealing.context import MARKS_BYTES, Marks, Scope, context_bytes
from privacy.sealing.keys import (
    KEY_ID_BYTES,
    SIGNATURE_BYTES,
    SealingKey,
    SigningKey,
    exchange_public,
    key_id,
    verify,
)

MAGIC = b"FVE2"
MAX_PLAINTEXT_BYTES = 64 * 2**20
SMALLEST_BUCKET_BYTES = 256
LENGTH_BYTES = 4
_MARKS_AT = len(MAGIC) + KEY_ID_BYTES
_SIGNATURE_AT = _MARKS_AT + MARKS_BYTES
HEADER_BYTES = _SIGNATURE_AT + SIGNATURE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a signature vouches for, without a look inside.

    Attributes:
        marks: From the header.
        sender: Public key that signed.
    """

    marks: Marks
    sender: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What was in an envelope.

    Attributes:
        plaintext: What was sealed; it stays out of logs.
        marks: From the header.
        sender: Public key that signed.
    """

    plaintext: bytes = field(repr=False)
    marks: Marks
    sender: bytes


def seal(
    plaintext: bytes, *, recipient: bytes, scope: Scope, marks: Marks, signer: SigningKey
) -> bytes:
    """Return plaintext sealed to the recipient and signed by the sender.

    Args:
        plaintext: At most 64 MiB.
        recipient: Public half of the recipient's SealingKey.
        scope: What this envelope is for; the opener must name the same.
        marks: What the header tells; with a number no other envelope has.
        signer: The sender's key.

    Raises:
        InputError: the recipient is no key, or plaintext is too long.

    >>> from privacy.sealing.context import Purpose
    >>> sender, reader = SigningKey(b"s" * 32), SealingKey(b"r" * 32)
    >>> scope = Scope(purpose=Purpose.CANDIDATE, family="f", device=sender.public)
    >>> marks = Marks(epoch=bytes(16), sequence=0, round=7)
    >>> box = seal(b"hi", recipient=reader.public, scope=scope, marks=marks, signer=sender)
    >>> opened = open_envelope(box, keys=[reader], scope=scope, senders=[sender.public])
    >>> opened.plaintext, opened.marks.round
    (b'hi', 7)
    """
    if len(plaintext) > MAX_PLAINTEXT_BYTES:
        raise InputError(f"an envelope holds {MAX_PLAINTEXT_BYTES} bytes, got {len(plaintext)}")
    context = context_bytes(scope, marks)
    ciphertext = _suite().encrypt(
        _pad(plaintext), exchange_public(recipient), info=_info(context, signer.public)
    )
    name = key_id(recipient)
    signature = signer.sign(_signed(context, name, ciphertext))
    return MAGIC + name + marks.to_bytes() + signature + ciphertext


def check_envelope(envelope: bytes, *, scope: Scope, senders: Sequence[bytes]) -> Checked:
    """Return what an envelope's header says, if one of the senders signed it in this scope.

    Raises:
        SealError: it is cut short or no envelope.
        SignatureError: none of the senders signed these bytes in this scope.
        InputError: a sender is no key.
    """
    marks, ciphertext = marks_of(envelope), envelope[HEADER_BYTES:]
    signed = _signed(context_bytes(scope, marks), recipient_id(envelope), ciphertext)
    for sender in senders:
        try:
            verify(envelope[_SIGNATURE_AT:HEADER_BYTES], signed, public=sender)
        except SignatureError:
            continue
        return Checked(marks=marks, sender=sender)
    raise SignatureError("the envelope is not signed by who it should be from, or is of another"
                         " task, device, item or purpose")  # fmt: skip


def open_envelope(
    envelope: bytes, *, keys: Sequence[SealingKey], scope: Scope, senders: Sequence[bytes]
) -> Opened:
    """Return what one of the senders sealed to one of these keys in this scope.

    Args:
        envelope: What seal returned.
        keys: The recipient's keys; which one is named in the header.
        scope: The same as when it was sealed.
        senders: Public signing keys, any of which may have signed.

    Raises:
        SealError: it is cut short, no envelope, sealed to none of the keys, or does not open.
        SignatureError: none of the senders signed these bytes in this scope.
        InputError: a sender is no key.
    """
    name = recipient_id(envelope)
    key = next((key for key in keys if key_id(key.public) == name), None)
    if key is None:
        held = ", ".join(key_id(key.public).hex() for key in keys) or "none"
        raise SealError(f"sealed to key {name.hex()}, here there is {held}")
    checked = check_envelope(envelope, scope=scope, senders=senders)
    info = _info(context_bytes(scope, checked.marks), checked.sender)
    try:
        padded = _suite().decrypt(envelope[HEADER_BYTES:], key.exchange_key(), info=info)
    except (InvalidTag, ValueError) as err:
        raise SealError("the envelope does not open with this key in this context") from err
    return Opened(plaintext=_unpad(padded), marks=checked.marks, sender=checked.sender)


def marks_of(envelope: bytes) -> Marks:
    """Return what the header says; nobody has vouched for it yet.

    Raises:
        SealError: it is cut short or no envelope.
    """
    recipient_id(envelope)
    return Marks.from_bytes(envelope[_MARKS_AT:_SIGNATURE_AT])


def recipient_id(envelope: bytes) -> bytes:
    """Return the id of the key an envelope is sealed to.

    Raises:
        SealError: it is cut short or no envelope.
    """
    if len(envelope) < HEADER_BYTES or not envelope.startswith(MAGIC):
        raise SealError("these bytes are not a sealed envelope of this version")
    return envelope[len(MAGIC) : _MARKS_AT]


def bucket_bytes(length: int) -> int:
    """Return the padded size of a plaintext of this length, its length field included.

    Padmé: at most 12 % longer, and the size tells only log log of the length. Source: Nikitin et
    al. 2019, "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs",
    PoPETs 2019(4), section 4; below 256 bytes there is one bucket.

    >>> bucket_bytes(1), bucket_bytes(200), bucket_bytes(1000), bucket_bytes(100_000)
    (256, 256, 1024, 100352)
    """
    size = length + LENGTH_BYTES
    if size <= SMALLEST_BUCKET_BYTES:
        return SMALLEST_BUCKET_BYTES
    exponent = size.bit_length() - 1
    step = 1 << (exponent - exponent.bit_length())
    return -(-size // step) * step


def _pad(plaintext: bytes) -> bytes:
    """Put the length before and zeros after."""
    framed = len(plaintext).to_bytes(LENGTH_BYTES, "big") + plaintext
    return framed.ljust(bucket_bytes(len(plaintext)), b"\0")


def _unpad(padded: bytes) -> bytes:
    """Undo _pad; a sender who pads otherwise is not one of ours."""
    length = int.from_bytes(padded[:LENGTH_BYTES], "big")
    plaintext = padded[LENGTH_BYTES : LENGTH_BYTES + length]
    if len(plaintext) != length or padded != _pad(plaintext):
        raise SealError("the envelope opened, but its padding is not as sealed here")
    return plaintext


def _info(context: bytes, sender: bytes) -> bytes:
    """Return what HPKE binds the key schedule to; the sender's key has a fixed length."""
    return b"fieldvote envelope 2 seal" + sender + context


def _signed(context: bytes, name: bytes, ciphertext: bytes) -> bytes:
    """Return the message under the signature; the length keeps context and rest apart."""
    return (
        b"fieldvote envelope 2 sign" + len(context).to_bytes(8, "big") + context + name + ciphertext
    )


def _suite() -> Suite:
    """Return the one suite of this version."""
    return Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
