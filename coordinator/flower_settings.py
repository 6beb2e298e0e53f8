"""How a coordinator and its devices meet: which SuperLink, and what is trusted there."""

import ssl
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

from fieldvote.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowerSettings:
    """How the coordinator and its devices meet at a Flower SuperLink.

    Attributes:
        ca: Certificates in PEM the SuperLink's is checked against. Empty: no TLS.
        certificate: The SuperLink's certificate in PEM; it names the address devices use.
        key: The key of that certificate, in PEM and without a passphrase.
        authenticate_devices: Whether only devices whose key was registered may join; needs TLS.
        join: Whether a SuperLink runs at the address already, on this machine; none is started.
    """

    ca: str = ""
    certificate: str = ""
    key: str = ""
    authenticate_devices: bool = False
    join: bool = False

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if self.join and (self.certificate or self.key or self.authenticate_devices):
            raise SettingsError(
                "join: certificate, key and authenticate_devices are set where the SuperLink is"
                " started; leave them out"
            )
        files = (self.ca, self.certificate, self.key)
        if not self.join and any(files) and not all(files):
            raise SettingsError("TLS needs all of ca, certificate and key")
        if self.authenticate_devices and not self.ca:
            raise SettingsError("authenticate_devices needs TLS: set ca, certificate and key")

    def beside(self, folder: Path) -> "FlowerSettings":
        """Return the settings with their files as seen from where the settings file is."""
        ca, certificate, key = (str(folder / path) if path else "" for _, path in self._files())
        return replace(self, ca=ca, certificate=certificate, key=key)

    def check_files(self) -> None:
        """See that every file is there and is what it should be.

        Raises:
            SettingsError: one is not; which, and why.
        """
        for name, path in self._files():
            if path and not Path(path).is_file():
                raise SettingsError(f"flower.{name}: {path}: no such file")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            if self.ca:
                context.load_verify_locations(self.ca)
        except (ssl.SSLError, OSError) as err:
            raise SettingsError(f"flower.ca: {self.ca}: not certificates in PEM") from err
        try:
            if self.certificate:
                # an empty passphrase opens nothing; without one, the terminal would be asked
                context.load_cert_chain(self.certificate, self.key, password="")
        except (ssl.SSLError, OSError, ValueError) as err:
            raise SettingsError(
                f"flower.key: {self.key}: expected the key of {self.certificate}, in PEM and"
                " without a passphrase"
            ) from err

    def _files(self) -> tuple[tuple[str, str], ...]:
        return (("ca", self.ca), ("certificate", self.certificate), ("key", self.key))


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine and nothing else.

    >>> [is_loopback(host) for host in ("127.0.0.1", "[::1]", "localhost", "0.0.0.0", "hub")]
    [True, True, True, False, False]
    """
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False  # a name may lead anywhere
