"""Calibration without human answers: does a row's other votes foretell the one left out?

Functions that err on the same items make many votes look surer than they are. Were they
independent, the others would foretell each vote best when taken at face value; the damping at which
they do it best tells how far they are not. Copies are left out together. One exchange of ten
integers.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strategies.labeling.evidence import Evidence, damping_scale, softmax
from strategies.labeling.grid_losses import GridLosses
from strategies.labeling.model import LabelModel
from strategies.labeling.votes import Cast, blocks, cast_votes, checked_votes

DAMPINGS = (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 4.0)
GAIN = 4.0  # a vote foretold is itself in error, which hides most of what errors share
HIGHEST = 1.0
ENOUGH_ITEMS = 10_000  # settle the damping to one step of the grid
HASHED_ROWS = 16_384  # at a time: they stay within the cache
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: Fibonacci hashing


def one_item_in(items: int) -> int:
    """Return which share of so many items is enough: one in that many.

    >>> one_item_in(400), one_item_in(1_000_000)
    (1, 100)
    """
    return max(1, items // ENOUGH_ITEMS)


def leave_one_out(
    model: LabelModel, votes: ArrayLike, *, copies: NDArray[np.bool_], one_in: int = 1
) -> GridLosses:
    """Return how well, at each of DAMPINGS, votes are foretold by the others of their row.

    Args:
        model: The model as received.
        votes: Shape (n, m), integers, -1 abstains.
        copies: Pairs taken to be copies. Shape (m, m).
        one_in: Score one item in that many, chosen by its votes alone, so that it does not matter
            which device holds it.

    Raises:
        ShapeError, InputError: votes are not a vote matrix of m functions.
    """
    matrix = checked_votes(votes, model.classes, functions=model.functions)
    if one_in > 1:
        matrix = matrix[_drawn(matrix, one_in)]
    evidence = model.evidence
    given = model.tables.reshape(-1, model.classes).T
    total = GridLosses.none(len(DAMPINGS))
    for rows in blocks(matrix):
        block = matrix[rows]
        cast = cast_votes(block, model.classes)
        others, heard = _others(evidence, block, cast, copies)
        told = np.flatnonzero(heard > 0)
        others, heard, cell = others[:, told], heard[told], cast.cell[told]
        likelihoods = []
        for damping in DAMPINGS:
            sure = softmax(others, damping_scale(heard, damping))
            likelihood = sure[0] * given[0][cell]
            for p, table in zip(sure[1:], given[1:], strict=True):
                likelihood += p * table[cell]
            likelihoods.append(likelihood)
        total = total + GridLosses.of(likelihoods)
    return total


def with_damping(model: LabelModel, losses: GridLosses) -> LabelModel:
    """Return the model at the damping that the summed losses ask for, as it was without any."""
    if not losses.count:
        return model
    return replace(model, damping=min(HIGHEST, GAIN * DAMPINGS[int(losses.losses.argmin())]))


def _others(
    evidence: Evidence, block: NDArray[np.int8], cast: Cast, copies: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return, per cast vote, the evidence (k, v) and the voices (v,) of the others in its row."""
    classes = evidence.classes
    by_class = evidence.votes.reshape(-1, classes).T
    others = evidence.gather(cast, len(block))[:, cast.row] - by_class[:, cast.cell]
    heard = evidence.voices(cast, len(block))[cast.row] - evidence.weights[cast.function]
    for function in np.flatnonzero(copies.any(axis=1)):
        own = np.flatnonzero(cast.function == function)
        twins = np.flatnonzero(copies[function])
        said = block[np.ix_(cast.row[own], twins)].astype(np.intp)
        cells = np.where(said >= 0, twins * classes + said, 0)
        for side, table in zip(others, by_class, strict=True):
            side[own] -= np.where(said >= 0, table[cells], 0.0).sum(axis=1)
        heard[own] -= np.where(said >= 0, evidence.weights[twins], 0.0).sum(axis=1)
    return others, heard


def _drawn(votes: NDArray[np.int8], one_in: int) -> NDArray[np.bool_]:
    """Draw one row in so many by a hash of its votes. Shape (n,)."""
    functions = votes.shape[1]
    words = -(-functions // 8)
    out = np.empty(len(votes), dtype=np.bool_)
    most = np.uint64((2**64 - 1) // one_in)
    for start in range(0, len(votes), HASHED_ROWS):
        block = votes[start : start + HASHED_ROWS]
        packed = np.zeros((len(block), words * 8), dtype=np.int8)
        packed[:, :functions] = block
        code = np.full(len(block), MULTIPLIER)
        for word in packed.view("<u8").T:
            code ^= word
            code *= MULTIPLIER
            code ^= code >> np.uint64(32)
        code *= MULTIPLIER
        out[start : start + len(block)] = code <= most
    return out
