"""Devices that are away for rounds come back as who they were, and count once."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.flower.fleet import DeactivateNodeRequest, Empty
from edge.flower.keys import node_key
from edge.flower.wire import HttpWire, trust
from tests.deployment.fleet import Fleet, fleet
from tests.deployment.messages import messages, read
from tests.deployment.processes import call, make_certificates, wait_for
from tests.deployment.site import Site, serving

STAYING, UNSENT, UNTOLD = ("north", "south"), "unsent", "untold"
DEVICES = (*STAYING, UNSENT, UNTOLD)
ITEMS = 40
# an agent as it is, except that it may take its time between what it has done and its reply
SLOW_AGENT = """
import pathlib, sys, time
import edge.agent
from fieldvote.records import REQUESTS, SurveyRequest, decode
real, folder = edge.agent.Agent.handle, pathlib.Path(sys.argv[1]).parent
def handle(self, request):
    reply = real(self, request)
    if (folder / "slow").exists() and isinstance(decode(request, *REQUESTS), SurveyRequest):
        (folder / "done").touch()
        time.sleep(60)
    return reply
edge.agent.Agent.handle = handle
sys.argv[1:] = ["edge", "run", "--config", sys.argv[1]]
from fieldvote.cli import main
main()
"""


class Away:
    """A SuperLink, devices that can be stopped and started, and the campaign they are in."""

    def __init__(self, made: Fleet, site: Site) -> None:
        """Start every device, and wait until all of them are online."""
        self.site = site
        self._made = made
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.start(*site.devices)

    def start(self, *names: str) -> None:
        """Start devices; return when all of them are online."""
        times = {name: self.said(name).count("is online") for name in names}
        for name in names:
            command = [sys.executable, "-c", SLOW_AGENT, f"{name}/device.toml"]
            self._running[name] = self._made.start(command, f"{name}.log")
        wait_for(
            lambda: all(self.said(name).count("is online") > times[name] for name in names),
            60, self.site.folder,
        )  # fmt: skip

    def end(self, name: str, number: signal.Signals) -> None:
        """Send a device a signal; return when it is gone."""
        self._made.stop(self._running[name], number)

    def end_lease(self, name: str) -> None:
        """Let the SuperLink know at once what it would know after a minute without a heartbeat."""
        folder = self.site.folder
        key = node_key(folder / name / "node.key")
        wire = HttpWire(self._made.address, trust(folder / "ca.pem"), key)
        request = DeactivateNodeRequest(node_id=int(self.site.status(name)["node_id"]))
        wire.calls("deactivate-node", [request], Empty)
        wire.close()

    def said(self, name: str) -> str:
        """Return what a device has printed."""
        path = self.site.folder / f"{name}.log"
        return path.read_text("utf-8") if path.exists() else ""


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Away]:
    """Four devices that are online, before any round."""
    call(tmp_path, "new", "my-task")
    public = call(tmp_path, "labels", "keys", "--keys", "desk")
    make_certificates(tmp_path)
    with fleet(tmp_path) as made:
        made.start_superlink(lasting=False)
        (tmp_path / "coordinator.toml").write_text(
            'folder = "state"\ntask = "my-task"\nrounds = 5\nquorum = 2\nanswers_wait_s = 100\n'
            f'address = "{made.address}"\n'
            '[flower]\njoin = true\nca = "ca.pem"\n'
            '[campaign]\nname = "away"\nsurveyed_share = 1.0\nlabels_per_device = 2\n'
            # what is looked at is who counts, not how heads are rolled out: each takes exchanges
            # and whoever stays is never late, however busy the machine is
            "exchanges = 2\ndeadline_s = 10\nrollout.enabled = false\n"
        )
        for name in DEVICES:
            _write_device(made, name, public)
        made.register(*DEVICES)
        yield Away(made, Site(tmp_path, DEVICES))


def _write_device(made: Fleet, name: str, public: str) -> None:
    """Write what a device is."""
    config = made.add_device(name, register=False)
    folder = made.folder / name
    (folder / "items.txt").write_text("\n".join(messages(name, ITEMS)[0]))
    lines = [line for line in config.read_text().splitlines() if "_key" not in line]
    text = "\n".join(lines).replace('task = "task"', 'task = "../my-task"')
    config.write_text(f"{public}{text}\n")


@pytest.mark.slow
def test_devices_that_miss_three_rounds_come_back_and_count_once(away: Away) -> None:
    site = away.site
    # one is killed when its votes are summed and their reply is written down, but not sent
    (site.folder / UNSENT / "slow").touch()
    with serving(site) as coordinator:
        wait_for((site.folder / UNSENT / "done").exists, 60, site.folder)
        away.end(UNSENT, signal.SIGKILL)
        away.end_lease(UNSENT)
        (site.folder / UNSENT / "slow").unlink()
        # another leaves when people have seen its item, and before it is told what they said
        site.await_said("round 1: waiting for people")
        away.end(UNTOLD, signal.SIGTERM)
        node = {name: int(site.status(name)["node_id"]) for name in DEVICES}
        device = {name: number - 2**64 * (number >= 2**63) for name, number in node.items()}
        shown = site.answer(read)
        assert len(shown) == 3

        # three rounds turn without them; what they owe waits
        for number in (2, 3, 4):
            site.await_said(f"round {number}: waiting for people", 90)
            if number < 4:
                shown += site.answer(read)
        late = site.rows("SELECT round, phase, device FROM pending ORDER BY round, phase")
        assert (1, "survey", device[UNSENT]) in late
        assert (1, "answers", device[UNTOLD]) in late
        assert {who for *_, who in late} == {device[UNSENT], device[UNTOLD]}
        assert site.counted_items() == 3 * ITEMS

        # they come back under their old names
        away.start(UNSENT, UNTOLD)
        shown += site.answer(read)
        site.await_said("round 5: waiting for people", 90)
        shown += site.answer(read)
        assert coordinator.wait(60) == 0, site.said
    assert {name: int(site.status(name)["node_id"]) for name in DEVICES} == node
    assert site.rows("SELECT count(*) FROM device") == [(4,)]

    # the late votes and the late answer are in the totals, once
    site.assert_everything_was_counted_once(labels=len(shown), items=4 * ITEMS)
    told = "SELECT sent, delivered FROM label JOIN candidate USING (item) WHERE device = ?"
    assert (1, 1) in site.rows(told, device[UNTOLD])
    for name in DEVICES:
        [[delivered]] = site.rows(
            "SELECT coalesce(sum(delivered), 0) FROM label JOIN candidate USING (item)"
            " WHERE device = ?",
            device[name],
        )
        assert site.status(name)["answered"] == delivered
    # and the next round asked both, and taught with what they sent
    asked = site.rows("SELECT DISTINCT device FROM candidate WHERE round = 5")
    assert {device[UNSENT], device[UNTOLD]} & {who for (who,) in asked}
    assert site.rows("SELECT count(*) FROM device WHERE teaches") == [(4,)]
