"""Train steps of tasks: those of their model are let in, every other is refused and says why."""

from collections.abc import Callable
from functools import cache

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from coordinator.models.compiling import compiled_files
from coordinator.models.networks import perceptron, picture_network
from edge.learning.network import Network
from edge.model_guard.admission import admit, check_task, stamp_of
from edge.model_guard.first_run import RunLimits
from edge.model_guard.step_run import run_training_apart
from edge.model_guard.steps import form_of
from edge.model_guard.weights import values_of, with_weights
from edge.pool import Pool
from fieldvote.errors import TaskError
from fieldvote.task import Task
from tests.coordinator.rounds.deep import deep_files

SIDE, CLASSES = 8, 3


@cache
def pictures(training: str) -> Task:
    """Return a task over small pictures whose network is trained."""
    fields = [f"p{n}" for n in range(SIDE * SIDE)]
    files = {
        "task.toml": (
            'name = "pictures"\nclasses = ["a", "b", "c"]\n[input]\nkind = "tabular"\n'
            f"fields = {fields}\n[training]\n{training}\n"
        ).encode(),
        "functions.toml": b"",
        "policy.toml": b"",
        "model.onnx": picture_network(side=SIDE, channels=(4, 8), classes=CLASSES, scale=16.0),
        "train_step.onnx": b"",
        "scoring.onnx": b"",
    }
    return Task.parse({**files, **compiled_files(files, "pictures")}, "pictures")


@pytest.mark.parametrize(
    "training",
    [
        "",
        'depth = "head"',
        'depth = "last:2"',
        'parameters = ["layer1.bias", "head.weight"]',
        'gate = "embedding"',
        'optimizer = "momentum"\ngate = "embedding"',
        'optimizer = "adam"\nterms = ["clip", "proximal"]',
    ],
)
def test_what_the_compiler_makes_of_a_task_is_let_in(training: str) -> None:
    task = pictures(training)
    form = form_of(task)
    assert form.size == sum(int(np.prod(shape)) for shape in form.parameters.values())
    assert form.in_parts == (task.training.optimizer == "sgd" and not task.training.terms)
    held = {tensor.name for tensor in onnx.load_from_string(task.step).graph.initializer}
    assert not held & {"layer1.weight", "layer2.weight", "head.weight", "input.scale"}
    assert len(task.step) < 25_000


def test_a_network_is_let_in_once_and_again_when_its_step_has_changed() -> None:
    task = Task.parse(deep_files(), "deep")
    pool = Pool(None)
    assert stamp_of(task) != stamp_of(Task.parse(deep_files(""), "other"))
    admit(task, pool)
    kept = pool.note("models let in")
    admit(task, pool)
    assert pool.note("models let in") == kept


def test_weights_are_read_and_put_in_place_as_the_model_has_them() -> None:
    model = perceptron(hidden=(5,), classes=3, mean=np.arange(4.0), scale=np.ones(4), seed=3)
    held = {
        t.name: numpy_helper.to_array(t) for t in onnx.load_from_string(model).graph.initializer
    }
    found = values_of(model, ["head.weight", "layer1.bias"])
    assert list(found) == ["head.weight", "layer1.bias"]
    for name, array in found.items():
        np.testing.assert_array_equal(array, held[name])
    proto = onnx.load_from_string(model)
    kept = [tensor for tensor in proto.graph.initializer if tensor.name != "layer1.weight"]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(kept)
    again = with_weights(proto.SerializeToString(), model, ["layer1.weight"])
    x = np.ones((2, 4), np.float32)
    one, other = (
        onnxruntime.InferenceSession(m, providers=["CPUExecutionProvider"]).run(None, {"input": x})
        for m in (model, again)
    )
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(TaskError, match="no weight 'other'"):
        with_weights(model, model, ["other"])
    with pytest.raises(TaskError, match="no float32 weight 'other'"):
        values_of(model, ["other"])


Change = Callable[[onnx.GraphProto], None]


def changed(file: str, change: Change) -> Task:
    """Return the small deep task with one of its graphs changed."""
    files = dict(deep_files())
    proto = onnx.load_from_string(files[file])
    change(proto.graph)
    files[file] = proto.SerializeToString()
    return Task.parse(files, "deep")


def _add(graph: onnx.GraphProto, kind: str, inputs: list[str], output: str, **said: object) -> None:
    graph.node.append(helper.make_node(kind, inputs, [output], **said))


def _also_puts_out(graph: onnx.GraphProto) -> None:
    _add(graph, "Identity", ["input"], "stolen")
    graph.output.append(helper.make_tensor_value_info("stolen", TensorProto.FLOAT, ["n", 3]))


def _also_reads(graph: onnx.GraphProto) -> None:
    graph.input.append(helper.make_tensor_value_info("votes", TensorProto.FLOAT, ["n", 3]))


def _loops(graph: onnx.GraphProto) -> None:
    _add(graph, "Loop", ["lr"], "x")


def _of_another_shape(graph: onnx.GraphProto) -> None:
    port = next(value for value in graph.input if value.name == "layer1.weight")
    port.type.tensor_type.shape.dim[0].dim_value = 5


