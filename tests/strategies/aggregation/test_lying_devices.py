"""What lying devices cost on a real problem: handwritten digits, trained by averaged updates."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from fieldvote.errors import InputError
from fieldvote.rng import stream
from strategies.aggregation.groups import GroupSum, deal, median_of_groups
from strategies.aggregation.robust import ROBUST

DEVICES, ROUNDS, TRAIN, RATE, STEPS = 50, 25, 1500, 2.0, 4
BOUND = 1.5


def problem():
    features, labels = load_digits(return_X_y=True)
    order = stream(1, "digits").permutation(len(labels))
    inputs = np.hstack([features[order] / 16.0, np.ones((len(labels), 1))])
    return inputs, labels[order]


INPUTS, LABELS = problem()
PARTS = np.array_split(np.arange(TRAIN), DEVICES)


def update(head, items, labels):
    """A device's own steps from the head that was sent, cut to the length all know."""
    mine = head.copy()
    for _ in range(STEPS):
        logits = INPUTS[items] @ mine
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        p[np.arange(len(items)), labels] -= 1.0
        mine -= RATE * INPUTS[items].T @ p / len(items)
    change = (mine - head).ravel()
    return change * min(1.0, BOUND / np.linalg.norm(change))


def turned(rows, liars, rng):
    """Each liar sends the opposite of what it found, ten times."""
    rows[liars] *= -10.0


def loud(rows, liars, rng):
    """Each liar sends noise."""
    rows[liars] = rng.normal(size=rows[liars].shape) * 5.0


def opposed(rows, liars, rng):
    """Each liar sends the opposite of the truth, as long as a true update may be."""
    against = rows.mean(axis=0)
    rows[liars] = -against * BOUND / np.linalg.norm(against)


def quiet(rows, liars, rng):
    """Liars agree on something just within the spread of the honest (Baruch et al. 2019)."""
    rows[liars] = rows.mean(axis=0) - 1.0 * rows.std(axis=0)


def mislabeled(rows, liars, rng):
    """Nothing to do here: liars have trained on wrong labels."""


LIES = {lie.__name__: lie for lie in (turned, loud, opposed, quiet, mislabeled)}


def trained(combine, lie=None, share=0.0):
    """Return the accuracy of the head after all rounds."""
    head = np.zeros((INPUTS.shape[1], 10))
    rng = stream(1, "lies")
    liars = rng.permutation(DEVICES)[: round(DEVICES * share)]
    for _ in range(ROUNDS):
        rows = []
        for device, items in enumerate(PARTS):
            wrong = lie == "mislabeled" and device in liars
            rows.append(update(head, items, 9 - LABELS[items] if wrong else LABELS[items]))
        sent = np.array(rows)
        if lie:
            LIES[lie](sent, liars, rng)
        head += combine(sent, rng).reshape(head.shape)
    return float(((INPUTS[TRAIN:] @ head).argmax(axis=1) == LABELS[TRAIN:]).mean())


def rule(name):
    return lambda rows, rng: ROBUST[name](rows, 0.2)


def grouped(floor):
    """Only sums of groups are seen; a round in which none can be true teaches nothing."""

    def combine(rows, rng):
        dealt = deal(len(rows), groups=10, floor=floor, rng=rng)
        sums = [GroupSum(total=rows[group].sum(axis=0), devices=len(group)) for group in dealt]
        try:
            return median_of_groups(sums, bound=BOUND).value
        except InputError:
            return np.zeros(rows.shape[1])

    return combine


@pytest.fixture(scope="module")
def honest():
    return trained(rule("mean"))


@pytest.mark.parametrize("lie", LIES)
def test_a_fifth_of_liars_costs_multi_krum_at_most_two_points(honest, lie):
    assert trained(rule("multi_krum"), lie, 0.2) >= honest - 0.02


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("name", ["median", "trimmed_mean"])
def test_a_fifth_of_liars_costs_the_others_two_points_or_five_if_they_know_the_truth(
    honest, name, lie
):
    assert trained(rule(name), lie, 0.2) >= honest - (0.05 if lie == "opposed" else 0.02)


def test_without_a_rule_they_cost_everything(honest):
    assert honest > 0.9
    assert trained(rule("mean"), "turned", 0.2) < honest - 0.2


def test_rules_cost_honest_fleets_next_to_nothing(honest):
    for name in ("median", "trimmed_mean", "multi_krum"):
        assert trained(rule(name)) >= honest - 0.015


@pytest.mark.parametrize("lie", LIES)
def test_under_sums_of_five_a_fifth_of_liars_costs_as_much(honest, lie):
    assert trained(grouped(5), lie, 0.2) >= honest - (0.05 if lie == "opposed" else 0.02)


@pytest.mark.parametrize("lie", LIES)
def test_under_sums_of_ten_one_liar_in_fifty_costs_at_most_two_points(honest, lie):
    assert trained(grouped(10), lie, 0.02) >= honest - 0.02


def test_under_sums_of_ten_a_fifth_of_liars_is_too_many(honest):
    assert trained(grouped(10), "turned", 0.2) < honest - 0.1
