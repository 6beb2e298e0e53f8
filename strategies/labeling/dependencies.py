"""Copies among labeling functions: found from agreement that accuracy cannot explain.

Two questions, asked in this order. First, of the whole set: would "one group of copies, one vote"
explain the agreement with outsiders better? A large clique of copies otherwise looks like a
majority of excellent functions. Then, of each pair: does it agree more than its accuracies allow?
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.labeling.rank_one import (
    ENOUGH_CO_VOTES,
    Matrix,
    Pairs,
    Regime,
    complete,
    median,
    misfit,
    pair_weight,
    to_accuracy,
)
from strategies.labeling.summary import VoteSummary

GROUP_LEVELS = (0.6, 0.45, 0.3)  # mean kappa within a group of copies, the surest first
ACCEPTED_RATIO = (
    0.7  # the collapsed fit must explain outsiders this much better; 0.9 to 1.5 is usual
)
FEWEST_GROUPS = 4  # with fewer there is no majority of outsiders to judge by
SURE_Z = 4.0  # standard errors of agreement in excess
LOOSE_CHI = 1.5  # mean squared difference, in standard errors, of what copies say to an outsider
LOOSE_CO_VOTES = 200  # fewer co-votes cannot show that difference
TOP_EXCESS, LOW_EXCESS = 0.5, 0.2  # bounds of the excess above which a pair counts as copies
OUTLYING_MADS = 8.0  # ... and it must lie this far outside the ordinary pairs of this set


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyHypothesis:
    """Groups of copies that explain the agreement with outsiders better than independence.

    Attributes:
        b: The fit with one vote per group. Shape (m,).
        weight: Pair weights of that fit, 1 / (group size * group size). Shape (m, m).
        level: The kappa at which the groups were cut; 0 for copies of one function.
        same: Which pairs share a group, itself included. Shape (m, m), bool.
    """

    b: Matrix
    weight: Matrix
    level: float
    same: NDArray[np.bool_]


def chance_corrected(total: VoteSummary, pairs: Pairs) -> Matrix:
    """Return Cohen's kappa of each pair, over the items both voted on. Shape (m, m).

    Chance is taken from each function's votes overall: counts per pair and class would triple what
    a device sends.
    """
    counts = np.maximum(total.counts, 0)
    overall = counts / np.maximum(counts.sum(axis=1), 1)[:, None]
    chance = overall @ overall.T
    kappa = (pairs.rate - chance) / np.maximum(1 - chance, 1e-6)
    return np.where(pairs.co_votes > 0, kappa, 0.0)


def find_copy_groups(
    pairs: Pairs, regime: Regime, kappa: Matrix, independent: Matrix
) -> CopyHypothesis | None:
    """Return the surest grouping under which outsiders fit clearly better, or None.

    Args:
        pairs: Rates per pair.
        regime: Passed on to the fits.
        kappa: Chance-corrected agreement. Shape (m, m).
        independent: b fitted as if no two functions were copies. Shape (m,).
    """
    seen = pairs.co_votes >= ENOUGH_CO_VOTES
    closeness = np.where(seen, kappa, 0.0)
    for level in GROUP_LEVELS:
        sure = seen & (kappa > level) & (kappa * np.sqrt(pairs.co_votes) > SURE_Z)
        np.fill_diagonal(sure, False)
        group = average_link(closeness, level, sure)
        if level < GROUP_LEVELS[0]:
            group = _dissolve_loose(group, pairs)
        same = group[:, None] == group[None, :]
        size = same.sum(axis=1).astype(np.float64)
        if len(size) == 0 or size.max() < 2 or len(set(group.tolist())) < FEWEST_GROUPS:
            continue
        weight = 1 / np.outer(size, size)
        collapsed = complete(pairs, regime, masked=same, weight=weight)
        base = pair_weight(pairs, regime, masked=same, weight=weight)
        before = misfit(pairs.signal, base, independent)
        if misfit(pairs.signal, base, collapsed) < ACCEPTED_RATIO * max(before, 1e-12):
            return CopyHypothesis(b=collapsed, weight=weight, level=level, same=same)
    return None


def suppose_copies(pairs: Pairs, regime: Regime, group: NDArray[np.bool_]) -> CopyHypothesis:
    """Return the fit that gives these functions one vote among them all.

    Args:
        pairs: Rates per pair.
        regime: Passed on to the fit.
        group: Which functions are copies of one of them. Shape (m,).
    """
    same = np.outer(group, group)
    np.fill_diagonal(same, True)
    size = same.sum(axis=1).astype(np.float64)
    weight = 1 / np.outer(size, size)
    b = complete(pairs, regime, masked=same, weight=weight)
    return CopyHypothesis(b=b, weight=weight, level=0.0, same=same)


def average_link(closeness: Matrix, level: float, sure: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Group functions whose average mutual closeness exceeds level.

    Only functions with a sure partner take part. Returns the smallest member of each one's group.
    Shape (m,).

    >>> near = np.array([[0, 0.9, 0.1], [0.9, 0, 0.1], [0.1, 0.1, 0]])
    >>> average_link(near, 0.5, near > 0.5).tolist()
    [0, 0, 2]
    """
    group = np.arange(len(closeness), dtype=np.int64)
    taking_part = np.flatnonzero(sure.any(axis=1))
    if len(taking_part) < 2:
        return group
    link = closeness[np.ix_(taking_part, taking_part)].astype(np.float64)
    np.fill_diagonal(link, -np.inf)
    members = [[int(position)] for position in taking_part]
    while True:
        p, q = (int(side) for side in np.unravel_index(int(link.argmax()), link.shape))
        if link[p, q] <= level:
            break
        joined = len(members[p]) * link[p] + len(members[q]) * link[q]
        link[p] = link[:, p] = joined / (len(members[p]) + len(members[q]))
        link[q] = link[:, q] = link[p, p] = -np.inf
        members[p], members[q] = members[p] + members[q], []
    for together in filter(None, members):
        group[together] = min(together)
    return group


