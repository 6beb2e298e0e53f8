"""ONNX files to graphs and back: beyond here and the intake, the compiler sees no protobuf.

What is refused before anything is computed from a file is in :mod:`coordinator.compiler.intake`.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from coordinator.compiler.graph import Attribute, Graph, Operation, Port, Shape
from coordinator.compiler.intake import first_line, opset_of, parsed
from fieldvote.errors import InputError

if TYPE_CHECKING:
    from onnx import AttributeProto, ModelProto, NodeProto, ValueInfoProto

_IR_VERSION = 9
# the longest tensor that may be a list of sizes, whose values shape inference needs
_LONGEST_SIZES = 64


def read(model: bytes) -> Graph:
    """Return the graph of an ONNX file.

    Raises:
        InputError: the bytes are no valid model, or hold what is refused.
        MissingExtraError: onnx is not installed.
    """
    proto = parsed(model)
    try:
        return _graph(proto)
    except InputError:
        raise
    except Exception as err:  # onnx lets by a tensor of another length than its shape, or no type
        raise InputError(f"a tensor of the model cannot be read: {first_line(err)}") from err


def write(graph: Graph, *, outside: frozenset[str] = frozenset()) -> bytes:
    """Return the ONNX file of a graph; the same graph gives the same bytes.

    Args:
        graph: What to write.
        outside: Constants whose values stay out of the file; whoever loads it must give them.
    """
    from onnx import TensorProto, helper, numpy_helper

    used = {name for op in graph.operations for name in op.inputs}
    used |= {port.name for port in graph.outputs}
    tensors = []
    for name, array in graph.constants.items():
        if name not in used:
            continue
        if name in outside:
            tensor = TensorProto(
                name=name,
                data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
                dims=array.shape,
                data_location=TensorProto.EXTERNAL,
            )
            tensor.external_data.add(key="location", value="weights")
            tensor.external_data.add(key="length", value=str(array.nbytes))
        else:
            tensor = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        tensors.append(tensor)
    domains = {op.domain for op in graph.operations} - {""}
    proto = helper.make_model(
        helper.make_graph(
            [node_of(op) for op in graph.operations],
            "graph",
            [_value(port) for port in graph.inputs],
            [_value(port) for port in graph.outputs],
            tensors,
        ),
        producer_name="fieldvote",
        ir_version=_IR_VERSION if graph.opset <= 20 else _IR_VERSION + 1,
        opset_imports=[
            helper.make_opsetid("", graph.opset),
            *(helper.make_opsetid(domain, 1) for domain in sorted(domains)),
        ],
    )
    return bytes(proto.SerializeToString(deterministic=True))


def part_of(model: bytes, output: str) -> bytes:
    """Return the part of one of our own graphs that makes one of its outputs."""
    import onnx

    proto = onnx.load_from_string(model)
    graph = proto.graph
    live, kept = {output}, []
    for node in reversed(graph.node):
        if live.intersection(node.output):
            kept.append(node)
            live.update(node.input)
    asked = [value for value in graph.output if value.name == output]
    tensors = [tensor for tensor in graph.initializer if tensor.name in live]
    del graph.node[:], graph.output[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.output.extend(asked)
    graph.initializer.extend(tensors)
    return bytes(proto.SerializeToString())


def without_outside(model: bytes) -> bytes:
    """Return one of our own graphs without the weights that lie outside, not even their names.

    Such a graph is not valid before somebody puts the weights in their place again, and a device
    does that with those of the model it has.
    """
    import onnx

    proto = onnx.load_from_string(model)
    outside = onnx.TensorProto.EXTERNAL
    kept = [tensor for tensor in proto.graph.initializer if tensor.data_location != outside]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(kept)
    return bytes(proto.SerializeToString(deterministic=True))


def node_of(op: Operation) -> "NodeProto":
    """Return an operation as ONNX writes it."""
    from onnx import helper, numpy_helper

    node = helper.make_node(
        op.kind, op.inputs, op.outputs, op.name or None, domain=op.domain or None
    )
    for key, value in sorted(op.attributes.items()):
        said = numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        node.attribute.append(helper.make_attribute(key, said))
    return node


def infer(graph: Graph) -> tuple[dict[str, Shape], dict[str, np.dtype[np.generic]]]:
    """Return the shape and the type of every tensor that onnx can say something about.

    Raises:
        InputError: shapes in the graph contradict each other.
    """
    import onnx

    # of weights only the shape matters; of short tensors, which may be sizes, the value too
    large = {n: a for n, a in graph.constants.items() if a.size > _LONGEST_SIZES}
    small = {n: a for n, a in graph.constants.items() if n not in large}
    fed = tuple(Port(name=n, dtype=a.dtype, shape=a.shape) for n, a in large.items())
    lighter = replace(graph, constants=small, inputs=(*graph.inputs, *fed))
    try:
        inferred = onnx.shape_inference.infer_shapes(
            onnx.load_from_string(write(lighter)), check_type=True, strict_mode=True, data_prop=True
        ).graph
    except Exception as err:  # onnx raises its own errors and bare RuntimeErrors
        raise InputError(f"shapes in the model contradict each other: {first_line(err)}") from err
    ports = [_port(value) for value in (*inferred.value_info, *inferred.output, *inferred.input)]
    shapes = {port.name: port.shape for port in ports if port.shape is not None}
    dtypes = {port.name: port.dtype for port in ports}
    for name, array in graph.constants.items():
        shapes[name], dtypes[name] = array.shape, array.dtype
    return shapes, dtypes


def _graph(proto: "ModelProto") -> Graph:
    """Return what a checked file holds."""
    from onnx import numpy_helper

    graph = proto.graph
    names = {tensor.name for tensor in graph.initializer}
    return Graph(
        operations=tuple(
            Operation(
                kind=node.op_type,
                inputs=tuple(node.input),
                outputs=tuple(node.output),
                attributes={a.name: _attribute(a, node.op_type) for a in node.attribute},
                name=node.name,
            )
            for node in graph.node
        ),
        constants={tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer},
        inputs=tuple(_port(value) for value in graph.input if value.name not in names),
        outputs=tuple(_port(value) for value in graph.output),
        opset=opset_of(proto),
        weights=frozenset(names),
    )


def _attribute(attribute: "AttributeProto", kind: str) -> Attribute:
    """Return an attribute as a value."""
    from onnx import AttributeProto, helper, numpy_helper

    match attribute.type:
        case AttributeProto.TENSOR:
            return np.asarray(numpy_helper.to_array(attribute.t))
        case AttributeProto.STRING:
            return bytes(attribute.s).decode("utf-8", "replace")
        case AttributeProto.INT | AttributeProto.FLOAT:
            number: int | float = helper.get_attribute_value(attribute)
            return number
        case AttributeProto.INTS | AttributeProto.FLOATS:
            return tuple(helper.get_attribute_value(attribute))
    raise InputError(f"{kind}: attribute '{attribute.name}' has a type that is not known here")


def _port(value: "ValueInfoProto") -> Port:
    """Return a declared tensor as a value; a dimension without a name gets one of its own."""
    from onnx import helper

    kind = value.type.tensor_type
    try:
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type))
    except (KeyError, TypeError) as err:
        raise InputError(f"'{value.name}' is not a tensor of a known type") from err
    if not kind.HasField("shape"):
        return Port(name=value.name, dtype=dtype, shape=None)
    shape: Shape = tuple(
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or f"{value.name}.{axis}"
        for axis, dim in enumerate(kind.shape.dim)
    )
    return Port(name=value.name, dtype=dtype, shape=shape)


def _value(port: Port) -> "ValueInfoProto":
    """Return a port as ONNX declares it."""
    from onnx import helper

    return helper.make_tensor_value_info(
        port.name, helper.np_dtype_to_tensor_dtype(port.dtype), port.shape
    )
