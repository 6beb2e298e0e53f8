"""A real PostgreSQL of our own: on a Unix socket in a temporary folder, stopped by its PID."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

_LONGEST_SOCKET = 107  # bytes, with its ending: sockaddr_un
_READY_S = 30.0


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server.

    Attributes:
        folder: Where its socket is.
        pid: Of the server.
    """

    folder: Path
    pid: int

    def url(self, name: str) -> str:
        """Return how one of its databases is reached."""
        return f"postgresql://fieldvote@/{name}?host={self.folder}"

    def create(self, name: str) -> str:
        """Make an empty database; return its URL."""
        self.run(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url(name)

    def drop(self, name: str) -> None:
        """End a database, whoever is still connected to it."""
        self.run(f"DROP DATABASE {name} WITH (FORCE)")

    def end_sessions(self, name: str) -> None:
        """Cut every connection to a database, and wait until they are gone."""
        self.run(
            f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"  # noqa: S608  # a name of ours
        )

    def run(self, statement: str, *, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement as the owner of the server; return what it finds."""
        psycopg = pytest.importorskip("psycopg", reason="pip install 'fieldvote[postgres]'")
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            done = connection.execute(statement)
            return list(done.fetchall()) if done.description else []


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[PostgresServer]:
    """Start a server, and leave nothing of it behind.

    Args:
        durable: Whether it waits for the disk. Tests kill programs, never the machine, so what
            they show is the same without; a benchmark must wait.
    """
    programs = {name: _program(name) for name in ("initdb", "postgres")}
    pytest.importorskip("psycopg", reason="pip install 'fieldvote[postgres]'")
    folder = Path(tempfile.mkdtemp(prefix="fv-pg-"))
    if len(str(folder / ".s.PGSQL.5432")) > _LONGEST_SOCKET:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="fv-pg-", dir="/tmp"))  # short, and ours
    who = _unprivileged()
    try:
        if who is not None:
            os.chown(folder, who, -1)
        data = folder / "data"
        subprocess.run(
            [programs["initdb"], "-D", data, "-U", "fieldvote", "-A", "trust", "-N", "-E", "UTF8",
             "--locale=C"],
            check=True, capture_output=True, cwd=folder, user=who,
        )  # fmt: skip
        options = [] if durable else ["fsync=off", "autovacuum=off", "full_page_writes=off"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [programs["postgres"], "-D", data, "-k", folder, "-c", "listen_addresses=",
                 *(word for option in [*options, "max_connections=30"] for word in ("-c", option))],
                stdout=log, stderr=log, cwd=folder, user=who, start_new_session=True,
            )  # fmt: skip
        server = PostgresServer(folder, process.pid)
        try:
            _wait_until_ready(server, process)
            yield server
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _program(name: str) -> str:
    """Return where a program of the server is, or skip."""
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (str(places[-1]) if places else None)
    if found is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    return found


def _unprivileged() -> int | None:
    """Return whom to run the server as, where we are root, whom it refuses."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    pytest.skip("PostgreSQL refuses root, and there is no user 'postgres' or 'nobody'")


def _wait_until_ready(server: PostgresServer, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _READY_S
    while True:
        try:
            server.run("SELECT 1")
        except Exception as err:
            if process.poll() is not None or time.monotonic() > end:
                log = (server.folder / "log").read_text("utf-8", "replace")
                raise AssertionError(f"PostgreSQL did not start\n{log[-2000:]}") from err
            time.sleep(0.05)
        else:
            return


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask it to stop at once, whoever is connected; then insist."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
