"""Same seed, same report, whichever engine carries it: real Flower, real Ray."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None,
        reason="ray is not installed: pip install 'fieldvote[ray]'",
    ),
]

# how long it took and in how much memory; everything else is the same to the byte
MAY_DIFFER = {"engine", "wall_s", "client_rounds_per_s", "peak_rss_mb"}
TEXTS = """
name = "few-messages"
data = "messages"
devices = 8
rounds = 2
online_share = 0.5
vote_weight = 5.0
text_width = 64
exchanges = 2
functions = "messages.functions.toml"
"""
DIGITS = """
name = "few-digits"
data = "digits"
devices = 9
rounds = 2
online_share = 0.4
keep_decimals = 0
exchanges = 3
"""
_GONE_WITHIN_S = 30.0  # beside other tests; it looks until then and no longer than it must


@dataclass(frozen=True)
class Place:
    """A fresh home, a fresh temporary folder with room for sockets, and a mark on what runs."""

    home: Path
    temporary: Path
    mark: str

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        gone = ("FLWR_HOME", "FLWR_TELEMETRY_ENABLED", "RAY_ADDRESS", "RAY_USAGE_STATS_ENABLED")
        environment = {k: v for k, v in os.environ.items() if k not in gone}
        environment |= {"HOME": str(self.home), "TMPDIR": str(self.temporary), "MARK": self.mark}
        # what onnxruntime notes on import is not what is looked at here
        environment["ORT_DISABLE_TELEMETRY"] = "1"
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "fieldvote"), "simulate", *arguments],
            cwd=self.home,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def report(self, scenario: Path, engine: str) -> dict[str, object]:
        arguments = (str(scenario), "--seed", "5", "--engine", engine, "--json", "-")
        process = self.start(*arguments)
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        noise = [line for line in err.splitlines() if line.strip() and "━" not in line]
        assert noise == []
        report: dict[str, object] = json.loads(out)
        assert report["engine"] == engine
        return report

    def processes(self) -> dict[int, str]:
        """Return every process that carries our mark, by id, with its name."""
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and self.mark.encode() in (entry / "environ").read_bytes():
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(entry.name)] = line.strip()
            except OSError:  # it ended, or is not ours to look at
                continue
        return found

    def assert_nothing_is_left(self) -> None:
        end = time.monotonic() + _GONE_WITHIN_S
        while self.processes() and time.monotonic() < end:
            time.sleep(0.2)
        assert self.processes() == {}
        assert list(self.temporary.iterdir()) == []
        # no source file of Flower's telemetry, nothing of Ray's
        assert [p.name for p in self.home.iterdir() if p.suffix != ".toml"] == []


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    home = tmp_path / "home"
    home.mkdir()
    shared = Path("/tmp/ray")  # noqa: S108  # where Ray writes if nobody tells it otherwise
    before = sorted(shared.iterdir()) if shared.is_dir() else None
    # pytest's own folder is too long a name for a socket
    temporary = Path(tempfile.mkdtemp(prefix="fv", dir="/tmp"))  # removed below
    place = Place(home=home, temporary=temporary, mark=uuid4().hex)
    yield place
    left = place.processes()
    for process in left:
        os.kill(process, signal.SIGKILL)
    shutil.rmtree(temporary, ignore_errors=True)
    assert (sorted(shared.iterdir()) if shared.is_dir() else None) == before


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(DIGITS, id="digits"),
        pytest.param(TEXTS, id="messages", marks=pytest.mark.nightly),
    ],
)
def test_flower_and_in_process_report_the_same_from_the_same_seed(
    place: Place, scenario: str
) -> None:
    file = place.home / "scenario.toml"
    file.write_text(scenario, encoding="utf-8")
    plain, carried = place.report(file, "in-process"), place.report(file, "flower")
    place.assert_nothing_is_left()
    assert plain.keys() == carried.keys()
    differing = {key for key in plain if plain[key] != carried[key]}
    assert differing <= MAY_DIFFER, {key: (plain[key], carried[key]) for key in differing}
    assert plain["rounds"] == 2
    assert (plain["pii_leaked"], carried["pii_leaked"]) == (0, 0)
    if scenario is TEXTS:
        assert int(str(carried["pii_planted"])) > 200


def test_a_gateway_that_dies_stops_the_rehearsal_with_one_line_and_leaves_nothing(
    place: Place,
) -> None:
    process = place.start("digits", "--devices", "6", "--rounds", "90", "--engine", "flower")
    killed = _wait_for(place, "ray::Gateway")
    time.sleep(3.0)
    os.kill(killed, signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 4, err
    assert "gateway" in err.splitlines()[-1]
    assert "Traceback" not in err
    place.assert_nothing_is_left()


def _wait_for(place: Place, name: str) -> int:
    """Return the id of a process of ours by this name, once there is one."""
    end = time.monotonic() + 120.0
    while time.monotonic() < end:
        for process, line in place.processes().items():
            if line.startswith(name):
                return process
        time.sleep(0.2)
    raise AssertionError(f"no {name} was started")
