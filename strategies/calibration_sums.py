"""Temperature scaling from sums: how sure a model is, whether that is true, and what mends it.

Devices add up over items whose class is known, at a few fixed temperatures: what the model loses,
how unsure it is, and how much it gives to the class it finds likeliest. From the sums of a fleet
the temperature is read off that loses least, and what the model says at that temperature.

Whole numbers, and of probabilities alone: any split of the items gives the same sums, and so does a
softmax head or a network.

Source: Guo et al. 2017, "On calibration of modern neural networks", arXiv:1706.04599, section 4.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.fixed_point import (
    HEAD_FRACTION,
    INPUT_FRACTION,
    natural_log,
    softmax,
)

TEMPERATURES = tuple(2.0 ** (n // 2) * (sqrt(2.0) if n % 2 else 1.0) for n in range(-6, 7))
"""From 1/8 to 8; what is below 1 makes a model surer."""
FRACTION = 10  # of what is summed, in bits: a thousandth of a nat
LEAST_ITEMS = 20
LEAST_CLASSES = 2
_PLAIN = TEMPERATURES.index(1.0)
_RATIO = TEMPERATURES[_PLAIN + 1]
_STEP = 2.0**-FRACTION
# nothing is less likely: log-odds of 28, eight times as sharp, are less than the most lost
_FLOOR = 2.0**-40
_MOST_LOST = 256
_ROWS = 4096  # at a time
# in nats: a normal density of log temperature whose standard deviation is log 2
_BELIEF = np.log2(TEMPERATURES) ** 2 / 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CalibrationSums:
    """What models come to on the same items, added up.

    Attributes:
        items: How many.
        heads: By model: log loss, entropy, and probability of the likeliest class, at every
            temperature, in steps of 2^-10. Shape (h, 3, t), int64.
    """

    items: int
    heads: NDArray[np.int64]

    @classmethod
    def of(cls, said: Sequence[NDArray[np.float64]], labels: NDArray[np.int64]) -> Self:
        """Return the sums of one device.

        Args:
            said: What each model says of the items. Shapes (n, k), rows sum to 1.
            labels: Their classes. Shape (n,).

        >>> sums = CalibrationSums.of([np.array([[0.5, 0.5]])], np.array([0]))
        >>> set((sums.heads[0, 0] * 2.0**-10).round(2).tolist())  # a coin is one at all of them
        {0.69}
        """
        heads = [_summed(each, labels) for each in said]
        return cls(items=len(labels), heads=np.array(heads, dtype=np.int64))

    def to_vector(self) -> NDArray[np.int64]:
        """Return all of it as numbers that add up: the items, then model by model."""
        return np.concatenate([[self.items], self.heads.ravel()]).astype(np.int64)

    @classmethod
    def from_vector(cls, vector: NDArray[np.int64], *, heads: int) -> Self:
        """Undo to_vector, of one device or of a sum.

        Raises:
            ShapeError: it is not of so many models.
        """
        if vector.shape != (length_of(heads),):
            raise ShapeError("calibration", vector.shape, (length_of(heads),))
        shape = (heads, 3, len(TEMPERATURES))
        return cls(items=int(vector[0]), heads=vector[1:].reshape(shape))

    def check(self, *, right: int, items: int, classes: int) -> None:
        """Refuse what no models can come to, the first of which is right so often.

        A class that is the likeliest has at least 1 / k, any other at most 1 / 2; and the hotter,
        the less sure. Each item may be off by half a step, by rounding.

        Args:
            right: On how many items the first model is right.
            items: How many there are.
            classes: k.

        Raises:
            InputError: at least one of these numbers is made up.
        """
        loss, entropy, surest = np.moveaxis(self.heads, 1, 0) * _STEP
        slack, wrong = items * _STEP, items - right
        least_lost = np.zeros(len(loss))
        most_lost = np.full(len(loss), float(items * _MOST_LOST))
        least_lost[0], most_lost[0] = wrong * log(2), right * log(classes) + wrong * _MOST_LOST
        if not (
            self.items == items
            and _between(loss, least_lost[:, None] - slack, most_lost[:, None] + slack)
            and _between(entropy, 0.0, items * log(classes) + slack)
            and _between(surest, items / classes - slack, items)
            and bool((np.diff(entropy) >= -slack).all())
            and bool((np.diff(surest) <= slack).all())
        ):
            raise InputError("sums of log loss, entropy and confidence that do not fit together")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How sure a model is, as it says it and as it would at its best temperature.

    Attributes:
        items: On how many items.
        temperature: What its log-odds are to be divided by.
        log_loss: As it says it, in nats an item.
        calibrated_log_loss: At that temperature.
        confidence: Mean probability of the class it finds likeliest.
        calibrated_confidence: At that temperature.
        entropy: Mean entropy of what it says at that temperature, in nats.
    """

    items: int
    temperature: float
    log_loss: float
    calibrated_log_loss: float
    confidence: float
    calibrated_confidence: float
    entropy: float


