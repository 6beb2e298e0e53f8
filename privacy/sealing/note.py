"""A short note to one key: what a registrar and a device tell each other while enrolling.

An envelope (:mod:`privacy.sealing.envelope`) belongs to a task, an item and a sequence; at
enrolment there is none of them yet. So a note has one context, which both ends know::

    Ed25519 signature (64)  HPKE: encapsulated key, ciphertext

The signature covers context and ciphertext and is checked first; HPKE's `info` holds the context
and the signer, so that nobody passes another's note off as his own.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from fieldvote.errors import SealError
from privacy.sealing.keys import (
    SIGNATURE_BYTES,
    SealingKey,
    SigningKey,
    exchange_public,
    verify,
)

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


def seal_note(plaintext: bytes, *, recipient: bytes, context: bytes, signer: SigningKey) -> bytes:
    """Return plaintext sealed to the recipient and signed.

    Args:
        plaintext: What only the recipient is to read; its length is not hidden.
        recipient: Public half of the recipient's SealingKey.
        context: What this note is for; the opener must name the same.
        signer: The sender's key.

    Raises:
        InputError: the recipient is no key.

    >>> sender, reader = SigningKey(b"s" * 32), SealingKey(b"r" * 32)
    >>> note = seal_note(b"hi", recipient=reader.public, context=b"greeting", signer=sender)
    >>> open_note(note, key=reader, context=b"greeting", sender=sender.public)
    b'hi'
    """
    info = _info(context, signer.public)
    sealed = _SUITE.encrypt(plaintext, exchange_public(recipient), info=info)
    return signer.sign(_signed(context, sealed)) + sealed


def open_note(note: bytes, *, key: SealingKey, context: bytes, sender: bytes) -> bytes:
    """Return what the sender sealed to this key in this context.

    Raises:
        SignatureError: the sender did not sign this note in this context.
        SealError: it was sealed to another key.
        InputError: sender is no key.
    """
    sealed = note[SIGNATURE_BYTES:]
    verify(note[:SIGNATURE_BYTES], _signed(context, sealed), public=sender)
    try:
        return _SUITE.decrypt(sealed, key.exchange_key(), info=_info(context, sender))
    except (InvalidTag, ValueError) as err:
        raise SealError("the note does not open with this key in this context") from err


def _info(context: bytes, sender: bytes) -> bytes:
    """Return what HPKE binds the key schedule to; the sender's key has a fixed length."""
    return b"fieldvote note 1 seal" + sender + context


def _signed(context: bytes, sealed: bytes) -> bytes:
    """Return the message under the signature; the length keeps context and rest apart."""
    return b"fieldvote note 1 sign" + len(context).to_bytes(8, "big") + context + sealed
