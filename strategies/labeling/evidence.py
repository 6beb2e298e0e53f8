"""From votes to probabilities, exactly the same on any device and in any batch.

A vote adds its weighted log-likelihood to each class. Floats added in another order end in another
last bit, and a product of matrices picks its order by shape; so log-likelihoods are rounded to
multiples of 2^-30 first. Their sums are then integers held in float64, exact in any order, and
all that comes after works element by element, in operations that IEEE 754 fixes to the bit.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from strategies.labeling.exponential import UNIT, exp_negative
from strategies.labeling.incidence import Incidence
from strategies.labeling.votes import Cast

SHARE_UNIT = 1 << 20
"""Probabilities are counted in multiples of 2^-20 per item."""
LEAST_LIKELIHOOD = 1e-9  # keeps one impossible vote from silencing all others
DAMPING = 0.25
"""How far many votes are worth less than their sum where it is not known: real functions err on
the same items. Chosen on four real vote sets between 0, right for independent functions, and 1."""
UNIFORM_SHARE = 0.05  # of a prediction: no set of votes is certain


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What each vote says, in multiples of 2^-30.

    Attributes:
        votes: At [j, v, c], for class c, when function j votes v. Shape (m, k, k).
        prior: Before any vote. Shape (k,).
        weights: How much of an independent voice each function is. Shape (m,).
    """

    votes: NDArray[np.float64]
    prior: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        tables: NDArray[np.float64],
        prior: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> "Evidence":
        """Round the logarithms of a model's tables (m, k, k) and prior (k,)."""
        # in place: at 1,200 functions of 56 classes each copy would take 30 MB
        log_tables = np.clip(tables, LEAST_LIKELIHOOD, 1.0)
        np.log(log_tables, out=log_tables)
        log_tables *= weights[:, None, None]
        log_tables *= UNIT
        return cls(
            votes=np.rint(log_tables, out=log_tables),
            prior=np.rint(np.log(np.clip(prior, LEAST_LIKELIHOOD, 1.0)) * UNIT),
            weights=np.rint(weights * UNIT),
        )

    @property
    def classes(self) -> int:
        """Number of classes, k."""
        return len(self.prior)

    @property
    def leads(self) -> NDArray[np.float64]:
        """What each vote says for a class beyond what it says for the last: (k - 1, m * k)."""
        by_class = self.votes.reshape(-1, self.classes).T
        return np.asarray(by_class[:-1] - by_class[-1])

    @property
    def leads_and_voices(self) -> NDArray[np.float64]:
        """The leads, and in a last row the weight of who votes: (k, m * k)."""
        return np.concatenate([self.leads, np.repeat(self.weights, self.classes)[None]])

    @property
    def prior_leads(self) -> NDArray[np.float64]:
        """The same of the prior: (k - 1, 1)."""
        return np.asarray(self.prior[:-1] - self.prior[-1])[:, None]

    def gather(self, cast: Cast, rows: int) -> NDArray[np.float64]:
        """Sum the evidence of each row's votes and the prior. Shape (k, rows), exact."""
        by_class = self.votes.reshape(-1, len(self.prior)).T
        return np.stack(
            [
                np.bincount(cast.row, weights=said[cast.cell], minlength=rows) + before
                for said, before in zip(by_class, self.prior, strict=True)
            ]
        )

    def voices(self, cast: Cast, rows: int) -> NDArray[np.float64]:
        """Sum the weights of each row's voters. Shape (rows,), exact."""
        weights = self.weights[cast.function]
        return np.asarray(np.bincount(cast.row, weights=weights, minlength=rows), dtype=np.float64)


class PosteriorSums(NamedTuple):
    """Probabilities of the classes, summed over items in multiples of 2^-20.

    Attributes:
        classes: Over the items with a vote. Shape (k,), int64.
        tables: At [j, v, c], over the items on which function j voted v. Shape (m, k, k), int64.
    """

    classes: NDArray[np.int64]
    tables: NDArray[np.int64]


