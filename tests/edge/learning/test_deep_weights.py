"""What a lesson weighs holds across batches too: a step by itself would divide it out."""

from dataclasses import replace

import numpy as np

from edge.learning.deep import Material, train
from tests.edge.learning.test_deep import DRILL, GATED, loss_of, material, visit


def mixed(doubtful: float) -> Material:
    """Return eight lessons that are right, among nine times as many wrong ones of this weight."""
    held = material(rows=80)
    right = np.arange(80) < 8
    return replace(
        held,
        targets=np.where(right[:, None], held.targets, 1.0 - held.targets),
        weights=np.where(right, 1.0, doubtful).astype(np.float32),
    )


def test_batches_of_doubtful_lessons_move_a_network_as_little_as_they_weigh() -> None:
    sure = material(rows=80)
    first = loss_of(GATED, GATED.first, sure)
    light = train(GATED, GATED.first, mixed(0.001), DRILL, epochs=2, visit=visit())
    heavy = train(GATED, GATED.first, mixed(1.0), DRILL, epochs=2, visit=visit())
    assert loss_of(GATED, light, sure) < first < loss_of(GATED, heavy, sure)


def test_lessons_of_one_weight_teach_the_same_whatever_it_is() -> None:
    held = material()
    half = replace(held, weights=np.full_like(held.weights, 0.5))
    one, other = (
        train(GATED, GATED.first, m, DRILL, epochs=2, visit=visit()) for m in (held, half)
    )
    assert np.array_equal(one, other)
