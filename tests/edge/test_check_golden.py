"""Golden outputs at the desk: written with the model, and found out when it is another."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from coordinator.new_task import Kind, write_task
from edge.check_golden import write_golden
from edge.check_task import check_task
from edge.model_guard.golden import Golden
from fieldvote.cli import app
from fieldvote.errors import StoreError, TaskError
from fieldvote.task import Task


@pytest.fixture
def task(tmp_path: Path) -> Path:
    folder = tmp_path / "task"
    write_task(folder, Kind.TABULAR)
    return folder


def name_golden(folder: Path) -> None:
    file = folder / "task.toml"
    said = file.read_text()
    file.write_text(
        said.replace('embedding = "embedding"', 'embedding = "embedding"\ngolden = "g"')
    )


def test_what_was_written_is_what_the_model_gives(task: Path) -> None:
    done = CliRunner().invoke(app, ["check", str(task), "--save-golden", str(task / "g")])
    assert done.exit_code == 0, done.output
    name_golden(task)
    assert check_task(task).passed
    golden = Golden.from_bytes((task / "g").read_bytes(), width=4, classes=2, where="g")
    assert golden.rows == 8


def test_a_stale_file_is_found_out_and_can_be_written_anew(task: Path) -> None:
    write_golden(Task.load(task), task / "g")
    name_golden(task)
    content = (task / "g").read_bytes()
    (task / "g").write_bytes(content[:-2] + b"\xff?")
    with pytest.raises(
        TaskError, match=r"does not give the golden outputs in g; .*--save-golden g"
    ):
        check_task(task)
    done = CliRunner().invoke(app, ["check", str(task), "--save-golden", str(task / "g")])
    assert done.exit_code == 0, done.output
    assert (task / "g").read_bytes() == content


def test_a_disk_that_does_not_take_it_is_said_so(task: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        write_golden(Task.load(task), tmp_path / "nowhere" / "g")
