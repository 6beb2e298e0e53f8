"""Hostile models one by one: each is refused before ONNX Runtime sees it, and says why."""

import struct

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from coordinator.models.backbone import identity_backbone, projection_backbone
from edge.model_guard.operators import FAMILIES, GROWING, OPERATORS, SHAPING
from edge.model_guard.rules import check_model
from edge.tagger import OnnxTagger
from fieldvote.errors import TaskError
from tests.doubles.models import (
    CLASSES,
    WIDTH,
    framed,
    made,
    model_of,
    node,
    written,
)
from tests.edge.model_guard.hostile_models import (
    COPY,
    HOSTILE,
    SHAPED,
    WANTED,
    check,
    grown,
    marked,
)


@pytest.mark.parametrize("what", list(HOSTILE))
def test_a_hostile_model_is_refused_and_says_why(what: str) -> None:
    make, said = HOSTILE[what]
    with pytest.raises(TaskError) as refused:
        check(make())
    assert said in str(refused.value)
    assert str(refused.value).startswith("net.onnx ")
    assert len(str(refused.value)) < 300
    assert str(refused.value).isprintable()


def test_the_models_a_refusal_starts_from_are_taken() -> None:
    check(written(model_of()))
    check(grown())
    check(identity_backbone(WIDTH, CLASSES))
    check(projection_backbone(np.ones((WIDTH, 3), np.float32), CLASSES))


def test_sizes_computed_from_shapes_are_taken() -> None:
    nodes = (
        *SHAPED,
        node("Gather", "size zero", "items", axis=0),
        node("Unsqueeze", "items first", "row"),
        node("Mul", "row two", "double"),
        node("Concat", "double width", "asked", axis=0),
        node("ConstantOfShape", "asked", "blank"),
        node("Sub", "row two", "fewer"),
        node("Reshape", "input minus", "flat"),
        node("Slice", "input first fewer", "some"),
    )
    constants = {
        "zero": np.int64(0),
        "first": np.array([0]),
        "two": np.array([2]),
        "width": np.array([WIDTH]),
        "minus": np.array([-1, WIDTH]),
    }
    check(made(*nodes, COPY, **constants))


def test_a_file_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.model_guard.model_file.LARGEST_BYTES", 50)
    with pytest.raises(TaskError, match="at most 50 are read"):
        check(written(model_of()))


def test_a_model_of_too_many_nodes_is_refused() -> None:
    many = [node("Relu", f"x{number}", f"x{number + 1}") for number in range(20_001)]
    first = node("Identity", "input", "x0")
    last = node("Identity", "x20001", "embedding")
    with pytest.raises(TaskError, match="nodes, at most 20000"):
        check(made(first, *many, last))


def test_a_small_file_of_empty_nodes_costs_no_memory() -> None:
    graph = framed(1, b"") * 1_000_000
    with pytest.raises(TaskError, match="more than 65536 fields"):
        check(framed(7, graph))


@pytest.mark.parametrize(
    "tensor",
    [
        helper.make_tensor("t", TensorProto.INT64, [3], [1, -2, 3]),
        helper.make_tensor("t", TensorProto.INT32, [3], [1, -2, 3]),
        helper.make_tensor("t", TensorProto.FLOAT, [2], [0.5, 2.0]),
        helper.make_tensor("t", TensorProto.DOUBLE, [2], [0.5, 2.0]),
        helper.make_tensor("t", TensorProto.UINT8, [2, 2], [1, 200, 3, 4]),
        helper.make_tensor("t", TensorProto.BOOL, [2], [True, False]),
        helper.make_tensor("t", TensorProto.FLOAT16, [2], [1.0, 2.0]),
        helper.make_tensor("t", TensorProto.UINT64, [2], [1, 1 << 63]),
        helper.make_tensor("t", TensorProto.FLOAT, [0, 7], []),
        numpy_helper.from_array(np.arange(6, dtype=np.int16).reshape(2, 3), "t"),
    ],
    ids=lambda tensor: f"{tensor.data_type} {'raw' if tensor.HasField('raw_data') else 'typed'}",
)
def test_constants_are_read_however_they_are_written(tensor: TensorProto) -> None:
    model = model_of()
    model.graph.initializer.append(tensor)
    read = check_model(written(model), WANTED, where="net.onnx")
    found = next(each for each in read.constants if each.name == "t")
    array = numpy_helper.to_array(tensor)
    assert found.dims == array.shape
    if found.entries is not None:
        assert list(found.entries) == array.ravel().tolist()
    assert found.entries is not None or tensor.data_type not in (1, 6, 7, 11)


def test_the_table_of_operators_names_each_once_and_knows_its_own() -> None:
    from onnx import defs

    names = [name for family in FAMILIES.values() for name in family]
    assert len(names) == len(set(names))
    assert set(GROWING) | set(SHAPING) <= OPERATORS
    standard = {each.name for each in defs.get_all_schemas() if not each.domain}
    assert standard >= OPERATORS
    for schema in defs.get_all_schemas():
        if schema.domain or schema.name not in OPERATORS:
            continue
        kinds = {attribute.type for attribute in schema.attributes.values()}
        assert defs.OpSchema.AttrType.GRAPH not in kinds
        assert "seq" not in str([each.type_str for each in schema.outputs])


def test_every_size_an_operator_reads_is_in_the_tables() -> None:
    """An int64 input that is no index and no data of its own is one that shapes an output."""
    from onnx import defs

    indices = {
        "CumSum", "MaxUnpool", "Einsum", "Gather", "GatherElements", "GatherND", "ReverseSequence",
        "ScatterElements", "ScatterND", "Trilu", "Attention", "RotaryEmbedding", "GRU", "LSTM",
        "RNN", "ArgMax", "ArgMin", "Shape", "Size", "NegativeLogLikelihoodLoss",
        "SoftmaxCrossEntropyLoss",
    }  # fmt: skip
    for name in sorted(OPERATORS - indices):
        for version in (13, 17, 21, 24):
            schema = defs.get_schema(name, version, "") if _has(name, version) else None
            for place, given in enumerate(schema.inputs if schema else ()):
                only_whole = given.types == {"tensor(int64)"} or given.type_str == "tensor(int64)"
                if only_whole:
                    assert place in (*GROWING.get(name, ()), *SHAPING.get(name, ())), (name, place)


def _has(name: str, version: int) -> bool:
    from onnx import defs

    return defs.has(name, version, "")


def test_a_tagger_is_read_before_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def reached(*_: object) -> None:
        raise AssertionError("ONNX Runtime was given what nobody has read")

    monkeypatch.setattr("edge.tagger.open_session", reached)
    for content, said in ((marked(), "own format"), (written(model_of()), "no input 'text'")):
        with pytest.raises(TaskError, match=said):
            OnnxTagger(content, ["PERSON"])


def test_a_weight_that_is_a_number_too_short_is_refused() -> None:
    model = model_of()
    model.graph.initializer[0].raw_data = struct.pack("<7f", *range(7)) + b"?"
    with pytest.raises(TaskError, match="cut short"):
        check(written(model))
