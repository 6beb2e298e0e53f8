"""Putting a task in the place of another: whole, or not at all."""

import os
from pathlib import Path

import pytest

from edge.install import bring_previous_back, installed_in, previous_of, replace_task, settle
from edge.redaction import redaction_of
from fieldvote.errors import InputError, StoreError
from fieldvote.task import Task
from privacy.pii import Vocabulary, second_scan
from tests.doubles.tasks import tabular_files, task_of, text_files, write_task

FILES = text_files()


@pytest.fixture
def held(tmp_path: Path) -> Path:
    return write_task(tmp_path / "task", FILES)


def test_a_folder_is_taken_as_it_is_where_nobody_need_sign(held: Path) -> None:
    installed = installed_in(held)
    assert (installed.task.digest, installed.version) == (task_of(FILES).digest, None)


def test_the_policys_redaction_passes_its_own_scan() -> None:
    redactor, vocabulary = redaction_of(task_of(FILES))
    assert vocabulary.digest == Vocabulary.load("en").digest
    masked = redactor.redact("Hi Zuzanna, call 07700 900123").text
    assert "Zuzanna" not in masked
    assert second_scan(masked, vocabulary) == ()


def test_a_replaced_task_is_the_new_one_and_the_last_one_stays_beside_it(held: Path) -> None:
    for number in range(3):
        replace_task(held, text_files(candidates=number + 1))
    assert Task.load(held).digest == task_of(text_files(candidates=3)).digest
    previous = held.with_name("task.previous")
    assert Task.load(previous).digest == task_of(text_files(candidates=2)).digest
    assert sorted(place.name for place in held.parent.iterdir()) == ["task", "task.previous"]


def test_a_replacement_that_was_interrupted_is_finished_or_cleared_away(tmp_path: Path) -> None:
    task, arriving = tmp_path / "task", tmp_path / "task.arriving"
    settle(task)
    write_task(arriving, {"task.toml": b"half of"})
    settle(task)  # without a previous one it is not ours to finish
    assert not task.exists()
    write_task(task, FILES)
    settle(task)
    assert not arriving.exists()
    task.rename(tmp_path / "task.previous")
    write_task(arriving, tabular_files())
    settle(task)
    assert Task.load(task).digest == task_of(tabular_files()).digest


def test_a_second_rename_that_fails_is_made_up_for(
    held: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.rename, []

    def second_fails(*paths: Path) -> None:
        calls.append(paths)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        real(*paths)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", second_fails)
        with pytest.raises(StoreError, match="No space left"):
            replace_task(held, tabular_files())
    # it was whole beside the old one already, so it was put in its place after all
    assert Task.load(held).digest == task_of(tabular_files()).digest


def test_the_task_before_and_the_one_that_serves_change_places(held: Path) -> None:
    with pytest.raises(InputError, match="no task was here before"):
        previous_of(held)
    replace_task(held, tabular_files())
    assert previous_of(held).name == "task.previous"
    for files in (FILES, tabular_files()):
        bring_previous_back(held)
        assert Task.load(held).digest == task_of(files).digest
    assert sorted(place.name for place in held.parent.iterdir()) == ["task", "task.previous"]


@pytest.mark.parametrize("broken", [1, 2, 3])
def test_a_change_of_places_that_fails_is_finished_or_undone(
    held: Path, monkeypatch: pytest.MonkeyPatch, broken: int
) -> None:
    replace_task(held, tabular_files())
    real, calls = os.rename, []

    def fails(*paths: Path) -> None:
        calls.append(paths)
        if len(calls) == broken:
            raise OSError(28, "No space left on device")
        real(*paths)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", fails)
        with pytest.raises(StoreError, match="No space left"):
            bring_previous_back(held)
    settle(held)
    serving, other = Task.load(held).digest, Task.load(previous_of(held)).digest
    assert {serving, other} == {task_of(FILES).digest, task_of(tabular_files()).digest}
    assert sorted(place.name for place in held.parent.iterdir()) == ["task", "task.previous"]


@pytest.mark.parametrize("crash", [0, 1, 2, 3])
def test_a_crash_while_they_change_places_leaves_one_of_them_serving(
    held: Path, monkeypatch: pytest.MonkeyPatch, crash: int
) -> None:
    class KilledError(BaseException):
        """Stands for a process that is gone."""

    replace_task(held, tabular_files())
    real, calls = os.rename, []

    def killed(*paths: Path) -> None:
        if len(calls) == crash:
            raise KilledError
        calls.append(paths)
        real(*paths)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", killed)
        if crash < 3:
            with pytest.raises(KilledError):
                bring_previous_back(held)
        else:
            bring_previous_back(held)
    settle(held)
    serving, other = Task.load(held).digest, Task.load(previous_of(held)).digest
    assert {serving, other} == {task_of(FILES).digest, task_of(tabular_files()).digest}
