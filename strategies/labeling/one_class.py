"""Functions that vote for one class each, such as key words: what their votes are worth.

Such functions of one class never contradict each other, so agreement says little about them, and
what conflict says is coarse. Hence three rules: a level of precision from all conflict together,
half-way hedged towards equal voices; precisions from human answers where there are some; and an
estimate of which class the items without any vote belong to.
"""

import numpy as np
from numpy.typing import NDArray

from strategies.labeling.anchors import AnchorSummary
from strategies.labeling.rank_one import NOISE_WIDTHS, TYPICAL_ACCURACY, Matrix
from strategies.labeling.summary import VoteSummary

ANCHOR_VOTES = 20.0  # how many answers it takes to weigh as much as what the votes said before
CLASS_VOTES = 100.0  # how many answers it takes to tell the functions of one class from the others
HEDGE = 0.5  # how far differences between functions are believed; 0 is a majority vote
WIDEST_TILT = 1.5  # enough to break a tie; one vote for a class never beats two for another
HIGHEST_PRECISION = 0.97
LEAST_ODDS = 0.05  # log-odds: no function is read as speaking against its class
UNIFORM_REST = 0.2  # of the guess about items without votes
FEWEST_MEETINGS = 10  # of functions of one class, to guess how many items of it they miss


def hedged_weights(weights: Matrix) -> Matrix:
    """Return the weights of functions that may be copies, half-way back to one on a log scale.

    Functions of one class that speak together may repeat each other or may each be right: their
    votes cannot tell.
    """
    return np.asarray(weights**HEDGE)


def hedged_accuracies(
    accuracies: Matrix,
    weights: Matrix,
    total: VoteSummary,
    coins: NDArray[np.intp],
    *,
    noise: float = 0.0,
) -> Matrix:
    """Return accuracies at the level that conflict between all functions suggests, and closer.

    The level is that of equally good, independent functions with the observed share of agreement
    (equation in rank_one), half-way to a typical one's; log-odds keep half their distance to it.
    Between classes even that is bounded: conflict names the class that is spoken for too often,
    but cannot tell it from a class that is common.

    Args:
        accuracies: Of all functions. Shape (m,).
        weights: As they will be used. Shape (m,).
        total: The summed votes.
        coins: Positions of the functions that vote for one class.
        noise: Standard deviation of the noise on each number of total.
    """
    counts = np.maximum(total.counts[coins], 0).astype(np.float64)
    cast, voted = counts.sum(axis=1), counts.argmax(axis=1)
    if not cast.sum():
        return accuracies
    rest = float(total.classes - 1)
    odds = np.log(accuracies[coins] * rest / (1 - accuracies[coins]))
    mean = float(odds @ cast) / float(cast.sum())
    closer = np.maximum(mean + HEDGE * (odds - mean), LEAST_ODDS)
    closer *= _levelled(closer * weights[coins], cast, voted)
    level = 0.5 * (TYPICAL_ACCURACY + _pooled_precision(total, noise))
    wanted = max(float(np.log(level * rest / (1 - level))), LEAST_ODDS)
    closer *= wanted * cast.sum() / float((closer * weights[coins]) @ cast)
    out = accuracies.copy()
    out[coins] = np.minimum(1 / (1 + rest * np.exp(-closer)), HIGHEST_PRECISION)
    return out


def _levelled(strength: Matrix, cast: Matrix, voted: NDArray[np.intp]) -> Matrix:
    """Return factors that bring the classes' mean strengths within WIDEST_TILT of each other."""
    heard = np.unique(voted[cast > 0])
    means = [float(np.average(strength[voted == c], weights=cast[voted == c])) for c in heard]
    logs = np.log(np.asarray(means))
    spread = float(np.ptp(logs))
    pull = max(0.0, 1 - np.log(WIDEST_TILT) / spread) if spread else 0.0
    factors = np.ones(int(voted.max()) + 1)
    factors[heard] = np.exp(pull * (logs.mean() - logs))
    return np.asarray(factors[voted])


