r"""Accuracies from agreements alone: a robust rank-one completion.

Were functions independent given the class, and wrong at random, then two of them with accuracies
a_j and a_l would agree at a rate with

    (k * rate - 1) / (k - 1) = b_j * b_l,    b = (k * a - 1) / (k - 1),

so the off-diagonal of the signal matrix on the left has rank one, and its factor holds the
accuracies. Missing pairs are common and copies break the pattern, hence weights by the number of
co-votes, a prior, and (where functions vote for every class) Huber's loss.

Source: Dalvi et al. 2013, WWW, "Aggregating crowdsourced binary ratings", section 4, for the
rank-one view; the weights, the prior and the loss are ours.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.labeling.summary import VoteSummary

Matrix = NDArray[np.float64]

TYPICAL_ACCURACY = 0.7  # of a function nothing is known about
PRIOR_CO_VOTES = 300.0  # how many co-votes that belief is worth
NOISE_FLOOR = 0.03  # deviations below this are not evidence of dependence, however many co-votes
ENOUGH_CO_VOTES = 20  # a pair with fewer says nothing on its own
NOISE_WIDTHS = 4.0  # standard deviations of noise within which a count says nothing
SECOND_CLASS_SHARE = 0.1  # of all votes; less is stray votes of functions of one class each
LOWEST, HIGHEST = 0.02, 0.999  # of b: no function is taken to be worse than chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """What kind of functions these are; it decides how their agreement is read.

    Attributes:
        mixed: Functions with a share of votes for every class. Shape (m,), bool.
        every_class: Whether mixed functions cast most votes; then all are treated as mixed.
            Otherwise most functions vote for one class only, and their votes are read as
            precisions: how often the class is right where the function speaks.
        informative: Whether any pair has enough co-votes to learn from.
    """

    mixed: NDArray[np.bool_]
    every_class: bool
    informative: bool

    @classmethod
    def of(cls, total: VoteSummary, *, noise: float = 0.0) -> "Regime":
        """Read the regime from the votes per class."""
        counts = np.where(total.counts > NOISE_WIDTHS * noise, total.counts, 0)
        cast = counts.sum(axis=1)
        shares = counts / np.maximum(cast, 1)[:, None]
        mixed = (shares > 0.02).all(axis=1) & (cast >= 5 * total.classes)
        every_class = bool(cast[mixed].sum() > 0.5 * max(int(cast.sum()), 1))
        if noise:
            # a rare class drowns function by function; what all give to a second class does not
            heard = total.counts[cast > 0]
            second = int(heard.sum() - heard.max(axis=1, initial=0).sum())
            every_class = second > SECOND_CLASS_SHARE * max(int(heard.sum()), 1)
        return cls(
            mixed=np.ones_like(mixed) if every_class else mixed,
            every_class=every_class,
            informative=bool((total.co_votes >= max(ENOUGH_CO_VOTES, NOISE_WIDTHS * noise)).any()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The summed votes, as rates per pair. All of shape (m, m), diagonal zero.

    Attributes:
        co_votes: How often both voted.
        rate: The share of co-votes that agree; 0 where there are none.
        signal: (k * rate - 1) / (k - 1), in [-1, 1]; 0 where there are no co-votes.
        classes: Number of classes, k.
        heard: Share of all co-votes that are in pairs which stand out from noise; 1 without any.
    """

    co_votes: Matrix
    rate: Matrix
    signal: Matrix
    classes: int
    heard: float = 1.0

    @classmethod
    def of(cls, total: VoteSummary, *, noise: float = 0.0) -> "Pairs":
        """Turn counts into rates; under noise, count as many co-votes as the rate is worth.

        The rate of N co-votes has the variance of sampling, about 1 / N, and twice the variance of
        the noise over N squared: together that of N / (1 + 2 * noise^2 / N) co-votes.
        """
        k = total.classes
        co_votes = total.co_votes.astype(np.float64)
        met = co_votes > NOISE_WIDTHS * noise
        share = np.clip(total.agreements / np.maximum(co_votes, 1.0), 0.0, 1.0)
        rate = np.where(met, share, 0.0)
        signal = np.where(met, np.clip((k * rate - 1) / (k - 1), -1.0, 1.0), 0.0)
        worth = np.where(met, co_votes / (1 + 2 * noise**2 / np.maximum(co_votes, 1.0)), 0.0)
        heard = float(co_votes[met].sum() / max(co_votes.sum(), 1.0)) if noise else 1.0
        return cls(
            co_votes=worth, rate=rate, signal=signal, classes=k, heard=min(max(heard, 0.0), 1.0)
        )


