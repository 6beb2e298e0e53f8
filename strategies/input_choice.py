"""Which way from embeddings to inputs errs least on devices that did not teach, from sums alone.

The devices are cut into folds. From each fold come sums over its labeled items: how their inputs,
projected to a few dimensions, go together, and how they go with the labels. A ridge fit on all
folds but one needs no more, and neither does its squared error on the fold that was left out: one
exchange judges any number of ways. A squared error of labels of one and zero rises and falls with
how well a head does, though it is none.

All numbers are whole: the sums over any split of the devices have the same bits.

Sources: Stone 1974, "Cross-validatory choice and assessment of statistical predictions", for
    leaving out; Maillard and Munos 2009, "Compressed least-squares regression", for the projection.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from fieldvote.rng import stream
from strategies.aggregation.fixed_point import INPUT_FRACTION, check_inputs, row_blocks

PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0)
"""Ridge penalties tried, in units of one label; the best of each way is what it is judged by."""

MAX_RANK = 256
LEAST_FOLDS = 2  # with labels in them

_FRACTION = 5  # projections in steps of 2^-5, of a length of about 8


def fold_sums(
    inputs: NDArray[np.float64], labels: NDArray[np.int64], *, classes: int, rank: int, seed: int
) -> NDArray[np.int64]:
    """Return what labeled items say of one way: products of projections, sums by class, counts.

    Args:
        inputs: What ``Representation.inputs`` gives. Shape (n, p).
        labels: Shape (n,).
        classes: k.
        rank: So many projections, r; with fewer inputs these stand for themselves.
        seed: Names the projections; sums add only under one seed.

    Returns:
        An additive vector. Shape (sums_length,).

    Raises:
        InputError: Inputs that are none of ours, a label that is no class, or no rank.

    >>> fold_sums(np.array([[512.0, 1024.0]]), np.array([1]), classes=2, rank=8, seed=1).tolist()
    [1024, 2048, 4096, 0, 32, 0, 64, 0, 1]
    """
    check_inputs(inputs)
    if not 1 <= rank <= MAX_RANK:
        raise InputError(f"expected a rank of 1 to {MAX_RANK}, got {rank}")
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise InputError(f"labels must lie in 0..{classes - 1}")
    projected = np.rint((inputs @ _projection(inputs.shape[1], rank, seed)) * _step(inputs, rank))
    told = np.eye(classes)[labels]
    r = projected.shape[1]
    products, by_class = np.zeros((r, r), dtype=np.int64), np.zeros((r, classes), dtype=np.int64)
    for rows in row_blocks(len(inputs)):
        products += (projected[rows].T @ projected[rows]).astype(np.int64)
        by_class += (projected[rows].T @ told[rows]).astype(np.int64)
    counts = np.bincount(labels, minlength=classes).astype(np.int64)
    return np.concatenate([products[np.triu_indices(r)], by_class.ravel(), counts])


def sums_length(*, width: int, classes: int, rank: int) -> int:
    """Return how many numbers ``fold_sums`` gives for inputs of this width.

    >>> sums_length(width=2, classes=2, rank=8)
    9
    """
    r = min(width, rank)
    return r * (r + 1) // 2 + r * classes + classes


def left_out_error(folds: Sequence[NDArray[np.int64]], *, classes: int) -> float:
    """Return the squared error per item on folds left out, under the best of the penalties.

    Args:
        folds: Sums of each fold. At least two hold items, else there is nothing to compare: the
            error is infinite.
        classes: k.
    """
    read = [_read(sums, classes) for sums in folds]
    read = [fold for fold in read if fold[2] > 0]
    if len(read) < LEAST_FOLDS:
        return math.inf
    products, targets = sum(fold[0] for fold in read), sum(fold[1] for fold in read)
    errors = np.zeros(len(PENALTIES))
    for own_products, own_targets, items in read:
        shares, turns = np.linalg.eigh(products - own_products)
        turned = turns.T @ (targets - own_targets)
        for place, penalty in enumerate(PENALTIES):
            weights = turns @ (turned / (np.maximum(shares, 0.0) + penalty)[:, None])
            # ||t||² of a label of one and zero without its mean is 1 - 1/k
            errors[place] += items * (1.0 - 1.0 / classes)
            errors[place] += float((weights * (own_products @ weights - 2.0 * own_targets)).sum())
    return float(errors.min()) / sum(fold[2] for fold in read)


def better_way(errors: Sequence[float], *, used: int, better_by: float) -> int:
    """Return the way to go on with: the one in use, unless another errs clearly less.

    Args:
        errors: Of each way.
        used: Which is in use.
        better_by: By which share another must err less.

    >>> better_way([1.0, 0.99, 0.9], used=0, better_by=0.02)
    2
    >>> better_way([1.0, 0.99], used=0, better_by=0.02)
    0
    """
    best = min(range(len(errors)), key=lambda way: (errors[way], way))
    return best if errors[best] < (1.0 - better_by) * errors[used] else used


def _read(
    sums: NDArray[np.int64], classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Return the products, what goes with the labels, and the number of items."""
    rest = len(sums) - classes
    r = (math.isqrt((2 * classes + 1) ** 2 + 8 * rest) - (2 * classes + 1)) // 2
    if r < 1 or r * (r + 1) // 2 + r * classes != rest:
        raise ShapeError("sums of a fold", sums.shape, ("r (r + 1) / 2 + r k + k",))
    corner = r * (r + 1) // 2
    products = np.zeros((r, r))
    products[np.triu_indices(r)] = sums[:corner]
    products = products + products.T - np.diag(np.diag(products))
    by_class = sums[corner:rest].reshape(r, classes).astype(np.float64)
    targets = by_class - by_class.sum(axis=1, keepdims=True) / classes
    return (
        products * 4.0**-_FRACTION,
        np.asarray(targets * 2.0**-_FRACTION),
        int(sums[rest:].sum()),
    )


def _projection(width: int, rank: int, seed: int) -> NDArray[np.float64]:
    """Return random signs, or the identity where the inputs are no more than their projections."""
    if width <= rank:
        return np.eye(width)
    signs = stream(seed, "projection of inputs", width).integers(0, 2, size=(width, rank))
    return 2.0 * signs.astype(np.float64) - 1.0


def _step(inputs: NDArray[np.float64], rank: int) -> float:
    """Return what turns projected whole numbers into steps of 2^-5."""
    length = 1.0 if inputs.shape[1] <= rank else math.sqrt(rank)
    return float(2.0 ** (_FRACTION - INPUT_FRACTION) / length)
