"""The guide to enrolment, typed in its order, and its tables held against what there is."""

import re
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from coordinator.admission import EnrolmentSettings as CoordinatorEnrolment
from coordinator.keys.registrar_settings import RegistrarSettings
from coordinator.service import CoordinatorSettings
from edge.settings import EdgeSettings, EnrolmentSettings
from tests.deployment.processes import environment, free_port, nobody_left, running, wait_for

GUIDE = (Path(__file__).parents[3] / "docs" / "guide" / "enrolment.md").read_text("utf-8")
KEYS = f"{sys.executable} -c 'from coordinator.keys.cli import app; app()'"


def blocks(kind: str) -> list[str]:
    """Return the guide's blocks of one kind, in its order."""
    return re.findall(rf"```{kind}\n(.*?)```", GUIDE, flags=re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who types what the guide says, in a folder and at ports of their own."""

    folder: Path
    superlink: int
    registrar: int

    def meant(self, text: str) -> str:
        return text.replace("fieldvote keys", KEYS).replace("9092", str(self.superlink))

    def types(self, command: str, **words: str) -> str:
        """Run a command to its end; return what it printed."""
        for name, word in words.items():
            command = command.replace(name, word)
        done = subprocess.run(
            self.meant(command), shell=True, cwd=self.folder, env=environment(self.folder),
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout


@pytest.mark.slow
def test_what_the_guide_says_makes_a_device_and_ends_one(tmp_path: Path) -> None:
    reader = Reader(tmp_path, free_port(), free_port())
    made, serve, invite, enroll, run, *later = (block.splitlines() for block in blocks("sh"))
    with nobody_left(tmp_path), ExitStack() as stack:
        for command in made:
            reader.types(command)
        listen = f'listen = "127.0.0.1:{reader.registrar}"\n'
        (tmp_path / "owner" / "registrar.toml").write_text(reader.meant(blocks("toml")[0]) + listen)
        (tmp_path / "phone1.txt").write_text("a prize for you\nsee you at home\n")
        registrar = ["/bin/sh", "-c", f"exec {reader.meant(serve[0])}"]
        stack.enter_context(running(registrar, tmp_path, "registrar.log"))
        log = tmp_path / "registrar.log"
        wait_for(lambda: "devices enrol at" in log.read_text(), 30, tmp_path)
        token = reader.types(invite[0]).strip()
        assert "phone1 is enrolled until" in reader.types(enroll[0], TOKEN=token)
        agent, status = run
        words = ["/bin/sh", "-c", f"exec {agent}"]
        stack.enter_context(running(words, tmp_path, "phone1.log"))
        wait_for(lambda: "2 items, task" in (tmp_path / "phone1.log").read_text(), 30, tmp_path)
        assert "renews from" in reader.types(status)
        said = [reader.types(command) for block in later for command in block]
    assert any("phone1 is revoked" in line for line in said)
    assert "1 of them revoked" in "\n".join(said)


def test_every_setting_of_enrolment_stands_in_a_table_of_the_guide() -> None:
    rows = set(re.findall(r"^\| `(\w+)`", GUIDE, flags=re.MULTILINE))
    for settings in (RegistrarSettings, EnrolmentSettings, CoordinatorEnrolment):
        assert {field.name for field in fields(settings)} <= rows
    known = {
        f.name
        for s in (RegistrarSettings, EnrolmentSettings, CoordinatorEnrolment)
        for f in fields(s)
    }
    assert rows <= known
    assert all(
        "enrolment" in {f.name for f in fields(s)} for s in (EdgeSettings, CoordinatorSettings)
    )


def test_every_command_of_enrolment_stands_in_the_guide() -> None:
    for name in ("invite", "registrar", "enrolled", "revoke", "directory", "nodes", "intermediate"):
        assert f"fieldvote keys {name}" in GUIDE
    assert "fieldvote edge enroll" in GUIDE