def _of_another_weight(graph: onnx.GraphProto) -> None:
    for value in graph.output:
        value.name = value.name.replace("layer1.bias:new", "layer9.bias:new")
    for node in graph.node:
        for place, name in enumerate(node.output):
            node.output[place] = name.replace("layer1.bias:new", "layer9.bias:new")


def _counts_who_passes(graph: onnx.GraphProto) -> None:
    _add(graph, "NonZero", ["input"], "found")
    _add(graph, "Shape", ["found"], "many")
    _add(graph, "ConstantOfShape", ["many"], "huge")


def _grows(graph: onnx.GraphProto) -> None:
    graph.initializer.append(numpy_helper.from_array(np.array([1 << 40]), "many"))
    _add(graph, "ConstantOfShape", ["many"], "huge")


def _trains_nothing(graph: onnx.GraphProto) -> None:
    kept = [value for value in graph.output if value.name == "loss"]
    del graph.output[:]
    graph.output.extend(kept)


def _of_another_domain(graph: onnx.GraphProto) -> None:
    _add(graph, "ReorderInput", ["input"], "x", domain="com.microsoft.nchwc")


def _for_six_only(graph: onnx.GraphProto) -> None:
    graph.input[0].type.tensor_type.shape.dim[0].dim_value = 6


HOSTILE: dict[str, tuple[str, Change, str]] = {
    "puts items out": ("train_step.onnx", _also_puts_out, "gives"),
    "reads what is not its": ("train_step.onnx", _also_reads, "wants"),
    "loops": ("train_step.onnx", _loops, "Loop"),
    "a wrong-shaped weight": ("train_step.onnx", _of_another_shape, "layer1.weight"),
    "a weight of nobody": ("train_step.onnx", _of_another_weight, "no weight of the model"),
    "a size by what items say": ("train_step.onnx", _counts_who_passes, "what items say"),
    "a size beyond all": ("train_step.onnx", _grows, "asks for more"),
    "no weight": ("train_step.onnx", _trains_nothing, "trains no weight"),
    "another domain": ("train_step.onnx", _of_another_domain, "com.microsoft.nchwc"),
    "a fixed batch": ("train_step.onnx", _for_six_only, "for 6 items only"),
    "scoring puts items out": ("scoring.onnx", _also_puts_out, "gives"),
    "scoring with NonZero": ("scoring.onnx", _counts_who_passes, "NonZero"),
    "scoring with other weights": ("scoring.onnx", _of_another_shape, "layer1.weight"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_step_is_refused_and_says_why(what: str) -> None:
    file, change, said = HOSTILE[what]
    task = changed(file, change)
    with pytest.raises(TaskError) as refused:
        Network(task)
    assert said in str(refused.value)
    assert file in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("file", ["train_step.onnx", "scoring.onnx"])
@pytest.mark.parametrize("content", [b"", b"\0" * 40, b"not a model", b"\x3a\xff\xff\xff\xff\x0f"])
def test_bytes_that_are_no_graph_are_refused(file: str, content: bytes) -> None:
    task = Task.parse({**deep_files(), file: content}, "deep")
    with pytest.raises(TaskError, match=file):
        form_of(task)


def test_a_step_of_another_model_is_refused() -> None:
    wider = deep_files(hidden=5)["model.onnx"]
    with pytest.raises(TaskError, match=r"train_step.onnx has an (input|output)"):
        form_of(Task.parse({**deep_files(), "model.onnx": wider}, "deep"))


def _not_finite(graph: onnx.GraphProto) -> None:
    for value in graph.output:
        if value.name == "loss":
            _add(graph, "Log", ["zero"], "none")
            _add(graph, "Mul", ["the_loss", "none"], "loss")
    for node in graph.node[:-2]:
        for place, name in enumerate(node.output):
            if name == "loss":
                node.output[place] = "the_loss"
    graph.initializer.append(numpy_helper.from_array(np.zeros((), np.float32), "zero"))


def test_a_step_that_makes_no_sense_is_found_out_in_a_process_apart() -> None:
    task = changed("train_step.onnx", _not_finite)
    form_of(task)
    with pytest.raises(TaskError, match=r"train_step\.onnx gives numbers that are not finite"):
        check_task(task)


def test_a_step_that_takes_more_memory_than_a_first_run_may_is_refused() -> None:
    def spread(graph: onnx.GraphProto) -> None:
        graph.initializer.append(numpy_helper.from_array(np.array([1 << 9, 1 << 16]), "many"))
        _add(graph, "ConstantOfShape", ["many"], "huge")
        _add(graph, "ReduceSum", ["huge"], "sum", keepdims=0)
        last = next(node for node in graph.node if "loss" in node.output)
        last.output[list(last.output).index("loss")] = "the_loss"
        _add(graph, "Add", ["the_loss", "sum"], "loss")

    task = changed("train_step.onnx", spread)
    with pytest.raises(TaskError, match=r"train_step.onnx needs more memory"):
        run_training_apart(task, limits=RunLimits(memory_bytes=64 << 20))
