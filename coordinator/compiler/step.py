"""One train step as an ONNX graph: weights in, loss and new weights out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from coordinator.compiler import files
from coordinator.compiler.assembling import Interface, assemble, frozen_weights
from coordinator.compiler.builder import Builder
from coordinator.compiler.gates import Gating
from coordinator.compiler.graph import Graph, Port, Shape, needed
from coordinator.compiler.logits import find_logits
from coordinator.compiler.loss import LOSSES, WEIGHT_SUM
from coordinator.compiler.low_rank import with_deltas
from coordinator.compiler.optimizers import (
    OPTIMIZERS,
    RATE,
    Optimizer,
    Sgd,
    accumulator,
    gradient,
)
from coordinator.compiler.preparing import prepare
from coordinator.compiler.reverse import Reverse
from coordinator.compiler.rewrites import rewrite
from coordinator.compiler.shapes import resolved
from coordinator.compiler.site import product
from coordinator.compiler.terms import PLAIN, Terms
from coordinator.compiler.trainable import chosen, last
from fieldvote.errors import InputError, nearest

_Entry = TypeVar("_Entry")

FloatArray = NDArray[np.float32]
_FLOAT = np.dtype(np.float32)
#: Channels in a block of ONNX Runtime's image layout, by processor; 0 leaves the layout alone.
BLOCKS = (0, 8, 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainStep:
    """A compiled step.

    Attributes:
        graph: The ONNX file. Inputs are the model's own, `target` (n, k), `weight` (n,), `lr` (),
            every parameter and state by its name, and what gates and terms ask for. Outputs are
            `loss` and `NAME:new` for every parameter and state, or `grad:NAME`.
        parameters: The initial values of what is trained, by initializer name.
        state: The initial values of what the optimizer remembers.
        frozen: Weights that are not trained and were left out of the graph; whoever loads it
            gives them. Empty where the graph holds them itself.
        classes: Number of classes, k.
        optimizer: What moves the parameters; None if the graph puts out gradients.
    """

    graph: bytes
    parameters: dict[str, FloatArray]
    state: dict[str, FloatArray]
    frozen: dict[str, FloatArray]
    classes: int
    optimizer: Optimizer | None


def compile_step(
    model: bytes,
    *,
    trainable: str | Sequence[str] = "all",
    loss: str = "soft_cross_entropy",
    optimizer: str | Optimizer = "sgd",
    gates: Sequence[str] = (),
    emit: Literal["update", "gradients"] = "update",
    output: str | None = None,
    gating: Gating | str = Gating.ROWS,
    terms: Terms = PLAIN,
    accumulate: bool = False,
    low_rank: int | None = None,
    frozen: Literal["inside", "outside"] = "inside",
    block: int = 0,
    seed: int = 0,
) -> TrainStep:
    """Differentiate a model and return its train step.

    Args:
        model: An ONNX file whose output is logits, or a softmax over them.
        trainable: "all", "head", or names of initializers (:func:`last_layers` gives some).
        loss: A key of LOSSES.
        optimizer: A key of OPTIMIZERS, or one with settings of its own.
        gates: Tensors with a depth gate, from the loss backwards.
        emit: New parameters, or their gradients.
        output: The tensor with the logits or probabilities; found out if None.
        gating: Whether a stopped sample is taken out or multiplied by zero.
        terms: What is added to the gradient.
        accumulate: Compile for a part of a batch: adds the inputs `weight_sum` () and `acc:NAME`.
        low_rank: Rank of deltas that are trained in place of large matrices; None trains these.
        frozen: Whether weights that are not trained stand inside the graph.
        block: Channels in a block of ONNX Runtime's image layout; 0 uses standard operators only.
        seed: Of the first factors of deltas.

    Raises:
        InputError: the model or an argument cannot be used; an operator that has no gradient here
            is named with its node and attribute.
        MissingExtraError: onnx is not installed.
    """
    rule = _one_of("loss", loss, LOSSES)
    outside = _one_of("frozen", frozen, {"inside": False, "outside": True})
    if block not in BLOCKS:
        raise InputError(f"block={block}: expected one of {', '.join(map(str, BLOCKS))}")
    optimize = _optimizer(optimizer, emit=emit, terms=terms, accumulate=accumulate)
    graph, logits = _forward(model, gates, output)
    names = chosen(graph, trainable, logits)
    if low_rank is not None:
        graph, names = with_deltas(graph, names, rank=low_rank, seed=seed)
    shapes, dtypes = files.infer(graph)
    shapes = resolved(graph, shapes)
    batch, classes = _rows_and_classes(logits, shapes)
    backward = Reverse(
        graph,
        shapes=shapes,
        dtypes=dtypes,
        parameters=names,
        batch=batch,
        gates=gates,
        gating=_one_of("gating", gating, {kind.value: kind for kind in Gating}),
        block=block,
    )
    b = backward.builder
    at_logits = rule(b, logits, WEIGHT_SUM if accumulate else None)
    if optimize is not None and optimize.linear:
        # every gradient is linear in this one, so it alone is scaled
        at_logits = b.mul(at_logits, RATE)
    gradients = backward.gradients(logits, at_logits)
    sizes = {name: graph.constants[name].shape for name in names if name in gradients}
    missing = [name for name in names if name not in sizes]
    if missing and (not sizes or trainable not in ("all", "head")):
        raise InputError(f"trainable '{missing[0]}': no gradient reaches it from the loss")
    if optimize is None:
        _emit_gradients(b, sizes, gradients, accumulate=accumulate)
    else:
        optimize.write(b, sizes, terms.write(b, gradients))
    state = None if optimize is None else optimize.state(sum(map(product, sizes.values())))
    step = assemble(
        graph,
        b,
        Interface(
            batch=batch,
            classes=classes,
            parameters=sizes,
            state=None if state is None else {name: part.shape for name, part in state.items()},
            gates=gates,
            terms=terms,
            accumulate=accumulate,
        ),
    )
    left_out = frozen_weights(step) if outside else {}
    return TrainStep(
        graph=files.write(step, outside=frozenset(left_out)),
        parameters={name: np.array(graph.constants[name], np.float32) for name in sizes},
        state=state or {},
        frozen=left_out,
        classes=classes,
        optimizer=optimize,
    )


def last_layers(model: bytes, layers: int, *, output: str | None = None) -> tuple[str, ...]:
    """Return the initializer names of a model's last layers, for `trainable`.

    Args:
        model: An ONNX file.
        layers: How many. A layer is a matrix product or convolution and what follows it.
        output: As in :func:`compile_step`.

    Raises:
        InputError: the model cannot be used, or the number is not positive.
    """
    if layers < 1:
        raise InputError(f"layers={layers}: expected 1 or more")
    graph, logits = _forward(model, (), output)
    names = frozenset(last(graph, logits, layers=layers))
    return tuple(name for name in graph.constants if name in names)


def _forward(model: bytes, gates: Sequence[str], output: str | None) -> tuple[Graph, str]:
    """Return the forward pass as it is differentiated, and its logits."""
    graph = prepare(files.read(model))
    logits = find_logits(graph, output)
    ends = (Port(name=logits, dtype=_FLOAT, shape=None),)
    graph = replace(graph, operations=needed(graph.operations, {logits}), outputs=ends)
    shapes = resolved(graph, files.infer(graph)[0])
    return rewrite(graph, shapes, frozenset({logits, *gates})), logits


def _optimizer(
    optimizer: str | Optimizer, *, emit: str, terms: Terms, accumulate: bool
) -> Optimizer | None:
    """Return the optimizer as this step uses it; None where gradients are asked for."""
    found = _one_of("optimizer", optimizer, OPTIMIZERS) if isinstance(optimizer, str) else optimizer
    if _one_of("emit", emit, {"update": True, "gradients": False}) is False:
        return None
    if not isinstance(found, Sgd):
        if accumulate:
            raise InputError("accumulate=True: parts add up for 'sgd' and for gradients only")
        return found
    if accumulate and terms:
        raise InputError("accumulate=True: terms need the whole batch's gradient")
    return replace(found, accumulate=accumulate, linear=not terms)


def _emit_gradients(
    b: Builder,
    sizes: Mapping[str, tuple[int, ...]],
    gradients: Mapping[str, str],
    *,
    accumulate: bool,
) -> None:
    """Write the gradients as outputs, added to those of the parts before."""
    for name in sizes:
        if accumulate:
            b.op("Add", accumulator(name), gradients[name], output=gradient(name))
        else:
            b.op("Identity", gradients[name], output=gradient(name))


def _rows_and_classes(logits: str, shapes: Mapping[str, Shape]) -> tuple[int | str, int]:
    """Return how many samples there are, a name if that is free, and how many classes."""
    shape = shapes.get(logits, ())
    classes = shape[1] if len(shape) == 2 else None
    if not isinstance(classes, int) or classes < 2:
        raise InputError(
            f"the logits '{logits}' have shape {shape}; expected (n, k) with a known k of 2 or more"
        )
    return shape[0], classes


def _one_of(what: str, name: str, table: Mapping[str, _Entry]) -> _Entry:
    """Return an entry of a table; refuse a name it does not have."""
    if name not in table:
        raise InputError(f"{what}='{name}' is not known; {nearest(name, table)}")
    return table[name]
