"""Depth gates: what they let by, what they cost, and that nothing goes around them."""

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from coordinator.compiler import compile_step, verify
from fieldvote.errors import InputError
from tests.coordinator.compiler.networks import (
    Net,
    Network,
    lenet,
    mlp,
    residual,
    small_mobilenet,
    small_transformer,
)
from tests.coordinator.compiler.running import Arrays, distance, run

SMALL = mlp(width=6, hidden=8, classes=3)
FIRST, SECOND = "relu3", "relu1"  # after the second dense layer, and after the first
NETWORKS = {
    "lenet": lenet(size=8),
    "mlp": SMALL,
    "residual": residual(size=8),
    "small_mobilenet": small_mobilenet(),
    "small_transformer": small_transformer(),
}


BEFORE_THE_GATE = {  # what lies between the gate and the loss
    "lenet": ("7.", "9."),
    "mlp": ("4.",),
    "residual": ("head.",),
    "small_mobilenet": ("head.",),
    "small_transformer": ("head.",),
}


def expected(
    network: Network, feed: Arrays, gates: dict[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """Gradients by the definition: what lies behind a gate learns from a loss scaled by it."""
    step = compile_step(network.model, emit="gradients")
    share = feed["weight"] / feed["weight"].sum()
    found = {name: array for name, array in run(step, feed).items() if name != "loss"}
    for tensor, strength in gates.items():
        behind = compile_step(network.model, emit="gradients", gates=(tensor,), gating="scale")
        scaled = {**feed, "weight": share * strength}
        total = float(scaled["weight"].sum())
        part = run(step, scaled)
        whole = run(behind, {**feed, f"gate:{tensor}": np.zeros_like(strength)})
        for name in found:
            if not np.abs(whole[name]).any():  # nothing comes by a gate of zeros: it lies behind
                found[name] = part[name] * np.float32(total)
    return found


@pytest.mark.parametrize("gating", ["rows", "scale"])
@pytest.mark.parametrize("name", NETWORKS)
def test_layers_behind_a_gate_learn_from_what_it_lets_by(name: str, gating: str) -> None:
    network = NETWORKS[name]
    feed = network.batch(6)
    strength = np.array([1, 0, 0, 0.5, 1, 0], np.float32)
    step = compile_step(network.model, emit="gradients", gates=(network.gate,), gating=gating)
    found = run(step, {**feed, f"gate:{network.gate}": strength})
    plain = run(compile_step(network.model, emit="gradients"), feed)
    assert found["loss"] == plain["loss"]
    for gradient, array in expected(network, feed, {network.gate: strength}).items():
        assert distance(found[gradient], array) < 1e-5


@pytest.mark.parametrize("inner", [[0, 1, 1, 1, 0.5, 1], [0] * 6, [1] * 6])
@pytest.mark.parametrize("outer", [[1, 0, 1, 0.5, 1, 0], [0] * 6, [0, 0, 0, 0, 0, 1]])
def test_gates_behind_one_another_multiply(outer: list[float], inner: list[float]) -> None:
    feed = SMALL.batch(6)
    strengths = {
        f"gate:{FIRST}": np.array(outer, np.float32),
        f"gate:{SECOND}": np.array(inner, np.float32),
    }
    both = strengths[f"gate:{FIRST}"] * strengths[f"gate:{SECOND}"]
    twin = expected(SMALL, feed, {FIRST: strengths[f"gate:{FIRST}"], SECOND: both})
    for gating in ("rows", "scale"):
        step = compile_step(SMALL.model, emit="gradients", gates=(FIRST, SECOND), gating=gating)
        found = run(step, {**feed, **strengths})
        for gradient, array in twin.items():
            assert distance(found[gradient], array) < 1e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_a_batch_without_deep_samples_leaves_everything_behind_the_gate_as_it_was(
    name: str,
) -> None:
    network = NETWORKS[name]
    step = compile_step(network.model, gates=(network.gate,))
    feed = {**network.batch(4), f"gate:{network.gate}": np.zeros(4, np.float32)}
    moved = run(step, feed)
    for parameter, array in step.parameters.items():
        stayed = (moved[f"{parameter}:new"] == array).all()
        assert stayed != parameter.startswith(BEFORE_THE_GATE[name]), parameter


def test_below_a_gate_the_graph_only_sees_the_samples_it_lets_by() -> None:
    step = compile_step(NETWORKS["lenet"].model, gates=("flatten6",))
    graph = onnx.load_from_string(step.graph).graph
    gathered = {node.output[0] for node in graph.node if node.op_type == "Gather"}
    reached = set(gathered)
    for node in graph.node:
        if reached.intersection(node.input):
            reached.update(node.output)
    backward = [n for n in graph.node if n.op_type in ("ConvTranspose", "Slice", "Greater")]
    inputs = [name for node in backward for name in node.input[:1] if "gate:" not in name]
    assert len(inputs) > 10
    assert all(name in reached for name in inputs)


def test_a_gated_step_passes_its_own_check() -> None:
    assert verify(compile_step(SMALL.model, gates=(FIRST, SECOND))) < 0.02


@pytest.mark.parametrize(
    ("gates", "said"),
    [
        (("nowhere",), "no operation of the model makes this tensor"),
        (("x",), "no operation of the model makes this tensor"),
        ((SECOND, FIRST), f"'{FIRST}' does not lie behind '{SECOND}'"),
        ((FIRST, FIRST), "does not lie behind"),
    ],
)
def test_a_gate_in_no_place_for_one_is_refused(gates: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        compile_step(SMALL.model, gates=gates)


def test_a_gate_with_nothing_to_teach_behind_it_is_refused() -> None:
    with pytest.raises(InputError, match="nothing behind it is trained"):
        compile_step(SMALL.model, trainable="head", gates=(FIRST,))


def test_a_gate_that_can_be_gone_around_is_refused() -> None:
    net = Net()
    below = net.op("Relu", net.linear("x", "body", 6, 6), out="below")
    gate = net.op("Tanh", below, out="gate")
    around = net.op("Add", gate, below)
    net.op("Identity", net.linear(around, "head", 6, 3), out="logits")
    model = net.model({"x": ("n", 6)}, {"logits": ("n", 3)})
    with pytest.raises(InputError, match=r"'gate' can be gone around: Add .* reads 'below'"):
        compile_step(model, gates=("gate",))


def test_rows_cannot_be_taken_out_of_a_batch_of_fixed_size_but_scaled() -> None:
    net = Net()
    body = net.op("Relu", net.linear("x", "body", 6, 6), out="gate")
    net.op("Identity", net.linear(body, "head", 6, 3), out="logits")
    model = net.model({"x": (4, 6)}, {"logits": (4, 3)})
    with pytest.raises(InputError, match="batch is always 4"):
        compile_step(model, gates=("gate",))
    step = compile_step(model, gates=("gate",), gating="scale")
    feed = {**SMALL.batch(4), "gate:gate": np.zeros(4, np.float32)}
    assert (run(step, feed)["body.bias:new"] == step.parameters["body.bias"]).all()


def test_rows_cannot_be_taken_out_where_samples_lie_along_another_axis() -> None:
    net = Net()
    turned = net.op("Transpose", net.op("Tanh", net.linear("x", "body", 6, 6)), perm=[1, 0])
    back = net.op("Transpose", net.op("Sigmoid", turned), perm=[1, 0], out="gate")
    net.op("Identity", net.linear(back, "head", 6, 3), out="logits")
    model = net.model({"x": ("n", 6)}, {"logits": ("n", 3)})
    with pytest.raises(InputError, match="has not one row for each sample; use gating='scale'"):
        compile_step(model, gates=("gate",))
    assert verify(compile_step(model, gates=("gate",), gating="scale")) < 0.02
