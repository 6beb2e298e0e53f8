"""The guide's deployment over a real SuperLink, on loopback: light nodes, and stock SuperNodes."""

import json
import os
import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.deployment.processes import (
    BIN,
    FIELDVOTE,
    call,
    free_port,
    nobody_left,
    running,
    wait_for,
)

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "first-deployment.md"
PLANTED = ["Zbigniew", "0170555123"]
TEXTS = [
    f"hello {PLANTED[0]}, call {PLANTED[1]} about dinner number {n}"
    if n % 2
    else f"win a prize {n}"
    for n in range(24)
]


@pytest.mark.slow
@pytest.mark.timeout(420)
@pytest.mark.parametrize("nodes", ["light", "stock"])
def test_the_guide_leads_from_nothing_to_two_trained_rounds(tmp_path: Path, nodes: str) -> None:
    port = free_port()
    call(tmp_path, "new", "my-task")
    public = call(tmp_path, "labels", "keys", "--keys", "desk")
    (tmp_path / "fleet.secret").write_bytes(os.urandom(8))
    tables = re.findall(r"```toml\n(.*?)```", GUIDE.read_text("utf-8"), flags=re.DOTALL)
    (tmp_path / "coordinator.toml").write_text(f'address = "127.0.0.1:{port}"\n{tables[0]}')
    for number in (1, 2):
        own, flower, place = tables[1].partition("[flower]")
        lines = [line for line in own.splitlines() if "_key" not in line]
        text = "\n".join(lines).replace("phone1", f"phone{number}")
        table = flower + place.replace("9092", str(port)) if nodes == "light" else ""
        (tmp_path / f"phone{number}.toml").write_text(f"{text}\n{public}\n{table}")
        (tmp_path / f"phone{number}.txt").write_text("\n".join(TEXTS[number - 1 :: 2]))

    def status() -> dict[str, object]:
        found: dict[str, object] = json.loads(call(tmp_path, "coordinator", "status", "--json"))
        return found

    with nobody_left(tmp_path), ExitStack() as stack:
        for number in (1, 2):
            phone = [FIELDVOTE, "edge", "run", "--config", f"phone{number}.toml"]
            stack.enter_context(running(phone, tmp_path, f"phone{number}.log"))
        serving = stack.enter_context(
            running([FIELDVOTE, "coordinator", "serve"], tmp_path, "coordinator.log")
        )
        log = tmp_path / "coordinator.log"
        wait_for(lambda: "devices reach" in log.read_text(), 90, tmp_path)
        for number in (1, 2):
            path = tmp_path / f"phone{number}" / "agent.sock"
            wait_for(path.is_socket, 30, tmp_path)
            if nodes == "light":
                continue
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
        shipped = 0
        for number in (1, 2):
            words = ("edge", "ledger", "--config", f"phone{number}.toml", "--json")
            shipped += sum(row["candidates"] for row in json.loads(call(tmp_path, *words)))
        assert shipped == 6  # how many from which phone is partly drawn by lot
    stored = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*.sqlite*"))
    assert not any(secret.encode() in stored for secret in PLANTED)
    assert not list(tmp_path.rglob("agent.sock"))
