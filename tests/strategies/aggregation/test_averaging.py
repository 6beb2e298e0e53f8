from functools import reduce

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fieldvote.errors import InputError
from strategies.aggregation.averaging import WeightedHead, federated_averaging
from strategies.aggregation.fixed_point import INPUT_FRACTION
from strategies.aggregation.summed_head import Head, gradient_sums, predict
from tests.strategies.aggregation.problems import problem


def test_one_epoch_on_one_device_is_one_step_of_gradient_descent():
    given_ = problem(1, items=30, width=4, classes=3)
    head = Head.zeros(width=4, classes=3)
    sums = gradient_sums(given_.inputs, given_.targets, given_.weight, head)
    longest = (given_.inputs**2).sum(axis=1).max() * 4.0**-INPUT_FRACTION
    expected = -2.0 / longest * sums.gradient_values / sums.total_weight
    averaging = federated_averaging(epochs=1)

    local = averaging.local(head, given_.inputs, given_.targets, given_.weight)

    np.testing.assert_allclose(averaging.combine(head, local).values, expected, atol=2e-6)


def test_the_mean_is_weighted_by_items():
    head = Head.zeros(width=1, classes=1)
    a = WeightedHead(product=np.array([[30]]), weight=3)
    b = WeightedHead(product=np.array([[14]]), weight=1)

    assert federated_averaging().combine(head, a + b).weights.tolist() == [[11]]


def test_rounds_of_averaging_learn_the_classes():
    whole = problem(2, items=300, width=8, classes=3)
    shards = [whole.rows(at) for at in np.array_split(np.arange(300), 5)]
    averaging = federated_averaging(epochs=5)
    head = Head.zeros(width=8, classes=3)

    for _ in range(100):
        local = [averaging.local(head, s.inputs, s.targets, s.weight) for s in shards]
        head = averaging.combine(head, reduce(WeightedHead.__add__, local))

    truth = whole.targets.argmax(axis=1)
    hits = predict(whole.inputs, head).argmax(axis=1) == truth
    real = whole.inputs[:, :-1]
    best = LogisticRegression(max_iter=500).fit(real, truth).predict(real) == truth
    assert hits.mean() > 0.95 * best.mean()


def test_a_round_without_items_leaves_the_head():
    head = Head.from_values(np.array([[0.5, -0.5]]))
    averaging = federated_averaging()

    local = averaging.local(head, np.zeros((0, 1)), np.zeros((0, 2)), np.zeros(0))

    assert (averaging.combine(head, local).weights == head.weights).all()


@pytest.mark.parametrize(("epochs", "decay"), [(0, 0.0), (1, -1.0), (1, np.nan)])
def test_settings_that_cannot_train_are_refused(epochs: int, decay: float):
    with pytest.raises(InputError):
        federated_averaging(epochs=epochs, l2_per_item=decay)
