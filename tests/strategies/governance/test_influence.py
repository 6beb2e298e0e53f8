"""Influence: what it estimates, the same bits under any split, and that it finds the culprit."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.head import Head, predict
from strategies.governance.alignment import layer_influence, unit_directions
from strategies.governance.influence import (
    Direction,
    InfluenceSums,
    change_directions,
    class_directions,
    function_influence,
    input_direction,
)
from strategies.governance.what_if import (
    curvature_product,
    from_steps,
    ranked,
    solve_curvature,
    to_rows,
)
from strategies.labeling import LabelModel
from tests.strategies.governance.made_fleet import (
    CLASSES,
    L2,
    Fleet,
    Matrix,
    accuracy,
    curvature,
    fleet,
    fleet_of,
    held_out_loss,
    label_model,
    newton,
    real,
    taught,
    trained,
    with_bad_function,
)


def movements(seed: int) -> Fleet:
    """Four kinds of movement of real people, in 15 principal components; made votes."""
    folder = os.environ.get("FIELDVOTE_DATA")
    if not folder or not (Path(folder) / "uci_har265.npz").exists():
        pytest.skip("no uci_har265.npz under FIELDVOTE_DATA")
    with np.load(Path(folder) / "uci_har265.npz") as file:
        features, truth = file["X"].astype(np.float64), file["y"].astype(np.int64)
    truth = truth - truth.min()
    rng = np.random.default_rng(seed)
    picked = rng.permutation(np.flatnonzero(truth < CLASSES))[:3000]
    centred = features[picked] - features[picked].mean(axis=0)
    components = np.linalg.svd(centred[:600], full_matrices=False)[2][:15]
    found = centred @ components.T
    return fleet_of(2 * found / found.std(axis=0), truth[picked], rng, functions=7)


def what_if(made: Fleet, answers: Fleet, labeler: LabelModel, head: Head, *, steps: int) -> Matrix:
    """The whole way: directions with the curvature divided out, then influence. Shape (m, k)."""
    penalty = np.full((head.width, 1), L2)

    def product(way: Matrix) -> Matrix:
        direction = Direction.of(way)
        return from_steps(curvature_product(made.inputs, made.voted, head, direction), direction)

    directions = tuple(
        Direction.of(solve_curvature(product, each, penalty=penalty, steps=steps))
        for each in class_directions(answers.inputs, answers.truth, head)
    )
    return function_influence(taught(made), labeler, head, directions).values(directions)


def gradients(made: Fleet, labeler: LabelModel, head: Head) -> list[Matrix]:
    """What each function teaches the head, by the sum over items written out. Shapes (p, k)."""
    found, said = [], predict(made.inputs, head)
    for j in range(made.votes.shape[1]):
        total = np.zeros((head.width, CLASSES))
        for i in np.flatnonzero(made.votes[:, j] >= 0):
            row = made.votes[[i]].copy()
            label = labeler.predict(row)[0]
            row[0, j] = -1
            weight_without = float((row >= 0).any())
            bare = weight_without * (said[i] - labeler.predict(row)[0])
            total += np.outer(real(made.inputs[i]), (said[i] - label) - bare)
        found.append(total)
    return found


def test_influence_is_what_a_step_with_and_without_the_votes_does_to_the_loss() -> None:
    made, answers = fleet(1, items=200), fleet(1, items=260).rows(slice(200, None))
    labeler, head = trained(made)
    directions = tuple(
        Direction.of(each) for each in class_directions(answers.inputs, answers.truth, head)
    )
    values = function_influence(taught(made), labeler, head, directions).values(directions)
    rate = 1e-4
    for j, gradient in enumerate(gradients(made, labeler, head)):
        stepped = Head.from_values(head.values - rate * gradient)
        lowered = (held_out_loss(head, answers) - held_out_loss(stepped, answers)) / rate
        assert values[j].sum() == pytest.approx(lowered, rel=0.02, abs=0.02)


def test_influence_is_the_dot_product_written_out() -> None:
    made, answers = fleet(2, items=150), fleet(2, items=200).rows(slice(150, None))
    labeler, head = trained(made)
    by_class = class_directions(answers.inputs, answers.truth, head)
    directions = tuple(Direction.of(each) for each in by_class)
    values = function_influence(taught(made), labeler, head, directions).values(directions)
    slow = [
        [float((each * way).sum()) for way in by_class] for each in gradients(made, labeler, head)
    ]
    # a residual is rounded to 2^-13 at most, on some 100 items, in steps as likely up as down
    assert np.abs(values - np.asarray(slow)).max() < 0.01 * np.abs(slow).max()


@pytest.mark.parametrize("devices", [2, 7, 60])
def test_influence_has_the_same_bits_under_any_split(devices: int) -> None:
    made = fleet(3, items=300)
    labeler, head = trained(made)
    directions = tuple(
        Direction.of(each) for each in class_directions(made.inputs, made.truth, head)
    )
    whole = function_influence(taught(made), labeler, head, directions)
    owner = np.random.default_rng(devices).integers(devices, size=300)
    total = InfluenceSums.none(functions=made.votes.shape[1], behaviours=CLASSES)
    for device in range(devices):
        part = taught(made.rows(np.flatnonzero(owner == device)))
        total = total + function_influence(part, labeler, head, directions)
    assert np.array_equal(total.to_vector(), whole.to_vector())
    again = InfluenceSums.from_vector(total.to_vector(), behaviours=CLASSES)
    assert np.array_equal(again.steps, whole.steps)


def test_class_directions_add_up_over_devices() -> None:
    made = fleet(4, items=100)
    _, head = trained(made)
    parts = sum(
        class_directions(piece.inputs, piece.truth, head)
        for piece in (made.rows(slice(0, 30)), made.rows(slice(30, 100)))
    )
    assert np.array_equal(parts, class_directions(made.inputs, made.truth, head))


@pytest.mark.parametrize(
    "make", [lambda seed: fleet(seed, items=3000), pytest.param(movements, marks=pytest.mark.slow)]
)
def test_a_planted_bad_function_is_named_first_and_without_it_the_fleet_recovers(
    make: Callable[[int], Fleet],
) -> None:
    named, lost, apart = 0, [], []
    for seed in range(10):
        honest = make(seed)
        bad, at = with_bad_function(honest, seed)
        train, answers, test = slice(0, 1000), slice(1000, 1150), slice(1150, None)
        labeler, head = trained(bad.rows(train))
        effects = what_if(bad.rows(train), bad.rows(answers), labeler, head, steps=8)
        named += ranked(effects, harmful_first=True)[0].function == at
        left = bad.without(at).rows(train)
        labels = label_model(left).predict(left.votes)
        # from the spoiled head on, and only a few steps: not the run that never had it, repeated
        recovered = newton(left.inputs, labels, left.voted, previous=head, steps=3)
        _, never = trained(honest.rows(train))
        lost.append(accuracy(never, honest.rows(test)) - accuracy(head, bad.rows(test)))
        apart.append(accuracy(never, honest.rows(test)) - accuracy(recovered, bad.rows(test)))
    assert named >= 9
    assert np.mean(lost) > 0.015  # it did harm, so there was something to recover
    assert max(apart) < 0.01


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_if_foretells_a_real_retrain(seed: int) -> None:
    made = fleet(seed, items=1100)
    made, _ = with_bad_function(made, seed)
    train, answers = made.rows(slice(0, 900)), made.rows(slice(900, None))
    labeler, head = trained(train)
    foretold = what_if(train, answers, labeler, head, steps=12).sum(axis=1)
    real_change = [
        held_out_loss(trained(train.without(j))[1], answers) - held_out_loss(head, answers)
        for j in range(train.votes.shape[1])
    ]
    assert np.corrcoef(foretold, real_change)[0, 1] > 0.97
    assert np.abs(foretold - real_change).max() < 0.25 * np.abs(real_change).max()


def test_the_function_that_made_the_model_change_is_named() -> None:
    named = 0
    for seed in range(10):
        made = fleet(seed, items=900)
        labeler, before = trained(made)
        changed = seed % made.votes.shape[1]
        votes = made.votes.copy()  # a new version that says another class, always
        votes[:, changed] = np.where(made.truth == 1, 2, votes[:, changed])
        after_votes = replace(made, votes=votes)
        labeler, after = trained(after_votes)
        directions = tuple(Direction.of(each) for each in change_directions(before, after))
        values = function_influence(taught(after_votes), labeler, before, directions)
        named += ranked(values.values(directions))[0].function == changed
    assert named >= 9


def test_the_functions_that_made_it_answer_so_are_those_that_vote_so_there() -> None:
    made = fleet(6, items=600)
    votes = np.where(made.votes == 3, -1, made.votes)  # but for function 5, nobody says class 3
    votes[made.truth == 3] = -1
    votes[:, 5] = np.where(made.truth == 3, 3, votes[:, 5])
    made = replace(made, votes=votes)
    labeler, head = trained(made)
    shown = made.inputs[np.flatnonzero(made.truth == 3)[:1]]
    directions = (Direction.of(input_direction(shown, head)),)
    assert predict(shown, head)[0].argmax() == 3
    values = function_influence(taught(made), labeler, head, directions).values(directions)
    first = ranked(values)[0]
    assert first.function == 5
    assert first.total > 0
    told = to_rows([first], functions=[(f"f{j}", "1") for j in range(7)], behaviours=["this"])
    assert told[0]["function"] == "f5"
    assert str(told[0]["this"]).startswith("+")


def test_the_head_taken_as_a_deep_layer_has_the_same_influence() -> None:
    made, answers = fleet(7, items=150), fleet(7, items=220).rows(slice(150, None))
    labeler, head = trained(made)
    by_class = class_directions(answers.inputs, answers.truth, head)
    directions = tuple(Direction.of(each) for each in by_class)
    values = function_influence(taught(made), labeler, head, directions).values(directions)
    flat = by_class.reshape(CLASSES, -1)
    deep = layer_influence(
        np.stack([each.ravel() for each in gradients(made, labeler, head)]),
        unit_directions(flat),
        items=150,
    )
    lengths = np.linalg.norm(flat, axis=1)
    assert np.abs(deep.steps * 2.0**-32 * lengths - values).max() < 0.01 * np.abs(values).max()


def test_the_curvature_product_is_that_of_the_matrix_under_any_split() -> None:
    made = fleet(8, items=300)
    _, head = trained(made)
    way = np.random.default_rng(0).normal(size=head.weights.shape)
    direction = Direction.of(way)
    whole = curvature_product(made.inputs, made.voted, head, direction)
    slow = curvature(made.inputs, made.voted, head) @ way.ravel()
    assert from_steps(whole, direction).ravel() == pytest.approx(slow, rel=1e-4, abs=1e-3)
    parts = [
        curvature_product(piece.inputs, piece.voted, head, direction)
        for piece in (made.rows(slice(0, 1)), made.rows(slice(1, 99)), made.rows(slice(99, 300)))
    ]
    assert np.array_equal(sum(parts), whole)


def test_solving_the_curvature_is_solving_the_equations() -> None:
    made = fleet(9, items=200)
    _, head = trained(made)
    matrix = curvature(made.inputs, made.voted, head)
    asked = np.random.default_rng(1).normal(size=head.weights.shape)
    solved = solve_curvature(
        lambda way: (matrix @ way.ravel()).reshape(way.shape),
        asked,
        penalty=np.full((head.width, 1), L2),
        steps=60,
    )
    exact = np.linalg.solve(matrix + L2 * np.eye(len(matrix)), asked.ravel())
    assert solved.ravel() == pytest.approx(exact, rel=1e-3, abs=1e-5)
    nothing = solve_curvature(lambda way: way, np.zeros((2, 2)), penalty=np.ones((2, 1)), steps=3)
    assert not nothing.any()


def test_the_trainer_of_these_tests_is_at_a_minimum() -> None:
    made = fleet(10, items=300)
    targets = label_model(made).predict(made.votes)
    head = newton(made.inputs, targets, made.voted)
    residual = made.voted[:, None] * (predict(made.inputs, head) - targets)
    assert np.abs(real(made.inputs).T @ residual + L2 * head.values).max() < 1e-3


def test_no_items_and_no_behaviour_are_named_cases() -> None:
    made = fleet(11, items=50)
    labeler, head = trained(made)
    nothing = Direction.of(np.zeros((head.width, CLASSES)))
    none = function_influence(taught(made.rows(slice(0, 0))), labeler, head, (nothing,))
    assert not none.steps.any()
    some = function_influence(taught(made), labeler, head, (nothing,))
    assert not some.values((nothing,)).any()


def test_bad_input_is_refused() -> None:
    made = fleet(12, items=20)
    labeler, head = trained(made)
    good = Direction.of(np.ones((head.width, CLASSES)))
    with pytest.raises(InputError, match="finite"):
        Direction.of(np.full((2, 2), np.nan))
    with pytest.raises(ShapeError):
        function_influence(replace(taught(made), votes=made.votes[:5]), labeler, head, (good,))
    with pytest.raises(ShapeError):
        function_influence(taught(made), labeler, Head.zeros(width=head.width, classes=2), (good,))
    with pytest.raises(InputError):
        function_influence(replace(taught(made), weight=-made.voted - 1), labeler, head, (good,))
    with pytest.raises(ShapeError):
        input_direction(made.inputs[:2], head)
    with pytest.raises(InputError, match="class"):
        input_direction(made.inputs[:1], head, label=CLASSES)
    with pytest.raises(ShapeError):
        InfluenceSums.from_vector(np.zeros(4, dtype=np.int64), behaviours=2)
    with pytest.raises(ShapeError):
        InfluenceSums.none(functions=2, behaviours=2) + InfluenceSums.none(
            functions=2, behaviours=3
        )
    with pytest.raises(InputError, match="beyond"):
        InfluenceSums(steps=np.full((1, 1), 1 << 44), items=2)
    with pytest.raises(InputError, match="beyond"):
        InfluenceSums(steps=np.full((1, 1), np.iinfo(np.int64).min), items=1 << 20)
    with pytest.raises(InputError, match="clip"):
        layer_influence(np.full((1, 1), 2.0**21), np.ones((1, 1)), items=1)
    with pytest.raises(InputError, match="finite"):
        layer_influence(np.full((1, 1), np.inf), np.ones((1, 1)), items=1)
    with pytest.raises(InputError, match="penalty"):
        solve_curvature(lambda v: v, np.ones((1, 2)), penalty=np.zeros((1, 1)), steps=2)
