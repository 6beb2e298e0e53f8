"""A fleet by invitation over a real SuperLink: enrolled with P-384 keys, met by certificate."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from coordinator.rounds.events import Planned
from edge.status import status_of
from tests.deployment.messages import messages
from tests.deployment.processes import (
    CERTIFICATES,
    FIELDVOTE,
    call,
    environment,
    free_port,
    make_certificates,
    nobody_left,
    register,
    running,
    wait_for,
)
from tests.deployment.site import Site, serving

KEYS = [sys.executable, "-c", "from coordinator.keys.cli import app; app()"]
TEXTS, _ = messages("invited", 48)


def keys(folder: Path, *words: str) -> str:
    """Run one of the owner's commands; return what it printed."""
    done = subprocess.run(
        [*KEYS, *words], cwd=folder, env=environment(folder), capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def site_of(folder: Path) -> Site:
    """Return an owner, a desk and a coordinator that asks for certificates."""
    call(folder, "new", "my-task")
    (folder / "desk.pub").write_text(call(folder, "labels", "keys", "--keys", "desk"))
    make_certificates(folder)
    keys(folder, "init", "owner")
    keys(folder, "sign", "my-task")
    port, registrar = free_port(), free_port()
    (folder / "owner" / "registrar.toml").write_text(
        f'desk = "../desk.pub"\nlisten = "127.0.0.1:{registrar}"\n'
        f'superlink = "127.0.0.1:{port}"\nsuperlink_ca = "../ca.pem"\n'
    )
    files = "".join(f'{name} = "{path}"\n' for name, path in CERTIFICATES.items())
    (folder / "coordinator.toml").write_text(
        'folder = "state"\ntask = "my-task"\nrounds = 2\nquorum = 2\nanswers_wait_s = 100\n'
        f'address = "127.0.0.1:{port}"\n'
        '[keys]\nfolder = "owner/online"\n'
        '[enrolment]\nfleet = "owner/online/fleet.pem"\ndirectory = "owner/online/directory"\n'
        f"[flower]\nauthenticate_devices = true\n{files}"
        '[campaign]\nname = "invited"\nsurveyed_share = 1.0\nlabels_per_device = 2\n'
        "exchanges = 2\nrollout.enabled = false\n"
    )
    return Site(folder, ("one", "two", "three"))


def a_stranger(folder: Path) -> None:
    """Write a device that has everything but a certificate."""
    (folder / "stranger").mkdir()
    for path in (folder / "one").iterdir():
        if path.name not in ("signing.key", "sealing.key", "node.key", "node.key.pub"):
            (folder / "stranger" / path.name).write_bytes(path.read_bytes())
    config = folder / "stranger" / "device.toml"
    text = config.read_text("utf-8")
    start, end = text.index("[enrolment]"), text.index("[flower]")
    config.write_text((text[:start] + text[end:]).replace("one.txt", "stranger.txt"))
    for path in (folder / "stranger").iterdir():
        path.chmod(0o600)


def node_of(folder: Path) -> int:
    """Return the id of a device's node as the store keeps it: 64 bits with a sign."""
    node = int(status_of(folder / "device.toml")["node_id"])
    return node - (1 << 64) if node >= 1 << 63 else node


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_only_whom_the_owner_invited_takes_part_and_only_until_revoked(tmp_path: Path) -> None:
    site = site_of(tmp_path)
    with nobody_left(tmp_path), ExitStack() as stack:
        stack.enter_context(running([*KEYS, "registrar"], tmp_path, "registrar.log"))
        log = tmp_path / "registrar.log"
        wait_for(lambda: "devices enrol at" in log.read_text(), 30, tmp_path)
        for place, name in enumerate((*site.devices, "stranger")):
            (tmp_path / f"{name}.txt").write_text("\n".join(TEXTS[place::4]))
        for name in site.devices:
            token = keys(tmp_path, "invite", "--name", name).strip()
            words = ("--folder", name, "--task", "my-task", "--items", f"{name}.txt")
            said = call(tmp_path, "edge", "enroll", "--token", token, *words)
            assert f"{name} is enrolled until" in said
        a_stranger(tmp_path)
        for name in (*site.devices, "stranger"):
            command = [FIELDVOTE, "edge", "run", "--config", f"{name}/device.toml"]
            stack.enter_context(running(command, tmp_path, f"{name}.log"))
        # the public halves come from the owner's book, not from the devices
        keys(tmp_path, "directory")
        paths = [Path(path) for path in keys(tmp_path, "nodes", "nodes").split()]
        assert [path.name for path in paths] == ["one.pub", "three.pub", "two.pub"]
        for path in paths:
            assert (tmp_path / path).read_bytes().startswith(b"ecdsa-sha2-nistp384 ")

        with serving(site, lasting=False) as coordinator:
            site.await_said("devices reach")
            strange = tmp_path / "stranger" / "node.key.pub"
            wait_for(strange.exists, 30, tmp_path)
            flower = tmp_path / "state" / "flower"
            register(
                [*(tmp_path / p for p in paths), strange], "fieldvote", tmp_path, flower=flower
            )
            for name in (*site.devices, "stranger"):
                wait_for(
                    lambda name=name: "is online" in (tmp_path / f"{name}.log").read_text(),  # type: ignore[misc]  # waited for at once
                    60,
                    tmp_path,
                )
            site.await_said("round 1: waiting for people", 90)
            # a round begins with two of them; one that takes part is sent away
            nodes = {node_of(tmp_path / name): name for name in site.devices}
            gone = min(row[0] for row in site.rows("SELECT id FROM device"))
            keys(tmp_path, "revoke", nodes[gone], "--reason", "lost on a train")
            keys(tmp_path, "directory")
            call(tmp_path, "labels", "answer", typed="0\n" * 12)
            site.await_said("round 2: waiting for people", 90)
            site.await_said("it shows no certificate")
            call(tmp_path, "labels", "answer", typed="0\n" * 12)
            wait_for(lambda: coordinator.poll() is not None, 120, tmp_path)
            assert coordinator.returncode == 0, site.said
    met = {row[0] for row in site.rows("SELECT id FROM device")}
    asked = [set(event.devices) for event in site.events() if isinstance(event, Planned)]
    assert met <= set(nodes)  # the stranger was never met
    assert "which is revoked: it takes no part" in site.said
    assert asked[-1] == set(nodes) - {gone}
    status = status_of(tmp_path / "one" / "device.toml")
    assert status["enrolled_as"] == "one"
    # the projection's secret is with the devices and their owner, and nowhere at the coordinator
    secret = (tmp_path / "owner" / "sketch.secret").read_bytes()
    assert (tmp_path / "one" / "sketch.secret").read_bytes() == secret
    stored = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert not any(secret in path.read_bytes() for path in stored)
