"""The first run of a train step and of its scoring graph, in a process apart as a model's is.

A step runs on as many samples as are ever trained on at once, all gates open: what it costs then is
the most it will cost. What it makes of the model's own weights has to be finite and of their shape.
"""

import json
import struct
from collections.abc import Mapping
from io import BytesIO
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.model_guard.first_run import LARGEST_BATCH, RunLimits, judge_child
from edge.model_guard.golden import made_up
from edge.model_guard.steps import (
    ACCUMULATOR,
    ANCHOR,
    CLIP_NORM,
    LOSS,
    NEW,
    PROXIMAL,
    RATE,
    TARGET,
    WEIGHT,
    WEIGHT_SUM,
    StepForm,
    form_of,
)
from edge.model_guard.weights import values_of, with_weights
from fieldvote.errors import TaskError
from fieldvote.task import Task

LARGEST_STEP: Final = 128
"""Samples that are ever trained on at once; larger batches are taken in parts, or refused."""

_CHILD: Final = "edge.model_guard.step_child"
_SCALARS: Final = {RATE: 1e-3, WEIGHT_SUM: float(LARGEST_STEP), CLIP_NORM: 1.0, PROXIMAL: 0.0}

Feed = dict[str, NDArray[np.float32]]


def run_training_apart(task: Task, *, limits: RunLimits | None = None) -> None:
    """Run a task's step and scoring graph once; return if both did what they are for.

    Raises:
        TaskError: one crashed, hung, used more than it may, or made no sense.
        UnavailableError: this system starts no process now.
    """
    said = task.training
    if said is None:
        raise TaskError(f"task '{task.name}' has no train step")
    form, limits = form_of(task), limits or RunLimits()
    weights = values_of(task.model, form.parameters)
    asked = {LOSS: (), **{f"{n}{NEW}": s for n, s in {**form.parameters, **form.states}.items()}}
    step = with_weights(task.step, task.model, form.step_outside)
    _run(step, _step_feed(task, form, weights), asked, limits, said.step)
    scoring = with_weights(task.scoring, task.model, form.scoring_outside)
    fed = {task.names.input: made_up(LARGEST_BATCH, task.input.width), **weights}
    outputs = {
        task.names.probabilities: (LARGEST_BATCH, len(task.classes)),
        task.names.embedding: (LARGEST_BATCH,),
    }
    _run(scoring, fed, outputs, limits, said.scoring)


def _step_feed(task: Task, form: StepForm, weights: Mapping[str, NDArray[np.float32]]) -> Feed:
    """Return a batch as large as any, and all that goes with it."""
    rows, classes = LARGEST_STEP, len(task.classes)
    feed: Feed = {
        task.names.input: made_up(rows, task.input.width),
        TARGET: np.full((rows, classes), 1.0 / classes, np.float32),
        WEIGHT: np.ones(rows, np.float32),
        **weights,
        **{name: np.zeros(shape, np.float32) for name, shape in form.states.items()},
        RATE: np.asarray(_SCALARS[RATE], np.float32),
    }
    if form.gate:
        feed[form.gate] = np.ones(rows, np.float32)
    if form.in_parts:
        feed[WEIGHT_SUM] = np.asarray(_SCALARS[WEIGHT_SUM], np.float32)
        feed |= {f"{ACCUMULATOR}{name}": array for name, array in weights.items()}
    if task.training and "clip" in task.training.terms:
        feed[CLIP_NORM] = np.asarray(_SCALARS[CLIP_NORM], np.float32)
    if task.training and "proximal" in task.training.terms:
        feed[PROXIMAL] = np.asarray(_SCALARS[PROXIMAL], np.float32)
        feed |= {f"{ANCHOR}{name}": array for name, array in weights.items()}
    return feed


def _run(
    graph: bytes,
    feed: Feed,
    outputs: Mapping[str, tuple[int, ...]],
    limits: RunLimits,
    where: str,
) -> None:
    """Run a graph once in a child."""
    file = BytesIO()
    np.savez(file, **feed)  # type: ignore[arg-type]  # its stub takes no mapping of arrays
    parts = [json.dumps(dict(outputs)).encode(), graph, file.getvalue()]
    entries = sum(prod(shape) for shape in outputs.values())
    memory = limits.memory_bytes + 8 * len(graph) + 64 * entries
    head = struct.pack("<5q", memory, limits.cpu_s, *map(len, parts))
    judge_child(head + b"".join(parts), limits.wall_s, where, module=_CHILD)
