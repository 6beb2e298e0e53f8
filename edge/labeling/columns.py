"""Rules over numbers, one array expression each."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edge.labeling.ballot import Ballot, Column, ballot
from edge.labeling.items import Items
from fieldvote.errors import ShapeError
from fieldvote.functions import (
    IsotonicTable,
    LookupFunction,
    ModelFunction,
    Temperature,
    ThresholdFunction,
)


def lookup_column(function: LookupFunction, number: Mapping[str, int]) -> Column:
    """Vote by the exact value of a field."""
    name = function.field
    assert name is not None  # noqa: S101  # lookups without a field are rules over texts
    table = sorted((float(value), number[to]) for value, to in function.table)
    keys = np.array([value for value, _ in table])
    votes = np.array([vote for _, vote in table], dtype=np.int8)

    def column(items: Items) -> Ballot:
        values = items.column(name)
        nearest = np.minimum(np.searchsorted(keys, values), len(keys) - 1)
        chosen = np.where(keys[nearest] == values, votes[nearest], np.int8(-1))
        return Ballot(votes=chosen, failed=np.zeros(len(values), dtype=np.bool_))

    return column


def threshold_column(function: ThresholdFunction, vote: int) -> Column:
    """Vote where the field lies between the bounds; NaN lies nowhere."""

    def column(items: Items) -> Ballot:
        values = items.column(function.field)
        inside = np.ones(len(values), dtype=np.bool_)
        if function.above is not None:
            inside &= values > function.above
        if function.below is not None:
            inside &= values < function.below
        return ballot(inside, vote)

    return column


def model_column(function: ModelFunction, vote: int, classes: int) -> Column:
    """Vote where the calibrated model is sure enough; NaN is not, and has failed."""

    def column(items: Items) -> Ballot:
        said = items.probabilities
        if said is None or said.shape[1] != classes:
            raise ShapeError("probabilities", (0,) if said is None else said.shape, ("n", classes))
        sure = calibrated(said, vote, function.calibration)
        given = ballot(sure >= function.minimum, vote)
        return Ballot(votes=given.votes, failed=np.isnan(sure))

    return column


def calibrated(
    probabilities: NDArray[np.float64], position: int, by: Temperature | IsotonicTable | None
) -> NDArray[np.float64]:
    """Return one class's probability after calibration. Shape (n,).

    Args:
        probabilities: What the model says. Shape (n, k).
        position: The class.
        by: The calibration; None leaves the probabilities as they are.

    >>> calibrated(np.array([[0.2, 0.8]]), 1, Temperature(temperature=2.0)).round(3).tolist()
    [0.667]
    """
    match by:
        case Temperature():
            with np.errstate(divide="ignore"):  # the logarithm of 0 is -inf, and its power 0 again
                logits = np.log(probabilities) / by.temperature
            logits -= logits.max(axis=1, keepdims=True)
            powers = np.exp(logits)
            return np.asarray(powers[:, position] / powers.sum(axis=1))
        case IsotonicTable():
            return np.interp(probabilities[:, position], by.scores, by.probabilities)
        case None:
            return probabilities[:, position]
