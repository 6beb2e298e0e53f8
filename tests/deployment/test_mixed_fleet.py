"""Light nodes and a stock SuperNode in one fleet: they learn together, and no code travels."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from coordinator.rounds.events import Evaluated
from edge.flower.keys import node_key
from tests.deployment.messages import NAME, NUMBER, messages, read
from tests.deployment.processes import (
    BIN,
    CERTIFICATES,
    call,
    free_port,
    make_certificates,
    nobody_left,
    running,
    wait_for,
)
from tests.deployment.site import Site, serving
from tests.deployment.tap import Tap, tapped
from tests.doubles.needles import found_in

LIGHT, STOCK, JUDGE = ("north", "south"), "stock", "judge"
ITEMS, HELD_OUT = 60, 80
APP_CALLS = {"get-run", "get-fab"}
NODE_CALLS = {
    "activate-node",
    "send-node-heartbeat",
    "pull-messages",
    "pull-object",
    "confirm-message-received",
    "push-messages",
    "push-object",
    "deactivate-node",
}
# An agent as it is, except that Python's own audit says which files it opens to write, which
# programs it starts, and from which files the code comes that it runs.
AUDITED_AGENT = """
import os, sys
sys.dont_write_bytecode = True
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
FIRST_RUN = ["-s", "-P", "-m", "edge.model_guard.child"]
def seen(event, args):
    if event == "open" and isinstance(args[0], str) and args[2] & WRITES:
        line = f"write {os.path.abspath(args[0])}"
    elif event in ("os.mkdir", "os.rename", "sqlite3.connect"):
        line = f"write {os.path.abspath(os.fsdecode(args[0]))}"
    elif event == "subprocess.Popen" and args[1][1:] == FIRST_RUN:
        return  # of a model, in a process apart
    elif event in ("subprocess.Popen", "os.exec", "os.fork", "os.posix_spawn", "os.system"):
        line = f"start {event}"
    elif event == "exec":
        line = f"run {args[0].co_filename}"
    else:
        return
    os.write(log, (line + chr(10)).encode())
sys.addaudithook(seen)
sys.argv[1:] = ["edge", "run", "--config", sys.argv[2]]
from fieldvote.cli import main
main()
"""


@dataclass(frozen=True, slots=True)
class Mixed:
    """The deployment, and a tap on each device's line."""

    site: Site
    taps: dict[str, Tap]

    def audit(self, name: str, kind: str) -> set[str]:
        """Return what an agent's audit has written down of one kind."""
        lines = (self.site.folder / f"{name}.audit").read_text("utf-8").splitlines()
        return {what for what in lines if what.startswith(f"{kind} ")}


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[Mixed]:
    """Two light nodes, a light one that only evaluates, and an agent behind a stock SuperNode."""
    call(tmp_path, "new", "my-task")
    public = call(tmp_path, "labels", "keys", "--keys", "desk")
    make_certificates(tmp_path)
    port = free_port()
    files = "".join(f'{name} = "{path}"\n' for name, path in CERTIFICATES.items())
    (tmp_path / "coordinator.toml").write_text(
        'folder = "state"\ntask = "my-task"\nrounds = 2\nquorum = 3\nanswers_wait_s = 100\n'
        f'address = "127.0.0.1:{port}"\n'
        f"[flower]\nauthenticate_devices = true\n{files}"
        '[campaign]\nname = "mixed"\nsurveyed_share = 1.0\nlabels_per_device = 12\n'
        "exchanges = 2\ndeadline_s = 30\n"
        # an exchange with a stock node takes six seconds: no more of them than it takes to learn
        "rollout.enabled = false\n"
    )
    with nobody_left(tmp_path), ExitStack() as stack:
        taps = {
            name: stack.enter_context(tapped(tmp_path, port)) for name in (*LIGHT, JUDGE, STOCK)
        }
        for name, tap in taps.items():
            _write_device(tmp_path / name, public, tap.port)
        site = Site(tmp_path, (*LIGHT, STOCK))
        stack.enter_context(serving(site, lasting=False))
        site.register(JUDGE)
        for name in taps:
            agent = [sys.executable, "-c", AUDITED_AGENT, f"{name}.audit", f"{name}/device.toml"]
            home = tmp_path / name
            stack.enter_context(running(agent, tmp_path, f"{name}.log", home=home))
        logs = [tmp_path / f"{name}.log" for name in (*LIGHT, JUDGE)]
        wait_for(lambda: all("is online" in log.read_text() for log in logs), 60, tmp_path)
        # the quorum wants the stock node too, so it comes last and nobody is missed
        socket = tmp_path / STOCK / "state" / "agent.sock"
        wait_for(socket.is_socket, 30, tmp_path)
        node = [
            str(BIN / "flower-supernode"), "--superlink", f"127.0.0.1:{taps[STOCK].port}",
            "--root-certificates", "ca.pem", "--port", str(free_port()),
            "--auth-supernode-private-key", str(tmp_path / STOCK / "node.key"),
            "--node-config", f'socket="{socket}"',
        ]  # fmt: skip
        home = tmp_path / STOCK
        stack.enter_context(running(node, tmp_path, "supernode.log", home=home))
        yield Mixed(site, taps)


