"""Calling the fleet's registrar: to be enrolled once, and for the next certificate.

Nothing but keys, certificates and settings goes over this line; the pool is not within its reach.
Whom to believe comes from the token at first and from the kept root later: the certificates of this
machine's browser, or of its company, count for nothing here.
"""

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime

from fieldvote.codec import decode
from fieldvote.errors import RefusalError, SignatureError, UnavailableError, WireError
from fieldvote.frames import Frames
from privacy.sealing.certificate import DeviceCertificate, check_chain, read_certificate
from privacy.sealing.enrolment import KINDS, MAX_FRAME_BYTES, Applicant, Grant, Introduction, Word
from privacy.sealing.keys import SigningKey
from privacy.sealing.possession import SERIAL_BYTES, prove_renewal

_TALK_S = 15.0
_MOST_TOLD = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """What a registrar has said, checked.

    Attributes:
        registrar: Where it was called.
        grant: What the device is given.
        fleet: The fleet's root certificate, in PEM.
        certificate: What the chain in the grant says.
    """

    registrar: str
    grant: Grant
    fleet: bytes
    certificate: DeviceCertificate


def enrol(applicant: Applicant, *, now: datetime) -> Enrolled:
    """Return what the fleet of a token gives this device.

    Args:
        applicant: The device's keys and its token.
        now: The time, with its zone.

    Raises:
        SignatureError: whoever answers is not of the token's fleet; nothing was told to it.
        RefusalError: the registrar refuses, with its reason.
        UnavailableError: nobody answers; the token is not spent, or can be sent again.
        InputError: the answer is none.
    """
    address = applicant.token.address
    with _calling(address, None) as line:
        # anyone may read this, and anyone may have sent it: it is held against the fingerprint
        introduction = decode(_ask(line, Word.WHO), KINDS, (Introduction,))
    authority = introduction.checked(applicant.token.root, now)
    with _calling(address, introduction.root) as line:
        challenge = _ask(line, Word.ENROL + applicant.ask())
        nonce = applicant.open_challenge(challenge, authority=authority)
        grant = applicant.open_grant(_ask(line, nonce), authority=authority)
    root = read_certificate(introduction.root)
    certificate = check_chain(grant.certificate, root=root, now=now)
    if certificate.keys != applicant.keys or certificate.name != applicant.token.name:
        raise SignatureError("the registrar certified other keys, or another name, than were asked")
    return Enrolled(
        registrar=address, grant=grant, fleet=introduction.root, certificate=certificate
    )


def renew(
    address: str, chain: bytes, signer: SigningKey, *, fleet: bytes, now: datetime
) -> tuple[bytes, DeviceCertificate]:
    """Return the chain that follows, or the same again while it is too early.

    Args:
        address: Where the registrar is.
        chain: The certificate of now.
        signer: Its key.
        fleet: The fleet's root certificate, in PEM.
        now: The time, with its zone.

    Raises:
        RefusalError: the registrar refuses, or the certificate does not hold any more.
        UnavailableError: nobody answers.
        InputError: the answer is none.
    """
    root = read_certificate(fleet)
    held = check_chain(chain, root=root, now=now)
    serial = bytes.fromhex(held.serial.zfill(2 * SERIAL_BYTES))
    with _calling(address, fleet) as line:
        challenge = _ask(line, Word.RENEW + serial)
        following = _ask(line, prove_renewal(signer, serial=serial, challenge=challenge))
    certificate = check_chain(following, root=root, now=now)
    if (certificate.keys, certificate.name) != (held.keys, held.name):
        raise SignatureError("the registrar certified other keys, or another name, than before")
    return following, certificate


@contextmanager
def _calling(address: str, root: bytes | None) -> Iterator[Frames]:
    """Call a registrar; without a root, whoever answers is believed nothing.

    Raises:
        SignatureError: whoever answers is not certified by this root.
        UnavailableError: nobody answers.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    with ExitStack() as held:
        try:
            plain = socket.create_connection((host, int(port)), timeout=_TALK_S)
            held.enter_context(plain)
            line = held.enter_context(_trusting(root).wrap_socket(plain, server_hostname=host))
        except ssl.SSLCertVerificationError as err:
            raise SignatureError(
                f"whoever answers at {address} is not this fleet's registrar"
                f" ({err.verify_message}); if this device's clock is wrong, set it first"
            ) from err
        except (OSError, OverflowError) as err:
            reason = getattr(err, "strerror", None) or type(err).__name__
            raise UnavailableError(f"no registrar answers at {address} ({reason})") from err
        yield Frames(line, most_bytes=MAX_FRAME_BYTES, limit_s=_TALK_S)


def _trusting(root: bytes | None) -> ssl.SSLContext:
    """Return TLS 1.3 under this root and no other, or under nobody's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if root is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        context.load_verify_locations(cadata=root.decode("ascii"))
    except (ssl.SSLError, ValueError) as err:
        raise WireError("the fleet's root is no certificate in PEM") from err
    return context


def _ask(line: Frames, message: bytes) -> bytes:
    """Return what the registrar answers to a message.

    Raises:
        RefusalError: it refuses.
    """
    line.send(message)
    answer = line.receive()
    if answer[:1] == Word.OK:
        return answer[1:]
    said = answer[1 : 1 + _MOST_TOLD].decode("utf-8", errors="replace")
    # what came over a network is printed: it must not move a terminal's cursor
    told = "".join(letter for letter in said if letter.isprintable())
    raise RefusalError(f"the registrar refuses: {told or 'no reason given'}")
