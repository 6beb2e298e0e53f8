"""What a registrar hands out, and where it listens: `registrar.toml` in the owner's key folder."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from coordinator.flower_settings import is_loopback
from fieldvote.bundle import ROOT_FILE
from fieldvote.errors import SettingsError
from fieldvote.settings import load_settings, parse_toml

SETTINGS_FILE = "registrar.toml"
_MOST_BYTES = 128 * 1024
_DESK = re.compile(r"(labeling|desk)_keys?")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrarSettings:
    """Settings of one registrar; paths in the file are relative to it.

    Attributes:
        desk: File with the labeling desk's public keys, as `fieldvote labels keys` prints them.
        listen: Where to listen, host:port; on loopback by default.
        reached_at: What devices are told, host:port; empty: the same.
        superlink: Where devices find the SuperLink, host:port; empty: they run without Flower.
        superlink_ca: File that vouches for the SuperLink, in PEM; empty: no TLS, on loopback only.
        root: File with root metadata that devices begin to trust with; empty: root.msgpack beside
            this file, and without it devices trust their task folder as it is.
        certificate_days: How long a certificate holds; devices renew at half of it.
        token_minutes: How long a token can be spent.
    """

    desk: str
    listen: str = "127.0.0.1:9440"
    reached_at: str = ""
    superlink: str = ""
    superlink_ca: str = ""
    root: str = ""
    certificate_days: float = 30.0
    token_minutes: float = 15.0

    def __post_init__(self) -> None:
        """Refuse what no device could be told."""
        for name in ("listen", "reached_at", "superlink"):
            place: str = getattr(self, name)
            host, _, port = place.rpartition(":")
            if place and not (host and port.isdigit()):
                raise SettingsError(f"{name}: expected host:port, got '{place}'")
        if not 0 < self.certificate_days <= 366 or not 0 < self.token_minutes <= 1440:
            raise SettingsError("certificate_days: 0 to 366; token_minutes: 0 to 1440")

    @property
    def address(self) -> str:
        """Where devices reach the registrar."""
        return self.reached_at or self.listen

    @staticmethod
    def load(folder: Path) -> "RegistrarSettings":
        """Read the settings of a key folder, with their paths as seen from here.

        Raises:
            SettingsError: there are none, or they say something we do not know.
        """
        settings = load_settings(folder / SETTINGS_FILE, RegistrarSettings)

        def beside(name: str) -> str:
            return str(folder / name) if name else ""

        return replace(
            settings,
            desk=beside(settings.desk),
            superlink_ca=beside(settings.superlink_ca),
            root=beside(settings.root or (ROOT_FILE if (folder / ROOT_FILE).is_file() else "")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Handout:
    """What every device of the fleet is given, beside its certificate and the sketch secret.

    Attributes:
        superlink: Where the SuperLink is; empty for none.
        superlink_ca: What vouches for it, in PEM.
        root: The fleet's first root metadata.
        desk: The desk's public keys, as TOML.
    """

    superlink: str
    superlink_ca: bytes
    root: bytes
    desk: str

    @staticmethod
    def read(settings: RegistrarSettings) -> "Handout":
        """Read the files the settings name.

        Raises:
            SettingsError: one is not there, too large, or is not what it should be.
        """
        desk = _read("desk", settings.desk)
        table = parse_toml(desk, settings.desk)
        if not table or not all(map(_DESK.fullmatch, table)):
            raise SettingsError(
                f"desk: {settings.desk}: expected what 'fieldvote labels keys' prints, and no more"
            )
        ca = _read("superlink_ca", settings.superlink_ca)
        if ca and b"-----BEGIN CERTIFICATE-----" not in ca:
            raise SettingsError(f"superlink_ca: {settings.superlink_ca}: no certificate in PEM")
        host = settings.superlink.rpartition(":")[0]
        if host and not ca and not is_loopback(host):
            raise SettingsError(f"superlink_ca: needed, for {host} is not loopback")
        return Handout(
            superlink=settings.superlink,
            superlink_ca=ca,
            root=_read("root", settings.root),
            desk=desk.decode(),
        )


def _read(name: str, path: str) -> bytes:
    """Read a file the settings name, if they name one."""
    if not path:
        return b""
    try:
        content = Path(path).read_bytes()
    except OSError as err:
        raise SettingsError(f"{name}: {path}: cannot be read ({err.strerror or err})") from err
    if len(content) > _MOST_BYTES:
        raise SettingsError(f"{name}: {path}: {len(content)} bytes, at most {_MOST_BYTES}")
    return content
