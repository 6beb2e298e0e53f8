"""A real SuperLink, real devices and a small driver on loopback; each stopped by its PID."""

import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from edge.flower.keys import node_key
from tests.deployment.processes import (
    BIN,
    environment,
    free_port,
    nobody_left,
    register,
    wait_for,
)
from tests.doubles.tasks import text_files, write_device

_APP = """\
[project]
name = "driver"
version = "1.0.0"
description = "Drives exchanges."
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "fieldvote"

[tool.flwr.app.components]
serverapp = "driver:app"
clientapp = "edge.app:app"

[tool.flwr.app.config]
out = ""
exchanges = 1
devices = 2
deadline = 30.0
pause = 0.0
survey = 0
"""
_DRIVER = '''\
"""Asks the fleet again and again, and writes down who answered and how long it took."""

import json
import time
from pathlib import Path

from coordinator.app import build_server_app
from coordinator.transport import exchange
from fieldvote.records import HelloRequest, SurveyRequest, encode


def drive(transport, context):
    config = context.run_config
    until = time.monotonic() + 300
    while len(transport.devices()) < config["devices"] and time.monotonic() < until:
        time.sleep(0.2)
    with Path(config["out"]).open("a") as out:
        for number in range(config["exchanges"]):
            hello = HelloRequest(campaign=f"c{number}")
            survey = SurveyRequest(
                round=number, strategy="fleet", offers=0, random_offers=16, first=True, model=None
            )
            request = encode(survey if config["survey"] else hello)
            came = []
            began = time.monotonic()

            def told(line):
                count = int(line.split()[0])
                came.extend([time.monotonic() - began] * (count - len(came)))

            transport.tell = told
            requests = dict.fromkeys(transport.devices(), request)
            replies = exchange(transport, requests, deadline_s=config["deadline"])
            seconds = time.monotonic() - began
            came += [seconds] * (len(replies) - len(came))
            row = {"asked": len(requests), "answered": len(replies), "at": time.time()}
            row |= {"seconds": seconds, "each": came}
            print(json.dumps(row), file=out, flush=True)
            time.sleep(config["pause"])


app = build_server_app(drive, lanes=16)
'''
# an agent as it is, except that it tells when it is asked, and takes its time if a file says so
_WATCHED_AGENT = """
import pathlib, sys, time
import edge.agent
real, folder, config = edge.agent.Agent.handle, pathlib.Path(sys.argv[1]), sys.argv[2]
def watched(self, request):
    with (pathlib.Path(config).parent / "asked").open("a") as file:
        print(request.hex(), file=file, flush=True)
    if (folder / "slow").exists():
        time.sleep(4)
    return real(self, request)
edge.agent.Agent.handle = watched
sys.argv[1:] = ["edge", "run", "--config", config]
from fieldvote.cli import main
main()
"""


@dataclass
class Fleet:
    """Programs of one deployment, in one folder."""

    folder: Path
    port: int = field(default_factory=free_port)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Where the SuperLink listens."""
        return f"127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What every program sees: a home of its own, and no calls home."""
        return environment(self.folder)

    def start(self, command: list[str], log: str) -> subprocess.Popen[bytes]:
        """Start a program in a session of its own."""
        with (self.folder / log).open("ab") as out:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip
        self.started.append(process)
        return process

    def stop(self, process: subprocess.Popen[bytes], *numbers: int) -> None:
        """Send signals to a program and its children until it is gone."""
        for number in numbers or (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(20)
            except ProcessLookupError:
                process.wait(20)
                return
            except subprocess.TimeoutExpired:
                continue

    def start_superlink(
        self, *, registered: bool = True, lasting: bool = True
    ) -> subprocess.Popen[bytes]:
        """Start Flower's own SuperLink: TLS, registered keys or any, a database that stays or not.

        One that nobody kills needs none that stays, and takes less time for each message.
        """
        database = str(self.folder / "superlink.sqlite") if lasting else ":flwr-in-memory:"
        (self.folder / "flower").mkdir(exist_ok=True)
        (self.folder / "flower" / "config.toml").write_text(
            f'[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "{self.address}"\n'
            f'root-certificates = "{self.folder / "ca.pem"}"\n'
        )
        process = self.start(
            [
                str(BIN / "flower-superlink"), *(["--enable-supernode-auth"] if registered else []),
                "--disable-runtime-dependency-installation",
                "--ssl-ca-certfile", "ca.pem", "--ssl-certfile", "server.pem",
                "--ssl-keyfile", "server.key", "--host", "127.0.0.1", "--port", str(self.port),
                "--database", database,
            ],
            "superlink.log",
        )  # fmt: skip
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))

        def answers() -> bool:
            if process.poll() is not None:
                raise AssertionError((self.folder / "superlink.log").read_text()[-2000:])
            try:
                with urlopen(f"https://{self.address}/health", timeout=2, context=context):
                    return True
            except (URLError, OSError):
                return False

        wait_for(answers, 60, self.folder)
        return process

    def add_device(self, name: str, *, register: bool = True, ca: str = "ca.pem") -> Path:
        """Write a device that knows the SuperLink and, if told so, is known there."""
        folder = self.folder / name
        config = write_device(folder, text_files(), items="a prize for you\nsee you at home\n")
        table = f'[flower]\nsuperlink = "{self.address}"\nca = "../{ca}"\nkey = "node.key"\n'
        config.write_text(config.read_text() + "\n" + table)
        node_key(folder / "node.key")
        if register:
            self.register(name)
        return config

    def register(self, *names: str) -> None:
        """Make devices known to the SuperLink; together costs no more than one of them."""
        keys = (self.folder / name / "node.key.pub" for name in names)
        register(keys, "here", self.folder, flower=self.folder / "flower")

    def start_agent(self, name: str) -> subprocess.Popen[bytes]:
        """Start a device as it is, except that it tells when it is asked."""
        command = [sys.executable, "-c", _WATCHED_AGENT, str(self.folder), f"{name}/device.toml"]
        return self.start(command, f"{name}.log")

    def flwr(self, *words: str) -> str:
        """Run Flower's own command."""
        done = subprocess.run(
            [str(BIN / "flwr"), *words], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start_run(self, out: str, **config: float) -> None:
        """Submit the driver; it writes one line for each exchange."""
        app = self.folder / "app"
        app.mkdir(exist_ok=True)
        (app / "pyproject.toml").write_text(_APP)
        (app / "driver.py").write_text(_DRIVER)
        said = [f'out="{self.folder / out}"', *(f"{key}={value}" for key, value in config.items())]
        self.flwr("run", str(app), "here", "--run-config", " ".join(said))

    def rows(self, out: str) -> list[dict[str, Any]]:
        """Return what the driver has written."""
        path = self.folder / out
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@contextmanager
def fleet(folder: Path) -> Iterator[Fleet]:
    """Return an empty deployment; whatever was started in it is gone in the end.

    Nobody waits for its manners: a SuperLink that is told to end first waits for its devices.
    """
    made = Fleet(folder)
    with nobody_left(folder):
        try:
            yield made
        finally:
            for process in made.started:
                if process.poll() is None:
                    made.stop(process, signal.SIGKILL)
