"""What a device needs to know about itself, read once from its TOML file."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from fieldvote.custody import CustodySettings
from fieldvote.errors import InputError, SettingsError
from fieldvote.settings import load_settings
from privacy.sealing.rotation import DatedKey

_KEY_DIGITS = 64
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowerSettings:
    """The device's own place in a Flower fleet, without a SuperNode.

    Attributes:
        superlink: Where the SuperLink listens, host:port.
        ca: Certificates in PEM that the SuperLink's is checked against.
        insecure: Whether to do without TLS; on loopback only, and without ca.
        key: The node's private key, P-384 or P-256 in SSH or PEM format; made if absent. Empty:
            flower.key in the device's folder.
    """

    superlink: str
    ca: str = ""
    insecure: bool = False
    key: str = ""

    def __post_init__(self) -> None:
        """Refuse what would send signatures and sums in the clear over a network."""
        host, _, port = self.superlink.rpartition(":")
        if not host or not port.isdigit():
            raise SettingsError(f"superlink: expected host:port, got '{self.superlink}'")
        if self.insecure and host not in _LOOPBACK:
            raise SettingsError(f"insecure: only for {', '.join(_LOOPBACK)}, not for {host}")
        if self.insecure == bool(self.ca):
            raise SettingsError("ca: expected the file that vouches for the SuperLink, or insecure")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentSettings:
    """How the device is known to its fleet; `fieldvote edge enroll` writes it.

    Attributes:
        registrar: Where the next certificate comes from, host:port.
        fleet: The fleet's root certificate, in PEM.
        certificate: The device's own and its intermediate's, in PEM; renewed by the running agent.
    """

    registrar: str
    fleet: str = "fleet.pem"
    certificate: str = "certificate.pem"

    def __post_init__(self) -> None:
        """Refuse what is no place."""
        host, _, port = self.registrar.rpartition(":")
        if not host or not port.isdigit():
            raise SettingsError(f"registrar: expected host:port, got '{self.registrar}'")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySettings:
    """A public key of the desk that is good for a time.

    Attributes:
        key: 64 hexadecimal digits.
        begins: From when on, as 2026-05-01T00:00Z; empty: always.
        ends: Until when; empty: for good.
    """

    key: str
    begins: str = ""
    ends: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no key or no time."""
        _check_key("key", self.key)
        try:
            self.dated()
        except (ValueError, InputError) as err:
            raise SettingsError(f"begins, ends: {err}") from err

    def dated(self) -> DatedKey:
        """Return the key with its times."""
        return DatedKey(
            public=bytes.fromhex(self.key),
            begins=datetime.fromisoformat(self.begins) if self.begins else None,
            ends=datetime.fromisoformat(self.ends) if self.ends else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """How many items a device keeps at a time.

    Attributes:
        most_items: Most items that nobody was asked about; 0 keeps everything that comes. What is
            labeled, shipped, offered, or known from the start is kept beside them.
        by_lot: Share of them that is a random sample of all that came; the others are those that
            the head is least sure of.
    """

    most_items: int = 0
    by_lot: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what keeps nothing, or no sample to judge by."""
        if self.most_items < 0:
            raise SettingsError(f"most_items: expected 0 or more, got {self.most_items}")
        if not 0.1 <= self.by_lot <= 1.0:  # the random arm is drawn from these alone
            raise SettingsError(f"by_lot: expected 0.1 to 1, got {self.by_lot}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSettings:
    """Settings of one device; paths in the file are relative to it.

    Attributes:
        folder: Where the pool, the keys and the ledger live; made if absent, mode 0700.
        task: The installed task folder.
        labeling_key: Public key candidates are sealed to, 64 hexadecimal digits.
        desk_key: Public key answers are signed with, 64 hexadecimal digits.
        labeling_keys: More keys of the desk, each with the time it is good for. Candidates are
            sealed to the one that began last; labeling_key counts where none begins at a time.
        desk_keys: More keys that may sign answers, each with the time it is good for.
        custody: Which key locks the items on this device's disk.
        sketch_secret: File with the fleet's secret for sketches; the coordinator must not have it.
        socket: Where the agent listens; mode 0600. Empty: agent.sock in the folder.
        root: File with the root metadata of the fleet's owner, as `fieldvote keys init` writes it.
            Empty trusts the folder as it is, and takes no task over the wire.
        directory: File with the fleet's directory of devices, for sums under masks where no root is
            set; with a root the directory comes with what its owner signed. Empty: none.
        largest_bundle_bytes: Tasks that come over the wire and are larger are refused. Installing
            one takes about five times its size in memory for a moment.
        evaluates: Whether this device holds labels of its own and only evaluates.
        pool: How many items are kept.
        items: File the pool is filled from on first start: a .txt of one text a line, or an .npz
            with X or utf8, and y where the device evaluates. Empty: the pool is filled otherwise.
        python_functions: The installed Python labeling functions this device runs: entry point and
            digest, as `fieldvote check` prints it. A task that names any other is refused.
        enrolment: How the device is known to its fleet. Without it the device shows no certificate.
        flower: The device's place in a Flower fleet. Without it the agent answers on its socket
            only, where a stock SuperNode may stand.
    """

    folder: str
    task: str
    labeling_key: str
    desk_key: str
    sketch_secret: str
    labeling_keys: tuple[KeySettings, ...] = ()
    desk_keys: tuple[KeySettings, ...] = ()
    custody: CustodySettings = field(default_factory=CustodySettings)
    socket: str = ""
    root: str = ""
    directory: str = ""
    largest_bundle_bytes: int = 64 * 2**20
    evaluates: bool = False
    pool: PoolSettings = field(default_factory=PoolSettings)
    items: str = ""
    python_functions: tuple[tuple[str, str], ...] = ()
    enrolment: EnrolmentSettings | None = None
    flower: FlowerSettings | None = None

    def __post_init__(self) -> None:
        """Refuse keys that are none."""
        for name, key in (("labeling_key", self.labeling_key), ("desk_key", self.desk_key)):
            _check_key(name, key)
        for name, digest in self.python_functions:
            _check_key(f"python_functions.{name}", digest)
        if self.largest_bundle_bytes < 1:
            raise SettingsError("largest_bundle_bytes: expected 1 or more")

    @staticmethod
    def load(path: Path) -> "EdgeSettings":
        """Read a device's file, with its paths as seen from here.

        Raises:
            SettingsError: the file cannot be read, or says something we do not know.
        """
        settings = load_settings(path, EdgeSettings)

        def beside(name: str) -> str:
            return str(path.parent / name) if name else ""

        return replace(
            settings,
            folder=beside(settings.folder),
            task=beside(settings.task),
            root=beside(settings.root),
            directory=beside(settings.directory),
            sketch_secret=beside(settings.sketch_secret),
            socket=beside(settings.socket),
            custody=settings.custody.beside(path.parent),
            items=beside(settings.items),
            enrolment=settings.enrolment
            and replace(
                settings.enrolment,
                fleet=beside(settings.enrolment.fleet),
                certificate=beside(settings.enrolment.certificate),
            ),
            flower=settings.flower
            and replace(
                settings.flower,
                ca=beside(settings.flower.ca),
                key=beside(settings.flower.key or f"{settings.folder}/flower.key"),
            ),
        )

    @property
    def recipients(self) -> tuple[DatedKey, ...]:
        """Whom candidates may be sealed to."""
        own = DatedKey(public=bytes.fromhex(self.labeling_key))
        return (*(key.dated() for key in self.labeling_keys), own)

    @property
    def answerers(self) -> tuple[DatedKey, ...]:
        """Who may sign answers."""
        own = DatedKey(public=bytes.fromhex(self.desk_key))
        return (*(key.dated() for key in self.desk_keys), own)

    @property
    def socket_path(self) -> Path:
        """Where the agent listens."""
        return Path(self.socket) if self.socket else Path(self.folder) / "agent.sock"


def _check_key(name: str, key: str) -> None:
    """Refuse what is not 32 bytes in hexadecimal."""
    if len(key) != _KEY_DIGITS or any(digit not in "0123456789abcdef" for digit in key.lower()):
        raise SettingsError(f"{name}: expected {_KEY_DIGITS} hexadecimal digits, got {len(key)}")