def calibration_of(sums: CalibrationSums, head: int = 0) -> Calibration:
    """Return the temperature at which a model loses least, and what it says then.

    Believed beforehand is that a model is right about how sure it is, within a factor of two: of
    twenty items that keeps the temperature from going far, of hundreds nothing is left of it.
    Between the temperatures of the table a parabola in log temperature says where the valley is.

    Args:
        sums: Over at least one item.
        head: Which of the models.

    >>> sure = np.array([[0.99, 0.01]] * 400)
    >>> right_of_three_quarters = np.array([0, 0, 0, 1] * 100)
    >>> found = calibration_of(CalibrationSums.of([sure], right_of_three_quarters))
    >>> round(found.temperature), round(found.confidence, 2), round(found.calibrated_confidence, 2)
    (4, 0.99, 0.75)
    """
    loss, entropy, surest = sums.heads[head] * (_STEP / max(sums.items, 1))
    cost = loss * sums.items + _BELIEF
    best, beside = int(cost.argmin()), 0.0
    if 0 < best < len(TEMPERATURES) - 1:
        before, floor, after = cost[best - 1 : best + 2]
        beside = float((before - after) / (2 * (before - 2 * floor + after)))
    return Calibration(
        items=sums.items,
        temperature=round(TEMPERATURES[best] * _RATIO**beside, 3),
        log_loss=float(loss[_PLAIN]),
        calibrated_log_loss=_at(loss, best, beside),
        confidence=float(surest[_PLAIN]),
        calibrated_confidence=_at(surest, best, beside),
        entropy=_at(entropy, best, beside),
    )


def tempered(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return what a model would say at a temperature: its log-odds divided by that. Shape (n, k).

    Args:
        probabilities: What it says. Shape (n, k).
        temperature: Within the table.

    Raises:
        InputError: the temperature is outside of the table.

    >>> tempered(np.array([[0.8, 0.2]]), 0.5).round(2).tolist()  # 16 to 1 in place of 4 to 1
    [[0.94, 0.06]]
    """
    if not TEMPERATURES[0] <= temperature <= TEMPERATURES[-1]:
        raise InputError(f"temperatures lie in {TEMPERATURES[0]:g} to {TEMPERATURES[-1]:g}")
    return softmax(_logits(probabilities) / temperature)[0]


def length_of(heads: int) -> int:
    """Return how many numbers the sums of so many models are; none of no model.

    >>> length_of(0), length_of(1), length_of(2)
    (0, 40, 79)
    """
    return 1 + 3 * heads * len(TEMPERATURES) if heads else 0


def _summed(said: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return loss, entropy and confidence of one model at every temperature. Shape (3, t)."""
    if said.ndim != 2 or labels.shape != said.shape[:1]:
        raise ShapeError("labels", labels.shape, said.shape[:1])
    total = np.zeros((3, len(TEMPERATURES)), dtype=np.int64)
    for start in range(0, len(labels), _ROWS):
        rows, truth = said[start : start + _ROWS], labels[start : start + _ROWS]
        hot = np.concatenate([_logits(rows) / each for each in TEMPERATURES])
        shares, logs = (part.reshape(-1, *rows.shape) for part in softmax(hot))
        lost = -logs[:, np.arange(len(rows)), truth]
        for place, each in enumerate((lost, -(shares * logs).sum(axis=2), shares.max(axis=2))):
            total[place] += np.rint(each * 2.0**FRACTION).astype(np.int64).sum(axis=1)
    return total


def _logits(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log-odds in the steps of the fixed-point softmax. Shape (n, k)."""
    return natural_log(np.maximum(probabilities, _FLOOR)) * 2.0 ** (INPUT_FRACTION + HEAD_FRACTION)


def _at(values: NDArray[np.float64], place: int, beside: float) -> float:
    """Return a value beside a place of the table, by the parabola through its neighbours."""
    if not beside:
        return float(values[place])
    before, here, after = values[place - 1 : place + 2]
    return float(here + beside * ((after - before) + beside * (before - 2 * here + after)) / 2)


def _between(
    values: NDArray[np.float64], low: NDArray[np.float64] | float, high: NDArray[np.float64] | float
) -> bool:
    return bool(((values >= low) & (values <= high)).all())
