"""The device's certificate, as it lies in its folder: shown when asked for, renewed in time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

from edge.registrar_line import renew
from edge.settings import EdgeSettings
from fieldvote.durable import read_whole, write_over
from fieldvote.errors import FieldvoteError, InputError, RefusalError
from fieldvote.records import HelloRequest
from privacy.sealing.certificate import DeviceCertificate, check_chain, read_certificate
from privacy.sealing.keys import SigningKey
from privacy.sealing.possession import CHALLENGE_BYTES, prove_hello

SIGNING_KEY = "signing.key"
_FIRST_TRY, _LAST_TRY = timedelta(minutes=1), timedelta(hours=6)
_LOOK = timedelta(hours=1)
_FAREWELL_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """Where the device's certificate is, and the key it is about.

    Attributes:
        registrar: Where the next one comes from, host:port.
        fleet: File with the fleet's root certificate.
        certificate: File with the device's chain.
        signing: File with the key.
    """

    registrar: str
    fleet: Path
    certificate: Path
    signing: Path

    @staticmethod
    def of(settings: EdgeSettings) -> "Credential | None":
        """Return a device's credential; None where it is not enrolled."""
        if settings.enrolment is None:
            return None
        return Credential(
            registrar=settings.enrolment.registrar,
            fleet=Path(settings.enrolment.fleet),
            certificate=Path(settings.enrolment.certificate),
            signing=Path(settings.folder) / SIGNING_KEY,
        )

    def show(self, request: HelloRequest, task: str) -> tuple[bytes, bytes]:
        """Return the certificate and, if there is a challenge, a signature that it is ours.

        Args:
            request: Who asks.
            task: Digest of the task that is installed.

        Raises:
            InputError: the certificate or the key cannot be read, or the challenge is none.
        """
        chain = read_whole(self.certificate)
        if not request.challenge:
            return chain, b""
        if len(request.challenge) != CHALLENGE_BYTES:
            raise InputError(f"a challenge has {CHALLENGE_BYTES} bytes")
        proof = prove_hello(
            self._signer(),
            challenge=request.challenge,
            campaign=request.campaign,
            task=task,
            certificate=chain,
        )
        return chain, proof

    def checked(self, now: datetime) -> DeviceCertificate:
        """Return what the certificate says.

        Raises:
            InputError: it cannot be read, or is none.
            RefusalError: it does not hold now, or is not of this fleet.
        """
        root = read_certificate(read_whole(self.fleet))
        return check_chain(read_whole(self.certificate), root=root, now=now)

    def renewed(self, now: datetime) -> DeviceCertificate:
        """Return what the certificate says after a call to the registrar.

        Raises:
            FieldvoteError: the registrar refuses or does not answer; the old one stays.
            StoreError: the new one cannot be written; the old one stays.
        """
        chain, certificate = renew(
            self.registrar,
            read_whole(self.certificate),
            self._signer(),
            fleet=read_whole(self.fleet),
            now=now,
        )
        write_over(self.certificate, chain)
        return certificate

    def _signer(self) -> SigningKey:
        """Return the device's signing key."""
        return SigningKey.from_bytes(read_whole(self.signing))


@contextmanager
def renewing(
    credential: Credential | None,
    *,
    say: Callable[[str], None],
    stop: Event,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[None]:
    """Renew a certificate from half of its life on, in a thread, until told to stop.

    Args:
        credential: Whose; None does nothing.
        say: Takes the operator's lines; each trouble is told once.
        stop: Ends it; set here when the block ends.
        now: The time, with its zone.
    """
    if credential is None:
        yield
        return
    thread = Thread(
        target=_keep_up, args=(credential, say, stop, now), name="certificate", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_FAREWELL_S)


def _keep_up(
    credential: Credential,
    say: Callable[[str], None],
    stop: Event,
    now: Callable[[], datetime],
) -> None:
    """Look at the certificate now and then; after a trouble soon, then less often."""
    trouble, again, told = _FIRST_TRY, False, ""
    while True:
        try:
            line, again = renew_if_due(credential, now()), False
        except FieldvoteError as err:
            line = f"the certificate is not renewed: {err}"
            trouble, again = min(2 * trouble, _LAST_TRY) if again else _FIRST_TRY, True
        if line and line != told:
            say(line)
        told = line
        if stop.wait((trouble if again else _LOOK).total_seconds()):
            return


def renew_if_due(credential: Credential, now: datetime) -> str:
    """Renew a certificate if half of its life is over; return what there is to say of it.

    Raises:
        FieldvoteError: it is over or not of this fleet, or the registrar refuses or is silent.
    """
    try:
        held = credential.checked(now)
    except RefusalError as err:
        raise RefusalError(f"{err}; enrol the device again with a new token") from err
    if now < held.renew_from:
        return ""
    following = credential.renewed(now)
    if following.serial == held.serial:
        return ""  # by the registrar's clock it is a little early
    return f"the certificate of {following.name} is renewed until {following.ends:%Y-%m-%d}"
