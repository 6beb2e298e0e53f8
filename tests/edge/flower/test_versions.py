"""test_compat against Flower's own wheels: what we say we speak, and the version before it."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import pytest

from edge.flower.wire import FLOWER_VERSIONS

ROOT = Path(__file__).parents[3]
WHEELS = Path(sys.prefix) / "wheels"
OLDER = "1.39"
# the wheel is what is imported, or nothing is said about it
CHECKED = """
import sys
from importlib.metadata import version
from pathlib import Path
import flwr, pytest
wheel, wanted, *words = sys.argv[1:]
assert version("flwr").startswith(wanted), version("flwr")
assert Path(flwr.__file__).is_relative_to(wheel), flwr.__file__
sys.exit(pytest.main(words))
"""


def checks_of(wanted: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run test_compat with a version's wheel before everything else that is installed."""
    found = sorted(WHEELS.glob(f"flwr-{wanted}.*.whl"))
    if not found:
        pytest.skip(f"no wheel of Flower {wanted} in {WHEELS.name}: 'make compat' downloads it")
    ZipFile(found[-1]).extractall(folder / "wheel")
    words = ["-q", "-rf", "-p", "no:cacheprovider", "tests/edge/flower/test_compat.py"]
    return subprocess.run(
        [sys.executable, "-c", CHECKED, str(folder / "wheel"), f"{wanted}.", *words],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": f"{folder / 'wheel'}{os.pathsep}{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "examples"),
            "FLWR_HOME": str(folder / "flower"),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "wanted", [each for each in FLOWER_VERSIONS if not version("flwr").startswith(f"{each}.")]
)
def test_every_version_we_say_we_speak_passes_every_check(wanted: str, tmp_path: Path) -> None:
    done = checks_of(wanted, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


@pytest.mark.slow
def test_the_version_before_them_fails_on_its_transport_and_is_not_spoken(tmp_path: Path) -> None:
    done = checks_of(OLDER, tmp_path)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    failed = {
        line.split("::")[1].split()[0] for line in done.stdout.splitlines() if "FAILED" in line
    }
    assert failed == {
        # its fleet calls are gRPC, without our paths, headers and media type
        "test_every_call_we_make_is_one_of_flowers_and_none_asks_for_an_app",
        "test_headers_limits_and_codes_are_flowers",
        # and a node beside it says so in one line and does not start
        "test_only_versions_that_were_tested_are_spoken",
    }
    assert (
        f"Flower {OLDER}.0 is installed, this node speaks {', '.join(FLOWER_VERSIONS)}"
        in done.stdout
    )
