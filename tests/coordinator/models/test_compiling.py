"""The graphs of a task: what its model compiles to, checked before they are written or signed."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import typer
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from coordinator.compiler import finite_differences
from coordinator.keys.folder import KeyFolder
from coordinator.keys.owner import make_keys
from coordinator.keys.signing import sign_task
from coordinator.models.compile_cli import compile_command, compile_folder
from coordinator.models.compiling import check_compiled, compile_training, first_parameters
from coordinator.models.networks import perceptron
from coordinator.new_task import Kind, task_files
from edge.check_task import check_task
from edge.learning.network import Network
from fieldvote.bundle import Bundle, unpack
from fieldvote.errors import InputError, SettingsError, TaskError
from fieldvote.rng import keyed_entropy
from fieldvote.task import Task
from fieldvote.training import TrainingNames
from strategies.aggregation.deep_update import to_steps
from tests.coordinator.rounds.deep import deep_files, deep_task
from tests.doubles.owner import NOW_S
from tests.doubles.tasks import write_task

OUTPUTS = ("probabilities", "embedding")
APP = typer.Typer()
APP.command("compile")(compile_command)
APP.command("other")(lambda: None)


def folder_of(tmp_path: Path, **changed: bytes) -> Path:
    """Write the small deep task without its graphs."""
    files = {
        n: c for n, c in deep_files("").items() if n not in ("train_step.onnx", "scoring.onnx")
    }
    return write_task(tmp_path / "task", {**files, **changed})


@pytest.mark.parametrize("kind", list(Kind))
def test_a_new_task_is_compiled_and_signed_into_its_digest(kind: Kind, tmp_path: Path) -> None:
    folder = write_task(tmp_path / "task", dict(task_files(kind)))
    before = Task.load(folder)
    assert before.training is None
    assert before.files(folder).keys() == {
        "task.toml",
        "functions.toml",
        "policy.toml",
        "model.onnx",
    }
    done = CliRunner().invoke(APP, ["compile", str(folder), "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    task = Task.load(folder)
    assert task.digest != before.digest
    assert task.training == TrainingNames()
    assert said["files"] == {"train_step.onnx": len(task.step), "scoring.onnx": len(task.scoring)}
    assert (
        sum(said["parameters"].values()) == len(first_parameters(task)) == Network(task).form.size
    )
    assert check_task(folder).passed
    bundle = unpack(Bundle.of(Task.files(folder)).content)
    assert Task.parse(bundle, "bundle").digest == task.digest


def test_what_is_written_is_said_to_people(tmp_path: Path) -> None:
    done = CliRunner().invoke(APP, ["compile", str(folder_of(tmp_path))])
    assert "trains layer1.weight" in done.output
    assert "sign the task again" in done.output


def test_compiling_again_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    compile_folder(folder)
    before = Task.files(folder)
    compile_folder(folder)
    assert Task.files(folder) == before


def test_the_first_parameters_are_the_models_own() -> None:
    task = deep_task()
    held = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in onnx.load_from_string(task.model).graph.initializer
    }
    names = list(Network(task).form.parameters)
    np.testing.assert_array_equal(first_parameters(task), to_steps([held[n] for n in names]))


def test_a_model_no_rule_understands_is_refused_by_name_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    proto = onnx.load_from_string(deep_files("")["model.onnx"])
    relu = next(node for node in proto.graph.node if node.op_type == "Relu")
    relu.op_type = "Cos"
    folder = folder_of(tmp_path, **{"model.onnx": proto.SerializeToString()})
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError, match="no gradient for Cos"):
        compile_folder(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_dynamic_shapes_are_refused_by_name() -> None:
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Unsqueeze", ["input", "one"], ["steps"]),
            helper.make_node("Conv", ["steps", "w"], ["seen"], "windows", kernel_shape=[3]),
            helper.make_node("ReduceMean", ["seen"], ["embedding"], "mean", axes=[2], keepdims=0),
            helper.make_node("MatMul", ["embedding", "head"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "g",
        [info("input", TensorProto.FLOAT, ["n", "t"])],
        [info("probabilities", TensorProto.FLOAT, ["n", 2]), info("embedding", 1, ["n", 4])],
        [
            numpy_helper.from_array(np.array([1]), "one"),
            numpy_helper.from_array(np.ones((4, 1, 3), np.float32), "w"),
            numpy_helper.from_array(np.ones((4, 2), np.float32), "head"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(InputError, match=r"Conv 'windows'.*must be known before"):
        compile_training(model.SerializeToString(), TrainingNames(), outputs=OUTPUTS)


def test_a_gate_with_nothing_behind_it_is_refused() -> None:
    with pytest.raises(InputError, match="nothing behind it is trained"):
        compile_training(
            deep_files("")["model.onnx"],
            TrainingNames(depth="head", gate="embedding"),
            outputs=OUTPUTS,
        )


def test_a_step_whose_gradient_is_wrong_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = finite_differences._gradients
    monkeypatch.setattr(
        finite_differences,
        "_gradients",
        lambda *given: {name: 1.5 * array for name, array in honest(*given).items()},
    )
    folder = folder_of(tmp_path)
    with pytest.raises(InputError, match="do not sign this step"):
        compile_folder(folder)
    assert not (folder / "train_step.onnx").exists()


def test_a_weight_an_exporter_has_merged_is_refused() -> None:
    proto = onnx.load_from_string(deep_files("")["model.onnx"])
    first = next(node for node in proto.graph.node if "layer1.bias" in node.input)
    place = list(first.input).index("layer1.bias")
    proto.graph.node.insert(0, helper.make_node("Identity", ["layer1.bias"], ["shared.bias"]))
    next(node for node in proto.graph.node if node.op_type == "Gemm").input[place] = "shared.bias"
    with pytest.raises(InputError, match=r"weight 'shared\.bias' is no initializer"):
        compile_training(proto.SerializeToString(), TrainingNames(), outputs=OUTPUTS)


def test_only_the_graphs_of_its_own_model_are_signed(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    compile_folder(folder)
    files = Task.files(folder)
    check_compiled(files, "task")
    other = perceptron(hidden=(4,), classes=2, mean=np.ones(3), scale=np.ones(3), seed=9)
    check_compiled({**files, "model.onnx": other}, "task")  # the graphs hold no weights
    wider = perceptron(hidden=(5,), classes=2, mean=np.ones(3), scale=np.ones(3))
    for name, content in (
        ("model.onnx", wider),
        ("train_step.onnx", b"x"),
        ("scoring.onnx", files["train_step.onnx"]),
    ):  # fmt: skip
        with pytest.raises(TaskError, match="not what the model compiles to"):
            check_compiled({**files, name: content}, "task")


def test_an_owner_signs_a_task_with_its_graphs_and_no_other(tmp_path: Path) -> None:
    folder, keys = folder_of(tmp_path), KeyFolder(tmp_path / "owner")
    make_keys(keys, now_s=NOW_S, entropy=keyed_entropy(3, "owner"))
    compile_folder(folder)
    assert sign_task(keys, folder, now_s=NOW_S) == 1
    (folder / "train_step.onnx").write_bytes(deep_files()["train_step.onnx"])
    with pytest.raises(TaskError, match="not what the model compiles to"):
        sign_task(keys, folder, now_s=NOW_S)


@pytest.mark.parametrize(
    "said",
    [
        'depth = "some"', 'depth = "last:0"', 'depth = "last:x"', 'optimizer = "lamb"',
        'terms = ["corrected"]', 'step = "../step.onnx"', 'step = "model.onnx"',
        'scoring = "train_step.onnx"', 'parameters = ["a", "a"]', "dept = 1", 'step = "task.toml"',
    ],
)  # fmt: skip
def test_a_training_table_that_says_nothing_we_know_is_refused(said: str, tmp_path: Path) -> None:
    toml = deep_files("")["task.toml"] + said.encode() + b"\n"
    folder = folder_of(tmp_path, **{"task.toml": toml})
    with pytest.raises(SettingsError):
        compile_folder(folder)


def test_a_task_whose_graphs_are_missing_says_so(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"'train_step\.onnx' is missing"):
        Task.load(folder_of(tmp_path))
