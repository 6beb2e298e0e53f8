"""Supervision with stand-ins for Flower's programs: they listen, say, linger and die like them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import pytest

from coordinator import site, superlink
from coordinator.processes import end_all, marked
from coordinator.service import CoordinatorSettings
from coordinator.site import Site
from coordinator.superlink import serve
from coordinator.supervision import Patience
from fieldvote.errors import InputError, SettingsError, UnavailableError
from fieldvote.locks import lock_file
from tests.deployment.processes import CERTIFICATES, free_port
from tests.doubles.tasks import text_files, write_task

pytestmark = pytest.mark.slow  # real programs, or a campaign at every point of it

TLS = "".join(f'{name} = "{path}"\n' for name, path in CERTIFICATES.items())
# answers on its port, and has a helper in a session of its own that outlives it
FAKE_LINK = """
import http.server, subprocess, sys
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Health).serve_forever()
"""
# notes each call; a run says what the folder's script says, until it is told to end
FAKE_FLWR = """
import os, pathlib, sys, time
folder = pathlib.Path(os.environ["FLWR_HOME"]).parent
with (folder / "calls").open("a") as calls:
    print(*sys.argv[1:], file=calls)
if sys.argv[1] == "run":
    print("Successfully started run 42 in federation x", flush=True)
    print("INFO : not ours", flush=True)
    with (folder / "campaign.log").open("a") as log:
        print("round 1: planned", file=log)
    while not (folder / "end-run").exists():
        time.sleep(0.02)
    (folder / "end-run").unlink()
"""


@dataclass(slots=True)
class Place:
    """A coordinator's folder, and what is said there."""

    folder: Path
    port: int
    said: list[str] = field(default_factory=list)

    def write(self, flower: str = "", address: str = "") -> Path:
        """Write the coordinator's file."""
        config = self.folder / "coordinator.toml"
        config.write_text(
            f'folder = "state"\ntask = "task"\naddress = "{address or f"127.0.0.1:{self.port}"}"\n'
            f'[flower]\n{flower}[campaign]\nname = "c"\n'
        )
        return config

    def state(self, name: str) -> Path:
        """Return a file in the coordinator's folder."""
        return self.folder / "state" / name

    def calls(self) -> list[str]:
        """Return how flwr was called."""
        path = self.state("calls")
        return path.read_text().splitlines() if path.exists() else []

    def serve_while(self, *steps: Callable[[], None], flower: str = "") -> None:
        """Serve; meanwhile take one step after the other, each once a run has begun anew."""

        def take() -> None:
            for number, step in enumerate(steps, start=1):
                while self.said.count("round 1: planned") < number:
                    time.sleep(0.02)
                step()

        thread = Thread(target=take, daemon=True)
        thread.start()
        serve(self.write(flower), self.said.append)
        thread.join(5)
        assert not thread.is_alive()

    def finish(self) -> None:
        """Let the campaign be over, and the run end."""
        self.state("finished").touch()
        self.state("end-run").touch()

    def end_run(self) -> None:
        """Let the run end before the campaign does."""
        self.state("end-run").touch()

    def kill_superlink(self) -> None:
        """Kill the SuperLink."""
        for pid in marked(str(self.folder / "state")):
            if b"--port" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    write_task(tmp_path / "task", text_files())
    (tmp_path / "bin").mkdir()
    for name, code in {"flower-superlink": FAKE_LINK, "flwr": FAKE_FLWR}.items():
        program = tmp_path / "bin" / name
        program.write_text(f"#!{sys.executable} -S\n{code}")
        program.chmod(0o755)
    made = Place(tmp_path.resolve(), free_port())
    for module in (site, superlink):
        monkeypatch.setattr(module, "program", lambda name: str(made.folder / "bin" / name))
    monkeypatch.setattr(superlink, "is_finished", lambda _: made.state("finished").exists())
    monkeypatch.setattr(Patience, "wait_s", lambda *_: 0.01)
    yield made
    end_all(str(made.folder / "state"))


def test_a_campaign_that_ends_leaves_no_program_behind(place: Place) -> None:
    place.serve_while(place.finish)
    assert place.said == [
        f"devices reach the campaign at 127.0.0.1:{place.port}",
        "round 1: planned",
        "the campaign is finished",
    ]
    assert marked(str(place.folder / "state")) == []
    [call] = place.calls()
    assert call.startswith(f"run {place.state('app')} fieldvote --stream --run-config config=")
    assert "INFO : not ours" in place.state("run.log").read_text()


