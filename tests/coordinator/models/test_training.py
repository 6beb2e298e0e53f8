from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coordinator.models.training import (
    Ask,
    average,
    first_model,
    head_of,
    is_reply,
    solve,
    with_head,
)
from coordinator.settings import InputSettings
from edge.learning.learner import representation_of
from fieldvote.errors import UnavailableError
from fieldvote.records import HeadModel, encode
from strategies.aggregation.averaging import federated_averaging
from strategies.aggregation.summed_head import (
    Head,
    HeadSums,
    gradient_sums,
    head_sums,
    predict,
)
from strategies.representation import Moments

CLASSES, L2 = 3, 1.0


class Problem:
    """A table with three classes that overlap, and the head's inputs of it."""

    def __init__(self, items: int = 240, seed: int = 1) -> None:
        rng = np.random.default_rng(seed)
        self.labels = rng.integers(0, CLASSES, size=items)
        embeddings = rng.normal(size=(items, 5)) + 0.9 * np.eye(CLASSES, 5)[self.labels]
        self.start = first_model(
            Moments.from_embeddings(embeddings), InputSettings(), classes=CLASSES, seed=1
        )
        representation = representation_of(self.start)
        self.inputs = representation.inputs(embeddings, np.zeros(5))
        self.targets = np.eye(CLASSES)[self.labels]

    def sums(self, rows: NDArray[np.int64]) -> HeadSums:
        return head_sums(self.inputs[rows], np.ones(len(rows)), seed=self.start.seed)

    def total(self, shards: Sequence[NDArray[np.int64]]) -> HeadSums:
        empty = HeadSums.empty(width=self.inputs.shape[1])
        return sum((self.sums(rows) for rows in shards), start=empty)

    def gradients(self, shards: Sequence[NDArray[np.int64]]) -> Ask:
        def ask(_step: int, model: HeadModel) -> list[NDArray[np.int64]]:
            return [
                gradient_sums(
                    self.inputs[rows], self.targets[rows], np.ones(len(rows)), head_of(model)
                ).to_vector()
                for rows in shards
            ]

        return ask

    def local_heads(self, shards: Sequence[NDArray[np.int64]], epochs: int) -> Ask:
        local = federated_averaging(epochs=epochs, l2_per_item=L2 / len(self.labels)).local

        def ask(_step: int, model: HeadModel) -> list[NDArray[np.int64]]:
            trained = [
                local(head_of(model), self.inputs[rows], self.targets[rows], np.ones(len(rows)))
                for rows in shards
            ]
            return [np.concatenate([[t.weight], t.product.ravel()]) for t in trained]

        return ask

    def objective(self, model: HeadModel) -> float:
        head = head_of(model)
        everything = gradient_sums(self.inputs, self.targets, np.ones(len(self.labels)), head)
        return everything.loss_nats + 0.5 * L2 * float((head.values[:-1] ** 2).sum())


PROBLEM = Problem()


def sharded(items: int, devices: int, seed: int) -> list[NDArray[np.int64]]:
    """Spread items over devices; a device may be left with none."""
    owner = np.random.default_rng(seed).integers(0, devices, size=items)
    return [np.flatnonzero(owner == device) for device in range(devices)]


ALL = sharded(240, 1, 0)


def solved(
    shards: Sequence[NDArray[np.int64]], exchanges: int = 8, tolerance: float = 1e-3
) -> HeadModel:
    return solve(
        PROBLEM.start,
        PROBLEM.total(shards),
        PROBLEM.gradients(shards),
        l2=L2,
        exchanges=exchanges,
        tolerance=tolerance,
    ).model


def test_solving_from_sums_reaches_what_a_central_fit_reaches() -> None:
    from sklearn.linear_model import LogisticRegression

    rows = PROBLEM.inputs[:, :-1] * 2.0**-9
    central = LogisticRegression(C=1.0 / L2, tol=1e-10, max_iter=5000).fit(rows, PROBLEM.labels)
    ours = predict(PROBLEM.inputs, head_of(solved(ALL, exchanges=60)))
    assert np.abs(ours - central.predict_proba(rows)).max() < 2e-3
    eight = predict(PROBLEM.inputs, head_of(solved(ALL)))
    assert np.abs(eight - central.predict_proba(rows)).max() < 2e-2
    # a head that learned nothing would be far off
    assert np.abs(1 / CLASSES - central.predict_proba(rows)).max() > 0.5


WHOLE = encode(solved(ALL))


