"""What a train step and a scoring graph may be: exactly those of the model they came with.

A step moves some weights of the task's own model, by their names and in their shapes. Everything it
is fed and puts out follows from that: nothing else may be there, so a signed step can neither read
what it has no business with, nor put anything but new weights and a loss out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Final

from edge.model_guard.model_file import ModelFile, read_model
from edge.model_guard.operators import OF_STEPS
from edge.model_guard.rules import Wanted, check_model
from edge.model_guard.weights import shapes_of, weights_in
from fieldvote.errors import TaskError, WireError
from fieldvote.task import Task
from fieldvote.training import TrainingNames

NEW, ACCUMULATOR, ANCHOR, GATE = ":new", "acc:", "anchor:", "gate:"
TARGET, WEIGHT, RATE, LOSS = "target", "weight", "lr", "loss"
WEIGHT_SUM, CLIP_NORM, PROXIMAL = "weight_sum", "clip_norm", "proximal"

Shape = tuple[int | None, ...]
_STATES: Final[Mapping[str, bool]] = {
    "momentum": True, "adam:mean": True, "adam:square": True, "adam:steps": False,
}  # fmt: skip
"""What optimizers remember, and whether it is as long as all parameters; else it is one number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepForm:
    """What goes in and out of a task's step.

    Attributes:
        parameters: Shape of each weight that is trained, in the order of the step.
        states: Shape of what its optimizer remembers.
        in_parts: Whether a batch may be taken in parts.
        gate: Input that says how deep each sample teaches; empty where all teach all layers.
        step_outside: Weights of the model that the step reads and does not hold.
        scoring_outside: The same of the scoring graph.
    """

    parameters: Mapping[str, tuple[int, ...]]
    states: Mapping[str, tuple[int, ...]]
    in_parts: bool
    gate: str
    step_outside: frozenset[str]
    scoring_outside: frozenset[str]

    @property
    def size(self) -> int:
        """The number of parameters, p."""
        return sum(map(prod, self.parameters.values()))


def form_of(task: Task) -> StepForm:
    """Return what a task's step is like, once it and the scoring graph were checked.

    Raises:
        TaskError: one of them is not what a device may load for this model, and why.
    """
    said = task.training
    if said is None:
        raise TaskError(f"task '{task.name}' has no train step")
    weights = shapes_of(weights_in(task.model))
    step, scoring = _read(task.step, said.step), _read(task.scoring, said.scoring)
    form = _form(step, scoring, weights, said)
    _check(task, said, form)
    return form


def _form(
    step: ModelFile,
    scoring: ModelFile,
    weights: Mapping[str, tuple[int, ...]],
    said: TrainingNames,
) -> StepForm:
    """Tell what a step trains from what it puts out."""
    made = [value.name.removesuffix(NEW) for value in step.outputs if value.name.endswith(NEW)]
    parameters = {name: weights[name] for name in made if name in weights}
    if not parameters:
        raise TaskError(f"{said.step} trains no weight of the model")
    size = sum(map(prod, parameters.values()))
    states: dict[str, tuple[int, ...]] = {}
    for name in made:
        if name in weights:
            continue
        if name not in _STATES:
            raise TaskError(f"{said.step} trains '{name[:64]}', which is no weight of the model")
        states[name] = (size,) if _STATES[name] else ()
    fed = {value.name for value in step.inputs}
    return StepForm(
        parameters=parameters,
        states=states,
        in_parts=WEIGHT_SUM in fed,
        gate=f"{GATE}{said.gate}" if said.gate else "",
        step_outside=_missing(step, weights, parameters),
        scoring_outside=_missing(scoring, weights, parameters),
    )


def _check(task: Task, said: TrainingNames, form: StepForm) -> None:
    """Refuse a step or a scoring graph that is not one for this model."""
    names, width, k = task.names, task.input.width, len(task.classes)
    own: dict[str, Shape] = dict(form.parameters)
    fed: dict[str, Shape] = {
        names.input: (None, width), TARGET: (None, k), WEIGHT: (None,), RATE: (), **own,
        **form.states,
    }  # fmt: skip
    if form.gate:
        fed[form.gate] = (None,)
    if form.in_parts:
        fed |= {WEIGHT_SUM: (), **{f"{ACCUMULATOR}{name}": s for name, s in own.items()}}
    if "clip" in said.terms:
        fed[CLIP_NORM] = ()
    if "proximal" in said.terms:
        fed |= {PROXIMAL: (), **{f"{ANCHOR}{name}": shape for name, shape in own.items()}}
    moved = {**own, **form.states}
    check_model(
        task.step,
        Wanted(
            inputs=fed,
            outputs={LOSS: (), **{f"{name}{NEW}": shape for name, shape in moved.items()}},
            outside=form.step_outside,
            operators=OF_STEPS,
        ),
        where=said.step,
    )
    check_model(
        task.scoring,
        Wanted(
            inputs={names.input: (None, width), **own},
            outputs={names.probabilities: (None, k), names.embedding: (None, None)},
            outside=form.scoring_outside,
        ),
        where=said.scoring,
    )


def _missing(
    graph: ModelFile,
    weights: Mapping[str, tuple[int, ...]],
    parameters: Mapping[str, tuple[int, ...]],
) -> frozenset[str]:
    """Return the weights of the model that a graph reads and nobody gives it."""
    there = {tensor.name for tensor in graph.constants} | parameters.keys()
    asked = {name for node in graph.nodes for name in node.inputs}
    return frozenset(weights).intersection(asked) - there


def _read(content: bytes, where: str) -> ModelFile:
    """Read a file.

    Raises:
        TaskError: it is not one.
    """
    try:
        return read_model(content)
    except WireError as err:
        raise TaskError(f"{where} is not a model ONNX Runtime may see: {err}") from err