def find_edges(
    pairs: Pairs,
    b: Matrix,
    *,
    above: float,
    kappa: Matrix | None,
    kappa_above: float,
    together: NDArray[np.bool_] | None = None,
) -> Matrix:
    """Return the excess agreement of pairs that look like copies, 0 elsewhere. Shape (m, m).

    Args:
        pairs: Rates per pair.
        b: Signals of the functions. Shape (m,).
        above: Least excess.
        kappa: Chance-corrected agreement, or None to ask no more of a pair. Shape (m, m).
        kappa_above: Least kappa.
        together: Pairs known to be copies: of them only sure excess is asked. Shape (m, m).
    """
    expected = _expected_rate(pairs, b)
    excess = excess_agreement(pairs, b)
    spread = np.sqrt(np.maximum(expected * (1 - expected), 1e-6) / np.maximum(pairs.co_votes, 1))
    sure = (pairs.rate - expected > SURE_Z * spread) & (pairs.co_votes >= ENOUGH_CO_VOTES)
    copies = sure & (excess > above)
    if kappa is not None:
        copies &= kappa > kappa_above
    if together is not None:
        copies |= sure & together
    np.fill_diagonal(copies, False)
    return np.where(copies, np.clip(excess, 0.0, 1.0), 0.0)


def excess_agreement(pairs: Pairs, b: Matrix) -> Matrix:
    """Return (rate - expected) / (1 - expected): 0 for independent, 1 for copies. Shape (m, m)."""
    expected = _expected_rate(pairs, b)
    return np.asarray((pairs.rate - expected) / np.maximum(1 - expected, 1e-6))


def edge_threshold(pairs: Pairs, b: Matrix, highest: float) -> float | None:
    """Return the excess that lies far outside the ordinary pairs of this set, at most highest.

    None with fewer than ten pairs: there is nothing ordinary to compare with.
    """
    upper = np.triu(pairs.co_votes, 1) >= ENOUGH_CO_VOTES
    excess = excess_agreement(pairs, b)[upper]
    if len(excess) < 10:
        return None
    middle = median(excess)
    spread = 1.4826 * median(np.abs(excess - middle))
    return float(np.clip(middle + OUTLYING_MADS * spread, LOW_EXCESS, highest))


def _expected_rate(pairs: Pairs, b: Matrix) -> Matrix:
    """Return how often each pair would agree if it were independent given the class."""
    right = to_accuracy(b, pairs.classes)
    wrong = 1 - right
    return np.asarray(np.outer(right, right) + np.outer(wrong, wrong) / (pairs.classes - 1))


def _dissolve_loose(group: NDArray[np.int64], pairs: Pairs) -> NDArray[np.int64]:
    """Break up groups whose members treat outsiders differently: good functions, not copies."""
    out = group.copy()
    variance = np.maximum(pairs.rate * (1 - pairs.rate), 1e-4) / np.maximum(pairs.co_votes, 1)
    for name in set(group.tolist()):
        members, outsiders = np.flatnonzero(group == name), np.flatnonzero(group != name)
        if len(members) < 2:
            continue
        rate, noise = (part[np.ix_(members, outsiders)] for part in (pairs.rate, variance))
        first, second = np.triu_indices(len(members), 1)
        squares = (rate[first] - rate[second]) ** 2 / (noise[first] + noise[second])
        alike = len(outsiders) >= 4 and median(squares.mean(axis=1)) <= LOOSE_CHI
        co_votes = pairs.co_votes[np.ix_(members, outsiders)]
        if not alike or median(co_votes) < LOOSE_CO_VOTES:
            out[members] = members
    return out
