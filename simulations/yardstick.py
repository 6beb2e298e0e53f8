"""What a model trained on everything would reach: a fixed yardstick, and the own ceiling."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coordinator.models.training import Leg, first_model, head_of, solve
from coordinator.settings import InputSettings
from edge.learning.learner import representation_of
from fieldvote.conversation import converse
from fieldvote.heads import HeadModel
from strategies.aggregation.summed_head import gradient_sums, head_sums, predict
from strategies.evaluation import Metric, confusion, score
from strategies.representation import Moments

_CEILING_EXCHANGES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    """All items with their true labels, as no coordinator ever has them.

    Attributes:
        embeddings: What the backbone makes of each item. Shape (n, d).
        labels: True classes. Shape (n,).
        device: Who holds each item. Shape (n,).
        trains: Which items are on training devices. Shape (n,).
        classes: k.
        metric: How a model is judged.
    """

    embeddings: NDArray[np.float32]
    labels: NDArray[np.int64]
    device: NDArray[np.int64]
    trains: NDArray[np.bool_]
    classes: int
    metric: Metric


def full_data_metric(everything: Everything) -> float:
    """Return the score of the plain head trained centrally on every label of the training devices.

    Softmax regression with C = 1 on standardised features: no re-centring, no Fourier layer. The
    same yardstick for every strategy, so that two campaigns on one data set can be compared.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    rows = everything.embeddings.astype(np.float64)
    labels, tests = everything.labels[everything.trains], ~everything.trains
    if len(np.unique(labels)) < 2:
        # few devices may know one class only: there is nothing to fit, and one thing to say
        predicted = np.full(int(tests.sum()), labels[0])
    else:
        scaler = StandardScaler().fit(rows[everything.trains])
        model = LogisticRegression(C=1.0, max_iter=1000)
        with warnings.catch_warnings():
            # the last digits of a separable fit do not move the score
            warnings.simplefilter("ignore")
            model.fit(scaler.transform(rows[everything.trains]), labels)
        predicted = model.predict(scaler.transform(rows[tests]))
    return score(
        everything.metric, confusion(everything.labels[tests], predicted, everything.classes)
    )


def own_ceiling_metric(
    everything: Everything, settings: InputSettings, *, l2: float, seed: int
) -> float:
    """Return the score of the campaign's own learner trained on every label."""
    trains = everything.trains
    moments = Moments.from_embeddings(everything.embeddings[trains].astype(np.float64))
    model = first_model(moments, settings, classes=everything.classes, seed=seed)
    inputs = _inputs(everything, model)
    ours = inputs[trains]
    targets = np.eye(everything.classes)[everything.labels[trains]]
    weight = np.ones(int(trains.sum()))

    def answer(leg: Leg) -> NDArray[np.int64]:
        return gradient_sums(ours, targets, weight, head_of(leg.model)).to_vector()

    sums = head_sums(ours, weight, seed=model.seed)
    solver = solve(model, sums, l2=l2, exchanges=_CEILING_EXCHANGES, tolerance=1e-3)
    trained = converse(solver, answer)
    predicted = predict(inputs[~trains], head_of(trained.model)).argmax(axis=1)
    return score(
        everything.metric,
        confusion(everything.labels[~trains], predicted, everything.classes),
    )


def judged(everything: Everything, model: HeadModel) -> float:
    """Return the score of a head on held-out devices, counted without noise."""
    tests = ~everything.trains
    predicted = predict(_inputs(everything, model)[tests], head_of(model)).argmax(axis=1)
    return score(
        everything.metric, confusion(everything.labels[tests], predicted, everything.classes)
    )


def _inputs(everything: Everything, model: HeadModel) -> NDArray[np.float64]:
    """Return the head's inputs of all items, each re-centred by its own device's pool."""
    representation = representation_of(model)
    out = np.empty((len(everything.labels), representation.width))
    for device in np.unique(everything.device):
        rows = everything.device == device
        pool = everything.embeddings[rows].astype(np.float64)
        out[rows] = representation.inputs(pool, representation.centre(pool))
    return out