def _write_device(folder: Path, public: str, port: int) -> None:
    """Write what a device is: its messages, its key, and its settings."""
    folder.mkdir()
    (folder / "sketch.key").write_bytes(bytes(8))
    node_key(folder / "node.key")
    items = 'items = "items.txt"'
    if folder.name == JUDGE:
        items = 'items = "items.npz"\nevaluates = true'
        texts, labels = messages(JUDGE, HELD_OUT)
        held = np.frombuffer("\n".join(texts).encode(), dtype=np.uint8)
        np.savez(folder / "items.npz", utf8=held, y=np.array(labels))
    else:
        (folder / "items.txt").write_text("\n".join(messages(folder.name, ITEMS)[0]))
    table = f'[flower]\nsuperlink = "127.0.0.1:{port}"\nca = "../ca.pem"\nkey = "node.key"\n'
    (folder / "device.toml").write_text(
        f'folder = "state"\ntask = "../my-task"\nsketch_secret = "sketch.key"\n{items}\n'
        f"{public}{'' if folder.name == STOCK else table}"
    )


@pytest.mark.slow
def test_light_nodes_and_a_stock_one_learn_together_and_no_code_travels(mixed: Mixed) -> None:
    site = mixed.site
    shown = []
    for number in (1, 2):
        site.await_said(f"round {number}: waiting for people", 120)
        shown += site.answer(read)
    site.await_said("the campaign is finished", 120)

    # the second round has made a better model, on items no training device has
    held_out = [
        np.array(event.held_out).reshape(2, 2)
        for event in site.events()
        if isinstance(event, Evaluated)
    ]
    assert [int(counts.sum()) for counts in held_out] == [HELD_OUT] * 2
    first, second = (int(np.trace(counts)) for counts in held_out)
    assert second > first
    assert second > held_out[1].sum(axis=1).max()

    # every device was asked, answered and taught, the stock one like the others
    known = site.rows("SELECT id, teaches FROM device WHERE NOT evaluates")
    assert [teaches for _, teaches in known] == [1, 1, 1]
    light = {int(site.status(name)["node_id"]) for name in LIGHT}
    assert len({device % 2**64 for device, _ in known} - light) == 1
    surveyed = {message for (message,) in site.rows("SELECT message FROM inbox")}
    for device, _ in known:
        assert {f"{number}/survey/{device}" for number in (1, 2)} <= surveyed
        delivered = "SELECT count(*) FROM label JOIN candidate USING (item) WHERE delivered"
        [[answers]] = site.rows(f"{delivered} AND device = ?", device)
        assert answers
    site.assert_everything_was_counted_once(labels=len(shown), items=len(known) * ITEMS)

    _no_code_travelled(mixed)


def _no_code_travelled(mixed: Mixed) -> None:
    """On the wire, and on the devices; what the SuperLink stores is looked at where it stores."""
    folder = mixed.site.folder
    for name, tap in mixed.taps.items():
        for line in [*tap.said, *tap.heard]:
            assert found_in([NAME, NUMBER], bytes(line)) == set()
        if name == STOCK:
            continue
        # a light node never asks for an app, and is sent none
        assert {"push-messages", "push-object"} <= tap.calls() <= NODE_CALLS
        assert tap.archives() == []
    # a stock one asks for it, and it holds no code: what runs there was installed before
    assert mixed.taps[STOCK].calls() >= APP_CALLS
    handed_out = mixed.taps[STOCK].archives()
    assert handed_out
    for names in handed_out:
        assert "pyproject.toml" in names
        assert [name for name in names if name.endswith((".py", ".pyc", ".so"))] == []
    assert [*(folder / STOCK / "flower").rglob("*.py")] == []
    assert [*(folder / STOCK / "flower").rglob("pyproject.toml")] != []
    for name in (*LIGHT, JUDGE):
        assert not (folder / name / "flower").exists()
        written = {line.removeprefix("write ") for line in mixed.audit(name, "write")}
        assert written
        written -= {os.devnull}  # where the first run of a model says what it has to say
        assert [path for path in written if not path.startswith(f"{folder / name}/")] == []
        assert mixed.audit(name, "start") == set()
        assert [line for line in mixed.audit(name, "run") if str(folder) in line] == []