def to_signal(accuracy: float, classes: int) -> float:
    """Return b for an accuracy.

    >>> to_signal(0.75, classes=2), to_signal(0.5, classes=2)
    (0.5, 0.0)
    """
    return (classes * accuracy - 1) / (classes - 1)


def to_accuracy(b: Matrix, classes: int) -> Matrix:
    """Return the accuracies for b. Shape (m,)."""
    return np.asarray((1 + (classes - 1) * b) / classes)


def complete(pairs: Pairs, regime: Regime, *, masked: NDArray[np.bool_], weight: Matrix) -> Matrix:
    """Fit b so that b_j * b_l follows the signal of every pair that is not masked.

    Args:
        pairs: Rates per pair.
        regime: Robust where every function votes for every class, least squares otherwise.
        masked: Pairs to leave out, such as known copies. Shape (m, m).
        weight: Weight of each pair beside its co-votes. Shape (m, m).

    Returns:
        b, each within [LOWEST, HIGHEST]. Shape (m,).
    """
    typical = to_signal(TYPICAL_ACCURACY, pairs.classes)
    if not len(masked):
        return np.zeros(0)
    base = pair_weight(pairs, regime, masked=masked, weight=weight)
    starts = [np.full(len(masked), typical)]
    if not regime.every_class:
        return _descend(pairs.signal, base, starts[0], regime, typical)
    starts.append(_row_medians(pairs, masked, typical))
    fits = [_descend(pairs.signal, base, start, regime, typical) for start in starts]
    prior = PRIOR_CO_VOTES * typical**2

    def objective(b: Matrix) -> float:
        pull = 0.5 * prior * float(((b - typical) ** 2).sum())
        return NOISE_FLOOR * misfit(pairs.signal, base, b) + pull

    return min(fits, key=objective)


def pair_weight(
    pairs: Pairs, regime: Regime, *, masked: NDArray[np.bool_], weight: Matrix
) -> Matrix:
    """Return the weight of each pair: co-votes, bounded in the robust regime. Shape (m, m)."""
    seen = np.where(masked, 0.0, pairs.co_votes)
    return weight * (seen / (1 + seen * NOISE_FLOOR**2) if regime.every_class else seen)


def misfit(signal: Matrix, base: Matrix, b: Matrix) -> float:
    """Return Huber's loss of b, summed over pairs, in units of NOISE_FLOOR."""
    error = np.abs(signal - np.outer(b, b))
    loss = np.where(error < NOISE_FLOOR, error * error / (2 * NOISE_FLOOR), error - NOISE_FLOOR / 2)
    return float((base * loss).sum()) / 2


def median(values: Matrix) -> float:
    """Return the median; numpy's own loads its masked arrays, which takes as long as a fit.

    >>> median(np.array([[3.0, 1.0], [4.0, 10.0]]))
    3.5
    """
    ordered = np.sort(values, axis=None)
    return float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _descend(signal: Matrix, base: Matrix, start: Matrix, regime: Regime, typical: float) -> Matrix:
    """Alternate least squares on b with itself, re-weighted for Huber's loss, half steps."""
    b = start
    prior = PRIOR_CO_VOTES * typical**2
    # one-class functions agree only on rows of one class, so silence of the others is no
    # contradiction: the prior there is perfect agreement, and conflicts pull it down
    target = typical if regime.every_class or not regime.informative else 1.0
    for _ in range(200 if regime.every_class else 60):
        weight = base
        if regime.every_class:
            error = np.abs(signal - np.outer(b, b))
            weight = base * NOISE_FLOOR / np.maximum(error, NOISE_FLOOR)
        pulled = (weight * signal) @ b + prior * target
        fitted = np.clip(pulled / np.maximum(weight @ (b * b) + prior, 1e-9), LOWEST, HIGHEST)
        step = float(np.abs(fitted - b).max())
        b = 0.5 * b + 0.5 * fitted
        if step < 1e-4:
            break
    return b


def _row_medians(pairs: Pairs, masked: NDArray[np.bool_], typical: float) -> Matrix:
    """Start from what each function's median partner says: a minority of copies cannot move it."""
    met = ~masked & (pairs.co_votes > 0)
    partners = met.sum(axis=1)
    signals = np.sort(np.where(met, pairs.signal, np.inf), axis=1)
    rows = np.arange(len(met))
    middle = signals[rows, np.maximum(partners - 1, 0) // 2] + signals[rows, partners // 2]
    return np.where(partners > 0, np.clip(middle / 2 / typical, 0.05, 0.95), typical)
