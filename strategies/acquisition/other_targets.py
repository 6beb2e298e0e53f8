"""Scores where a label is not one of k classes: a number, or any of several at once.

Sources: Burbidge, Rowland and King 2007, IDEAL, section 2 (a committee's variance); Reyes, Morell
and Ventura 2018, Neurocomputing 273, section 3 (labels of a multi-label item ranked by margin).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError


def variance_scores(predictions: ArrayLike) -> NDArray[np.float64]:
    """Return how far a committee's predictions of a number lie apart.

    Args:
        predictions: Shape (c, n), finite.

    Returns:
        The variance over members, in squared units of the prediction. Shape (n,).

    Raises:
        ShapeError: not a matrix with a member.
        InputError: a value is not finite.

    >>> variance_scores([[1.0, 5.0], [1.0, 7.0]]).tolist()
    [0.0, 1.0]
    """
    values = np.asarray(predictions, dtype=np.float64)
    if values.ndim != 2 or not len(values):
        raise ShapeError("predictions", values.shape, ("c", "n"))
    if not np.isfinite(values).all():
        raise InputError("predictions must be finite")
    return np.asarray(values.var(axis=0))


def multi_label_scores(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Return how unsure a model is of the labels of each item: mean closeness to even odds.

    Args:
        probabilities: That each label holds, independent of the others. Shape (n, l), 0 to 1.

    Returns:
        Shape (n,), from 0 to 1; 0 where there is no label to ask about.

    Raises:
        ShapeError: not a matrix.
        InputError: a value is no probability.

    >>> multi_label_scores([[0.5, 0.5], [1.0, 0.5], [0.0, 1.0]]).tolist()
    [1.0, 0.5, 0.0]
    """
    values = np.asarray(probabilities, dtype=np.float64)
    if values.ndim != 2:
        raise ShapeError("probabilities", values.shape, ("n", "l"))
    if not ((values >= 0) & (values <= 1)).all():
        raise InputError("each label has a probability from 0 to 1")
    if not values.shape[1]:
        return np.zeros(len(values))
    return np.asarray((1 - np.abs(2 * values - 1)).mean(axis=1))
