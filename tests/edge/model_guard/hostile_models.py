"""Model files that no device may load, by what is wrong with each, and why it says so."""

from collections.abc import Callable

import numpy as np
from onnx import ModelProto, TensorProto, helper

from edge.model_guard.rules import Wanted, check_model
from tests.doubles.models import (
    CLASSES,
    NAMES,
    WIDTH,
    framed,
    made,
    model_of,
    node,
    tag,
    varint,
    written,
)

COPY = node("Identity", "input", "embedding")
WANTED = Wanted.backbone(NAMES, WIDTH, CLASSES)


def check(content: bytes) -> None:
    check_model(content, WANTED, where="net.onnx")


def changed(change: Callable[[ModelProto], object]) -> bytes:
    model = model_of()
    change(model)
    return written(model)


def external() -> bytes:
    model = model_of()
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    return written(model)


def looping() -> bytes:
    body = helper.make_graph(
        [node("Identity", "again", "still"), node("Concat", "held held", "more", axis=0)],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("held", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("more", TensorProto.FLOAT, None),
        ],
    )
    loop = node("Loop", "times _ input", "embedding", body=body)
    return made(loop, times=np.int64(1 << 40))


def branching(depth: int) -> bytes:
    leaf = inner = helper.make_graph(
        [node("Identity", "input", "x0")],
        "leaf",
        [],
        [helper.make_tensor_value_info("x0", TensorProto.FLOAT, None)],
    )
    for level in range(1, depth):
        step = node("If", "yes", f"x{level}", then_branch=inner, else_branch=leaf)
        out = helper.make_tensor_value_info(f"x{level}", TensorProto.FLOAT, None)
        inner = helper.make_graph([step], "branch", [], [out])
    top = node("If", "yes", "embedding", then_branch=inner, else_branch=leaf)
    return made(top, yes=np.bool_(True))


def with_function() -> bytes:
    model = model_of()
    model.functions.append(
        helper.make_function(
            "", "Softmax", ["x"], ["y"], [node("Identity", "x", "y")], list(model.opset_import)
        )
    )
    return written(model)


def with_sparse() -> bytes:
    model = model_of()
    model.graph.sparse_initializer.add().dims.extend([1 << 30, 1 << 10])
    return written(model)


def claims(size: int) -> bytes:
    def change(model: ModelProto) -> None:
        model.graph.initializer[0].dims[0] = size

    return changed(change)


def two_graphs() -> bytes:
    """The first is hostile, the second harmless; Google's reader joins them."""
    hostile = written(made_loopless_unknown())
    return hostile + written(model_of())


def made_loopless_unknown() -> ModelProto:
    return model_of([node("RandomNormal", "", "noise", shape=[4]), COPY])


def marked() -> bytes:
    """A whole model that ONNX Runtime by itself would take for its own format."""
    return framed(2, b"abORTM") + changed(lambda model: model.ClearField("producer_name"))


def grown(*nodes: object, **constants: object) -> bytes:
    return made(*nodes, COPY, **constants)  # type: ignore[arg-type]  # nodes


BIG = np.array([1 << 20, 1 << 20], dtype=np.int64)
SHAPED = (node("Shape", "input", "size"),)

HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "no graph"),
    "no model": (lambda: b"not a model at all", "may see"),
    "cut": (lambda: written(model_of())[:-9], "may see"),
    "external data": (external, "another file"),
    "data in another place": (
        lambda: changed(lambda m: setattr(m.graph.initializer[0], "data_location", 1)),
        "another file",
    ),
    "a loop": (looping, "a graph: loops"),
    "nested branches": (lambda: branching(25), "a graph: loops"),
    "functions of its own": (with_function, "functions of its own"),
    "sparse constants": (with_sparse, "sparse"),
    "training": (lambda: changed(lambda m: m.training_info.add()), "training"),
    "a huge claim": (lambda: claims(25_000_000), "entries holds 8"),
    "a negative claim": (lambda: claims(-1), "a shape that none can have"),
    "an axis without end": (lambda: claims(1 << 62), "a shape that none can have"),
    "two graphs": (two_graphs, "twice"),
    "another format's mark": (marked, "own format"),
    "a field ONNX does not have": (
        lambda: written(model_of()) + framed(99, b"?"), "field 99"
    ),
    "a field of another wire type": (
        lambda: written(model_of()) + tag(7, 0) + varint(1), "field 7"
    ),
    "an unknown operator": (lambda: made(node("Telepathy", "input", "embedding")), "'Telepathy'"),
    "a misspelt operator": (lambda: made(node("Rellu", "input", "embedding")), "mean 'Relu'"),
    "random numbers": (lambda: written(made_loopless_unknown()), "'RandomNormal'"),
    "a shape of values": (lambda: grown(node("NonZero", "input", "x")), "'NonZero'"),
    "a contributed operator": (
        lambda: made(node("FusedGemm", "input", "embedding", domain="com.microsoft")),
        "of 'com.microsoft'",
    ),
    "a custom domain": (
        lambda: changed(lambda m: m.opset_import.add(domain="evil", version=1)), "'evil'"
    ),
    "no operator set": (lambda: changed(lambda m: m.ClearField("opset_import")), "0 operator sets"),
    "a later operator set": (
        lambda: changed(lambda m: setattr(m.opset_import[0], "version", 99)), "operator set 99"
    ),
    "an early operator set": (
        lambda: changed(lambda m: setattr(m.opset_import[0], "version", 5)), "operator set 5"
    ),
    "a later format": (lambda: changed(lambda m: setattr(m, "ir_version", 99)), "IR version 99"),
    "settings for the library": (
        lambda: changed(lambda m: helper.set_model_props(m, {"ort_config": "{}"})), "settings"
    ),
    "a second input": (
        lambda: changed(lambda m: m.graph.input.add().CopyFrom(
            helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["n", 4]))),
        "wants 2 inputs",
    ),
    "an input by another name": (
        lambda: changed(lambda m: setattr(m.graph.input[0], "name", "x")), "no input 'input'"
    ),
    "a third output": (
        lambda: changed(lambda m: m.graph.output.add().CopyFrom(
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2]))),
        "gives 3 outputs",
    ),
    "doubles": (
        lambda: changed(lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 11)),
        "data type 11",
    ),
    "another width": (
        lambda: changed(
            lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[1], "dim_value", 9)
        ),
        "width 9, expected 4",
    ),
    "one axis": (
        lambda: changed(lambda m: m.graph.output[0].type.tensor_type.shape.dim.pop()), "1 axes"
    ),
    "a fixed batch": (
        lambda: changed(
            lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[0], "dim_value", 3)
        ),
        "for 3 items only",
    ),
    "a sequence": (
        lambda: changed(lambda m: m.graph.input[0].CopyFrom(
            helper.make_tensor_sequence_value_info("input", TensorProto.FLOAT, None))),
        "a sequence",
    ),
    "an initializer for an input": (
        lambda: grown(input=np.zeros((1, 4), np.float32)), "more than once"
    ),
    "an output made twice": (lambda: made(COPY, COPY), "more than once"),
    "a read before it is made": (lambda: made(node("Relu", "later", "embedding")), "before any"),
    "an output nobody makes": (lambda: made(node("Relu", "input", "lost")), "before anything"),
    "texts": (lambda: grown(words=np.array(["a"], dtype=object)), "texts"),
    "a huge expansion": (lambda: grown(node("Expand", "input big", "x"), big=BIG), "Expand"),
    "a huge constant": (lambda: grown(node("ConstantOfShape", "big", "x"), big=BIG), "Constant"),
    "a huge tiling": (lambda: grown(node("Tile", "input big", "x"), big=BIG), "Tile"),
    "a huge frame": (
        lambda: grown(node("Pad", "input p", "x"), p=np.array([0, 0, 0, 1 << 40])), "Pad"
    ),
    "an endless range": (
        lambda: grown(node("Range", "a b c", "x"), a=np.int64(0), b=np.int64(1 << 40),
                      c=np.int64(1)), "Range"
    ),
    "a range without steps": (
        lambda: grown(node("Range", "a b c", "x"), a=np.int64(0), b=np.int64(9), c=np.int64(0)),
        "Range",
    ),
    "a range to nowhere": (
        lambda: grown(
            node("Range", "a b c", "x"), a=np.float32(0), b=np.float32(np.nan), c=np.float32(1)
        ),
        "Range",
    ),
    "a huge image": (
        lambda: grown(node("Resize", "input _ s", "x"), s=np.array([1.0, 1e12], np.float32)),
        "Resize",
    ),
    "many columns": (
        lambda: grown(node("OneHot", "i d v", "x"), i=np.array([1]), d=np.int64(1 << 40),
                      v=np.array([0.0, 1.0])), "OneHot"
    ),
    "a written constant": (
        lambda: grown(
            node("Constant", "", "big", value_ints=[1 << 20, 1 << 20]),
            node("ConstantOfShape", "big", "x")), "ConstantOfShape"
    ),
    "a constant that says nothing": (lambda: grown(node("Constant", "", "x")), "Constant"),
    "a size out of an item": (
        lambda: grown(node("Cast", "input", "n", to=7), node("ConstantOfShape", "n", "x")),
        "depends on what items say",
    ),
    "a shape out of an item": (
        lambda: grown(node("Cast", "input", "n", to=7), node("Reshape", "input n", "x")),
        "Reshape with a size that depends on what items say",
    ),
    "a size that falls": (
        lambda: grown(*SHAPED, node("Sub", "top size", "s"), node("ConstantOfShape", "s", "x"),
                      top=np.array([512, 8])), "depends on more than sizes"
    ),
    "a size of a negative factor": (
        lambda: grown(*SHAPED, node("Mul", "size m", "s"), node("Expand", "input s", "x"),
                      m=np.array([-1, -1])), "depends on more than sizes"
    ),
    "a size looked up": (
        lambda: grown(*SHAPED, node("Gather", "table size", "s"), node("Tile", "input s", "x"),
                      table=np.array([1, 1 << 30, 1])), "depends on more than sizes"
    ),
    "a size that begins again at none": (
        lambda: grown(*SHAPED, node("Mul", "size m", "s"), node("Expand", "input s", "x"),
                      m=np.array([1 << 55, 1])), "depends on more than sizes"
    ),
    "a size cut off": (
        lambda: grown(*SHAPED, node("Cast", "size", "s", to=3), node("Cast", "s", "t", to=7),
                      node("Expand", "input t", "x")), "depends on more than sizes"
    ),
    "a vast window": (
        lambda: grown(node("MaxPool", "input", "x", kernel_shape=[1 << 20])), "kernel_shape"
    ),
    "a node twice over": (
        lambda: changed(lambda m: m.graph.node[0].attribute.extend(
            [helper.make_attribute("axis", 1)] * 2)), "attribute twice"
    ),
    "an overload": (
        lambda: changed(lambda m: setattr(m.graph.node[0], "overload", "other")), "overload"
    ),
    "a name without end": (
        lambda: changed(lambda m: setattr(m.graph.node[0], "op_type", "A" * 5000)), "5000 bytes"
    ),
}  # fmt: skip
