"""The public keys of one device, and its request to have them certified.

A request (PKCS #10) is signed by the device's Ed25519 key and names the other two in extensions of
our own. That the device holds those as well is shown in :mod:`privacy.sealing.enrolment`.
"""

from dataclasses import dataclass
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519

from fieldvote.errors import InputError, SignatureError, WireError
from privacy.sealing.keys import KEY_BYTES, SigningKey, exchange_public

MAX_REQUEST_BYTES = 2048

# 2.25 is the arc of UUIDs: ours by having been drawn at random, without a registry
_ARC = "2.25.147695517529382804564715849716747631120"
SEALING_KEY = x509.ObjectIdentifier(f"{_ARC}.1")
NODE_KEY = x509.ObjectIdentifier(f"{_ARC}.2")
NodePublic: TypeAlias = ec.EllipticCurvePublicKey

_OCTETS = b"\x04\x20"  # DER: an octet string of 32 bytes
_CURVES = ("secp256r1", "secp384r1")
_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.UnsupportedGeneralNameType,
    InputError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceKeys:
    """The public keys of one device.

    Attributes:
        signing: Ed25519, 32 bytes.
        sealing: X25519, 32 bytes.
        node: P-384 or P-256, as SubjectPublicKeyInfo in DER.
    """

    signing: bytes
    sealing: bytes
    node: bytes

    def __post_init__(self) -> None:
        """Refuse what is no key, or one that seals nothing."""
        try:
            ed25519.Ed25519PublicKey.from_public_bytes(self.signing)
            probe = x25519.X25519PrivateKey.from_private_bytes(bytes(range(KEY_BYTES)))
            # a point of small order is refused here: what is sealed to it, anyone can open
            probe.exchange(exchange_public(self.sealing))
        except ValueError as err:
            raise InputError("a public signing or sealing key is none") from err
        node_public(self.node)


def node_public(der: bytes) -> NodePublic:
    """Return a node's public key.

    Raises:
        InputError: it is no key on P-384 or P-256.
    """
    try:
        key = serialization.load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm) as err:
        raise InputError(f"a node's public key cannot be read from {len(der)} bytes") from err
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _CURVES:
        raise InputError("a node's key is on P-384 or P-256")
    return key


def node_der(key: NodePublic) -> bytes:
    """Return a node's public key as certificates hold it."""
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def node_line(der: bytes, name: str) -> bytes:
    """Return a node's public key in SSH format, as `flwr supernode register` takes it."""
    line = node_public(der).public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return line + b" " + name.encode() + b"\n"


def request_certificate(signer: SigningKey, keys: DeviceKeys) -> bytes:
    """Return a request in DER for a certificate over these keys."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    for extension in key_extensions(keys):
        builder = builder.add_extension(extension, critical=False)
    key = ed25519.Ed25519PrivateKey.from_private_bytes(signer.to_bytes())
    return builder.sign(key, None).public_bytes(serialization.Encoding.DER)


def read_request(der: bytes) -> DeviceKeys:
    """Return the keys a request is over.

    Raises:
        WireError: it is no such request.
        SignatureError: the signing key it names did not sign it.
    """
    if len(der) > MAX_REQUEST_BYTES:
        raise WireError(f"a request of {len(der)} bytes passes the limit of {MAX_REQUEST_BYTES}")
    try:
        request = x509.load_der_x509_csr(der)
        keys = read_keys(request.public_key(), request.extensions)
        signed = request.is_signature_valid
    except _UNREADABLE as err:
        raise WireError(f"{len(der)} bytes that are no request for a certificate of ours") from err
    if not signed:
        raise SignatureError("a request for a certificate is not signed by the key it names")
    return keys


def key_extensions(keys: DeviceKeys) -> tuple[x509.UnrecognizedExtension, ...]:
    """Return the two extensions that hold what the subject key does not say."""
    return (
        x509.UnrecognizedExtension(SEALING_KEY, _OCTETS + keys.sealing),
        x509.UnrecognizedExtension(NODE_KEY, keys.node),
    )


def read_keys(subject: object, extensions: x509.Extensions) -> DeviceKeys:
    """Return the keys in a request or a certificate.

    Args:
        subject: Its public key.
        extensions: Its extensions.

    Raises:
        WireError: one of the three is missing, or no key.
        InputError: as DeviceKeys does.
    """
    found = {
        each.oid: each.value.value
        for each in extensions
        if isinstance(each.value, x509.UnrecognizedExtension)
    }
    sealing, node = found.get(SEALING_KEY, b""), found.get(NODE_KEY, b"")
    if not isinstance(subject, ed25519.Ed25519PublicKey) or not sealing.startswith(_OCTETS):
        raise WireError("a device is known by an Ed25519 key, and beside it a sealing key")
    return DeviceKeys(
        signing=subject.public_bytes_raw(), sealing=sealing[len(_OCTETS) :], node=node
    )