@settings(deadline=None, max_examples=12)
@given(st.sampled_from([1, 7, 30]), st.integers(0, 10**6), st.randoms())
def test_any_sharding_gives_the_same_bits(devices: int, seed: int, order: object) -> None:
    shards = sharded(240, devices, seed)
    order.shuffle(shards)  # type: ignore[attr-defined]  # hypothesis' own Random
    assert encode(solved(shards)) == WHOLE


def test_training_goes_on_from_the_weights_of_the_last_round() -> None:
    done = solved(ALL, exchanges=60)
    again = solve(done, PROBLEM.total(ALL), PROBLEM.gradients(ALL), l2=L2, exchanges=8)
    assert again.exchanges == 1
    assert PROBLEM.objective(again.model) <= PROBLEM.objective(done)


def test_every_exchange_asks_at_a_step_of_its_own_and_no_more_than_allowed() -> None:
    steps = []

    def ask(step: int, model: HeadModel) -> Sequence[NDArray[np.int64]]:
        steps.append(step)
        return PROBLEM.gradients(ALL)(step, model)

    trained = solve(PROBLEM.start, PROBLEM.total(ALL), ask, l2=L2, exchanges=3)
    assert steps == [0, 1, 2]
    assert trained.exchanges == 3


def test_by_default_no_exchange_is_spent_on_what_moves_no_label() -> None:
    steps = []

    def ask(step: int, model: HeadModel) -> Sequence[NDArray[np.int64]]:
        steps.append(step)
        return PROBLEM.gradients(ALL)(step, model)

    early = solve(PROBLEM.start, PROBLEM.total(ALL), ask, l2=L2, exchanges=30)
    exact = predict(PROBLEM.inputs, head_of(solved(ALL, exchanges=60)))
    assert len(steps) == early.exchanges < 8
    assert np.abs(predict(PROBLEM.inputs, head_of(early.model)) - exact).max() < 0.05


def test_averaging_learns_and_is_never_better_than_solving() -> None:
    shards = [np.flatnonzero(PROBLEM.labels == label) for label in range(CLASSES)]
    ask = PROBLEM.local_heads(shards, epochs=5)
    averaged = average(PROBLEM.start, ask, exchanges=8)
    assert averaged.exchanges == 8
    best = PROBLEM.objective(solved(ALL, exchanges=60))
    assert best <= PROBLEM.objective(averaged.model) < PROBLEM.objective(PROBLEM.start)


def test_devices_without_lessons_leave_an_averaged_head_as_it_is() -> None:
    nothing = [np.empty(0, dtype=np.int64)] * 2
    trained = average(PROBLEM.start, PROBLEM.local_heads(nothing, epochs=1), exchanges=2)
    assert encode(trained.model) == encode(PROBLEM.start)


@pytest.mark.parametrize("silent_from", [0, 2])
def test_an_exchange_without_any_reply_is_unavailable(silent_from: int) -> None:
    def ask(step: int, model: HeadModel) -> Sequence[NDArray[np.int64]]:
        return [] if step >= silent_from else PROBLEM.gradients(ALL)(step, model)

    with pytest.raises(UnavailableError, match="can be retried"):
        solve(PROBLEM.start, PROBLEM.total(ALL), ask, l2=L2, exchanges=8)
    with pytest.raises(UnavailableError, match="can be retried"):
        average(PROBLEM.start, lambda _step, _model: [], exchanges=3)


def test_only_vectors_of_the_heads_shape_and_of_possible_weight_are_replies() -> None:
    [gradient] = PROBLEM.gradients(ALL)(0, PROBLEM.start)
    [head] = PROBLEM.local_heads(ALL, 1)(0, PROBLEM.start)
    assert is_reply(PROBLEM.start, gradient, averaged=False)
    assert is_reply(PROBLEM.start, head, averaged=True)
    assert not is_reply(PROBLEM.start, gradient, averaged=True)
    assert not is_reply(PROBLEM.start, head, averaged=False)
    for weight in (-1, 2**40):
        spoiled = gradient.copy()
        spoiled[1] = weight
        assert not is_reply(PROBLEM.start, spoiled, averaged=False)
    assert not is_reply(PROBLEM.start, np.empty(0, dtype=np.int64), averaged=False)


def test_the_first_model_knows_nothing_and_a_head_is_put_in_without_touching_the_rest() -> None:
    start = PROBLEM.start
    assert not start.weights.any()
    assert start.parent == ""
    head = Head(weights=np.arange(18, dtype=np.int64).reshape(6, 3))
    moved = with_head(start, head)
    assert np.array_equal(head_of(moved).weights, head.weights)
    assert encode(replace(moved, weights=start.weights)) == encode(start)
