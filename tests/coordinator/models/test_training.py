from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coordinator.models.training import (
    Leg,
    Solver,
    Trained,
    average,
    first_model,
    head_of,
    is_reply,
    solve,
    with_head,
)
from coordinator.settings import InputSettings
from edge.learning.learner import representation_of
from fieldvote.codec import IntVector
from fieldvote.heads import HeadModel
from fieldvote.records import (
    encode,
)
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
Ask = Callable[[int, HeadModel], Sequence[IntVector]]
"""Step and head to what each device replies."""


def driven(
    solver: Solver, ask: Ask, *, kept: Sequence[IntVector] = ()
) -> tuple[Trained, list[Leg]]:
    """Send a solver what it asks for, first of all the sums that were kept; return its legs too."""
    asked: list[Leg] = []
    try:
        asked.append(next(solver))
        while True:
            leg = asked[-1]
            sums = kept[leg.step] if leg.step < len(kept) else sum(ask(leg.step, leg.model))
            asked.append(solver.send(sums))
    except StopIteration as done:
        return done.value, asked


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
    solver = solve(
        PROBLEM.start, PROBLEM.total(shards), l2=L2, exchanges=exchanges, tolerance=tolerance
    )
    return driven(solver, PROBLEM.gradients(shards))[0].model


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
    solver = solve(done, PROBLEM.total(ALL), l2=L2, exchanges=8)
    again, _ = driven(solver, PROBLEM.gradients(ALL))
    assert again.exchanges == 1
    assert PROBLEM.objective(again.model) <= PROBLEM.objective(done)


def test_every_exchange_asks_at_a_step_of_its_own_and_no_more_than_allowed() -> None:
    solver = solve(PROBLEM.start, PROBLEM.total(ALL), l2=L2, exchanges=3)
    trained, legs = driven(solver, PROBLEM.gradients(ALL))
    assert [leg.step for leg in legs] == [0, 1, 2]
    assert trained.exchanges == 3


def test_by_default_no_exchange_is_spent_on_what_moves_no_label() -> None:
    solver = solve(PROBLEM.start, PROBLEM.total(ALL), l2=L2, exchanges=30)
    early, steps = driven(solver, PROBLEM.gradients(ALL))
    exact = predict(PROBLEM.inputs, head_of(solved(ALL, exchanges=60)))
    assert len(steps) == early.exchanges < 8
    assert np.abs(predict(PROBLEM.inputs, head_of(early.model)) - exact).max() < 0.05


def test_averaging_learns_and_is_never_better_than_solving() -> None:
    shards = [np.flatnonzero(PROBLEM.labels == label) for label in range(CLASSES)]
    ask = PROBLEM.local_heads(shards, epochs=5)
    averaged, _ = driven(average(PROBLEM.start, exchanges=8), ask)
    assert averaged.exchanges == 8
    best = PROBLEM.objective(solved(ALL, exchanges=60))
    assert best <= PROBLEM.objective(averaged.model) < PROBLEM.objective(PROBLEM.start)


def test_devices_without_lessons_leave_an_averaged_head_as_it_is() -> None:
    nothing = [np.empty(0, dtype=np.int64)] * 2
    ask = PROBLEM.local_heads(nothing, epochs=1)
    trained, _ = driven(average(PROBLEM.start, exchanges=2), ask)
    assert encode(trained.model) == encode(PROBLEM.start)


def begun(learner: str) -> tuple[Solver, Ask]:
    """Return a solver at its first leg, and devices that answer it."""
    shards = sharded(240, 3, 2)
    if learner == "averaged":
        return average(PROBLEM.start, exchanges=5), PROBLEM.local_heads(shards, epochs=2)
    solver = solve(PROBLEM.start, PROBLEM.total(shards), l2=L2, exchanges=5, tolerance=1e-3)
    return solver, PROBLEM.gradients(shards)


@pytest.mark.parametrize("learner", ["summed", "averaged"])
@pytest.mark.parametrize("died_after", range(6))
def test_a_solver_that_is_caught_up_from_kept_sums_asks_and_returns_the_same_bits(
    learner: str, died_after: int
) -> None:
    solver, ask = begun(learner)
    kept: list[IntVector] = []

    def keep(step: int, model: HeadModel) -> list[IntVector]:
        replies = ask(step, model)
        kept.append(np.asarray(sum(replies)))
        return list(replies)

    whole, legs = driven(solver, keep)
    again, asked = driven(*begun(learner), kept=kept[:died_after])
    assert again.exchanges == whole.exchanges == len(legs) == 5
    assert encode(again.model) == encode(whole.model)
    assert [(leg.step, encode(leg.model)) for leg in asked] == [
        (leg.step, encode(leg.model)) for leg in legs
    ]
    # the last sums are of use: others would give another head
    other, _ = driven(*begun(learner), kept=[*kept[:4], kept[3]])
    assert encode(other.model) != encode(whole.model)


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
