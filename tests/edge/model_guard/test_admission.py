"""A model has its first run once on a device, and again when anything about it is another."""

from dataclasses import replace

import pytest

from coordinator.models.backbone import identity_backbone
from coordinator.new_task import Kind
from coordinator.new_task import task_files as new_files
from edge.check_golden import check_golden
from edge.model_guard import admission
from edge.model_guard.admission import admit, stamp_of
from edge.model_guard.golden import golden_inputs, golden_of
from edge.model_guard.rules import Wanted, check_model
from edge.pool import Pool
from edge.scorer import Scorer, scorer_of
from fieldvote.errors import SettingsError, TaskError
from fieldvote.task import Task
from simulations.scenario import Scenario, names
from tests.doubles.models import NAMES, made, node
from tests.doubles.tasks import tabular_files, task_of, text_files

TASK_FILES = ("task.toml", "functions.toml", "policy.toml", "model.onnx")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with every first run."""
    seen: list[str] = []

    def run(*_args: object, where: str, **_more: object) -> None:
        seen.append(where)

    monkeypatch.setattr(admission, "run_apart", run)
    return seen


def with_golden(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files of a task that says what its model has to answer."""
    task = task_of(files)
    inputs = golden_inputs(task.input.width)
    answers = golden_of(inputs, Scorer(task.model, names=NAMES).score(inputs))
    said = files["task.toml"] + b'\n[model]\ngolden = "golden.msgpack"\n'
    return {**files, "task.toml": said, "golden.msgpack": answers.to_bytes()}


def test_the_first_run_is_paid_for_once(runs: list[str]) -> None:
    pool, task = Pool(None), task_of(text_files())
    for _ in range(3):
        scorer_of(task, pool)
    assert runs == ["model.onnx"]
    pool.close()


def test_every_change_of_what_the_run_was_about_asks_for_another(
    runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, task = Pool(None), task_of(text_files())
    others = [
        replace(task, classes=("a", "b", "c")),
        replace(task, input=replace(task.input, width=65)),
        replace(task, names=replace(task.names, embedding="hidden")),
        replace(task, golden=b"x"),
        replace(task, model=task.model + b"\x2a\x00"),
    ]
    assert len({stamp_of(other) for other in (task, *others)}) == 6
    before = stamp_of(task)
    monkeypatch.setattr("onnxruntime.__version__", "99.0")
    assert stamp_of(task) != before
    # the policy or the functions are nothing to the model
    assert stamp_of(replace(task, digest="other", name="other")) == stamp_of(task)
    pool.close()


def test_a_model_that_failed_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_args: object, **_more: object) -> None:
        raise TaskError("model.onnx crashes")

    pool, task = Pool(None), task_of(text_files())
    monkeypatch.setattr(admission, "run_apart", fails)
    with pytest.raises(TaskError, match="crashes"):
        admit(task, pool)
    seen: list[int] = []
    monkeypatch.setattr(admission, "run_apart", lambda *_a, **_m: seen.append(1))
    admit(task, pool)
    assert seen == [1]
    pool.close()


def test_the_task_that_serves_is_still_known_after_another_was_tried(runs: list[str]) -> None:
    pool, old = Pool(None), task_of(text_files())
    admit(old, pool)
    for width in (65, 66, 67):
        # never installed: only tried
        admit(replace(old, input=replace(old.input, width=width), model=_wider(width)), pool)
    admit(old, pool)
    assert len(runs) == 4
    pool.close()


def _wider(width: int) -> bytes:
    return identity_backbone(width, 2)


def test_what_was_let_in_is_read_again_at_every_start(runs: list[str]) -> None:
    """A stamp is no way around the rules: the file that loads is the file that was read."""
    files = {**tabular_files(), "model.onnx": made(node("NonZero", "input", "embedding"))}
    task = task_of(files)
    pool = Pool(None)
    pool.keep_note("models let in", stamp_of(task))
    with pytest.raises(TaskError, match=r"has an input .* of width"):
        scorer_of(task, pool)
    assert runs == []
    pool.close()


@pytest.mark.parametrize("files", [text_files(), tabular_files()], ids=["text", "tabular"])
def test_golden_outputs_travel_with_the_task_and_are_kept(files: dict[str, bytes]) -> None:
    whole = with_golden(files)
    task = task_of(whole)
    assert task.golden == whole["golden.msgpack"]
    assert task.digest != task_of({**whole, "golden.msgpack": b"x"}).digest
    pool = Pool(None)
    scorer = scorer_of(task, pool)
    check_golden(task, scorer)
    with pytest.raises(TaskError, match="golden"):
        check_golden(replace(task, golden=task.golden[:-8] + b"\0" * 7 + b"@"), scorer)
    with pytest.raises(TaskError, match="no golden outputs"):
        scorer_of(replace(task, golden=b"x"), pool)
    pool.close()


@pytest.mark.parametrize("name", ["../golden", "task.toml", "model.onnx", ".."])
def test_golden_outputs_lie_in_the_folder_that_is_signed(name: str) -> None:
    files = text_files()
    said = files["task.toml"] + f'\n[model]\ngolden = "{name}"\n'.encode()
    with pytest.raises(SettingsError, match="golden"):
        task_of({**files, "task.toml": said})


def test_golden_outputs_that_task_toml_names_have_to_be_there() -> None:
    whole = with_golden(text_files())
    del whole["golden.msgpack"]
    with pytest.raises(TaskError, match=r"'golden\.msgpack' is missing"):
        task_of(whole)


@pytest.mark.parametrize("kind", list(Kind))
def test_the_models_of_new_tasks_are_let_in(kind: Kind) -> None:
    files = {name: held for name, held in new_files(kind).items() if name in TASK_FILES}
    pool = Pool(None)
    scorer_of(Task.parse(files, "new"), pool)
    assert pool.note("models let in")
    pool.close()


@pytest.mark.parametrize("name", names())
def test_the_models_of_scenarios_are_let_in(name: str) -> None:
    width = Scenario.load(name).text_width
    wanted = Wanted.backbone(NAMES, width, 3)
    check_model(identity_backbone(width, 3), wanted, where=name)
