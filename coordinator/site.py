"""Where one coordinator works: its folder, and what it tells Flower's programs there."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import environ, pathsep
from pathlib import Path

from coordinator.processes import MARK
from coordinator.service import CoordinatorSettings
from fieldvote.errors import MissingExtraError, StoreError

LINK = "fieldvote"
"""What the SuperLink is called in Flower's own settings."""

_EVERYWHERE = ("0.0.0.0", "[::]")  # noqa: S104  # compared with, never bound by us
_APP = """\
[project]
name = "fieldvote-campaign"
version = "1.0.0"
description = "Configuration of one campaign; the code is what each side has installed."
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "fieldvote"

[tool.flwr.app.components]
serverapp = "coordinator.app:app"
clientapp = "edge.app:app"

[tool.flwr.app.config]
config = ""
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where one coordinator works.

    Attributes:
        config: The coordinator's file.
        settings: What it says.
        folder: Where everything of this coordinator lies.
    """

    config: Path
    settings: CoordinatorSettings
    folder: Path

    @staticmethod
    def at(config: Path, settings: CoordinatorSettings) -> "Site":
        """Return the site of these settings; its folder is made if absent.

        Raises:
            StoreError: the folder cannot be made.
        """
        folder = Path(settings.folder).resolve()
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return Site(config=config, settings=settings, folder=folder)

    def prepare(self) -> None:
        """Write what Flower's programs read: a home of their own, and an app without code.

        Raises:
            StoreError: the folder cannot be written.
        """
        with _writing(self.folder):
            for place, text in (
                (self.app / "pyproject.toml", _APP),
                (self.home / "config.toml", self.connection),
            ):
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(text, encoding="utf-8")

    @property
    def app(self) -> Path:
        """The Flower app that is submitted."""
        return self.folder / "app"

    @property
    def home(self) -> Path:
        """Flower's home."""
        return self.folder / "flower"

    @property
    def mark(self) -> str:
        """What the programs of this coordinator are known by."""
        return str(self.folder)

    @property
    def address(self) -> str:
        """Where the SuperLink is reached from here."""
        host, _, port = self.settings.address.rpartition(":")
        return f"127.0.0.1:{port}" if host in _EVERYWHERE else self.settings.address

    @property
    def connection(self) -> str:
        """Flower's own settings: which SuperLink, and what vouches for it."""
        ca = self.settings.flower.ca
        trust = f'root-certificates = "{Path(ca).resolve()}"' if ca else "insecure = true"
        return (
            f'[superlink]\ndefault = "{LINK}"\n\n'
            f'[superlink.{LINK}]\naddress = "{self.address}"\n{trust}\n'
        )

    @property
    def registration(self) -> str:
        """The command that makes a device's key known."""
        return f"FLWR_HOME={self.home} {program('flwr')} supernode register KEY.pub {LINK}"

    @property
    def environment(self) -> dict[str, str]:
        """What Flower's programs see: their home, our mark, and no calls to anyone else's."""
        return {
            **environ,
            # SuperLink starts its own programs by name
            "PATH": f"{Path(sys.executable).parent}{pathsep}{environ.get('PATH', '')}",
            MARK: self.mark,
            "FLWR_HOME": str(self.home),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        }

    def superlink_command(self) -> list[str]:
        """Return how the SuperLink is started."""
        flower = self.settings.flower
        host, _, port = self.settings.address.rpartition(":")
        names = {
            "--ssl-ca-certfile": flower.ca,
            "--ssl-certfile": flower.certificate,
            "--ssl-keyfile": flower.key,
        }
        files = [word for name, path in names.items() for word in (name, str(Path(path).resolve()))]
        return [
            program("flower-superlink"),
            "--disable-runtime-dependency-installation",
            *(files if flower.ca else ["--insecure"]),
            *(["--enable-supernode-auth"] if flower.authenticate_devices else []),
            *("--host", host.strip("[]"), "--port", port),
            *("--database", str(self.folder / "superlink.sqlite")),
        ]


def program(name: str) -> str:
    """Return the path of one of Flower's programs."""
    path = Path(sys.executable).parent / name
    if not path.is_file():
        raise MissingExtraError("serving a campaign", "flower")
    return str(path)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn what the system says of a folder into our own words."""
    try:
        yield
    except OSError as err:
        raise StoreError(f"{folder}: cannot be written ({err.strerror or err})") from err
