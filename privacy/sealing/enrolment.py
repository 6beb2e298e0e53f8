"""Enrolment: how a device that trusts one token comes to be certified, and both sides' checks.

::

    device                                                    registrar
      root?                                             ->
                                                        <-  root, intermediate
      (the root's fingerprint is the token's; from here on TLS under that root)
      token without its secret, HMAC, request, proof    ->
                                                        <-  nonce, sealed to the device
      nonce                                             ->  (token spent, certificate kept)
                                                        <-  grant, sealed to the device

- The token's secret is never sent: an HMAC under it covers the token and the request, so a token
  fits one request; and it is checked before anything is parsed.
- Of its three keys the device shows that it holds each: the request is signed by the signing key,
  the proof by the node key, and the nonce opens with the sealing key alone.
- Challenge and grant are sealed by the intermediate's key, in a context of this token and request.
"""

from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest
from hmac import digest as hmac
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from fieldvote.codec import decode, encode
from fieldvote.errors import InputError, SealError, SignatureError
from privacy.sealing.authority import public_of
from privacy.sealing.certificate import check_authority, fingerprint, read_certificate
from privacy.sealing.device_keys import (
    DeviceKeys,
    node_der,
    node_public,
    read_request,
    request_certificate,
)
from privacy.sealing.keys import SealingKey, SigningKey
from privacy.sealing.note import open_note, seal_note
from privacy.sealing.token import STUB_BYTES, Token, read_stub, secret_of

NONCE_BYTES = 32
SKETCH_BYTES = 8
MAX_FRAME_BYTES = 512 * 1024
"""The longest message either side takes: a grant with a SuperLink's authorities and the root."""


class Word:
    """The first byte of a message: what a talk is about, and how the other side takes it."""

    WHO = b"W"
    ENROL = b"E"
    RENEW = b"R"
    OK = b"+"
    REFUSED = b"-"


NodeKey: TypeAlias = ec.EllipticCurvePrivateKey

_MAC_BYTES = 32
_CHALLENGE = b"fieldvote enrolment challenge 1"
_GRANT = b"fieldvote enrolment grant 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduction:
    """What a registrar says first, to anyone: the root and the intermediate, in PEM."""

    root: bytes
    authority: bytes

    def checked(self, fleet: bytes, now: datetime) -> bytes:
        """Return the intermediate's public key, if the root is the one with this SHA-256.

        Raises:
            SignatureError: it is another fleet's root, or the intermediate is not that root's.
            RefusalError: one of the two does not hold now.
            InputError: one of the two is no certificate, or has a key of another kind.
        """
        root, authority = read_certificate(self.root), read_certificate(self.authority)
        if not compare_digest(fingerprint(root), fleet):
            raise SignatureError("the registrar belongs to another fleet than the token")
        check_authority(authority, root=root, now=now)
        return public_of(authority)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentRequest:
    """What a token stands for.

    Attributes:
        request: The request for a certificate, in DER.
        proof: Signature by the node key over token and request.
    """

    request: bytes
    proof: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What an enrolled device is given.

    Attributes:
        certificate: Its chain, in PEM.
        root: The fleet's first root metadata, that tasks are trusted by; empty if there is none.
        sketch_secret: What names the fleet's projection; the coordinator must not have it.
        superlink: Where the SuperLink listens, host:port; empty: the agent's socket only.
        superlink_ca: What vouches for it, in PEM; empty: no TLS, on loopback only.
        desk: The labeling desk's public keys, as lines of a device's TOML.
    """

    certificate: bytes
    root: bytes
    sketch_secret: bytes = field(repr=False)
    superlink: str
    superlink_ca: bytes
    desk: str

    def __post_init__(self) -> None:
        """Refuse what no device could run with."""
        if len(self.sketch_secret) != SKETCH_BYTES:
            raise InputError(f"a sketch secret has {SKETCH_BYTES} bytes")


KINDS: dict[int, type] = {1: Introduction, 2: EnrolmentRequest, 3: Grant}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request whose token is the registrar's own, and whose signatures fit.

    Attributes:
        token: The token's id.
        expires_at: Until when it can be spent, in seconds since 1970.
        name: What the device will be called.
        keys: The device's.
        digest: SHA-256 of the request for a certificate.
    """

    token: bytes
    expires_at: int
    name: str
    keys: DeviceKeys
    digest: bytes

    @property
    def context(self) -> bytes:
        """What a note about this request is bound to."""
        return self.token + self.digest

    def is_over(self, now: datetime) -> bool:
        """Return whether the token could have been spent before, but not now."""
        return now.timestamp() > self.expires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Applicant:
    """The device's side: its three secret keys and its token."""

    token: Token
    signing: SigningKey
    sealing: SealingKey
    node: NodeKey

    @property
    def keys(self) -> DeviceKeys:
        """The public halves."""
        return DeviceKeys(
            signing=self.signing.public,
            sealing=self.sealing.public,
            node=node_der(self.node.public_key()),
        )

    def ask(self) -> bytes:
        """Return the request; another one for the same keys and token means the same."""
        request = request_certificate(self.signing, self.keys)
        proof = self.node.sign(_proven(self.token.stub, request), ec.ECDSA(hashes.SHA384()))
        body = encode(EnrolmentRequest(request=request, proof=proof), KINDS)
        stub = self.token.stub
        return bytes([len(stub)]) + stub + _mac(self.token.secret, stub, body) + body

    def open_challenge(self, note: bytes, *, authority: bytes) -> bytes:
        """Return the nonce; authority is the intermediate's public key.

        Raises:
            SealError: it was sealed to another key, or for another request.
            SignatureError: the intermediate did not sign it.
        """
        return self._open(note, _CHALLENGE, authority)

    def open_grant(self, note: bytes, *, authority: bytes) -> Grant:
        """Return the grant; authority is the intermediate's public key.

        Raises:
            SealError: it was sealed to another key, or for another request.
            SignatureError: the intermediate did not sign it.
            WireError: what was sealed is no grant.
        """
        return decode(self._open(note, _GRANT, authority), KINDS, (Grant,))

    def _open(self, note: bytes, purpose: bytes, authority: bytes) -> bytes:
        request = request_certificate(self.signing, self.keys)
        context = purpose + self.token.id + sha256(request).digest()
        return open_note(note, key=self.sealing, context=context, sender=authority)


