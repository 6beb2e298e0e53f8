"""Making certificates: a fleet's root, its intermediate, its registrar's, and its devices'.

The root is made once, signs intermediates, and is kept offline. The intermediate is what a
registrar needs at hand: it signs devices, and could sign nothing that outlives or outranks it.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fieldvote.errors import InputError, RefusalError
from privacy.sealing.device_keys import DeviceKeys, key_extensions
from privacy.sealing.keys import SigningKey

SKEW = timedelta(minutes=5)
"""Certificates begin so long before they are made: the clocks of a fleet differ."""

DEVICE_LIFE = timedelta(days=30)
INTERMEDIATE_LIFE = timedelta(days=366)
ROOT_LIFE = timedelta(days=3653)
_SERIAL_BYTES = 20
_ROOT = " root"


def make_root(
    key: SigningKey, fleet: str, *, now: datetime, entropy: Callable[[int], bytes]
) -> x509.Certificate:
    """Return the certificate of a fleet's root, signed by itself.

    Args:
        key: The root's.
        fleet: What the fleet is called.
        now: The time, with its zone.
        entropy: For the serial number.
    """
    subject = _named(fleet + _ROOT)
    builder = _begun(subject, key.public, None, now=now, entropy=entropy)
    return _signed(
        builder.not_valid_after(now + ROOT_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True),
        key,
    )


def make_intermediate(
    public: bytes,
    fleet: str,
    *,
    root: x509.Certificate,
    key: SigningKey,
    now: datetime,
    entropy: Callable[[int], bytes],
) -> x509.Certificate:
    """Return the certificate of an authority that signs devices and no authorities.

    Args:
        public: The intermediate's public key.
        fleet: What the fleet is called.
        root: The root's certificate.
        key: The root's key.
        now: The time, with its zone.
        entropy: For the serial number.

    Raises:
        InputError: key is not the root's.
    """
    _check_owner(root, key)
    builder = _begun(_named(f"{fleet} devices"), public, root, now=now, entropy=entropy)
    return _signed(
        builder.not_valid_after(min(now + INTERMEDIATE_LIFE, root.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True),
        key,
    )


def make_server(
    public: bytes,
    hosts: tuple[str, ...],
    *,
    authority: x509.Certificate,
    key: SigningKey,
    now: datetime,
    entropy: Callable[[int], bytes],
) -> x509.Certificate:
    """Return the certificate a registrar shows to devices; it is of no use as a device's.

    Args:
        public: Public key of the registrar's TLS.
        hosts: Names and addresses it is reached at.
        authority: The intermediate's certificate.
        key: The intermediate's key.
        now: The time, with its zone.
        entropy: For the serial number.

    Raises:
        InputError: key is not the intermediate's.
        RefusalError: the intermediate's certificate does not hold now.
    """
    _check_owner(authority, key)
    _check_holds(authority, now)
    names = x509.SubjectAlternativeName([_general(host) for host in hosts])
    builder = _begun(_named("registrar"), public, authority, now=now, entropy=entropy)
    return _signed(
        builder.not_valid_after(authority.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(names, critical=False),
        key,
    )


def issue(
    keys: DeviceKeys,
    name: str,
    *,
    authority: x509.Certificate,
    key: SigningKey,
    now: datetime,
    entropy: Callable[[int], bytes],
    life: timedelta = DEVICE_LIFE,
) -> bytes:
    """Return a device's chain in PEM, its own certificate first.

    Args:
        keys: The device's; whoever issues has seen that it holds all three.
        name: What the device is called.
        authority: The intermediate's certificate.
        key: The intermediate's key.
        now: The time, with its zone.
        entropy: For the serial number.
        life: How long it holds, unless the authority's own certificate ends before.

    Raises:
        InputError: key is not the intermediate's.
        RefusalError: the intermediate's certificate does not hold now.
    """
    _check_owner(authority, key)
    _check_holds(authority, now)
    builder = (
        _begun(_named(name), keys.signing, authority, now=now, entropy=entropy)
        .not_valid_after(min(now + life, authority.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    )
    for extension in key_extensions(keys):
        builder = builder.add_extension(extension, critical=False)
    return to_pem(_signed(builder, key)) + to_pem(authority)


def to_pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate in PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def fleet_name(root: x509.Certificate) -> str:
    """Return what a fleet is called, by its root."""
    names = root.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value).removesuffix(_ROOT) if names else "fleet"


def public_of(certificate: x509.Certificate) -> bytes:
    """Return an authority's public key, 32 bytes.

    Raises:
        InputError: it has a key of another kind.
    """
    return _public(certificate).public_bytes_raw()


def _begun(
    subject: x509.Name,
    public: bytes,
    issuer: x509.Certificate | None,
    *,
    now: datetime,
    entropy: Callable[[int], bytes],
) -> x509.CertificateBuilder:
    """Return a certificate's beginning: who, by whom, since when; without an issuer, by itself."""
    key = ed25519.Ed25519PublicKey.from_public_bytes(public)
    above, since = key, now - SKEW
    if issuer is not None:
        above, since = _public(issuer), max(now - SKEW, issuer.not_valid_before_utc)
    # positive, 159 random bits: RFC 5280, section 4.1.2.2
    serial = (int.from_bytes(entropy(_SERIAL_BYTES), "big") >> 1) | 1
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(since)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above), critical=False)
    )


def _signed(builder: x509.CertificateBuilder, key: SigningKey) -> x509.Certificate:
    """Sign what was begun."""
    return builder.sign(ed25519.Ed25519PrivateKey.from_private_bytes(key.to_bytes()), None)


def _public(certificate: x509.Certificate) -> ed25519.Ed25519PublicKey:
    """Return an authority's public key."""
    key = certificate.public_key()
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise InputError("a fleet's authority has an Ed25519 key")
    return key


def _check_owner(certificate: x509.Certificate, key: SigningKey) -> None:
    """Refuse a key that is not the certificate's: what it signs would fit nowhere."""
    if public_of(certificate) != key.public:
        raise InputError("the authority's key and certificate do not belong together")


def _check_holds(certificate: x509.Certificate, now: datetime) -> None:
    """Refuse to sign with what does not hold now."""
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise RefusalError(
            f"the intermediate's certificate ends {certificate.not_valid_after_utc:%Y-%m-%d}:"
            " make a new one where the root's key is"
        )


def _named(name: str) -> x509.Name:
    """Return a name as certificates have it."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(host: str) -> x509.GeneralName:
    """Return a host as certificates have it: an address, or a name."""
    try:
        return x509.IPAddress(ip_address(host.strip("[]")))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """Return what a key may be used for: to sign certificates, or anything but."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