def test_a_superlink_that_dies_and_a_run_that_ends_early_are_followed_by_a_new_run(
    place: Place,
) -> None:
    place.serve_while(place.kill_superlink, place.end_run, place.finish)
    lines = [line.partition(":")[0] for line in place.said if "trying again" in line]
    assert lines == ["the SuperLink ended", "the run ended early"]
    assert [call.split()[0] for call in place.calls()] == ["run"] * 3
    assert marked(str(place.folder / "state")) == []


def test_a_superlink_that_never_starts_is_given_up_with_the_log_to_read(place: Place) -> None:
    (place.folder / "bin" / "flower-superlink").write_text(f"#!{sys.executable} -S\n1 / 0\n")
    with pytest.raises(UnavailableError, match=r"5 quick failures: .*did not start: see .*\.log$"):
        serve(place.write(), place.said.append)
    assert "ZeroDivisionError" in place.state("superlink.log").read_text()
    assert len(place.said) == 4


def test_another_superlink_at_the_address_is_not_taken_for_ours(place: Place) -> None:
    taken = pytest.raises(UnavailableError, match=f"127.0.0.1:{place.port} already")
    with socket.create_server(("127.0.0.1", place.port)), taken:
        serve(place.write(), place.said.append)
    assert place.said == []
    assert marked(str(place.folder / "state")) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_everything_that_was_started(place: Place, number: signal.Signals) -> None:
    began = time.monotonic()
    place.serve_while(lambda: os.kill(os.getpid(), number))
    assert place.said[-1] == "stopped"
    assert time.monotonic() - began < 10
    assert marked(str(place.folder / "state")) == []


def test_what_a_killed_coordinator_left_is_ended_before_anything_starts(place: Place) -> None:
    at = Site.at(place.write().resolve(), CoordinatorSettings.load(place.write()))
    left = subprocess.Popen(at.superlink_command(), env=at.environment, start_new_session=True)
    place.serve_while(place.finish)
    assert left.wait(5) != 0
    assert place.said[0].startswith("ended ")
    assert place.said[0].endswith("a coordinator before this one had left behind")


def test_a_second_coordinator_is_refused_and_changes_nothing(place: Place) -> None:
    place.state("").mkdir()
    with lock_file(place.state("serve.lock"), "first"):
        with pytest.raises(UnavailableError, match=r"a coordinator is serving .*; stop it first"):
            serve(place.write(), place.said.append)
        assert [path.name for path in place.state("").iterdir()] == ["serve.lock"]
    assert place.said == []


def test_a_finished_campaign_starts_no_program(place: Place) -> None:
    place.state("").mkdir()
    place.state("finished").touch()
    serve(place.write(), place.said.append)
    assert (place.said, place.calls()) == (["the campaign is finished"], [])


def test_a_joined_superlink_is_not_started_and_our_run_there_is_stopped(place: Place) -> None:
    place.serve_while(lambda: os.kill(os.getpid(), signal.SIGTERM), flower="join = true\n")
    assert place.said[0] == f"joining the SuperLink at 127.0.0.1:{place.port}"
    assert [call.split()[:3] for call in place.calls()][1:] == [["stop", "42", "fieldvote"]]
    assert not place.state("superlink.log").exists()


def test_the_run_of_a_killed_coordinator_is_stopped_at_a_joined_superlink(place: Place) -> None:
    place.state("").mkdir()
    place.state("run.log").write_text("Successfully started run 41\n")
    place.serve_while(place.finish, flower="join = true\n")
    assert [call.split()[:2] for call in place.calls()] == [
        ["stop", "41"],
        ["run", str(place.state("app"))],
    ]


def test_a_bad_task_or_file_is_refused_before_anything_is_made(place: Place) -> None:
    with pytest.raises(SettingsError, match="no such file"):
        serve(place.write(TLS), place.said.append)
    (place.folder / "task" / "task.toml").unlink()
    with pytest.raises(InputError):
        serve(place.write(), place.said.append)
    assert not place.state("").exists()
