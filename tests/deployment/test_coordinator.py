"""A coordinator over a real SuperLink with TLS and registered devices, and what may kill it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge.flower.keys import node_key
from tests.deployment.messages import messages
from tests.deployment.processes import (
    BIN,
    CERTIFICATES,
    FIELDVOTE,
    call,
    environment,
    free_port,
    make_certificates,
    nobody_left,
    programs_of,
    running,
    wait_for,
)
from tests.deployment.site import Site, serving

DEVICES = ("one", "two")
TEXTS, _ = messages("outlives", 24)
# an agent as it is, except that it says when it is asked, and takes its time if a file says so
SLOW_AGENT = """
import pathlib, sys, time
import edge.agent
real, folder = edge.agent.Agent.handle, pathlib.Path(sys.argv[1])
def handle(self, request):
    if (folder / "slow").exists():
        (folder / "busy").touch()
        time.sleep(3)
    return real(self, request)
edge.agent.Agent.handle = handle
sys.argv[1:] = ["edge", "run", "--config", sys.argv[2]]
from fieldvote.cli import main
main()
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Two devices over TLS that nobody knows yet; whatever starts here is gone in the end."""
    call(tmp_path, "new", "my-task")
    public = call(tmp_path, "labels", "keys", "--keys", "desk")
    make_certificates(tmp_path)
    port = free_port()
    files = "".join(f'{name} = "{path}"\n' for name, path in CERTIFICATES.items())
    (tmp_path / "coordinator.toml").write_text(
        'folder = "state"\ntask = "my-task"\nrounds = 2\nquorum = 2\nanswers_wait_s = 100\n'
        f'address = "127.0.0.1:{port}"\n'
        f"[flower]\nauthenticate_devices = true\n{files}"
        '[campaign]\nname = "killed"\nsurveyed_share = 1.0\nlabels_per_device = 2\n'
        # longer than all is away: whoever answers after the window counts, but when is another
        # matter; and no more exchanges than it takes to learn
        "exchanges = 2\ndeadline_s = 90\nrollout.enabled = false\n"
    )
    for place, name in enumerate(DEVICES):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "sketch.key").write_bytes(bytes(8))
        (folder / "items.txt").write_text("\n".join(TEXTS[place::2]))
        (folder / "device.toml").write_text(
            'folder = "state"\ntask = "../my-task"\nsketch_secret = "sketch.key"\n'
            f'items = "items.txt"\n{public}'
            f'[flower]\nsuperlink = "127.0.0.1:{port}"\nca = "../ca.pem"\nkey = "node.key"\n'
        )
        node_key(folder / "node.key")
    with nobody_left(tmp_path), ExitStack() as stack:
        for name in DEVICES:
            agent = [sys.executable, "-c", SLOW_AGENT, str(tmp_path), f"{name}/device.toml"]
            stack.enter_context(running(agent, tmp_path, f"{name}.log"))
        yield Site(tmp_path, DEVICES)


def answer_two_each(site: Site) -> None:
    call(site.folder, "labels", "answer", typed="0\n1\n0\n1\n")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_campaign_outlives_whatever_kills_its_programs(
    site: Site, subtests: pytest.Subtests
) -> None:
    with serving(site) as first:
        site.register()
        site.await_said("round 1: waiting for people")
        with subtests.test("a SuperLink that is killed while people are awaited costs nothing"):
            os.kill(site.superlink(), signal.SIGKILL)
            site.await_said("goes on at round 1 of 2, waiting for people")
            answer_two_each(site)
            site.await_said("round 1: done")
        with subtests.test("nor does one that is killed while devices work on a request"):
            devices_work(site)
            os.kill(site.superlink(), signal.SIGKILL)
            site.await_said("goes on at", times=2)
            site.await_said("round 2: waiting for people")
            assert site.said.count("the SuperLink ended") == 2
        left = set(programs_of(site.folder / "state"))
        first.kill()
        first.wait(5)

    with serving(site) as second:
        with subtests.test("a coordinator goes on where a killed one was, and ends what it left"):
            site.await_said("had left behind")
            site.await_said("goes on at round 2 of 2, waiting for people")
            assert not left & set(programs_of(site.folder / "state"))
        with subtests.test("a second one beside it is refused"):
            refused = subprocess.run(
                [FIELDVOTE, "coordinator", "serve"], cwd=site.folder,
                env=environment(site.folder), capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert refused.returncode == 4
            assert "a coordinator is serving" in refused.stderr
        with subtests.test("one that is stopped is gone soon, and leaves nothing running"):
            group = os.getpgid(second.pid)
            began = time.monotonic()
            second.send_signal(signal.SIGTERM)
            assert second.wait(20) == 0
            assert time.monotonic() - began < 10
            assert programs_of(site.folder / "state") == {}
            with pytest.raises(ProcessLookupError):
                os.killpg(group, 0)
    # somebody answers while nobody serves
    call(site.folder, "labels", "answer", typed="0\n")

    with serving(site) as third:
        site.await_said("goes on at round 2 of 2, waiting for people", times=2)
        (site.folder / "slow").touch()
        answer_two_each(site)
        # a device takes its answers in; nobody will be there for its reply
        devices_work(site)
        for pid in (third.pid, *programs_of(site.folder / "state")):
            os.kill(pid, signal.SIGKILL)
        third.wait(5)
        assert "round 2: keeping" not in site.said
        wait_for(lambda: programs_of(site.folder / "state") == {}, 5, site.folder)
    before = len(site.said)
    with serving(site) as fourth:
        with subtests.test("a coordinator and its SuperLink that are killed together cost nothing"):
            site.await_said("goes on at round 2 of 2, delivering answers")
            assert fourth.wait(60) == 0, site.said
        with subtests.test("nobody waits for the lease of a process that is gone"):
            assert "standing by" not in site.said[before:]

    with subtests.test("after all that, everything was counted once"):
        assert [site.said.count(f"round {n}: done") for n in (1, 2)] == [1, 1]
        site.assert_everything_was_counted_once(labels=6, items=len(TEXTS))
    with subtests.test("and no app the SuperLink was given holds any code"):
        apps = site.stored_apps()
        assert apps
        for names in apps:
            assert "pyproject.toml" in names
            assert [name for name in names if name.endswith((".py", ".pyc", ".so"))] == []


def devices_work(site: Site) -> None:
    """Return when a device works on its next request, and will for a while."""
    (site.folder / "busy").unlink(missing_ok=True)
    (site.folder / "slow").touch()
    wait_for((site.folder / "busy").exists, 60, site.folder)
    (site.folder / "slow").unlink()


@pytest.mark.slow
def test_a_coordinator_joins_a_superlink_and_leaves_it_as_it_was(tmp_path: Path) -> None:
    call(tmp_path, "new", "my-task")
    make_certificates(tmp_path)
    address = f"127.0.0.1:{(port := free_port())}"
    (tmp_path / "coordinator.toml").write_text(
        f'folder = "state"\ntask = "my-task"\naddress = "{address}"\n'
        '[flower]\njoin = true\nca = "ca.pem"\n[campaign]\nname = "joined"\n'
    )
    link = [
        str(BIN / "flower-superlink"), "--disable-runtime-dependency-installation",
        "--ssl-ca-certfile", "ca.pem", "--ssl-certfile", "server.pem", "--ssl-keyfile",
        "server.key", "--host", "127.0.0.1", "--port", str(port), "--database", ":flwr-in-memory:",
    ]  # fmt: skip
    site = Site(tmp_path)
    with nobody_left(tmp_path), running(link, tmp_path, "link.log") as superlink:
        wait_for(lambda: "Uvicorn running" in (tmp_path / "link.log").read_text(), 60, tmp_path)
        with serving(site) as killed:
            site.await_said("waiting: 0 training devices are there")
            killed.kill()
        # the run outlives a coordinator that was killed; the next one ends it and begins its own
        with serving(site) as stopped:
            site.await_said("waiting: 0 training devices are there", times=2)
            stopped.send_signal(signal.SIGTERM)
            assert stopped.wait(20) == 0
        assert superlink.poll() is None
        wait_for(lambda: not programs_of(tmp_path, "flwr-serverapp"), 20, tmp_path)
