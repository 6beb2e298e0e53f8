"""From a large network to a small one, on the device: the small one learns what the large one says.

Teacher and student see the same items, which stay where they are. What the teacher says of an item
is a soft target, so the student learns from every item of the pool and not only from those somebody
answered; where somebody did, the answer is the target. The step is the student's own, and its move
travels as any other.

Source: Hinton, Vinyals and Dean 2015, arXiv:1503.02531, section 2. The teacher's probabilities are
    softened by the temperature; the student is trained at temperature 1, for its step has no other.
"""

import numpy as np
from numpy.typing import NDArray

from edge.learning.deep import Material
from fieldvote.errors import InputError, ShapeError


def softened(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return probabilities as a softmax of this temperature would have given them. Shape (n, k).

    Args:
        probabilities: At temperature 1; rows sum to 1. Shape (n, k).
        temperature: Above 1 tells more of the classes an item is not.

    Raises:
        InputError: the temperature is not positive.

    >>> softened(np.array([[0.8, 0.2]]), 2.0).round(3)
    array([[0.667, 0.333]])
    """
    if not 0 < temperature < np.inf:
        raise InputError(f"temperature: expected above 0, got {temperature}")
    # the largest of a row is 1 before the power, so none of it can vanish
    scaled = probabilities / probabilities.max(axis=1, keepdims=True)
    powered = scaled ** (1.0 / temperature)
    return np.asarray(powered / powered.sum(axis=1, keepdims=True))


def taught_by(
    teacher: NDArray[np.float64],
    inputs: NDArray[np.float32],
    answers: NDArray[np.int64],
    *,
    temperature: float = 2.0,
    trust: float = 1.0,
) -> Material:
    """Return what a student learns from a pool and its teacher.

    Args:
        teacher: What it says of each item. Shape (n, k).
        inputs: What the student is fed for each. Shape (n, width).
        answers: What a person said of each, -1 where nobody did. Shape (n,).
        temperature: Softens what the teacher says.
        trust: Weight of an item that only the teacher has answered, relative to a person's answer.

    Raises:
        ShapeError: the three are not about the same items.
        InputError: temperature or trust are out of range, or an answer is no class.
    """
    n, k = teacher.shape
    if len(inputs) != n or answers.shape != (n,):
        raise ShapeError("inputs and answers", (len(inputs), *answers.shape), (n, n))
    if not 0 < trust < np.inf:
        raise InputError(f"trust: expected above 0, got {trust}")
    if n and int(answers.max()) >= k:
        raise InputError(f"an answer names class {int(answers.max())} of {k}")
    known = answers >= 0
    own = np.eye(k)[np.maximum(answers, 0)]
    targets = np.where(known[:, None], own, softened(teacher, temperature))
    return Material(
        inputs=np.asarray(inputs, dtype=np.float32),
        targets=targets.astype(np.float32),
        weights=np.where(known, 1.0, trust).astype(np.float32),
        gates=np.ones(n, dtype=np.float32),
    )
