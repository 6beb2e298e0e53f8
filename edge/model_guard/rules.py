"""What a model may be, checked before ONNX Runtime sees a byte of it.

Versions, inputs and outputs, every operator; and what sizes may depend on, which is told in
:mod:`edge.model_guard.sizes`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from edge.model_guard.model_file import ModelFile, Node, Value, read_model
from edge.model_guard.operators import DOMAINS, IR_VERSIONS, OPERATORS, OPSETS
from edge.model_guard.sizes import Kind, Known, check_sizes, constant_of, outcome_of, shown
from fieldvote.errors import TaskError, WireError, nearest

MOST_NODES: Final = 20_000
_MOST_SETTING = 1 << 31
_MOST_WINDOW = 1 << 12
_WINDOWS = ("kernel_shape", "strides", "dilations", "pads", "output_shape", "output_padding")
_FACTORS = (("HardSigmoid", "alpha"),)  # no size, and train steps make masks with a steep one
_FLOAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The inputs and outputs a model has to have, and no others.

    Attributes:
        inputs: Name to shape; None where any size will do.
        outputs: The same for what it gives.
        kinds: Data types by name, as ONNX numbers them, where it is not float32.
        outside: Weights that are put in later, and known to be what they should.
        operators: What it may use besides the standard list.
    """

    inputs: Mapping[str, tuple[int | None, ...]]
    outputs: Mapping[str, tuple[int | None, ...]]
    kinds: Mapping[str, int] = field(default_factory=dict)
    outside: frozenset[str] = frozenset()
    operators: frozenset[str] = frozenset()

    @staticmethod
    def backbone(names: tuple[str, str, str], width: int | None, classes: int | None) -> "Wanted":
        """Return what a task's model has: (n, width) in, (n, k) and (n, d) out."""
        return Wanted(
            inputs={names[0]: (None, width)},
            outputs={names[1]: (None, classes), names[2]: (None, None)},
        )


def check_model(content: bytes, wanted: Wanted, *, where: str) -> ModelFile:
    """Return what a model's file says if a device may load it.

    Args:
        content: The ONNX file.
        wanted: Its inputs and outputs.
        where: How to call it in errors.

    Raises:
        TaskError: it may not, and why.
    """
    try:
        model = read_model(content)
    except WireError as err:
        raise TaskError(f"{where} is not a model ONNX Runtime may see: {err}") from err
    try:
        _check_versions(model)
        _check_ends("input", model.inputs, wanted.inputs, wanted.kinds)
        _check_ends("output", model.outputs, wanted.outputs, wanted.kinds)
        _check_graph(model, wanted)
    except TaskError as err:
        raise TaskError(f"{where} {err}") from err
    return model


def _check_versions(model: ModelFile) -> None:
    """Refuse what was written for another reader than this one."""
    if model.ir_version not in IR_VERSIONS:
        raise TaskError(f"has IR version {model.ir_version}, known are {_span(IR_VERSIONS)}")
    for domain, version in model.opsets:
        if domain not in DOMAINS:
            raise TaskError(
                f"uses operators of '{shown(domain)}'; a device has the standard set only"
            )
        if version not in OPSETS:
            raise TaskError(f"uses operator set {version}, known are {_span(OPSETS)}")
    if len(model.opsets) != 1:
        raise TaskError(f"names {len(model.opsets)} operator sets, expected one")
    if "ort_config" in model.metadata:
        raise TaskError("brings settings for ONNX Runtime; only the device sets those")


def _check_ends(
    what: str,
    found: tuple[Value, ...],
    wanted: Mapping[str, tuple[int | None, ...]],
    kinds: Mapping[str, int],
) -> None:
    """Refuse inputs or outputs that are not exactly those wanted."""
    names = [value.name for value in found]
    for name in wanted:
        if name not in names:
            raise TaskError(
                f"has no {what} '{name}'; it has {', '.join(map(shown, sorted(names)))}"
            )
    if len(names) > len(wanted):
        verb = "wants" if what == "input" else "gives"
        count = {1: "one", 2: "two"}.get(len(wanted), str(len(wanted)))
        gives = "gives it" if what == "input" else "takes"
        raise TaskError(f"{verb} {len(names)} {what}s; a task {gives} {count}")
    for value in found:
        shape = wanted[value.name]
        if value.kind != (kind := kinds.get(value.name, _FLOAT)):
            raise TaskError(f"has an {what} '{value.name}' of data type {value.kind}, not {kind}")
        if value.dims is None or len(value.dims) != len(shape):
            axes = "no shape" if value.dims is None else f"{len(value.dims)} axes"
            raise TaskError(f"has an {what} '{value.name}' with {axes}, expected {len(shape)}")
        if len(shape) > 1 and value.dims[0] is not None and shape[0] is None:
            raise TaskError(f"has an {what} '{value.name}' for {value.dims[0]} items only")
        for size, expected in zip(value.dims, shape, strict=True):
            if None not in (size, expected) and size != expected:
                raise TaskError(
                    f"has an {what} '{value.name}' of width {size}, expected {expected}"
                )


def _check_graph(model: ModelFile, wanted: Wanted) -> None:
    """Go through the nodes in order, and keep what is known of every tensor."""
    if len(model.nodes) > MOST_NODES:
        raise TaskError(f"has {len(model.nodes)} nodes, at most {MOST_NODES} are taken")
    known: dict[str, Known] = {}
    for value in model.inputs:
        _keep(known, value.name, Known(Kind.VALUE))
    for tensor in model.constants:
        _keep(known, tensor.name, constant_of(tensor.entries))
    for name in sorted(wanted.outside):
        _keep(known, name, constant_of(None))
    for node in model.nodes:
        _check_node(node, wanted.operators)
        given = [_given(known, name) for name in node.inputs]
        check_sizes(node, given)
        made = outcome_of(node, given)
        for name in node.outputs:
            if name:
                _keep(known, name, made)
    if lost := [value.name for value in model.outputs if value.name not in known]:
        raise TaskError(f"never makes its output '{shown(lost[0])}'")


def _keep(known: dict[str, Known], name: str, what: Known) -> None:
    """Note a tensor that has just come to be."""
    if not name or name in known:
        raise TaskError(f"makes '{shown(name)}' more than once")
    known[name] = what


def _given(known: Mapping[str, Known], name: str) -> Known | None:
    """Return what is known of a node's input; None where it is left out."""
    if not name:
        return None
    if name not in known:
        raise TaskError(f"reads '{shown(name)}' before anything makes it")
    return known[name]


def _check_node(node: Node, also: frozenset[str]) -> None:
    """Refuse an operator that is not on the list, and settings out of all proportion."""
    if node.domain not in DOMAINS:
        raise TaskError(
            f"uses operator '{shown(node.operator)}' of '{shown(node.domain)}';"
            " a device has the standard set only"
        )
    if node.operator not in OPERATORS and node.operator not in also:
        hint = nearest(node.operator, OPERATORS) if len(node.operator) < 64 else ""
        hint = f"; {hint}" if hint.startswith("did") else ""
        raise TaskError(f"uses operator '{shown(node.operator)}', which is not on the list{hint}")
    for name, attribute in node.attributes.items():
        if (node.operator, name) in _FACTORS:
            continue
        most = _MOST_WINDOW if name in _WINDOWS else _MOST_SETTING
        if any(abs(number) > most for number in attribute.numbers if math.isfinite(number)):
            raise TaskError(f"has {node.operator} with a {shown(name)} beyond {most}")


def _span(versions: range) -> str:
    return f"{versions[0]} to {versions[-1]}"
