"""Calibration with human answers: one factor on all evidence, from one exchange of integers."""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from strategies.labeling.grid_losses import GridLosses
from strategies.labeling.model import LabelModel
from strategies.labeling.votes import checked_labels, checked_votes

TEMPERATURES = tuple(2.0 ** (step / 4) for step in range(-10, 7))
USUAL_SPREAD = 0.5  # standard deviation of its logarithm, before any answer


def temperature_losses(model: LabelModel, votes: ArrayLike, labels: ArrayLike) -> GridLosses:
    """Return the losses of the model on answered items at each of TEMPERATURES.

    Args:
        model: The model as received.
        votes: Shape (n, m), integers, -1 abstains.
        labels: True classes. Shape (n,).

    Raises:
        ShapeError, InputError: votes or labels are not what they should be.
    """
    matrix = checked_votes(votes, model.classes, functions=model.functions)
    truth = checked_labels(labels, model.classes, items=len(matrix))
    voted = (matrix >= 0).any(axis=1)  # without votes there is no evidence to scale
    matrix, truth = matrix[voted], truth[voted]
    items = np.arange(len(matrix))
    return GridLosses.of(
        [replace(model, temperature=t).predict(matrix)[items, truth] for t in TEMPERATURES]
    )


def with_temperature(model: LabelModel, losses: GridLosses) -> LabelModel:
    """Return the model at the temperature that the summed losses ask for.

    The posterior mode: few answers leave it near 1.
    """
    log_t = np.log(TEMPERATURES)
    prior = log_t**2 / (2 * USUAL_SPREAD**2)
    return replace(model, temperature=TEMPERATURES[int((losses.nats + prior).argmin())])
