"""The messages of an ONNX file: which fields each has, and which of them a device does not take.

Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from fieldvote.protobuf import BYTES, FIXED_32, VARINT


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a message may hold.

    Attributes:
        name: For people.
        fields: Field number to wire type.
        repeated: Fields that may come more than once.
        refused: Fields ONNX has and a device does not take, and what to say of them.
        parts: What those are called that have to be there.
    """

    name: str
    fields: Mapping[int, int]
    repeated: Collection[int] = ()
    refused: Mapping[int, str] = field(default_factory=dict)
    parts: Mapping[int, str] = field(default_factory=dict)


MODEL = Message(
    name="the model",
    fields={
        1: VARINT, 2: BYTES, 3: BYTES, 4: BYTES, 5: VARINT, 6: BYTES, 7: BYTES, 8: BYTES, 14: BYTES,
    },
    repeated=(8, 14),
    refused={20: "training", 25: "functions of its own", 26: "a configuration of devices"},
    parts={7: "graph"},
)  # fmt: skip
GRAPH = Message(
    name="the graph",
    fields={1: BYTES, 2: BYTES, 5: BYTES, 10: BYTES, 11: BYTES, 12: BYTES, 13: BYTES, 16: BYTES},
    repeated=(1, 5, 11, 12, 13, 16),
    refused={14: "notes on quantisation", 15: "sparse constants"},
)
NODE = Message(
    name="a node",
    fields={1: BYTES, 2: BYTES, 3: BYTES, 4: BYTES, 5: BYTES, 6: BYTES, 7: BYTES, 9: BYTES},
    repeated=(1, 2, 5, 9),
    refused={8: "an overload of an operator", 10: "a configuration of devices"},
)
ATTRIBUTE = Message(
    name="an attribute",
    fields={
        1: BYTES, 2: FIXED_32, 3: VARINT, 4: BYTES, 5: BYTES, 7: FIXED_32, 8: VARINT, 9: BYTES,
        13: BYTES, 20: VARINT,
    },
    repeated=(7, 8, 9),
    refused={
        6: "a graph: loops and branches have no bound that can be seen",
        10: "a list of tensors",
        11: "graphs: loops and branches have no bound that can be seen",
        14: "a type",
        15: "types",
        21: "a reference into a function",
        22: "a sparse tensor",
        23: "sparse tensors",
    },
)  # fmt: skip
TENSOR = Message(
    name="a constant",
    fields={
        1: VARINT, 2: VARINT, 4: BYTES, 5: BYTES, 7: BYTES, 8: BYTES, 9: BYTES, 10: BYTES,
        11: BYTES, 12: BYTES, 14: VARINT, 16: BYTES,
    },
    repeated=(1, 16),
    refused={
        3: "a segment of a larger one",
        6: "texts",
        13: "the name of another file; a device opens none",
    },
)  # fmt: skip
VALUE_INFO = Message(
    name="an input or output",
    fields={1: BYTES, 2: BYTES, 3: BYTES, 4: BYTES},
    repeated=(4,),
    parts={2: "type"},
)
TYPE = Message(
    name="a type",
    fields={1: BYTES, 6: BYTES},
    refused={
        4: "a sequence",
        5: "a map",
        7: "an opaque type",
        8: "a sparse tensor",
        9: "an option",
    },
    parts={1: "tensor"},
)
TENSOR_TYPE = Message(name="a tensor's type", fields={1: VARINT, 2: BYTES})
SHAPE = Message(name="a shape", fields={1: BYTES}, repeated=(1,))
DIMENSION = Message(name="a dimension", fields={1: VARINT, 2: BYTES, 3: BYTES})
OPSET = Message(name="a set of operators", fields={1: BYTES, 2: VARINT})
ENTRY = Message(name="a note", fields={1: BYTES, 2: BYTES})
