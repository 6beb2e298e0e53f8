"""Nothing planted in a fleet's items is anywhere outside the devices after a whole campaign.

Everything outside counts: all bytes that crossed in both directions, every file of the coordinator,
what the programs printed, and the tracebacks of what went wrong. What the people at the desk saw is
held against a milder rule: nothing personal, though the words that may leave are there.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.labels.terminal import make_keys
from edge.labeling.python_functions import installed_digest
from tests.doubles.needles import found_in
from tests.doubles.tasks import text_files, write_task
from tests.edge.planted_campaign import BROKEN, CONTENT, DEVICES, MUTANTS, PERSONAL, RULES, texts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
FUNCTION = """
[[function]]
id = "tells"
kind = "python"
owner = "ann"
votes_for = ["offer"]
entry_point = "tells"
digest = "{digest}"
"""
COORDINATOR = """
folder = "state"
task = "task"
rounds = {rounds}
quorum = 3
answers_wait_s = 30
[campaign]
name = "planted"
surveyed_share = 1.0
labels_per_device = 3
offers = 6
deadline_s = 10.0
exchanges = 3
vote_weight = 1.0
"""


@dataclass(frozen=True, slots=True)
class Outside:
    """What is left of a campaign outside the devices.

    Attributes:
        chunks: Every file, every message and every stream, by name.
        shown: What the people at the desk saw.
    """

    chunks: dict[str, bytes]
    shown: bytes

    def holds(self) -> dict[str, set[str]]:
        """Return which planted strings are where."""
        everything = {name: found_in(needles(), held) for name, held in self.chunks.items()}
        everything["shown"] = found_in(set(needles()) - {CONTENT}, self.shown)
        return {name: found for name, found in everything.items() if found}


def needles() -> list[str]:
    """Return what is looked for: planted strings whole, and the parts that tell enough."""
    parts = {part for text in PERSONAL for part in text.split() if len(part) > 6}
    return [*PERSONAL, *sorted(parts), CONTENT, "kowalczyk.example", "4539148803436467"]


def set_up(folder: Path, rounds: int) -> None:
    """Write everything a campaign needs into a folder."""
    site = folder / "site"
    info = site / "planted_rules-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "planted_rules.py").write_text(RULES)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: planted-rules\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fieldvote.functions]\ntells = planted_rules:tells\n")
    files = ["planted_rules.py", *(f"{info.name}/{name}" for name in ("METADATA", "RECORD"))]
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in files))
    sys.path.insert(0, str(site))
    try:
        digest = installed_digest("tells")
    finally:
        sys.path.remove(str(site))
    made = text_files(candidates=2)
    made["functions.toml"] += FUNCTION.format(digest=digest).encode()
    write_task(folder / "task", made)
    keys = make_keys(folder / "desk", os.urandom)
    (folder / "fleet.secret").write_bytes(bytes(8))
    (folder / "coordinator.toml").write_text(COORDINATOR.format(rounds=rounds))
    for number, name in enumerate((*DEVICES, "broken", "empty")):
        lines = {
            "folder": f'"{name}"',
            "task": '"task"',
            "sketch_secret": '"fleet.secret"',
            "items": f'"{name}.txt"',
            "python_functions": f'{{ tells = "{digest}" }}',
            **{key: f'"{value}"' for key, value in keys.items()},
        }
        if name == "judge":
            lines |= {"evaluates": "true", "items": '"judge.npz"'}
            write_judge(folder / "judge.npz")
        text = "".join(f"{key} = {value}\n" for key, value in lines.items())
        (folder / f"{name}.toml").write_text(text)
        (folder / f"{name}.txt").write_text("\n".join(texts(number)))
    (folder / "broken.txt").write_bytes(b"\xff" + BROKEN.encode())
    (folder / "empty.txt").write_bytes(b"\n")


def write_judge(path: Path) -> None:
    """Write the items of the device that judges, with their classes."""
    import numpy as np

    said = texts(3)
    utf8 = np.frombuffer("\n".join(said).encode(), dtype=np.uint8)
    np.savez(path, utf8=utf8, y=np.arange(len(said)) % 2)


def after(folder: Path, mutant: str, *, rounds: int) -> Outside:
    """Run the campaign with this protection taken out; return what is left outside."""
    set_up(folder, rounds)
    with (folder / "out.log").open("wb") as out, (folder / "err.log").open("wb") as err:
        done = subprocess.run(
            [
                sys.executable, "-P", "-X", "dev", "-c",
                "from tests.edge.planted_campaign import main; main()", str(folder), mutant,
            ],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder / "site")]),
                "HOME": str(folder), "FLWR_HOME": str(folder / "flwr"),
                "FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1",
                "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
            },
            stdout=out, stderr=err, cwd=folder, timeout=200, check=False,
        )  # fmt: skip
    own = {folder / name for name in (*DEVICES, "broken", "empty", "site", "desk")}
    own |= {folder / f"{name}.txt" for name in (*DEVICES, "broken", "shown")}
    own |= {folder / "judge.npz"}
    chunks = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not own & {path, *path.parents}
    }
    assert done.returncode == 0, chunks["err.log"].decode(errors="replace")[-2000:]
    return Outside(chunks=chunks, shown=(folder / "shown.txt").read_bytes())


def test_nothing_planted_is_outside_the_devices_after_a_campaign_in_which_everything_goes_wrong(
    tmp_path: Path,
) -> None:
    outside = after(tmp_path, "nothing", rounds=3)
    assert outside.holds() == {}
    # it was a campaign: rounds were turned, words that may leave were seen at the desk and answered
    out, err = (outside.chunks[name].decode(errors="replace") for name in ("out.log", "err.log"))
    assert "round 3: done" in out
    assert found_in([CONTENT], outside.shown)
    assert any(name.endswith("campaign.sqlite") for name in outside.chunks)
    assert sum(name.startswith("crossed/up") for name in outside.chunks) > 40
    # and everything went wrong: a device was stopped by the scan, redaction failed, items were
    # refused, a bug was answered for by its kind, and files were not read
    said = b"".join(outside.chunks.values())
    assert "'stopped_second_scan': 0" in out
    assert out.count("'stopped_second_scan': 0") < len(DEVICES)
    assert b"LeakError" in said
    assert b"LedgerSpentError" in said
    assert b"unexpected RuntimeError" in said
    assert "not UTF-8 at byte 0" in err
    assert "Traceback" in err


NIGHTLY = ("the hygiene of files", "the hygiene of a function's process", "the hygiene of logs")


@pytest.mark.parametrize(
    "mutant",
    [
        pytest.param(name, marks=[pytest.mark.nightly] if name in NIGHTLY else [])
        for name in sorted(set(MUTANTS) - {"nothing"})
    ],
)
def test_without_one_protection_the_same_search_finds_something(
    mutant: str, tmp_path: Path
) -> None:
    # what is not found in the first round would be found late
    assert after(tmp_path, mutant, rounds=1).holds()
