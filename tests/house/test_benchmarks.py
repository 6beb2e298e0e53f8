"""Every benchmark can be rerun by anyone, and prints what its readers expect."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[1] / "benchmarks").glob("[a-z]*.py"))
NEEDS_DATA = {
    "deep_learning", "governance", "label_model", "private_campaign", "private_head", "redaction",
}  # fmt: skip
# long even so; what they measure has tests of its own
LONG = {
    "canary", "deep_learning", "exchange", "fleet", "governance", "private_campaign",
    "private_head", "slow_link", "train_step",
}  # fmt: skip
COLUMNS = {"what", "ours", "unit", "peer", "peer_name", "ratio", "target", "met"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(script, id=script.stem, marks=[pytest.mark.nightly] * (script.stem in LONG))
        for script in SCRIPTS
    ],
)
def test_a_quick_run_prints_one_object_of_rows(script: Path) -> None:
    if script.stem in NEEDS_DATA and not os.environ.get("FIELDVOTE_DATA"):
        pytest.skip("FIELDVOTE_DATA is not set")
    done = subprocess.run(
        [sys.executable, str(script), "--quick", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    report = json.loads(done.stdout)
    assert report["name"] == script.stem
    assert report["rows"]
    assert all(set(row) == COLUMNS for row in report["rows"])
