"""What lying devices cost where sums of groups are all that is seen: digits on 60 devices."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from coordinator.rounds.groups import median_sum
from fieldvote.codec import IntVector
from fieldvote.rng import stream
from strategies.aggregation.groups import deal

DEVICES, LEGS, TRAIN, RATE, STEPS = 60, 20, 1500, 2.0, 4
UNIT = 1 << 20


def _problem() -> tuple[np.ndarray, np.ndarray]:
    features, labels = load_digits(return_X_y=True)
    order = stream(1, "digits").permutation(len(labels))
    inputs = np.hstack([features[order] / 16.0, np.ones((len(labels), 1))])
    return inputs, labels[order]


INPUTS, LABELS = _problem()
PARTS = np.array_split(np.arange(TRAIN), DEVICES)


def _taught(head: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Return a device's own steps from the head that was sent."""
    mine = head.copy()
    for _ in range(STEPS):
        logits = INPUTS[items] @ mine
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        p[np.arange(len(items)), LABELS[items]] -= 1.0
        mine -= RATE * INPUTS[items].T @ p / len(items)
    return mine


def _accuracy(groups: int, liars: int, *, times: float, seed: int = 1) -> float:
    """Return how good a head gets; each liar sends its change turned round, so many times."""
    head, rng = np.zeros((INPUTS.shape[1], 10)), stream(seed, "groups")
    lying = set(rng.permutation(DEVICES)[:liars].tolist())
    for _ in range(LEGS):
        sent: list[IntVector] = []
        for device, items in enumerate(PARTS):
            mine = _taught(head, items)
            if device in lying:
                mine = head - times * (mine - head)
            weighed = np.rint(mine.ravel() * UNIT) * len(items)
            sent.append(np.concatenate([[len(items)], weighed]).astype(np.int64))
        dealt = deal(DEVICES, groups=groups, floor=DEVICES // groups, rng=rng)
        sums = [np.sum([sent[device] for device in group], axis=0) for group in dealt]
        total = median_sum(sums) if groups > 1 else sums[0]
        head = (total[1:] / total[0] / UNIT).reshape(head.shape)
    return float(((INPUTS[TRAIN:] @ head).argmax(axis=1) == LABELS[TRAIN:]).mean())


@pytest.fixture(name="honest", scope="module")
def _honest() -> float:
    return _accuracy(1, 0, times=0.0)


@pytest.mark.parametrize("groups", [3, 6, 12])
def test_groups_cost_an_honest_fleet_nothing(honest: float, groups: int) -> None:
    assert _accuracy(groups, 0, times=0.0) >= honest - 0.01


def test_one_liar_in_sixty_ruins_the_plain_sum_if_it_is_loud(honest: float) -> None:
    assert honest > 0.95
    assert _accuracy(1, 1, times=100.0) < 0.2


@pytest.mark.parametrize(("groups", "liars"), [(3, 1), (6, 1), (6, 2), (12, 3), (12, 5)])
@pytest.mark.parametrize("times", [10.0, 100.0])
def test_liars_in_fewer_than_half_of_the_groups_cost_three_points_at_most(
    honest: float, groups: int, liars: int, times: float
) -> None:
    assert _accuracy(groups, liars, times=times) >= honest - 0.03


def test_a_fifth_that_lies_in_small_measure_costs_two_points_with_groups_or_without(
    honest: float,
) -> None:
    for groups in (1, 3, 6, 12):
        assert _accuracy(groups, DEVICES // 5, times=1.0) >= honest - 0.02


def test_a_fifth_that_lies_loudly_is_in_most_groups_and_ruins_the_head_all_the_same() -> None:
    for groups in (3, 6, 12):
        assert _accuracy(groups, DEVICES // 5, times=10.0) < 0.5
