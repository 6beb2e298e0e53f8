r"""Copies that differ too often to look alike, found from what they hide behind.

If some functions copy one of them, two latent voices speak: the label, which the honest follow, and
the copied vote, which its copies follow. The signal of two functions is then b_j * b_l within
either group and b_j * b_l * cos(angle) across, so a factorisation of rank two puts every function
on one of two rays, however noisy the copies are; its length is how closely it follows its ray.

Votes alone cannot tell which ray is the label: swap the two and every table of votes keeps its
probability. What can is that copies have an original. It follows its own ray perfectly, and a
labeling function that is never wrong, about a label that most others miss, is the odder story. So
the ray with a function at full length, and no such function on the other, is taken to be copies.
Where the original is not among the functions, a clear minority is. Else nobody knows, and human
answers must choose (strategies.labeling.one_shot).

Source: Harman 1976, Modern Factor Analysis, chapter 8 (principal factors with iterated
communalities) for the factors; the reading of the rays is ours.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from strategies.labeling.rank_one import ENOUGH_CO_VOTES, Matrix, Pairs

MOST_FUNCTIONS = 600  # each pass costs m^2
PASSES = 100
SETTLED = 1e-4
SHARPEST_REST = 0.25  # of what a single ray leaves unexplained, the two rays must leave no more
SURE_SPREAD = 4.0  # standard errors of noise the second factor must stand out by
FEWEST_OUTSIDERS = 4  # the label's ray needs that many to be one
FEWEST_COPIES = 3  # an original and two copies; pairs are judged one by one elsewhere
FULL_LENGTH = 0.88  # of an original on its ray
LENGTH_AHEAD = 0.1  # of it over the best function on the label's ray
FAINT = 0.05  # of a function that follows neither
CLEAR_MINORITY = 0.8  # without an original, the smaller group at most so large are the copies


class Rays(NamedTuple):
    """Two groups of functions, each following a voice of its own.

    Attributes:
        second: Which functions follow the second voice. Shape (m,), bool.
        length: How closely each follows its voice, 0 to 1. Shape (m,).
    """

    second: NDArray[np.bool_]
    length: Matrix


def find_copies_of_one(pairs: Pairs) -> NDArray[np.bool_] | None:
    """Return which functions copy one among them, or None where no such group stands out.

    Args:
        pairs: Rates per pair, of functions that vote for every class.

    Returns:
        Shape (m,), the original included.
    """
    rays = split_rays(pairs)
    if rays is None:
        return None
    reach = [float(rays.length[rays.second == side].max()) for side in (False, True)]
    heard = rays.length > FAINT
    size = [int((heard & (rays.second == side)).sum()) for side in (False, True)]
    if max(reach) >= FULL_LENGTH and max(reach) - min(reach) >= LENGTH_AHEAD:
        copied = reach[1] > reach[0]
    elif min(size) <= CLEAR_MINORITY * max(size):
        copied = size[1] < size[0]
    else:
        return None
    if size[copied] < FEWEST_COPIES or size[not copied] < FEWEST_OUTSIDERS:
        return None
    return np.asarray(heard & (rays.second == copied))


def split_rays(pairs: Pairs) -> Rays | None:
    """Return the two rays on which all functions lie, or None if they do not lie on two."""
    seen = pairs.co_votes >= ENOUGH_CO_VOTES
    functions = len(seen)
    if not FEWEST_COPIES + FEWEST_OUTSIDERS <= functions <= MOST_FUNCTIONS or not seen.any():
        return None
    factors = _two_factors(pairs.signal, seen)
    noise = float(np.sqrt((1 / pairs.co_votes[seen]).mean() * functions))
    moments = np.linalg.eigvalsh(factors.T @ factors)
    if moments[0] < SURE_SPREAD * noise:
        return None
    length = np.sqrt((factors * factors).sum(axis=1))
    towards = (factors * length[:, None]).sum(axis=0)
    factors = factors * np.where(factors @ towards < 0, -1.0, 1.0)[:, None]
    turn = np.arctan2(towards[0] * factors[:, 1] - towards[1] * factors[:, 0], factors @ towards)
    order = np.argsort(turn, kind="stable")
    left = [_off_ray(factors[order[:cut]]) for cut in range(1, functions)]
    right = [_off_ray(factors[order[cut:]]) for cut in range(1, functions)]
    rest = np.asarray(left) + np.asarray(right)
    if rest.min() > SHARPEST_REST * moments[0]:
        return None
    second = np.zeros(functions, dtype=np.bool_)
    second[order[int(rest.argmin()) + 1 :]] = True
    return Rays(second, np.minimum(length, 1.0))


def _two_factors(signal: Matrix, seen: NDArray[np.bool_]) -> Matrix:
    """Fit signal by a product of two factors off its diagonal and where seen. Shape (m, 2)."""
    filled = np.where(seen, signal, 0.0)
    own = np.full(len(signal), 0.3)
    np.fill_diagonal(filled, own)
    _, vectors = np.linalg.eigh(filled)
    basis = vectors[:, -2:]
    factors = np.zeros_like(basis)
    for _ in range(PASSES):
        np.fill_diagonal(filled, own)
        basis, _ = np.linalg.qr(filled @ basis)
        values, turned = np.linalg.eigh(basis.T @ filled @ basis)
        factors = (basis @ turned) * np.sqrt(np.maximum(values, 0.0))
        step = np.minimum((factors * factors).sum(axis=1), 1.0) - own
        own = own + 0.5 * step
        filled = np.where(seen, signal, factors @ factors.T)
        if float(np.abs(step).max()) < SETTLED:
            break
    return factors


def _off_ray(factors: Matrix) -> float:
    """Return the squared distance of these factors to their best ray."""
    return float(np.linalg.eigvalsh(factors.T @ factors)[0])
