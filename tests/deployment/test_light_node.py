"""Devices without a SuperNode, against Flower's own SuperLink with TLS and registered keys only."""

import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edge.status import status_of
from tests.deployment.fleet import Fleet, fleet
from tests.deployment.processes import make_certificates, wait_for

# a device whose clock is ten minutes late
_LATE_AGENT = """
import datetime, sys
import edge.flower.wire as wire
class Late(datetime.datetime):
    @classmethod
    def now(cls, zone=None):
        return super().now(zone) - datetime.timedelta(minutes=10)
wire.datetime = Late
sys.argv[1:] = ["edge", "run", "--config", sys.argv[1]]
from fieldvote.cli import main
main()
"""


def log(made: Fleet, name: str) -> str:
    path = made.folder / f"{name}.log"
    return path.read_text() if path.exists() else ""


def asked(made: Fleet, name: str) -> list[str]:
    path = made.folder / name / "asked"
    return path.read_text().splitlines() if path.exists() else []


def status(made: Fleet, name: str) -> dict[str, str | int]:
    return status_of(made.folder / name / "device.toml")


def runs_finish(made: Fleet, out: str, exchanges: int, limit_s: float = 90) -> list[dict[str, Any]]:
    wait_for(lambda: len(made.rows(out)) == exchanges, limit_s, made.folder)
    return made.rows(out)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_fleet_of_light_nodes_lives_through_a_day(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    with fleet(tmp_path) as made:
        link = made.start_superlink()
        for name in ("one", "two", "stranger", "late"):
            made.add_device(name, register=False)
        made.add_device("misled", register=False, ca="other-ca.pem")
        made.register("one", "two")
        one, two = (made.start_agent(name) for name in ("one", "two"))
        stranger, _ = (made.start_agent(name) for name in ("stranger", "misled"))
        made.start([sys.executable, "-c", _LATE_AGENT, "late/device.toml"], "late.log")
        wait_for(lambda: all("is online" in log(made, n) for n in ("one", "two")), 60, tmp_path)

        # each thing that can be wrong has its line, once
        key = tmp_path / "stranger" / "node.key.pub"
        for name, said in (
            ("stranger", f"flwr supernode register {key}"),
            ("misled", "not vouched for by [flower] ca"),
            ("late", "clock is about 600 s behind"),
        ):
            wait_for(lambda name=name, said=said: said in log(made, name), 30, tmp_path)  # type: ignore[misc]  # waited for at once
        # the line is printed first, and the state is written down then
        wait_for(lambda: status(made, "stranger")["node"] == "retrying", 10, tmp_path)
        assert str(key) in str(status(made, "stranger")["node_reason"])

        # the stranger is registered while it is trying, and comes in by itself
        made.register("stranger")
        wait_for(lambda: "is online" in log(made, "stranger"), 40, tmp_path)
        made.stop(stranger)
        assert stranger.returncode == 0

        # a few exchanges; the agents answer in their own processes
        made.start_run("first", exchanges=4)
        rows = runs_finish(made, "first", 4)
        assert [row["answered"] for row in rows] == [2] * 4
        assert len(asked(made, "one")) == len(asked(made, "two")) == 4

        # a device is killed in the middle of its work, and finishes it after its restart
        (tmp_path / "slow").touch()
        made.start_run("killed", exchanges=1, deadline=40.0)
        wait_for(lambda: len(asked(made, "one")) == 5, 40, tmp_path)
        made.stop(one, signal.SIGKILL)
        assert status(made, "one")["node"] == "not running, was online"
        (tmp_path / "slow").unlink()
        one = made.start_agent("one")
        (row,) = runs_finish(made, "killed", 1)
        assert (row["asked"], row["answered"]) == (2, 2)
        assert asked(made, "one")[4] == asked(made, "one")[5]
        assert len(asked(made, "one")) == 6
        assert log(made, "one").count("is online") == 2

        # the SuperLink is killed while nothing happens, and comes back on its database
        made.stop(link, signal.SIGKILL)
        wait_for(lambda: "no SuperLink answers" in log(made, "two"), 30, tmp_path)
        made.start_superlink()
        for name, times in (("one", 3), ("two", 2)):
            wait_for(
                lambda name=name, times=times: log(made, name).count("is online") == times,  # type: ignore[misc]  # waited for at once
                40,
                tmp_path,
            )
        made.start_run("after", exchanges=2)
        assert [row["answered"] for row in runs_finish(made, "after", 2)] == [2, 2]

        # no app was ever fetched, and a device leaves politely and soon
        called = (tmp_path / "superlink.log").read_text()
        assert "/v1/fleet/push-object" in called or "Fleet.PushMessages" in called
        assert "Fleet.GetFab" not in called
        assert "Fleet.GetRun" not in called
        began = time.monotonic()
        two.send_signal(signal.SIGTERM)
        assert two.wait(10) == 0
        assert time.monotonic() - began < 6.0
        assert log(made, "two").splitlines()[-1] == "stopped"
        assert status(made, "two")["node"] == "stopped"
