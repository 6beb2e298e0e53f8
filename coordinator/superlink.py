"""Starting and supervising Flower's SuperLink and run, on this machine and on loopback."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from coordinator.service import CoordinatorSettings, is_finished
from fieldvote.errors import MissingExtraError, StoreError, UnavailableError

_LINK = "fieldvote"  # what our SuperLink is called in Flower's own settings
_START_S = 60.0
_STOP_S = 10.0
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


def serve(config: Path, say: Callable[[str], None]) -> None:
    """Run a campaign over a SuperLink of our own until it ends or a signal comes.

    Raises:
        UnavailableError: the SuperLink did not start, or the run was not accepted.
    """
    settings = CoordinatorSettings.load(config)
    folder = Path(settings.folder).resolve()
    environment = _flower_home(folder / "flower", settings.address)
    app = folder / "app"
    try:
        app.mkdir(parents=True, exist_ok=True)
        (app / "pyproject.toml").write_text(_APP, encoding="utf-8")
    except OSError as err:
        raise StoreError(f"{app}: cannot be written ({err.strerror or err})") from err
    with _terminating(), _superlink(settings.address, folder, environment):
        say(f"devices reach the campaign at {settings.address}")
        run = [_program("flwr"), "run", str(app), _LINK, "--stream"]
        chosen = ["--run-config", f'config="{config.resolve()}"']
        _relay([*run, *chosen], environment, folder / "run.log", say)
    if not is_finished(settings):
        raise UnavailableError(f"the run ended early, nothing is lost: see {folder / 'run.log'}")


@contextmanager
def _superlink(address: str, folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """Start a SuperLink, wait until it answers, and stop it and its children in the end."""
    host, _, port = address.rpartition(":")
    command = [
        _program("flower-superlink"),
        "--insecure",
        "--disable-runtime-dependency-installation",
        *("--host", host, "--port", port, "--database", str(folder / "superlink.sqlite")),
    ]
    with (folder / "superlink.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603  # our own command line
            command, stdout=log, stderr=log, env=environment, start_new_session=True
        )
    try:
        _wait_for(f"http://{address}/health", process, folder / "superlink.log")
        yield
    finally:
        _stop(process)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the SuperLink answers."""
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise UnavailableError(f"the SuperLink stopped at once; see {log}")
        try:
            with urlopen(url, timeout=2.0):  # noqa: S310  # our own loopback address
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise UnavailableError(f"the SuperLink did not answer within {_START_S:.0f} s; see {log}")


def _relay(
    command: list[str], environment: dict[str, str], log: Path, say: Callable[[str], None]
) -> None:
    """Run a command, keep what it prints in a log, and repeat what our own app says in it."""
    with (
        log.open("a", encoding="utf-8") as kept,
        subprocess.Popen(  # noqa: S603  # our own command line
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                kept.write(line)
                kept.flush()
                if line.startswith(SAID):
                    say(line.removeprefix(SAID).rstrip())
        finally:
            if process.poll() is None:
                _stop(process)


SAID = "fieldvote> "
"""What the campaign's own lines begin with in Flower's log stream."""


def _stop(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """Stop a process and its session: politely, then not."""
    for number, wait_s in ((signal.SIGTERM, _STOP_S), (signal.SIGKILL, _STOP_S)):
        try:
            os.killpg(process.pid, number)
            process.wait(wait_s)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


@contextmanager
def _terminating() -> Iterator[None]:
    """Turn SIGTERM into the exception Ctrl-C raises, so that everything started is stopped."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _flower_home(home: Path, address: str) -> dict[str, str]:
    """Return the environment Flower's programs run in: a home of their own, and no calls home."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        (home / "config.toml").write_text(
            f'[superlink]\ndefault = "{_LINK}"\n\n'
            f'[superlink.{_LINK}]\naddress = "{address}"\ninsecure = true\n',
            encoding="utf-8",
        )
    except OSError as err:
        raise StoreError(f"{home}: cannot be written ({err.strerror or err})") from err
    return {
        **os.environ,
        # SuperLink starts its helpers by name
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    }


def _program(name: str) -> str:
    """Return the path of one of Flower's programs."""
    path = Path(sys.executable).parent / name
    if not path.is_file():
        raise MissingExtraError("serving a campaign", "flower")
    return str(path)
