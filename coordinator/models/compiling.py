"""The two graphs that train a task's own network on devices, made from its model and task.toml.

What is signed with a task is what its model compiles to: :func:`compiled_files` is run by whoever
writes the files and again by whoever signs them, and every step is checked against finite
differences of its own loss before its bytes are given out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from coordinator.compiler import Terms, TrainStep, compile_step, last_layers, verify
from coordinator.compiler.files import without_outside
from coordinator.compiler.scoring import ScoringGraph, compile_scoring
from fieldvote.codec import IntVector
from fieldvote.errors import InputError, MissingExtraError, TaskError
from fieldvote.task import Task
from fieldvote.training import TrainingNames
from strategies.aggregation.deep_update import to_steps

if TYPE_CHECKING:
    from onnx import GraphProto

# the scoring graph is the same computation, in an order ONNX Runtime may fuse otherwise
_TOLERANCE = 1e-4
_ROWS = 4
_NEW = ":new"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledTraining:
    """What training a task's network takes.

    Attributes:
        step: The train step.
        scoring: The network that is told its weights.
        error: How far the step's gradients are from finite differences, relative to their size.
    """

    step: TrainStep
    scoring: ScoringGraph
    error: float

    @property
    def sizes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter, in their order."""
        return {name: array.shape for name, array in self.step.parameters.items()}

    def files(self, said: TrainingNames) -> dict[str, bytes]:
        """Return the files of the task folder; no weight of the model is in them."""
        return {
            said.step: without_outside(self.step.graph),
            said.scoring: without_outside(self.scoring.graph),
        }


def compile_training(
    model: bytes, said: TrainingNames, *, outputs: tuple[str, str]
) -> CompiledTraining:
    """Compile a model's step and scoring graph, and check both.

    Args:
        model: The ONNX file.
        said: What is trained, and how.
        outputs: Names of its probabilities and its embedding.

    Raises:
        InputError: the model holds what a rule does not know, by name; or a check failed.
        MissingExtraError: onnx is not installed.
    """
    terms = Terms(clip="clip" in said.terms, proximal="proximal" in said.terms)
    trainable: str | tuple[str, ...] = said.parameters or said.depth
    if said.layers and not said.parameters:
        trainable = last_layers(model, said.layers, output=outputs[0])
    step = compile_step(
        model,
        trainable=trainable,
        optimizer=said.optimizer,
        gates=(said.gate,) if said.gate else (),
        output=outputs[0],
        terms=terms,
        # the step of a part of a batch adds up for plain gradients only
        accumulate=said.optimizer == "sgd" and not terms,
        frozen="outside",
    )
    error = verify(step)
    scoring = compile_scoring(model, parameters=tuple(step.parameters), outputs=outputs)
    _refuse_what_a_device_does_not_find(model, (*step.parameters, *step.frozen, *scoring.frozen))
    _refuse_other_answers(model, scoring, outputs)
    return CompiledTraining(step=step, scoring=scoring, error=error)


def compiled_files(files: Mapping[str, bytes], where: str) -> dict[str, bytes]:
    """Return the graphs of a task by name, made anew; none where it has no `[training]`.

    Args:
        files: Those of the task; what they hold in the graphs' place does not matter.
        where: Where they came from, for messages.

    Raises:
        TaskError, SettingsError: the files are no task.
        InputError: as in :func:`compile_training`.
    """
    task = Task.parse(files, where)
    if task.training is None:
        return {}
    outputs = (task.names.probabilities, task.names.embedding)
    return compile_training(task.model, task.training, outputs=outputs).files(task.training)


def check_compiled(files: Mapping[str, bytes], where: str) -> None:
    """Return if a task's graphs are what its model compiles to, or it has none.

    Raises:
        TaskError: they are other graphs: nobody may sign these.
        InputError: as in :func:`compile_training`.
    """
    for name, graph in compiled_files(files, where).items():
        if files[name] != graph:
            raise TaskError(
                f"{where}: '{name}' is not what the model compiles to here; make it anew: "
                "fieldvote models compile TASK"
            )


def first_parameters(task: Task) -> IntVector:
    """Return the values a task's network starts from, in the order of its step. Shape (p,).

    Raises:
        TaskError: the task says nothing of training, or its step is not of its model.
        MissingExtraError: onnx is not installed.
    """
    if task.training is None:
        raise TaskError(
            f"task '{task.name}' has no [training], so its network stays as it is; "
            "see 'fieldvote models compile'"
        )
    held = _initializers(task.model)
    made = [value.name for value in _graph(task.step).output]
    names = [name.removesuffix(_NEW) for name in made if name.endswith(_NEW)]
    found = [held[name] for name in names if name in held]
    if not found:
        raise TaskError(f"'{task.training.step}' trains no weight of '{task.names.file}'")
    return to_steps(found)


def _initializers(model: bytes) -> dict[str, NDArray[np.float32]]:
    """Return the float32 weights of a file by name."""
    graph = _graph(model)
    from onnx import TensorProto, numpy_helper

    return {
        tensor.name: np.asarray(numpy_helper.to_array(tensor), np.float32)
        for tensor in graph.initializer
        if tensor.data_type == TensorProto.FLOAT
    }


def _refuse_what_a_device_does_not_find(model: bytes, names: tuple[str, ...]) -> None:
    """Refuse weights that are not in the file as they are named: a device reads them there."""
    held = _initializers(model)
    for name in names:
        if name not in held:
            raise InputError(
                f"weight '{name}' is no initializer of the model's file: an exporter has merged or "
                "computed it; export the model with every weight written out"
            )


def _refuse_other_answers(model: bytes, scoring: ScoringGraph, outputs: tuple[str, str]) -> None:
    """Refuse a scoring graph that says something else than the model, given the model's weights."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    own = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    if scoring.frozen:
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(a) for a in scoring.frozen.values()]
        options.add_external_initializers(list(scoring.frozen), values)
    told = onnxruntime.InferenceSession(scoring.graph, options, providers=["CPUExecutionProvider"])
    port = own.get_inputs()[0]
    shape = [size if isinstance(size, int) else _ROWS for size in port.shape]
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    before = own.run(list(outputs), {port.name: x})
    after = told.run(list(outputs), {port.name: x, **scoring.parameters})
    for name, one, other in zip(outputs, before, after, strict=True):
        if not np.allclose(one, other, rtol=_TOLERANCE, atol=_TOLERANCE):
            raise InputError(f"the scoring graph's '{name}' is not the model's; do not sign it")


def _graph(model: bytes) -> "GraphProto":
    """Return what a file of ours holds."""
    try:
        import onnx
    except ModuleNotFoundError as err:
        raise MissingExtraError("training a network", "coordinator") from err
    return onnx.load_from_string(model).graph
