"""A fleet's certificate authority as files in the owner's key folder.

======================  ====  ==================================================================
``fleet-root.key``      0600  signs intermediates, once a year; carry it away
``fleet.pem``           0644  the fleet's root certificate; again in ``online/``
``intermediate.key``    0600  signs devices' certificates; the registrar's
``intermediate.pem``    0644  the intermediate's certificate, signed by the root
``tokens.key``          0600  what one-time tokens follow from
``sketch.secret``       0600  the campaign's projection, for devices; never the coordinator's
======================  ====  ==================================================================

Each secret key is its 32 raw bytes; the root's may be locked by a passphrase.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from coordinator.keys.folder import ONLINE_FOLDER
from coordinator.keys.secret_files import read_secret
from fieldvote.durable import read_whole, write_new, write_over
from fieldvote.errors import InputError, StoreError
from privacy.sealing.authority import (
    fleet_name,
    make_intermediate,
    make_root,
    public_of,
    to_pem,
)
from privacy.sealing.certificate import check_authority, fingerprint, read_certificate
from privacy.sealing.enrolment import SKETCH_BYTES
from privacy.sealing.keys import KEY_BYTES, SigningKey
from privacy.sealing.passphrase import is_locked, lock, unlock

ROOT_KEY, ROOT_FILE = "fleet-root.key", "fleet.pem"
INTERMEDIATE_KEY, INTERMEDIATE_FILE = "intermediate.key", "intermediate.pem"
TOKEN_KEY, SKETCH_FILE = "tokens.key", "sketch.secret"
FILES = (ROOT_KEY, ROOT_FILE, INTERMEDIATE_KEY, INTERMEDIATE_FILE, TOKEN_KEY, SKETCH_FILE)
_PUBLIC = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """What a registrar has at hand; the root's key is not among it.

    Attributes:
        root: The fleet's root certificate.
        certificate: The intermediate's.
        key: The intermediate's key.
        token_key: What tokens follow from.
        sketch_secret: What devices are given.
    """

    root: x509.Certificate
    certificate: x509.Certificate
    key: SigningKey
    token_key: bytes
    sketch_secret: bytes

    def __repr__(self) -> str:
        # secrets stay out of logs and tracebacks
        return f"Authority(root={self.fingerprint.hex()[:16]})"

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the root, by which tokens name the fleet."""
        return fingerprint(self.root)

    @staticmethod
    def load(folder: Path, *, now: datetime) -> "Authority":
        """Read an authority.

        Raises:
            InputError: a file is missing, or is not what it should be.
            RefusalError: a certificate does not hold now.
        """
        if not (folder / ROOT_FILE).is_file():
            raise InputError(
                f"{folder}: no fleet's keys here; make them with 'fieldvote keys init'"
            )
        root, certificate = (
            read_certificate(read_whole(folder / n)) for n in (ROOT_FILE, INTERMEDIATE_FILE)
        )
        check_authority(certificate, root=root, now=now)
        key = SigningKey.from_bytes(read_secret(folder / INTERMEDIATE_KEY, KEY_BYTES))
        if public_of(certificate) != key.public:
            raise InputError(
                f"{folder}: {INTERMEDIATE_KEY} and {INTERMEDIATE_FILE} are not of one making:"
                " make a new intermediate where the root's key is"
            )
        return Authority(
            root=root,
            certificate=certificate,
            key=key,
            token_key=read_secret(folder / TOKEN_KEY, KEY_BYTES),
            sketch_secret=read_secret(folder / SKETCH_FILE, SKETCH_BYTES),
        )


def make_authority(
    folder: Path,
    *,
    fleet: str,
    now: datetime,
    entropy: Callable[[int], bytes],
    passphrase: str = "",
) -> tuple[Path, ...]:
    """Make a fleet's authority and its campaign's sketch secret. Return the files.

    Args:
        folder: The owner's; made if absent, 0700.
        fleet: What the fleet is called.
        now: The time, with its zone.
        entropy: The system's.
        passphrase: Locks the root's key; empty leaves it as it is.

    Raises:
        InputError: one of the files is there already; nothing was written.
        StoreError: the folder cannot be written; nothing is left behind.
    """
    if there := [name for name in FILES if (folder / name).exists()]:
        raise InputError(f"{folder}: {', '.join(there)}: there already; keys are not written over")
    root_key, key = SigningKey.generate(entropy), SigningKey.generate(entropy)
    root = make_root(root_key, fleet, now=now, entropy=entropy)
    certificate = make_intermediate(
        key.public, fleet, root=root, key=root_key, now=now, entropy=entropy
    )
    secret = root_key.to_bytes()
    contents = {
        ROOT_KEY: lock(secret, passphrase, entropy) if passphrase else secret,
        INTERMEDIATE_KEY: key.to_bytes(),
        TOKEN_KEY: entropy(KEY_BYTES),
        SKETCH_FILE: entropy(SKETCH_BYTES),
        INTERMEDIATE_FILE: to_pem(certificate),
        f"{ONLINE_FOLDER}/{ROOT_FILE}": to_pem(root),
        ROOT_FILE: to_pem(root),  # last: with it there is an authority
    }
    written = list[Path]()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / ONLINE_FOLDER).mkdir(mode=0o700, exist_ok=True)
        for name, content in contents.items():
            mode = _PUBLIC if name.endswith(".pem") else 0o600
            write_new(folder / name, content, mode=mode)
            written.append(folder / name)
    except (OSError, StoreError) as err:
        for path in written:
            path.unlink(missing_ok=True)
        raise StoreError(f"{folder}: cannot be written ({err})") from err
    return tuple(written)


def renew_intermediate(
    folder: Path,
    *,
    now: datetime,
    entropy: Callable[[int], bytes],
    root_key: Path | None = None,
    passphrase: Callable[[], str] = str,
) -> x509.Certificate:
    """Give the registrar a new intermediate, and return its certificate.

    What the one before has signed holds to its end. A registrar that runs is started again.

    Args:
        folder: The owner's.
        now: The time, with its zone.
        entropy: The system's.
        root_key: Where the root's key is, if it was carried away.
        passphrase: Asked for what opens it, if it is locked.

    Raises:
        InputError: the root's key is not there, or is not that of the fleet's root.
        SealError: the passphrase is another.
    """
    path = root_key or folder / ROOT_KEY
    try:
        content = path.read_bytes()
    except OSError as err:
        raise InputError(f"{path}: the root's key is needed here ({err.strerror or err})") from err
    if is_locked(content):
        content = unlock(content, passphrase())
    signer = SigningKey.from_bytes(content)
    root, key = read_certificate(read_whole(folder / ROOT_FILE)), SigningKey.generate(entropy)
    fleet = fleet_name(root)
    certificate = make_intermediate(
        key.public, fleet, root=root, key=signer, now=now, entropy=entropy
    )
    # after a crash between the two the registrar refuses to start, and this is called again
    write_over(folder / INTERMEDIATE_KEY, key.to_bytes())
    write_over(folder / INTERMEDIATE_FILE, to_pem(certificate), mode=_PUBLIC)
    return certificate
