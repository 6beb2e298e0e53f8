"""Sealed envelopes: only the recipient reads them, anyone who knows the sender may check them.

Layout, all lengths fixed but the last::

    magic (4)  recipient's key id (8)  Ed25519 signature (64)  HPKE: encapsulated key, ciphertext

- HPKE base mode (RFC 9180): DHKEM(X25519), HKDF-SHA256, ChaCha20-Poly1305. Its `info` holds the
  context and the sender's public key. Without the latter, a thief could strip the signature, put
  his own on the same ciphertext, and pass the content off as his.
- The signature is over context, recipient and ciphertext, and is checked before anything opens.
- The plaintext is padded to a size bucket, so that its length says little.
- The ephemeral key inside HPKE always comes from the system, in rehearsals too.

Replay is the caller's to refuse: put a round and an item id in the context.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from fieldvote.errors import InputError, SealError
from privacy.sealing.keys import (
    KEY_ID_BYTES,
    SIGNATURE_BYTES,
    SealingKey,
    SigningKey,
    exchange_public,
    key_id,
    verify,
)

MAGIC = b"FVE1"
MAX_PLAINTEXT_BYTES = 64 * 2**20
SMALLEST_BUCKET_BYTES = 256
LENGTH_BYTES = 4
HEADER_BYTES = len(MAGIC) + KEY_ID_BYTES + SIGNATURE_BYTES


def seal(plaintext: bytes, *, recipient: bytes, context: bytes, signer: SigningKey) -> bytes:
    """Return plaintext sealed to the recipient and signed by the sender.

    Args:
        plaintext: At most 64 MiB.
        recipient: Public half of the recipient's SealingKey.
        context: What this envelope is for; the opener must name the same.
        signer: The sender's key.

    Raises:
        InputError: the recipient is no key, or plaintext is too long.

    >>> sender, reader = SigningKey(b"s" * 32), SealingKey(b"r" * 32)
    >>> box = seal(b"hi", recipient=reader.public, context=b"round 1", signer=sender)
    >>> open_envelope(box, key=reader, context=b"round 1", sender=sender.public)
    b'hi'
    """
    if len(plaintext) > MAX_PLAINTEXT_BYTES:
        raise InputError(f"an envelope holds {MAX_PLAINTEXT_BYTES} bytes, got {len(plaintext)}")
    ciphertext = _suite().encrypt(
        _pad(plaintext), exchange_public(recipient), info=_info(context, signer.public)
    )
    name = key_id(recipient)
    return MAGIC + name + signer.sign(_signed(context, name, ciphertext)) + ciphertext


def open_envelope(envelope: bytes, *, key: SealingKey, context: bytes, sender: bytes) -> bytes:
    """Return what the sender sealed to this key in this context.

    Args:
        envelope: What seal returned.
        key: The recipient's key.
        context: The same as when it was sealed.
        sender: Public half of the sender's SigningKey.

    Raises:
        SealError: it is cut short, no envelope, sealed to another key, or does not open.
        SignatureError: the sender did not sign these bytes in this context.
        InputError: sender is no key.
    """
    if len(envelope) < HEADER_BYTES or not envelope.startswith(MAGIC):
        raise SealError("these bytes are not a sealed envelope of this version")
    name = envelope[len(MAGIC) : len(MAGIC) + KEY_ID_BYTES]
    if name != key_id(key.public):
        raise SealError(f"sealed to key {name.hex()}, opened with {key_id(key.public).hex()}")
    signature = envelope[len(MAGIC) + KEY_ID_BYTES : HEADER_BYTES]
    ciphertext = envelope[HEADER_BYTES:]
    verify(signature, _signed(context, name, ciphertext), public=sender)
    try:
        padded = _suite().decrypt(ciphertext, key.exchange_key(), info=_info(context, sender))
    except (InvalidTag, ValueError) as err:
        raise SealError("the envelope does not open with this key in this context") from err
    return _unpad(padded)


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
    return b"fieldvote envelope 1 seal" + sender + context


def _signed(context: bytes, name: bytes, ciphertext: bytes) -> bytes:
    """Return the message under the signature; the length keeps context and rest apart."""
    return (
        b"fieldvote envelope 1 sign" + len(context).to_bytes(8, "big") + context + name + ciphertext
    )


def _suite() -> Suite:
    """Return the one suite of this version."""
    return Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
