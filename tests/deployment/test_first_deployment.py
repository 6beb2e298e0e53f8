"""The guide's deployment, over a real SuperLink and stock SuperNodes, on loopback."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "first-deployment.md"
PLANTED = ["Zbigniew", "0170555123"]
TEXTS = [
    f"hello {PLANTED[0]}, call {PLANTED[1]} about dinner number {n}"
    if n % 2
    else f"win a prize {n}"
    for n in range(24)
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], folder: Path, log: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program in a session of its own; stop it by its PID in the end."""
    with (folder / log).open("wb") as out:
        process = subprocess.Popen(
            command, cwd=folder, env=environment(folder), stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                os.killpg(process.pid, number)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    continue


def environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": f"{BIN}:/usr/bin:/bin",
        "HOME": str(folder),
        "FLWR_HOME": str(folder / "flower"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def call(folder: Path, *words: str, typed: str = "") -> str:
    done = subprocess.run(
        [str(BIN / "fieldvote"), *words],
        cwd=folder,
        env=environment(folder),
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def wait_for(what: Callable[[], bool], limit_s: float, folder: Path) -> None:
    end = time.monotonic() + limit_s
    while not what():
        logs = {path.name: path.read_text("utf-8")[-2000:] for path in folder.glob("*.log")}
        assert time.monotonic() < end, logs
        time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_the_guide_leads_from_nothing_to_two_trained_rounds(tmp_path: Path) -> None:
    port = free_port()
    call(tmp_path, "new", "my-task")
    public = call(tmp_path, "labels", "keys", "--keys", "desk")
    (tmp_path / "fleet.secret").write_bytes(os.urandom(8))
    tables = re.findall(r"```toml\n(.*?)```", GUIDE.read_text("utf-8"), flags=re.DOTALL)
    (tmp_path / "coordinator.toml").write_text(f'address = "127.0.0.1:{port}"\n{tables[0]}')
    for number in (1, 2):
        lines = [line for line in tables[1].splitlines() if "_key" not in line]
        text = "\n".join(lines).replace("phone1", f"phone{number}")
        (tmp_path / f"phone{number}.toml").write_text(f"{text}\n{public}")
        (tmp_path / f"phone{number}.txt").write_text("\n".join(TEXTS[number - 1 :: 2]))

    def status() -> dict[str, object]:
        found: dict[str, object] = json.loads(call(tmp_path, "coordinator", "status", "--json"))
        return found

    with ExitStack() as stack:
        fieldvote = str(BIN / "fieldvote")
        for number in (1, 2):
            phone = [fieldvote, "edge", "run", "--config", f"phone{number}.toml"]
            stack.enter_context(running(phone, tmp_path, f"phone{number}.log"))
        serving = stack.enter_context(
            running([fieldvote, "coordinator", "serve"], tmp_path, "coordinator.log")
        )
        log = tmp_path / "coordinator.log"
        wait_for(lambda: "devices reach" in log.read_text(), 90, tmp_path)
        for number in (1, 2):
            path = tmp_path / f"phone{number}" / "agent.sock"
            wait_for(path.is_socket, 30, tmp_path)
            node = [str(BIN / "flower-supernode"), "--insecure", "--superlink", f"127.0.0.1:{port}"]
            own = ["--port", str(free_port()), "--node-config", f'socket="{path}"']
            stack.enter_context(running([*node, *own], tmp_path, f"node{number}.log"))
        for round_number, expected in ((1, 2), (2, 4)):
            said = f"round {round_number}: candidates in"
            wait_for(lambda said=said: said in log.read_text(), 150, tmp_path)  # type: ignore[misc]
            shown = call(tmp_path, "labels", "answer", typed="0\n1\n0\n1\n")
            assert not any(secret in shown for secret in PLANTED)
            assert f"{expected} answers given" in shown
        wait_for(lambda: serving.poll() is not None, 200, tmp_path)
        assert serving.returncode == 0, log.read_text()
        assert "round 2: evaluated" in log.read_text()
        assert status()["labels"] == 6
        ledger = json.loads(call(tmp_path, "edge", "ledger", "--config", "phone1.toml", "--json"))
        assert sum(row["candidates"] for row in ledger) == 3
    stored = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*.sqlite*"))
    assert not any(secret.encode() in stored for secret in PLANTED)
    assert not list(tmp_path.rglob("agent.sock"))