def softmax(evidence: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities for scaled evidence: softmax over classes.

    Args:
        evidence: In multiples of 2^-30, such as from Evidence.gather. Shape (k, rows).
        scale: Shape (rows,).

    Returns:
        Shape (k, rows); a column does not depend on its neighbours, to the last bit.
    """
    logits = evidence * scale
    odds = _odds(np.rint(logits, out=logits))
    total = odds[0].copy()
    for row in odds[1:]:
        total += row
    odds /= total
    return odds


def damping_scale(voices: NDArray[np.float64], damping: float) -> NDArray[np.float64]:
    """Return 1 / (1 + damping * max(voices - 1, 0)): many voices are worth less than their sum.

    Args:
        voices: From Evidence.voices. Shape (rows,).
        damping: 0 takes the voices as independent.
    """
    return np.asarray(1 / (1 + damping * np.maximum(voices / UNIT - 1, 0.0)))


def foretell(
    others: NDArray[np.float64],
    heard: NDArray[np.float64],
    given: NDArray[np.float64],
    damping: float,
) -> NDArray[np.float64]:
    """Return how probable votes are to who hears others on the same item. Shape (v,).

    Args:
        others: Evidence from the others, in multiples of 2^-30. Shape (k, v).
        heard: Their voices. Shape (v,).
        given: Probability of each vote, given each class. Shape (k, v).
        damping: How far many voices are worth less than their sum.
    """
    parts = softmax(others, damping_scale(heard, damping))
    parts *= given
    for part in parts[1:]:
        parts[0] += part
    return np.asarray(parts[0])


def posterior_sums(evidence: Evidence, votes: Incidence) -> PosteriorSums:
    """Return how often every vote is expected to have met every class."""
    table = votes.layout.spread(evidence.leads)
    tally, up_to = np.zeros_like(table), np.zeros(len(table))
    for block in votes.blocks:
        shares = cumulative_shares(block.gather(table) + evidence.prior_leads)
        block.scatter(shares, tally)
        up_to += shares.sum(axis=1, where=block.voted)
    return from_cumulative(votes, tally, up_to)


def cumulative_shares(leads: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability of the classes up to each, the last left out, times 2^20, rounded.

    Rounded sums, and not sums of rounded, so that the differences of neighbours, which are what is
    counted, are never negative and add up to 2^20 for every item.

    Args:
        leads: Evidence for each class but the last, beyond that for the last. Shape (k - 1, rows).
    """
    total = _odds(np.concatenate([leads, np.zeros((1, leads.shape[1]))]))
    for before, row in pairwise(total):
        row += before
    shares = total[:-1]
    shares *= SHARE_UNIT / total[-1]
    shares += 0.5
    return np.asarray(np.floor(shares, out=shares))


def from_cumulative(
    votes: Incidence, tally: NDArray[np.float64], up_to: NDArray[np.float64]
) -> PosteriorSums:
    """Return the sums per class, from sums up to each class.

    Args:
        votes: What was summed over.
        tally: Per token, over the items that have it. Shape (k - 1, tokens).
        up_to: Over all items with a vote. Shape (k - 1,).
    """
    classes = len(up_to) + 1
    items = sum(int(np.count_nonzero(block.voted)) for block in votes.blocks)
    tables = np.empty((len(votes.counts), classes), dtype=np.int64)
    tables[:, :-1] = votes.layout.collect(tally).T
    tables[:, -1] = votes.counts * SHARE_UNIT
    for c in range(classes - 1, 0, -1):
        tables[:, c] -= tables[:, c - 1]
    ends = np.append(up_to.astype(np.int64), items * SHARE_UNIT)
    return PosteriorSums(np.diff(ends, prepend=0), tables.reshape(-1, classes, classes))


def probabilities(
    evidence: Evidence, votes: Incidence, *, prior: NDArray[np.float64], damping: float
) -> NDArray[np.float64]:
    """Return the class probabilities of each row laid out. Shape (n, k)."""
    classes = evidence.classes
    table = votes.layout.spread(evidence.leads_and_voices)
    out = np.empty((votes.items, classes))
    start = 0
    for block in votes.blocks:
        gathered = block.gather(table)
        scale = damping_scale(gathered[-1], damping)
        gathered[:-1] += evidence.prior_leads
        gathered[-1] = 0.0  # the last class leads itself by nothing
        sure = softmax(gathered, scale)
        rows = out[start : start + len(block.voted)]
        rows[...] = ((1 - UNIFORM_SHARE) * sure + UNIFORM_SHARE / classes).T
        rows[~block.voted] = prior
        start += len(block.voted)
    return out


def _odds(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each class's odds against the likeliest, from whole numbers. Shape (k, rows)."""
    if len(logits) > 2:
        return exp_negative(logits.max(axis=0) - logits)
    # of two the likelier has odds of 1, which need not be worked out
    lead = logits[0] - logits[1]
    odds = exp_negative(np.abs(lead))
    return np.stack([np.where(lead < 0, odds, 1.0), np.where(lead > 0, odds, 1.0)])
