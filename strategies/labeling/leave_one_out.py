"""Calibration without human answers: does a row's other votes foretell the one left out?

Functions that err on the same items make many votes look surer than they are. Were they
independent, the others would foretell each vote best when taken at face value; the damping at which
they do it best tells how far they are not. Copies are left out together. One exchange of ten
integers.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strategies.labeling.evidence import Evidence
from strategies.labeling.grid_losses import GridLosses
from strategies.labeling.incidence import Incidence
from strategies.labeling.kernels import NUMPY, Kernels
from strategies.labeling.model import LabelModel
from strategies.labeling.votes import Cast, cast_votes, checked_votes

DAMPINGS = (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 4.0)
GAIN = 4.0  # a vote foretold is itself in error, which hides most of what errors share
HIGHEST = 1.0
ENOUGH_ITEMS = 10_000  # settle the damping to one step of the grid
# at a time: what is worked out about them stays in a near cache, and small for many functions
SCORED_ROWS, SCORED_CELLS = 2_048, 1 << 19
HASH_BITS = 32  # of a vote: the sum over a row is exact in float64
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: Fibonacci hashing


def one_item_in(items: int) -> int:
    """Return which share of so many items is enough: one in that many.

    >>> one_item_in(400), one_item_in(1_000_000)
    (1, 100)
    """
    return max(1, items // ENOUGH_ITEMS)


def leave_one_out(
    model: LabelModel,
    votes: ArrayLike | Incidence,
    *,
    copies: NDArray[np.bool_],
    one_in: int = 1,
    kernels: Kernels = NUMPY,
) -> GridLosses:
    """Return how well, at each of DAMPINGS, votes are foretold by the others of their row.

    Args:
        model: The model as received.
        votes: Shape (n, m), integers, -1 abstains; or the same as kernels.lay_out returned it.
        copies: Pairs taken to be copies. Shape (m, m).
        one_in: Score one item in that many, chosen by its votes alone, so that it does not matter
            which device holds it.
        kernels: What does the arithmetic; the result is the same to the bit.

    Raises:
        ShapeError, InputError: votes are not a vote matrix of m functions.
    """
    if one_in > 1 or isinstance(votes, Incidence):
        laid = kernels.laid_out(votes, functions=model.functions, classes=model.classes)
        matrix = laid.votes[_drawn(laid, one_in, kernels)] if one_in > 1 else laid.votes
    else:
        matrix = checked_votes(votes, model.classes, functions=model.functions)
    evidence = model.evidence
    given = model.tables.reshape(-1, model.classes).T.copy()
    total = GridLosses.none(len(DAMPINGS))
    rows = min(SCORED_ROWS, 1 + SCORED_CELLS // max(given.shape[1], 1))
    for start in range(0, len(matrix), rows):
        block = matrix[start : start + rows]
        cast = cast_votes(block, model.classes)
        others, heard = _others(evidence, block, cast, copies)
        told = np.flatnonzero(heard > 0)
        others, heard = others[:, told].copy(), heard[told]
        foretold = given[:, cast.cell[told]].copy()
        likelihoods = [kernels.foretell(others, heard, foretold, damping) for damping in DAMPINGS]
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


def _drawn(votes: Incidence, one_in: int, kernels: Kernels) -> NDArray[np.bool_]:
    """Draw one row in so many by a hash of its votes. Shape (n,).

    Every vote that can be cast has a number of its own, and the hash is their sum.

    Source: Zobrist 1970, Wisconsin TR 88, "A new hashing method with application for game playing";
    with sums for exclusive ors.
    """
    code = np.arange(1, 1 + votes.functions * votes.classes, dtype=np.uint64) * MULTIPLIER
    code ^= code >> np.uint64(32)
    code *= MULTIPLIER
    code >>= np.uint64(64 - HASH_BITS)
    sums = kernels.row_sums(code.astype(np.float64), votes).astype(np.int64)
    sums &= (1 << HASH_BITS) - 1
    return np.asarray(sums < (1 << HASH_BITS) // one_in)
