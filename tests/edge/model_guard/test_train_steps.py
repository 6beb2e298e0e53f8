"""Train steps are ordinary graphs: what the compiler writes, the guard lets through."""

import pytest

from coordinator.compiler import compile_step
from coordinator.models.backbone import identity_backbone
from edge.model_guard.model_file import read_model
from edge.model_guard.operators import OPERATORS
from edge.model_guard.rules import Wanted, check_model
from tests.doubles.models import NAMES


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("emit", ["update", "gradients"])
def test_a_compiled_step_passes_with_its_own_inputs_and_outputs(optimizer: str, emit: str) -> None:
    step = compile_step(
        identity_backbone(6, 3), trainable="all", optimizer=optimizer, emit=emit,
        output="probabilities",
    )  # fmt: skip
    read = read_model(step.graph)
    assert {node.operator for node in read.nodes} <= OPERATORS
    ends = {
        what: {value.name: value.dims or () for value in values}
        for what, values in (("inputs", read.inputs), ("outputs", read.outputs))
    }
    kinds = {value.name: value.kind for value in (*read.inputs, *read.outputs)}
    check_model(step.graph, Wanted(**ends, kinds=kinds), where="step")
    assert NAMES[0] in ends["inputs"]
