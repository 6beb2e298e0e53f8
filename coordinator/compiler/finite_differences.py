"""Checks a compiled step against finite differences of its own loss, before anybody signs it.

A rule that is wrong leaves the loss as it is and the gradient plausible; training then goes
nowhere, slowly. So the loss is evaluated on both sides of the weights, along directions that lean
towards the gradient, and the difference is compared with what the gradient promises. Nothing but
ONNX Runtime is needed, and what is checked is the very graph that will run.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from coordinator.compiler.files import part_of
from coordinator.compiler.graph import Array
from coordinator.compiler.loss import LOSS, TARGET, WEIGHT, WEIGHT_SUM
from coordinator.compiler.optimizers import RATE, accumulator, gradient, new
from coordinator.compiler.step import TrainStep
from coordinator.compiler.terms import CLIP_NORM, PROXIMAL
from fieldvote.errors import InputError
from fieldvote.rng import stream

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

#: Correct rules stay below .015, a Relu's mask left out gives .7.
TOLERANCE = 0.05
_PROBES = 3
# a probe goes as far as moves the loss by this share of itself, or the weights by that share of
# their norm: less drowns in rounding, more steps over the kinks of Relu and the bends of depth
_MOVED_LOSS, _MOVED_WEIGHTS = 1e-3, 1e-3
_ROUNDING = 4e-7
# the rate at which `w - w:new` is measured; large, so that the difference is not rounded away
_RATE = 1024.0
_LEAST, _LEAST_NORM = 1e-30, 1e-3
_ROWS = 6
#: Values under which gates and terms change nothing.
_NEUTRAL = {CLIP_NORM: 1e30, PROXIMAL: 0.0, RATE: _RATE, WEIGHT_SUM: 0.0, "gate": 1.0}


def verify(
    step: TrainStep,
    *,
    inputs: Mapping[str, Array] | None = None,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> float:
    """Return the worst relative error of a step's gradients, over all parameters.

    Args:
        step: The compiled step.
        inputs: Samples for the model's own inputs; drawn if None. Whole numbers, such as positions
            in a table, must be given where 0 and 1 are not in range.
        seed: Of what is drawn.
        tolerance: Largest error let through.

    Raises:
        InputError: the graph does not run, or a gradient is further off than the tolerance; the
            parameter is named. Do not sign this step.
    """
    session = _session(step.graph, step)
    feed = _feed(session, step, inputs or {}, seed)
    gradients = _gradients(session, step, feed)
    # the forward pass is a third of the work, and the differences ask for nothing else
    session = _session(part_of(step.graph, LOSS), step)
    scale = max(1.0, abs(float(session.run([LOSS], dict(feed))[0])))
    worst, where = 0.0, ""
    for name, found in gradients.items():
        if not np.isfinite(found).all():
            raise InputError(f"the gradient of '{name}' is not finite; do not sign this step")
        for probe in range(_PROBES):
            drawn = stream(seed, "probe", name, probe).standard_normal(found.shape)
            error = _error(session, step, feed, name, found, drawn, scale)
            if error > worst:
                worst, where = error, name
    if worst > tolerance:
        raise InputError(
            f"the gradient of '{where}' is off by {worst:.2g} of its size, where {tolerance} is "
            "the most; do not sign this step"
        )
    return worst


def _error(
    session: "InferenceSession",
    step: TrainStep,
    feed: Mapping[str, Array],
    name: str,
    found: NDArray[np.float64],
    drawn: NDArray[np.float64],
    scale: float,
) -> float:
    """Return how far one directional derivative is from its finite difference, beyond rounding."""
    start = step.parameters[name].astype(np.float64)
    direction = found / (np.linalg.norm(found) + _LEAST)
    direction = direction + 0.3 * drawn / np.sqrt(max(found.size, 1))
    promised = float((found * direction).sum())
    size = max(float(np.linalg.norm(start)), _LEAST_NORM) / float(np.linalg.norm(direction))
    wanted = _MOVED_LOSS * scale / (abs(promised) + _LEAST)
    reach = min(_MOVED_WEIGHTS * size, wanted)

    def loss(sign: float) -> float:
        moved = (start + sign * reach * direction).astype(np.float32)
        return float(session.run([LOSS], {**feed, name: moved})[0])

    measured = (loss(1.0) - loss(-1.0)) / (2 * reach)
    noise = _ROUNDING * scale / reach
    return max(0.0, abs(measured - promised) - noise) / (abs(promised) + noise)


def _gradients(
    session: "InferenceSession", step: TrainStep, feed: Mapping[str, Array]
) -> dict[str, NDArray[np.float64]]:
    """Return the gradients, read from whatever the step puts out."""
    asked = [value.name for value in session.get_outputs()]
    try:
        made = dict(zip(asked, session.run(asked, dict(feed)), strict=True))
    except Exception as err:  # onnxruntime's own errors share no public base class
        raise InputError(f"the compiled step does not run: {type(err).__name__}") from err
    flat = None if step.optimizer is None else step.optimizer.first_gradient(made)
    found, at = {}, 0
    for name, start in step.parameters.items():
        if gradient(name) in made:
            found[name] = np.asarray(made[gradient(name)], np.float64)
        elif flat is not None:
            found[name] = flat[at : at + start.size].reshape(start.shape)
            at += start.size
        else:
            moved = np.asarray(made[new(name)], np.float64)
            found[name] = (start.astype(np.float64) - moved) / _RATE
    return found


def _feed(
    session: "InferenceSession", step: TrainStep, given: Mapping[str, Array], seed: int
) -> dict[str, Array]:
    """Return a small batch, and neutral values of everything else that is fed."""
    rng = stream(seed, "verify")
    feed: dict[str, Array] = {**step.parameters, **step.state}
    rows = next((len(array) for array in given.values() if array.ndim), _ROWS)
    for port in session.get_inputs():
        name = port.name
        shape = tuple(size if isinstance(size, int) else rows for size in port.shape)
        if name in feed:
            continue
        if name in given:
            feed[name] = given[name]
        elif name == TARGET:
            feed[name] = rng.dirichlet(np.ones(step.classes), shape[0]).astype(np.float32)
        elif name == WEIGHT:
            feed[name] = rng.uniform(0.2, 1.0, shape).astype(np.float32)
        elif name.startswith(accumulator("")):
            feed[name] = _start_of(step, name)
        elif name in _NEUTRAL or ":" in name:
            value = _NEUTRAL.get(name.partition(":")[0], 0.0)
            feed[name] = np.full(shape, value, np.float32)
        elif port.type == "tensor(float)":
            feed[name] = rng.standard_normal(shape).astype(np.float32)
        else:
            kind = port.type.removeprefix("tensor(").removesuffix(")")
            feed[name] = rng.integers(0, 2, shape).astype(kind)
    if WEIGHT_SUM in feed:
        feed[WEIGHT_SUM] = np.asarray(feed[WEIGHT].sum(), np.float32)
    return feed


def _start_of(step: TrainStep, name: str) -> Array:
    """Return what a part of a batch adds its gradient to: the parameter, or nothing."""
    parameter = name.removeprefix(accumulator(""))
    start = step.parameters[parameter]
    return start if step.optimizer is not None else np.zeros_like(start)


def _session(graph: bytes, step: TrainStep) -> "InferenceSession":
    """Load a step, or a part of it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    if step.frozen:
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(a) for a in step.frozen.values()]
        options.add_external_initializers(list(step.frozen), values)
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as err:  # as in _gradients
        raise InputError(f"the compiled step does not load: {type(err).__name__}") from err
