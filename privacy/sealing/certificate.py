"""A device's certificate, checked: which keys are one device's, said by its fleet.

A chain is two X.509 certificates in PEM: the device's, then that of the intermediate authority that
signed it; whoever checks it holds the fleet's root. Three levels, no more, and each certificate is
refused on any level but its own: an intermediate signs devices and no authorities, a device signs
nobody, and what serves the registrar is no device.

Who makes them: :mod:`privacy.sealing.authority`.
"""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from fieldvote.errors import InputError, RefusalError, SignatureError, WireError
from privacy.sealing.device_keys import DeviceKeys, read_keys

MAX_CHAIN_BYTES = 8192

_UNDERSTOOD = (
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
)
_LACKING = (
    ValueError,
    IndexError,
    UnsupportedAlgorithm,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCertificate:
    """What a checked certificate says.

    Attributes:
        name: What the device is called in its fleet.
        serial: The certificate's number, in hexadecimal.
        keys: The device's keys.
        begins: When it begins to hold.
        ends: When it ends.
    """

    name: str
    serial: str
    keys: DeviceKeys
    begins: datetime
    ends: datetime

    @property
    def renew_from(self) -> datetime:
        """When half of its life is over."""
        return self.begins + (self.ends - self.begins) / 2


def fingerprint(certificate: x509.Certificate) -> bytes:
    """Return the SHA-256 of a certificate, by which a root is named."""
    return certificate.fingerprint(hashes.SHA256())


def read_certificate(pem: bytes) -> x509.Certificate:
    """Return the one certificate in these bytes.

    Raises:
        WireError: there is none, more than one, or too many bytes.
    """
    found = read_certificates(pem)
    if len(found) != 1:
        raise WireError(f"expected one certificate in PEM, got {len(found)}")
    return found[0]


def read_certificates(pem: bytes) -> list[x509.Certificate]:
    """Return the certificates in these bytes, in their order.

    Raises:
        WireError: there is none, or too many bytes.
    """
    if len(pem) > MAX_CHAIN_BYTES:
        raise WireError(f"certificates of {len(pem)} bytes pass the limit of {MAX_CHAIN_BYTES}")
    try:
        return x509.load_pem_x509_certificates(pem)
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as err:
        raise WireError(f"{len(pem)} bytes that are no certificates in PEM") from err


def check_chain(chain: bytes, *, root: x509.Certificate, now: datetime) -> DeviceCertificate:
    """Return what a device's chain says, if this fleet's root stands behind it now.

    Args:
        chain: The device's certificate and the intermediate's, in PEM.
        root: The fleet's root.
        now: The time, with its zone.

    Raises:
        WireError: the bytes are no such chain.
        SignatureError: it is another fleet's, or somebody signed who must not.
        RefusalError: one of the three does not hold now.
    """
    found = read_certificates(chain)
    if len(found) != 2:
        raise WireError(f"a device's chain has two certificates, got {len(found)}")
    device, authority = found
    check_authority(authority, root=root, now=now)
    _check_signed(device, authority)
    try:
        _check_device(device)
        read = DeviceCertificate(
            name=str(device.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value),
            serial=f"{device.serial_number:x}",
            keys=read_keys(device.public_key(), device.extensions),
            begins=device.not_valid_before_utc,
            ends=device.not_valid_after_utc,
        )
    except (*_LACKING, InputError) as err:
        raise WireError("a certificate lacks what a device's has") from err
    _check_dates(device, now, f"the certificate of {read.name}")
    return read


def check_authority(authority: x509.Certificate, *, root: x509.Certificate, now: datetime) -> None:
    """Return if this fleet's root stands behind an intermediate authority now.

    Raises:
        WireError: it lacks what an authority's certificate has.
        SignatureError: it is another fleet's, or no authority over devices.
        RefusalError: one of the two does not hold now.
    """
    _check_signed(authority, root)
    try:
        _check_signs(root, path=1)
        _check_signs(authority, path=0)
    except _LACKING as err:
        raise WireError("a certificate lacks what an authority's has") from err
    _check_dates(root, now, "the fleet's root")
    _check_dates(authority, now, "the intermediate's certificate")


def _check_signed(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    """Refuse a certificate that this issuer did not sign, by name and by key."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as err:
        raise SignatureError("a certificate is not signed by this fleet's authority") from err


def _check_signs(certificate: x509.Certificate, *, path: int) -> None:
    """Refuse an authority that may not sign, or that may let others sign further down."""
    may = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    if not may.ca or may.path_length != path or not usage.key_cert_sign:
        raise SignatureError("a certificate was used as an authority's, which it is not")
    _check_understood(certificate)


def _check_device(certificate: x509.Certificate) -> None:
    """Refuse an authority, or a server, in a device's place."""
    may = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    if may.ca or usage.key_cert_sign or list(purposes) != [ExtendedKeyUsageOID.CLIENT_AUTH]:
        raise SignatureError("a certificate was used as a device's, which it is not")
    _check_understood(certificate)


def _check_understood(certificate: x509.Certificate) -> None:
    """Refuse a restriction that we would not keep (RFC 5280, section 4.2)."""
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise SignatureError("a certificate has a restriction this program does not know")


def _check_dates(certificate: x509.Certificate, now: datetime, whose: str) -> None:
    """Refuse what does not hold now."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begins:
        raise RefusalError(f"{whose} begins at {begins:%Y-%m-%d %H:%M} UTC: see to the clocks")
    if now > ends:
        raise RefusalError(f"{whose} ended at {ends:%Y-%m-%d %H:%M} UTC")
