"""A new task runs as it is, and overwrites nothing."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import coordinator.models.backbone as backbone
from coordinator.new_task import Kind, task_files, write_task
from edge.check_task import check_task
from fieldvote.cli import app
from fieldvote.errors import InputError, MissingExtraError
from fieldvote.task import TabularInput, Task, TextInput

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "first-task.md"


@pytest.mark.parametrize(("kind", "given"), [("text", TextInput), ("tabular", TabularInput)])
def test_a_new_task_passes_its_own_check(tmp_path: Path, kind: str, given: type) -> None:
    folder = tmp_path / "deep" / "task"
    assert CliRunner().invoke(app, ["new", str(folder), "--kind", kind]).exit_code == 0
    task = Task.load(folder)
    assert isinstance(task.input, given)
    assert len(task.functions) == 2
    assert all(function.examples for function in task.functions)
    assert {name for function in task.functions for name in function.classes} == set(task.classes)
    assert check_task(folder).passed


@pytest.mark.parametrize("kind", Kind)
def test_the_third_function_works_once_its_signs_are_taken_away(tmp_path: Path, kind: Kind) -> None:
    write_task(tmp_path / "t", kind)
    file = tmp_path / "t" / "functions.toml"
    lines = file.read_text().splitlines()
    start = lines.index("# [[function]]")
    file.write_text(
        "\n".join([*lines[:start], *(line.removeprefix("# ") for line in lines[start:])])
    )
    report = check_task(tmp_path / "t")
    assert len(report.functions) == 3
    assert report.passed


@pytest.mark.parametrize("kind", Kind)
def test_a_scenario_names_a_task_and_data_that_are_there(tmp_path: Path, kind: Kind) -> None:
    write_task(tmp_path / "t", kind)
    said = tomllib.loads((tmp_path / "t" / "scenario.toml").read_text())
    assert sorted(said) == [
        "data", "devices", "labels_per_device", "name", "online_share", "rounds", "task"
    ]  # fmt: skip
    assert Task.load(tmp_path / "t" / said["task"]).name == said["name"]
    assert said["data"] == "messages" or (tmp_path / "t" / said["data"]).is_file()


@pytest.mark.parametrize("kind", Kind)
def test_the_same_kind_gives_the_same_bytes(kind: Kind) -> None:
    assert task_files(kind) == task_files(kind)


def test_a_folder_that_holds_anything_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    ended = CliRunner().invoke(app, ["new", str(tmp_path)])
    assert ended.exit_code == 2
    assert "is not empty" in ended.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_filled_and_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_task(tmp_path / "empty", Kind.TEXT)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link"):
        with pytest.raises(InputError, match="is in the way"):
            write_task(tmp_path / name, Kind.TEXT)
    assert (tmp_path / "file").read_text() == "mine"


def test_without_onnx_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(width: int, classes: int) -> bytes:
        raise MissingExtraError("building a model", "coordinator")

    monkeypatch.setattr(backbone, "identity_backbone", refuse)
    ended = CliRunner().invoke(app, ["new", str(tmp_path / "t")])
    assert ended.exit_code == 4
    assert not (tmp_path / "t").exists()


def test_a_kind_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["new", str(tmp_path / "t"), "--kind", "image"]).exit_code == 2


def guide_commands() -> list[str]:
    """Return the commands of the guide: `$ ` begins one, `> ` carries it on."""
    commands: list[str] = []
    for block in re.findall(r"```console\n(.*?)```", GUIDE.read_text(), re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                commands.append(line[2:])
            elif line.startswith(">"):
                commands[-1] += "\n" + line[1:].removeprefix(" ")
    return commands


def test_the_guide_runs_as_it_is_written_up_to_the_rehearsal(tmp_path: Path) -> None:
    commands = [each for each in guide_commands() if not each.startswith("fieldvote simulate")]
    assert len(commands) == 5
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in commands:
        ended = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, f"{command}: {ended.stdout}{ended.stderr}"
    assert [function.id for function in Task.load(tmp_path / "my-task").functions][2:] == [
        "fine_print",
        "small_words",
    ]
