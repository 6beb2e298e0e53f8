import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from flwr.supercore import telemetry
from typer.testing import CliRunner

from fieldvote.cli import app
from fieldvote.errors import InputError, MissingExtraError
from simulations.engines import flower
from simulations.engines.flower import flower_engine
from simulations.rehearsal import run
from simulations.scenario import Scenario


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)


@pytest.mark.usefixtures("without_ray")
def test_without_ray_it_says_so_at_once_and_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("simulations.rehearsal.populate", lambda *_: pytest.fail("work was done"))
    with pytest.raises(MissingExtraError, match=r"flower engine .*'fieldvote\[ray\]'"):
        run(Scenario.load("digits"), seed=1, engine="flower")


@pytest.mark.usefixtures("without_ray")
def test_the_command_says_it_in_one_line() -> None:
    done = CliRunner().invoke(app, ["simulate", "digits", "--engine", "flower"])
    assert done.exit_code == 4
    said = [line for line in done.stderr.splitlines() if "fieldvote" in line]
    assert len(said) == 1


def test_an_engine_that_is_nearly_named_is_named() -> None:
    with pytest.raises(InputError, match=r"no engine 'flowers'.*'flower'"):
        run(Scenario.load("digits"), seed=1, engine="flowers")


def test_the_engine_s_module_costs_no_ray() -> None:
    code = "import sys, simulations.engines.flower; print('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.skipif(os.name != "posix", reason="Unix sockets have paths only there")
def test_sockets_find_room_however_long_the_temporary_folder_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("long" * 20)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with flower._short_folder() as folder:
        socket = folder / "session_2026-01-01_12-00-00_000000_1234567" / "sockets" / "plasma_store"
        assert len(str(socket)) <= 107
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_environment_telemetry_and_signals_are_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    monkeypatch.delenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", raising=False)
    before = signal.getsignal(signal.SIGTERM), dict(os.environ), telemetry.FLWR_TELEMETRY_ENABLED
    with flower._stopping(), flower._environment(), flower._quiet_flower():
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
        assert telemetry.FLWR_TELEMETRY_ENABLED == "0"
        assert telemetry.create_event(telemetry.EventType.PING, None) == "disabled"
        assert signal.getsignal(signal.SIGTERM) != before[0]
    after = signal.getsignal(signal.SIGTERM), dict(os.environ), telemetry.FLWR_TELEMETRY_ENABLED
    assert after == before


def test_a_signal_first_says_it_is_over_and_acts_once_all_is_cleared_away() -> None:
    cleared = threading.Event()

    def interrupted() -> None:
        with flower._stopping() as over:
            signal.raise_signal(signal.SIGINT)
            assert over.is_set()
            cleared.set()

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert cleared.is_set()


def test_the_engine_is_there_where_ray_is() -> None:
    pytest.importorskip("ray", reason="ray is not installed: pip install 'fieldvote[ray]'")
    assert callable(flower_engine())
