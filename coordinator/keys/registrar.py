"""The registrar's side of a talk with a device: check, spend, certify, and answer once more.

One talk is a few messages over one line; the first letter says what it is about. Nothing is parsed
before whoever sent it has shown a token, or named a certificate that was issued here. A refusal is
one line of text; it tells no more than the device's own people may know.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from coordinator.keys.authority import Authority
from coordinator.keys.enrolled import Book, EnrolledDevice
from coordinator.keys.registrar_settings import Handout
from fieldvote.codec import encode
from fieldvote.errors import FieldvoteError, RefusalError, SignatureError, WireError
from privacy.sealing.authority import issue, to_pem
from privacy.sealing.certificate import DeviceCertificate, check_chain
from privacy.sealing.device_keys import DeviceKeys
from privacy.sealing.enrolment import (
    KINDS,
    NONCE_BYTES,
    Grant,
    Introduction,
    Word,
    admit,
    check_nonce,
    seal_challenge,
    seal_grant,
)
from privacy.sealing.possession import CHALLENGE_BYTES, SERIAL_BYTES, check_renewal

_STRANGER = "no certificate of this number was issued here, or its key is another"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The other side of a talk."""

    send: Callable[[bytes], None]
    receive: Callable[[], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registrar:
    """Who may say that a device is one of the fleet.

    Attributes:
        authority: Signs.
        handout: What every device is given.
        life: How long a certificate holds.
        now: The time, with its zone.
        entropy: The system's.
        say: Takes lines for the owner.
    """

    authority: Authority
    handout: Handout
    life: timedelta
    now: Callable[[], datetime]
    entropy: Callable[[int], bytes]
    say: Callable[[str], None]

    def talk(self, line: Line, book: Book) -> None:
        """Have one talk; what goes wrong is told to the other side in one line.

        Raises:
            FieldvoteError: as told; or the line broke.
        """
        message = line.receive()
        about, rest = message[:1], message[1:]
        try:
            match about:
                case Word.WHO:
                    self._introduce(line)
                case Word.ENROL:
                    self._enrol(rest, line, book)
                case Word.RENEW:
                    self._renew(rest, line, book)
                case _:
                    raise WireError("a registrar enrols and renews, and knows no other word")
        except FieldvoteError as err:
            line.send(Word.REFUSED + str(err).encode())
            raise

    def _introduce(self, line: Line) -> None:
        """Say whose registrar this is."""
        root, authority = to_pem(self.authority.root), to_pem(self.authority.certificate)
        line.send(Word.OK + encode(Introduction(root=root, authority=authority), KINDS))

    def _enrol(self, message: bytes, line: Line, book: Book) -> None:
        """Certify whoever shows a token and holds three keys."""
        asked = admit(message, key=self.authority.token_key)
        nonce = self.entropy(NONCE_BYTES)
        line.send(Word.OK + seal_challenge(nonce, asked, signer=self.authority.key))
        # before the token is spent: a request with another's sealing key must leave no trace
        check_nonce(line.receive(), nonce)
        chain = book.spend(asked, lambda: self._issue(asked.keys, asked.name), self.now())
        grant = Grant(
            certificate=chain,
            root=self.handout.root,
            sketch_secret=self.authority.sketch_secret,
            superlink=self.handout.superlink,
            superlink_ca=self.handout.superlink_ca,
            desk=self.handout.desk,
        )
        line.send(Word.OK + seal_grant(grant, asked, signer=self.authority.key))
        self.say(f"{asked.name} is enrolled")

    def _renew(self, serial: bytes, line: Line, book: Book) -> None:
        """Follow a certificate up, for whoever holds its key."""
        if len(serial) != SERIAL_BYTES:
            raise WireError(f"a certificate's number has {SERIAL_BYTES} bytes, got {len(serial)}")
        challenge = self.entropy(CHALLENGE_BYTES)
        line.send(Word.OK + challenge)
        proof = line.receive()
        device = book.newest(f"{int.from_bytes(serial, 'big'):x}")
        if device is None:
            raise SignatureError(_STRANGER)
        try:
            check_renewal(proof, public=device.keys.signing, serial=serial, challenge=challenge)
        except SignatureError as err:
            raise SignatureError(_STRANGER) from err
        line.send(Word.OK + self._next(device, book))

    def _next(self, device: EnrolledDevice, book: Book) -> bytes:
        """Return a device's newest chain, or the one after it once half of its life is over."""
        now = self.now()
        if device.revoked_at:
            raise RefusalError(f"{device.name} is revoked")
        if now > device.ends:
            # somebody who finds an old device in a drawer must not revive it without the owner
            raise RefusalError(
                f"the certificate of {device.name} is over: enrol it again with a new token"
            )
        if now < device.issued_at + (device.ends - device.issued_at) / 2:
            return device.chain
        chain = book.renew(device, lambda: self._issue(device.keys, device.name), now)
        self.say(f"{device.name} has its next certificate")
        return chain

    def _issue(self, keys: DeviceKeys, name: str) -> tuple[bytes, DeviceCertificate]:
        """Return a new chain, and what it says to whoever checks it."""
        now = self.now()
        chain = issue(
            keys,
            name,
            authority=self.authority.certificate,
            key=self.authority.key,
            now=now,
            entropy=self.entropy,
            life=self.life,
        )
        return chain, check_chain(chain, root=self.authority.root, now=now)
