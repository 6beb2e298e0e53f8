"""Showing that a certificate is one's own: whoever copies it has the words, not the key.

Two talks need it: a device that introduces itself to a coordinator, and one that asks its registrar
for the next certificate. In both the other side sends a nonce first, so no signature made before,
or for somebody else, is of any use.
"""

from datetime import datetime
from hashlib import sha256

from cryptography import x509

from fieldvote.errors import InputError, RefusalError, SignatureError
from privacy.sealing.certificate import DeviceCertificate, check_chain
from privacy.sealing.directory import Lookup
from privacy.sealing.keys import SigningKey, verify

CHALLENGE_BYTES = 32
SERIAL_BYTES = 20


def prove_hello(
    signer: SigningKey, *, challenge: bytes, campaign: str, task: str, certificate: bytes
) -> bytes:
    """Return a device's signature over who asked it, and over what it answers.

    Args:
        signer: The key the certificate is about.
        challenge: What the coordinator sent.
        campaign: Which campaign asked.
        task: Digest of the task the device has installed.
        certificate: The chain it shows.
    """
    return signer.sign(_hello(challenge, campaign, task, certificate))


def check_hello(
    proof: bytes,
    keys: tuple[bytes, bytes],
    *,
    challenge: bytes,
    campaign: str,
    task: str,
    certificate: bytes,
    root: x509.Certificate,
    now: datetime,
    directory: Lookup | None = None,
) -> DeviceCertificate:
    """Return the certificate of a device that has introduced itself, if it is its own and holds.

    Args:
        proof: What prove_hello returned.
        keys: The signing and the sealing key the device says are its own.
        challenge: What it was sent.
        campaign: Which campaign asked.
        task: Digest of the task it says it has installed.
        certificate: The chain it shows.
        root: The fleet's root.
        now: The time, with its zone.
        directory: Who is revoked; without one nobody is.

    Raises:
        WireError: the certificate is none.
        SignatureError: it is another fleet's, another device's, or the device has not its key.
        RefusalError: it does not hold now, or is revoked.
    """
    found = check_chain(certificate, root=root, now=now)
    if (found.keys.signing, found.keys.sealing) != keys:
        raise SignatureError(f"the certificate of {found.name} is about other keys")
    if len(challenge) != CHALLENGE_BYTES:
        raise InputError(f"a challenge has {CHALLENGE_BYTES} bytes, got {len(challenge)}")
    verify(proof, _hello(challenge, campaign, task, certificate), public=found.keys.signing)
    if directory is not None and directory.revokes(found):
        raise RefusalError(f"{found.name} is revoked since directory {directory.version} or before")
    return found


def prove_renewal(signer: SigningKey, *, serial: bytes, challenge: bytes) -> bytes:
    """Return a device's signature under its wish for the next certificate.

    Args:
        signer: The key the old certificate is about.
        serial: The old certificate's number, 20 bytes.
        challenge: What the registrar sent.
    """
    return signer.sign(_renewal(serial, challenge))


def check_renewal(proof: bytes, *, public: bytes, serial: bytes, challenge: bytes) -> None:
    """Return if whoever asks for the next certificate holds the key of the old one.

    Raises:
        SignatureError: it does not.
    """
    verify(proof, _renewal(serial, challenge), public=public)


def _hello(challenge: bytes, campaign: str, task: str, certificate: bytes) -> bytes:
    """Return what a device signs; each part has a fixed length."""
    parts = (campaign.encode(), task.encode(), certificate)
    return b"fieldvote hello 1" + challenge + b"".join(sha256(part).digest() for part in parts)


def _renewal(serial: bytes, challenge: bytes) -> bytes:
    """Return what a device signs for its next certificate; each part has a fixed length."""
    return b"fieldvote renewal 1" + serial.rjust(SERIAL_BYTES, b"\0") + challenge
