"""What may come in: bytes from anywhere, refused before anything is computed from them.

A file is parsed, checked by onnx, and refused where it holds what a train step has no use for:
loops and branches, functions, operators of other domains, data outside the file, randomness, or
more than a device could train.
"""

from typing import TYPE_CHECKING

from fieldvote.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from onnx import ModelProto

MOST_BYTES = 512 << 20
MOST_NODES = 20_000
#: Rules write operators in the form they have since this version; older files are converted.
OPSET = 18
_OLDEST_OPSET, _NEWEST_OPSET = 9, 26
_STANDARD = ("", "ai.onnx")
_RANDOM = frozenset(
    {
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)


def parsed(model: bytes) -> "ModelProto":
    """Return a checked protobuf, converted to an operator set the rules know.

    Raises:
        InputError: the bytes are no valid model, or hold what is refused.
        MissingExtraError: onnx is not installed.
    """
    try:
        import onnx
    except ModuleNotFoundError as err:
        raise MissingExtraError("compiling a train step", "coordinator") from err
    if len(model) > MOST_BYTES:
        raise InputError(f"the model has {len(model)} bytes; {MOST_BYTES} is the most")
    try:
        proto = onnx.load_from_string(model)
    except Exception as err:  # the parser is compiled and raises what it likes
        raise InputError(f"these {len(model)} bytes are no ONNX model") from err
    _refuse_what_has_no_use(proto)
    try:
        onnx.checker.check_model(proto)
        if opset_of(proto) < OPSET:
            proto = onnx.version_converter.convert_version(proto, OPSET)
    except Exception as err:  # as above; ValidationError and ConvertError have no public base
        raise InputError(f"not a valid ONNX model: {first_line(err)}") from err
    return proto


def _refuse_what_has_no_use(proto: "ModelProto") -> None:
    """Refuse by name what no train step is made of."""
    from onnx import AttributeProto, TensorProto

    graph = proto.graph
    if not _OLDEST_OPSET <= opset_of(proto) <= _NEWEST_OPSET:
        raise InputError(
            f"the model uses operator set {opset_of(proto)}; "
            f"expected {_OLDEST_OPSET} to {_NEWEST_OPSET}"
        )
    if proto.functions or graph.sparse_initializer:
        raise InputError("the model holds functions or sparse weights; export it without them")
    if not 0 < len(graph.node) <= MOST_NODES:
        raise InputError(f"the model has {len(graph.node)} nodes; expected 1 to {MOST_NODES}")
    for tensor in graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            raise InputError(f"weight '{tensor.name}' lies outside the file; put it inside")
    for node in graph.node:
        where = f"{node.op_type} '{node.name or next(iter(node.output), '')}'"
        if node.domain not in _STANDARD:
            raise InputError(f"{where}: operators of domain '{node.domain}' are not known here")
        if node.op_type in _RANDOM:
            raise InputError(f"{where}: a train step is deterministic, this operator is not")
        for attribute in node.attribute:
            if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
                raise InputError(f"{where}: attribute '{attribute.name}' is a graph of its own")


def opset_of(proto: "ModelProto") -> int:
    """Return the version of the standard operators; 0 where the file does not say."""
    return max((o.version for o in proto.opset_import if o.domain in _STANDARD), default=0)


def first_line(err: Exception) -> str:
    """Return what an error says, without the graph it may print."""
    lines = str(err).strip().splitlines() or [type(err).__name__]
    return lines[0][:300]