def admit(message: bytes, *, key: bytes) -> Asked:
    """Return what a device asks for, if its token is ours and it holds two of its keys.

    Whether the token is spent or over is not looked at here.

    Args:
        message: What Applicant.ask returned.
        key: The registrar's key for tokens.

    Raises:
        SignatureError: the token is not ours, was changed, or stands for another request; or a key
            in the request is not the device's own.
        WireError: behind a good token, it is no request.
    """
    length = message[0] if message else 0
    stub, rest = message[1 : 1 + length], message[1 + length :]
    mac, body = rest[:_MAC_BYTES], rest[_MAC_BYTES:]
    # before anything is parsed: whoever has no token meets a hash, and nothing that could break
    if length < STUB_BYTES or not compare_digest(mac, _mac(secret_of(key, stub), stub, body)):
        raise SignatureError("this token is not one of this fleet's, or was changed")
    asked: EnrolmentRequest = decode(body, KINDS, (EnrolmentRequest,))
    keys = read_request(asked.request)
    try:
        node_public(keys.node).verify(
            asked.proof, _proven(stub, asked.request), ec.ECDSA(hashes.SHA384())
        )
    except InvalidSignature as err:
        raise SignatureError("the node key in the request is not the device's own") from err
    token, expires_at, name = read_stub(stub)
    return Asked(
        token=token,
        expires_at=expires_at,
        name=name,
        keys=keys,
        digest=sha256(asked.request).digest(),
    )


def seal_challenge(nonce: bytes, asked: Asked, *, signer: SigningKey) -> bytes:
    """Return a nonce that only the holder of the sealing key can read."""
    return seal_note(
        nonce, recipient=asked.keys.sealing, context=_CHALLENGE + asked.context, signer=signer
    )


def check_nonce(answer: bytes, nonce: bytes) -> None:
    """Return if the device has read the nonce.

    Raises:
        SealError: it has not: the sealing key in its request is not its own.
    """
    if not compare_digest(answer, nonce):
        raise SealError("the sealing key in the request is not the device's own")


def seal_grant(grant: Grant, asked: Asked, *, signer: SigningKey) -> bytes:
    """Return a grant that only the device can read."""
    return seal_note(
        encode(grant, KINDS),
        recipient=asked.keys.sealing,
        context=_GRANT + asked.context,
        signer=signer,
    )


def _mac(secret: bytes, stub: bytes, body: bytes) -> bytes:
    """Bind a request to a token; the length keeps the two apart."""
    return hmac(secret, b"fieldvote enrolment 1" + bytes([len(stub) & 255]) + stub + body, "sha256")


def _proven(stub: bytes, request: bytes) -> bytes:
    """Return what the node key signs: this token, for this request."""
    return b"fieldvote node key 1" + bytes([len(stub)]) + stub + request
