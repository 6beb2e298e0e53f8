"""Whether the model's probabilities can be believed, and which temperature would put them right.

Source: Guo et al. 2017, "On calibration of modern neural networks", arXiv:1706.04599, section 4.2.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_COLDEST, _HOTTEST = 0.05, 20.0
_STEPS = 60
_GOLDEN = (5**0.5 - 1) / 2
# a probability of 0 for what is true would cost infinitely much
_LEAST = 1e-9
# a smaller gain is not worth a line in a file
_WORTH = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCalibration:
    """How the model's probabilities do on labeled items.

    Attributes:
        log_loss: As they are, in nats.
        temperature: What makes it least; 1 where nothing is gained.
        calibrated_log_loss: At that temperature, on the same items.
    """

    log_loss: float
    temperature: float
    calibrated_log_loss: float


def model_calibration(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64]
) -> ModelCalibration:
    """Return the best temperature for probabilities whose classes are known.

    The loss has one valley in the inverse temperature, so a golden section finds its floor.

    Args:
        probabilities: Shape (n, k), rows sum to 1.
        labels: True classes. Shape (n,), n at least 1.
    """
    logits = np.log(np.maximum(probabilities, _LEAST))

    def loss(inverse: float) -> float:
        scaled = logits * inverse
        scaled -= scaled.max(axis=1, keepdims=True)
        total = np.log(np.exp(scaled).sum(axis=1))
        return float((total - scaled[np.arange(len(labels)), labels]).mean())

    low, high = 1 / _HOTTEST, 1 / _COLDEST
    for _ in range(_STEPS):
        width = _GOLDEN * (high - low)
        one, other = high - width, low + width
        low, high = (low, other) if loss(one) < loss(other) else (one, high)
    plain, best = loss(1.0), loss((low + high) / 2)
    if plain - best < _WORTH:
        return ModelCalibration(log_loss=plain, temperature=1.0, calibrated_log_loss=plain)
    return ModelCalibration(log_loss=plain, temperature=2 / (low + high), calibrated_log_loss=best)
