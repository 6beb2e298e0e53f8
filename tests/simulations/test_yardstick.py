from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from coordinator.settings import InputSettings
from simulations.yardstick import Everything, full_data_metric, own_ceiling_metric
from strategies.evaluation import Metric, confusion, score


def made(*, items: int = 300, classes: int = 3, seed: int = 1, noise: float = 1.0) -> Everything:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, size=items)
    # columns in units of their own, as in any table
    embeddings = (2 * np.eye(classes, 4)[labels] + noise * rng.normal(size=(items, 4))) * [
        1.0, 100.0, 0.01, 5.0,
    ]  # fmt: skip
    device = np.arange(items) % 10
    return Everything(
        embeddings=embeddings.astype(np.float32),
        labels=labels,
        device=device,
        trains=device < 7,
        classes=classes,
        metric=Metric.ACCURACY,
    )


EVERYTHING = made()


@pytest.mark.parametrize("metric", list(Metric))
def test_the_yardstick_is_a_plain_regression_on_all_labels_of_the_training_devices(
    metric: Metric,
) -> None:
    data = replace(EVERYTHING, metric=metric)
    rows = data.embeddings.astype(np.float64)
    scaler = StandardScaler().fit(rows[data.trains])
    plain = LogisticRegression(C=1.0, max_iter=5000).fit(
        scaler.transform(rows[data.trains]), data.labels[data.trains]
    )
    predicted = plain.predict(scaler.transform(rows[~data.trains]))
    expected = score(metric, confusion(data.labels[~data.trains], predicted, 3))
    assert full_data_metric(data) == pytest.approx(expected)


def test_the_labels_of_the_held_out_devices_do_not_teach() -> None:
    rng = np.random.default_rng(9)
    shuffled = np.where(EVERYTHING.trains, EVERYTHING.labels, rng.permutation(EVERYTHING.labels))
    spoiled = replace(EVERYTHING, labels=shuffled)
    for measure in (
        full_data_metric,
        lambda data: own_ceiling_metric(data, InputSettings(whiten=1.0), l2=1.0, seed=1),
    ):
        assert measure(EVERYTHING) > 0.7
        # learnt from the same rows, judged by labels that mean nothing
        assert measure(spoiled) < 0.5


def test_the_own_ceiling_is_near_the_yardstick_where_the_learner_is_the_same() -> None:
    ceiling = own_ceiling_metric(EVERYTHING, InputSettings(whiten=1.0), l2=0.1, seed=1)
    assert abs(ceiling - full_data_metric(EVERYTHING)) <= 0.04


def test_recentring_takes_out_what_a_device_adds() -> None:
    rng = np.random.default_rng(4)
    shifted = EVERYTHING.embeddings + (rng.normal(size=(10, 4)) * [8, 800, 0.08, 40])[
        EVERYTHING.device
    ].astype(np.float32)
    data = replace(EVERYTHING, embeddings=shifted)
    plain, centred = (
        own_ceiling_metric(data, InputSettings(whiten=1.0, recentre=r), l2=1.0, seed=1)
        for r in (0.0, 1.0)
    )
    assert centred > plain + 0.1


@pytest.mark.parametrize("label", [0, 2])
def test_training_devices_that_know_one_class_only_have_one_thing_to_say(label: int) -> None:
    data = replace(EVERYTHING, labels=np.where(EVERYTHING.trains, label, EVERYTHING.labels))
    share = float((data.labels[~data.trains] == label).mean())
    assert full_data_metric(data) == pytest.approx(share)
    assert own_ceiling_metric(data, InputSettings(), l2=1.0, seed=1) == pytest.approx(share)


def test_the_same_seed_gives_the_same_ceiling() -> None:
    settings = InputSettings(fourier=40)
    scores = [own_ceiling_metric(EVERYTHING, settings, l2=1.0, seed=2) for _ in range(2)]
    assert scores[0] == scores[1]
