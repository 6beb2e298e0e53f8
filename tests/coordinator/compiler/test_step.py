"""The contract of a compiled step, beside twins in numpy."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from coordinator.compiler import compile_step, last_layers, verify
from coordinator.models.backbone import projection_backbone
from tests.coordinator.compiler.by_hand import SMALL, by_hand
from tests.coordinator.compiler.networks import (
    Net,
    Network,
    large_mlp,
    lenet,
    mobilenet,
    small_transformer,
)
from tests.coordinator.compiler.running import distance, run

ROOT = Path(__file__).parents[3]


def test_inputs_and_outputs_have_their_promised_names_and_shapes() -> None:
    step = compile_step(SMALL.model)
    graph = onnx.load_from_string(step.graph).graph

    def shapes(values: object) -> dict[str, list[int | str]]:
        return {
            v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
            for v in values
        }

    parameters = {name: list(array.shape) for name, array in step.parameters.items()}
    assert list(parameters) == ["0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"]
    assert shapes(graph.input) == {
        "x": ["n", 6],
        "target": ["n", 3],
        "weight": ["n"],
        "lr": [],
        **parameters,
    }
    moved = {f"{name}:new": shape for name, shape in parameters.items()}
    assert shapes(graph.output) == {"loss": [], **moved}
    gradients = onnx.load_from_string(compile_step(SMALL.model, emit="gradients").graph).graph
    asked = {f"grad:{name}": shape for name, shape in parameters.items()}
    assert shapes(gradients.output) == {"loss": [], **asked}
    assert shapes(gradients.input) == shapes(graph.input)


def test_loss_gradients_and_step_are_what_is_written_out_by_hand() -> None:
    feed = SMALL.batch(7)
    step = compile_step(SMALL.model)
    loss, gradients = by_hand(step.parameters, feed)

    found = run(compile_step(SMALL.model, emit="gradients"), feed)
    moved = run(step, feed, rate=0.3)

    assert found["loss"] == pytest.approx(loss, abs=1e-6)
    assert moved["loss"] == pytest.approx(loss, abs=1e-6)
    for name, expected in gradients.items():
        assert distance(found[f"grad:{name}"], expected) < 1e-5
        np.testing.assert_allclose(
            moved[f"{name}:new"], step.parameters[name] - 0.3 * expected, atol=1e-6
        )


def test_targets_need_not_sum_to_one_and_weights_need_not_either() -> None:
    feed = SMALL.batch(5)
    feed["target"][1] *= 0.25
    feed["weight"] *= 40
    feed["weight"][2] = 0
    step = compile_step(SMALL.model, emit="gradients")
    loss, gradients = by_hand(step.parameters, feed)
    found = run(step, feed)
    assert found["loss"] == pytest.approx(loss, abs=1e-6)
    assert all(distance(found[f"grad:{n}"], g) < 1e-5 for n, g in gradients.items())


def test_a_batch_without_weight_moves_nothing() -> None:
    feed = SMALL.batch(4)
    feed["weight"][:] = 0
    step = compile_step(SMALL.model)
    moved = run(step, feed)
    assert moved["loss"] == 0
    assert all((moved[f"{n}:new"] == a).all() for n, a in step.parameters.items())


@pytest.mark.parametrize("softmax", ["Softmax", "LogSoftmax"])
def test_the_loss_is_taken_before_a_final_softmax(softmax: str) -> None:
    net = Net()
    embedding = net.op("Relu", net.linear("x", "body", 6, 8), out="embedding")
    logits = net.linear(embedding, "head", 8, 3)
    net.op("Identity", net.op(softmax, logits, axis=-1), out="probabilities")
    model = net.model({"x": ("n", 6)}, {"embedding": ("n", 8), "probabilities": ("n", 3)})
    plain = Net(nodes=net.nodes[:-2], weights=net.weights)
    plain.op("Identity", logits, out="logits")
    feed = SMALL.batch(4)
    found = run(compile_step(model), feed)
    expected = run(compile_step(plain.model({"x": ("n", 6)}, {"logits": ("n", 3)})), feed)
    assert all((found[name] == array).all() for name, array in expected.items())


def test_the_models_that_tasks_start_with_can_be_trained() -> None:
    rng = np.random.default_rng(1)
    model = projection_backbone(rng.standard_normal((6, 4)).astype(np.float32), 3)
    batch = SMALL.batch(16)
    feed = {"input": batch["x"], "target": batch["target"], "weight": batch["weight"]}
    step = compile_step(model)
    assert set(step.parameters) == {"projection", "head.weight", "head.bias"}
    losses = []
    for _ in range(20):
        made = run(step, feed, rate=0.5)
        losses.append(float(made["loss"]))
        for name in step.parameters:
            step.parameters[name] = made[f"{name}:new"]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] - 0.01


@pytest.mark.parametrize(
    ("trainable", "names"),
    [
        ("head", {"4.weight", "4.bias"}),
        (["2.bias"], {"2.bias"}),
        (("0.weight", "4.bias"), {"0.weight", "4.bias"}),
    ],
)
def test_only_what_is_named_is_trained_and_its_gradient_is_the_same(
    trainable: str | list[str], names: set[str]
) -> None:
    feed = SMALL.batch(5)
    whole = run(compile_step(SMALL.model), feed)
    step = compile_step(SMALL.model, trainable=trainable)
    part = run(step, feed)
    assert set(step.parameters) == names
    assert set(part) == {"loss", *(f"{name}:new" for name in names)}
    for name, array in part.items():
        np.testing.assert_allclose(array, whole[name], atol=1e-6)


@pytest.mark.parametrize("blocked", [-np.inf, np.finfo(np.float32).min])
def test_an_attention_mask_is_no_parameter(blocked: float) -> None:
    net = Net()
    net.weights["mask"] = np.array([[0, blocked, 0, 0, 0, 0]], np.float32)
    scores = net.op("Add", net.linear("x", "body", 6, 6), "mask")
    net.op("Identity", net.linear(net.op("Softmax", scores), "head", 6, 3), out="logits")
    step = compile_step(net.model({"x": ("n", 6)}, {"logits": ("n", 3)}))
    assert "mask" not in step.parameters
    assert np.isfinite(run(step, SMALL.batch(4))["body.weight:new"]).all()


def test_the_last_layers_are_counted_from_the_loss() -> None:
    assert last_layers(SMALL.model, 2) == ("2.weight", "2.bias", "4.weight", "4.bias")
    assert last_layers(small_transformer().model, 1) == ("head.weight", "head.bias")
    two = last_layers(small_transformer().model, 2)
    assert {"norm.weight", "norm.bias", "0.down.weight", "0.down.bias"} <= set(two)
    assert "0.up.weight" not in two


def test_frozen_weights_can_stay_out_of_the_graph() -> None:
    feed = SMALL.batch(5)
    inside = compile_step(SMALL.model, trainable="head")
    outside = compile_step(SMALL.model, trainable="head", frozen="outside")
    assert set(outside.frozen) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert not inside.frozen
    assert outside.frozen["2.weight"].tobytes() not in outside.graph
    assert inside.frozen.keys() != outside.frozen.keys()
    for name, array in run(inside, feed).items():
        assert (run(outside, feed)[name] == array).all()


@pytest.mark.parametrize(
    ("network", "most_kb"),
    [(large_mlp, 7), (lenet, 32), (mobilenet, 240)],
    ids=["large_mlp", "lenet", "mobilenet"],
)
def test_a_graph_holds_no_weights(network: object, most_kb: int) -> None:
    model = network().model
    for emit in ("update", "gradients"):
        step = compile_step(model, emit=emit)
        assert len(step.graph) <= most_kb * 1024
        largest = max(step.parameters.values(), key=lambda a: a.size)
        assert largest.tobytes()[:256] not in step.graph


def test_the_same_model_gives_the_same_bytes() -> None:
    for rank in (None, 1):
        first, second = (compile_step(SMALL.model, low_rank=rank) for _ in range(2))
        assert first.graph == second.graph


def test_another_process_writes_the_same_bytes() -> None:
    code = (
        "import hashlib\n"
        "from coordinator.compiler import compile_step\n"
        "from tests.coordinator.compiler.networks import small_transformer\n"
        "step = compile_step(small_transformer().model, optimizer='adam', low_rank=2)\n"
        "print(hashlib.sha256(step.graph).hexdigest())\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1


def test_initial_values_are_the_model_s_own_copies() -> None:
    first, second = compile_step(SMALL.model), compile_step(SMALL.model)
    first.parameters["0.bias"] += 1
    assert (second.parameters["0.bias"] != first.parameters["0.bias"]).all()


def test_weights_that_an_exporter_merged_are_trained_apart() -> None:
    net = Net()
    net.weights["ones"] = np.ones(6, np.float32)
    other = net.op("Identity", "ones", out="also_ones")
    x = net.op("Mul", net.op("Tanh", net.op("Mul", "x", "ones")), other)
    net.op("Identity", net.linear(x, "head", 6, 3), out="logits")
    step = compile_step(net.model({"x": ("n", 6)}, {"logits": ("n", 3)}))
    made = run(step, SMALL.batch(5))
    assert {"ones", "also_ones"} <= set(step.parameters)
    assert (made["ones:new"] != made["also_ones:new"]).any()


def test_an_older_operator_set_is_lifted() -> None:
    net = Net(opset=13)
    x = net.op("ReduceMean", net.op("Reshape", "x", net.const([0, 3, 2])), axes=[1], keepdims=0)
    net.op("Identity", net.linear(x, "head", 2, 3), out="logits")
    step = compile_step(net.model({"x": ("n", 6)}, {"logits": ("n", 3)}))
    assert run(step, SMALL.batch(4))["loss"] > 0


def test_shapes_an_exporter_computed_at_run_time_are_followed() -> None:
    net = Net()
    rows = net.op("Gather", net.op("Shape", "x"), net.const(0), axis=0)
    sizes = net.op("Concat", net.op("Unsqueeze", rows, net.const([0])), net.const([3, 2]), axis=0)
    left = net.op("Reshape", net.linear("x", "left", 6, 6), sizes)
    width = net.op("Gather", net.op("Shape", left), net.const([2]), axis=0)
    half = net.op("Slice", left, net.op("Sub", width, net.const([1])), width, net.const([2]))
    right = net.op("Reshape", net.linear("x", "right", 6, 3), net.const([-1, 3, 1]))
    mixed = net.op("Flatten", net.op("Add", half, right))
    net.op("Identity", net.linear(mixed, "head", 3, 3), out="logits")
    step = compile_step(net.model({"x": ("n", 6)}, {"logits": ("n", 3)}))
    made = run(step, SMALL.batch(4))
    assert (made["left.weight:new"] != step.parameters["left.weight"]).any()


@pytest.mark.parametrize("network", [SMALL, small_transformer()], ids=["mlp", "transformer"])
def test_a_batch_of_fixed_size_is_trained_as_it_is(network: Network) -> None:
    proto = onnx.load_from_string(network.model)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 5
    fixed, free = compile_step(proto.SerializeToString()), compile_step(network.model)
    target = next(v for v in onnx.load_from_string(fixed.graph).graph.input if v.name == "target")
    assert target.type.tensor_type.shape.dim[0].dim_value == 5
    feed = network.batch(5)
    for name, array in run(free, feed).items():
        np.testing.assert_allclose(run(fixed, feed)[name], array, atol=1e-6)


@pytest.mark.parametrize("pool", ["ReduceMax", "ReduceMean"])
def test_texts_of_any_length_are_trained_on_by_attention(pool: str) -> None:
    net = Net(opset=20)
    words = net.op("Gather", net.weight("table", 9, 8), "x", axis=0)
    normal = net.norm(words, "norm", "LayerNormalization", 8)
    q, k, v = (net.linear(normal, name, 8, 8, rank=3) for name in "qkv")
    scores = net.op("MatMul", q, net.op("Transpose", k, perm=[0, 2, 1]))
    mixed = net.op("Add", words, net.op("MatMul", net.op("Softmax", scores, axis=-1), v))
    pooled = net.op(pool, mixed, net.const([1]), keepdims=0)
    net.op("Identity", net.linear(pooled, "head", 8, 3), out="logits")
    model = net.model({"x": ("n", "length")}, {"logits": ("n", 3)}, integers=("x",))
    step = compile_step(model)
    for length in (3, 7):
        texts = np.random.default_rng(length).integers(0, 9, (4, length))
        assert verify(step, inputs={"x": texts}) < 0.02
