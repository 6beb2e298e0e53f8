"""The twin of a compiled step: a three-layer perceptron, its loss and gradients written out."""

import numpy as np
from numpy.typing import NDArray

from tests.coordinator.compiler.differences import loss_of
from tests.coordinator.compiler.networks import mlp

Arrays = dict[str, NDArray[np.float64]]
SMALL = mlp(width=6, hidden=8, classes=3)


def by_hand(parameters: Arrays, feed: Arrays) -> tuple[float, Arrays]:
    """Loss and gradients of a three-layer perceptron, written out."""
    p = {name: np.asarray(array, np.float64) for name, array in parameters.items()}
    activations = [np.asarray(feed["x"], np.float64)]
    for layer in ("0", "2", "4"):
        z = activations[-1] @ p[f"{layer}.weight"].T + p[f"{layer}.bias"]
        activations.append(z if layer == "4" else np.maximum(z, 0))
    logits = activations[-1]
    softmax = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax /= softmax.sum(axis=1, keepdims=True)
    share = feed["weight"] / feed["weight"].sum()
    g = share[:, None] * (softmax * feed["target"].sum(axis=1, keepdims=True) - feed["target"])
    gradients: Arrays = {}
    for number, layer in reversed(list(enumerate(("0", "2", "4")))):
        gradients[f"{layer}.weight"] = g.T @ activations[number]
        gradients[f"{layer}.bias"] = g.sum(axis=0)
        g = (g @ p[f"{layer}.weight"]) * (activations[number] > 0)
    return loss_of(logits, feed["target"], feed["weight"]), gradients