def _pooled_precision(total: VoteSummary, noise: float) -> float:
    """Return the accuracy of equal, independent functions that would agree as often as all do."""
    met, agreed = float(total.co_votes.sum()), float(total.agreements.sum())
    if met <= NOISE_WIDTHS * noise * total.functions:
        return TYPICAL_ACCURACY
    k = total.classes
    signal = (k * agreed / max(met, 1.0) - 1) / (k - 1)
    precision = (1 + (k - 1) * np.sqrt(np.clip(signal, 0.0, 1.0))) / k
    return float(np.clip(precision, 1 / k, HIGHEST_PRECISION))


def unvoted_prior(
    total: VoteSummary, coins: NDArray[np.intp], *, noise: float = 0.0
) -> NDArray[np.float64]:
    """Return which classes the items without any vote are likely of. Shape (k,).

    Two functions that mark items of a class at random meet on g * h / n of them, where g and h
    are how many each marked and n how many there are: their meetings count what nobody marked.
    The share of a class among all items so counted stands for its share among the unvoted. Where
    functions of some class never meet, nothing is known, and all classes are as likely.

    Source: Lincoln 1930, USDA Circular 118, pooled over all pairs of a class.
    """
    k = total.classes
    uniform = np.full(k, 1 / k)
    marked = np.zeros_like(total.counts, dtype=np.float64)
    marked[coins] = np.maximum(total.counts[coins], 0)
    voted = marked.argmax(axis=1)
    present = np.zeros(k)
    for c in range(k):
        own = coins[(voted[coins] == c) & (marked[coins, c] > NOISE_WIDTHS * noise)]
        met = float(total.co_votes[np.ix_(own, own)].sum())
        if met < 2 * FEWEST_MEETINGS + NOISE_WIDTHS * noise * max(len(own), 1):
            return uniform
        products = float(marked[own, c].sum()) ** 2 - float((marked[own, c] ** 2).sum())
        present[c] = products / met
    return np.asarray((1 - UNIFORM_REST) * present / present.sum() + UNIFORM_REST * uniform)


def anchored_precisions(
    accuracies: Matrix,
    anchors: AnchorSummary,
    total: VoteSummary,
    coins: NDArray[np.intp],
    *,
    kept: float,
) -> NDArray[np.float64]:
    """Return the precisions of one-class functions after human answers.

    Args:
        accuracies: Of all functions, before. Shape (m,).
        anchors: What the answers say.
        total: The summed votes.
        coins: Positions of the functions that vote for one class.
        kept: How far what was believed before still counts, on a scale of log-odds: 1 to 0.
    """
    right, given = anchors.right.astype(np.float64), anchors.given.astype(np.float64)
    overall = (right.sum() + ANCHOR_VOTES * TYPICAL_ACCURACY) / (given.sum() + ANCHOR_VOTES)
    voted = total.counts.argmax(axis=1)
    per_class = np.array(
        [
            (right[voted == c].sum() + CLASS_VOTES * overall)
            / (given[voted == c].sum() + CLASS_VOTES)
            for c in range(total.classes)
        ]
    )
    shares = (right + ANCHOR_VOTES * per_class[voted]) / (given + ANCHOR_VOTES)
    lowest = 1 / total.classes + 0.02
    told = np.clip(shares[coins], lowest, HIGHEST_PRECISION)
    before = accuracies[coins]
    odds = kept * np.log(before / (1 - before)) + (1 - kept) * np.log(told / (1 - told))
    return np.asarray(1 / (1 + np.exp(-odds)))


def half_known_balance(
    balance: NDArray[np.float64], answered: NDArray[np.int64], *, kept: float
) -> NDArray[np.float64]:
    """Return the prior for votes of one-class functions after human answers. Shape (k,).

    Their precisions hold the class balance already, where functions are frank about it; the square
    root of the balance breaks ties towards common classes and lets votes overrule it.
    """
    shares = (1 - kept) * answered / max(int(answered.sum()), 1) + kept * balance
    root = np.sqrt(shares)
    return np.asarray(root / root.sum())
