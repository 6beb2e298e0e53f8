"""Optimizers, terms, parts and deltas, beside their definitions in numpy."""

import numpy as np
import pytest

from coordinator.compiler import Terms, compile_step
from coordinator.compiler.low_rank import merged
from coordinator.compiler.optimizers import Adam, Momentum
from tests.coordinator.compiler.by_hand import SMALL, by_hand
from tests.coordinator.compiler.networks import (
    Network,
    small_transformer,
)
from tests.coordinator.compiler.running import run


def test_momentum_and_adam_walk_as_they_are_defined() -> None:
    feed = SMALL.batch(6)
    for optimizer in (Momentum(decay=0.8), Adam(beta1=0.8, beta2=0.95, epsilon=1e-6)):
        step = compile_step(SMALL.model, optimizer=optimizer)
        weights = {n: a.astype(np.float64) for n, a in step.parameters.items()}
        first, second = ({n: np.zeros_like(a) for n, a in weights.items()} for _ in range(2))
        for t in range(1, 4):
            made = run(step, feed, rate=0.05)
            _, gradients = by_hand(weights, feed)
            for name, g in gradients.items():
                if isinstance(optimizer, Momentum):
                    first[name] = 0.8 * first[name] + g
                    weights[name] -= 0.05 * first[name]
                else:
                    first[name] = 0.8 * first[name] + 0.2 * g
                    second[name] = 0.95 * second[name] + 0.05 * g * g
                    mean, square = first[name] / (1 - 0.8**t), second[name] / (1 - 0.95**t)
                    weights[name] -= 0.05 * mean / (np.sqrt(square) + 1e-6)
            for name in (*step.parameters, *step.state):
                target = step.parameters if name in step.parameters else step.state
                target[name] = made[f"{name}:new"]
        for name, expected in weights.items():
            np.testing.assert_allclose(step.parameters[name], expected, atol=2e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum"])
def test_terms_of_federated_training_are_added_in_their_order(optimizer: str) -> None:
    feed = SMALL.batch(6)
    terms = Terms(clip=True, proximal=True, corrected=True)
    step = compile_step(SMALL.model, optimizer=optimizer, terms=terms)
    _, gradients = by_hand(step.parameters, feed)
    norm = np.sqrt(sum(float((g * g).sum()) for g in gradients.values()))
    rng = np.random.default_rng(2)
    extra, expected = {}, {}
    for name, array in step.parameters.items():
        anchor, correction = (rng.standard_normal(array.shape) for _ in range(2))
        extra[f"anchor:{name}"] = anchor.astype(np.float32)
        extra[f"correction:{name}"] = correction.astype(np.float32)
        whole = gradients[name] * (0.5 * norm) / norm + 0.3 * (array - anchor) + correction
        expected[name] = array - 0.1 * whole
    made = run(step, {**feed, **extra}, rate=0.1, clip_norm=0.5 * norm, proximal=0.3)
    for name, array in expected.items():
        np.testing.assert_allclose(made[f"{name}:new"], array, atol=1e-6)


def test_a_gradient_shorter_than_the_clip_is_left_alone() -> None:
    feed = SMALL.batch(6)
    clipped = run(compile_step(SMALL.model, terms=Terms(clip=True)), feed, clip_norm=1e6)
    plain = run(compile_step(SMALL.model), feed)
    for name, array in plain.items():
        np.testing.assert_allclose(clipped[name], array, atol=1e-7)


def test_parts_of_a_batch_add_up_to_the_batch() -> None:
    feed = SMALL.batch(7)
    whole = run(compile_step(SMALL.model), feed)
    step = compile_step(SMALL.model, accumulate=True)
    so_far, loss = dict(step.parameters), 0.0
    for part in (slice(0, 3), slice(3, 5), slice(5, 7)):
        given = {f"acc:{name}": array for name, array in so_far.items()}
        batch = {name: array[part] for name, array in feed.items()}
        made = run(step, {**batch, **given}, weight_sum=feed["weight"].sum())
        so_far = {name: made[f"{name}:new"] for name in so_far}
        loss += float(made["loss"])
    assert loss == pytest.approx(float(whole["loss"]), abs=1e-6)
    for name, array in so_far.items():
        np.testing.assert_allclose(array, whole[f"{name}:new"], atol=1e-6)


def test_gradients_of_parts_add_up_too() -> None:
    feed = SMALL.batch(6)
    whole = run(compile_step(SMALL.model, emit="gradients"), feed)
    step = compile_step(SMALL.model, emit="gradients", accumulate=True)
    so_far = {name: np.zeros_like(array) for name, array in step.parameters.items()}
    for part in (slice(0, 4), slice(4, 6)):
        given = {f"acc:{name}": array for name, array in so_far.items()}
        batch = {name: array[part] for name, array in feed.items()}
        made = run(step, {**batch, **given}, weight_sum=feed["weight"].sum())
        so_far = {name: made[f"grad:{name}"] for name in so_far}
    for name, array in so_far.items():
        np.testing.assert_allclose(array, whole[f"grad:{name}"], atol=1e-6)


@pytest.mark.parametrize("network", [SMALL, small_transformer()], ids=["mlp", "transformer"])
def test_low_rank_deltas_start_at_the_model_and_train_beside_it(network: Network) -> None:
    feed = network.batch(6)
    step = compile_step(network.model, low_rank=2)
    plain = compile_step(network.model)
    replaced = {name for name in plain.parameters if name not in step.parameters}
    assert replaced
    assert {f"{n}:{factor}" for n in replaced for factor in ("down", "up")} <= set(step.parameters)
    assert float(run(step, feed)["loss"]) == pytest.approx(
        float(run(plain, feed)["loss"]), abs=1e-6
    )
    for _ in range(3):
        made = run(step, feed)
        step.parameters.update({n: made[f"{n}:new"] for n in step.parameters})
    weights = merged(plain.parameters, step.parameters)
    plain.parameters.update({n: a.astype(np.float32) for n, a in weights.items()})
    assert all(np.abs(step.parameters[f"{n}:up"]).max() > 0 for n in replaced)
    assert float(run(step, feed)["loss"]) == pytest.approx(
        float(run(plain, feed)["loss"]), abs=1e-5
    )
