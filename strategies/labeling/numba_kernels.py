"""Compiled kernels of the label model: the numpy ones' twins, equal to the bit.

Equal because both do the same IEEE 754 operations on the same numbers in the same order, or sums of
whole numbers, whose order does not matter.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from strategies.labeling import exponential
from strategies.labeling.evidence import (
    SHARE_UNIT,
    UNIFORM_SHARE,
    Evidence,
    PosteriorSums,
    from_cumulative,
)
from strategies.labeling.incidence import Incidence
from strategies.labeling.numba_tokens import by_token, compile_loop, gathered, scatter

Floats = NDArray[np.float64]

_UNIT, _MOST, _PER_STEP = exponential.UNIT, exponential.MOST, 1 / exponential.STEP
_LINEAR, _SQUARE, _CUBIC = exponential.LINEAR, exponential.SQUARE, exponential.CUBIC
_EVEN = UNIFORM_SHARE
_SHARE = float(SHARE_UNIT)


def row_sums(values: Floats, votes: Incidence) -> Floats:
    """Return the sum of values of each row; see incidence.row_sums."""
    table = by_token(votes.layout.spread(values[None]))
    nothing = np.zeros(1)
    out = np.empty(votes.items)
    start = 0
    for block, sums in gathered(votes, table, nothing):
        out[start : start + len(block.voted)] = sums[0]
        start += len(block.voted)
    return out


def posterior_sums(evidence: Evidence, votes: Incidence) -> PosteriorSums:
    """Return what one exchange sums; see evidence.posterior_sums."""
    table = by_token(votes.layout.spread(evidence.leads))
    tally, up_to = np.zeros_like(table), np.zeros(evidence.classes - 1)
    for block, shares in gathered(votes, table, evidence.prior_leads.ravel()):
        if evidence.classes == 2:
            _to_share(shares[0], exponential.table())
        else:
            _to_shares(shares[: evidence.classes], exponential.table())
        scatter(block, shares, tally)
        _add_up(block.voted, shares, up_to)
    return from_cumulative(votes, tally.T[: len(up_to)], up_to)


def probabilities(evidence: Evidence, votes: Incidence, *, prior: Floats, damping: float) -> Floats:
    """Return the class probabilities of each row; see evidence.probabilities."""
    table = by_token(votes.layout.spread(evidence.leads_and_voices))
    before = np.append(evidence.prior_leads, 0.0)
    out = np.empty((votes.items, evidence.classes))
    start = 0
    for block, logits in gathered(votes, table, before):
        rows = out[start : start + len(block.voted)]
        _to_probabilities(logits[: evidence.classes], damping, exponential.table(), rows)
        rows[~block.voted] = prior
        start += len(block.voted)
    return out


def foretell(others: Floats, heard: Floats, given: Floats, damping: float) -> Floats:
    """Return the probability of votes; see evidence.foretell."""
    logits = np.empty_like(others)
    out = np.empty_like(heard)
    _foretell(others, heard, given, damping, exponential.table(), logits, out)
    return out


@compile_loop
def _add_up(voted: NDArray[np.bool_], shares: Floats, up_to: Floats) -> None:
    """Add the shares of the items with a vote."""
    for c in range(len(up_to)):
        total = 0
        for i in range(len(voted)):
            total += np.int64(shares[c, i]) * voted[i]
        up_to[c] += total


@numba.njit(inline="always")
def _exp_negative(distance: float, table: Floats) -> float:
    """Return the exponential of a whole number; see exponential."""
    steps = min(distance, _MOST) * _PER_STEP
    whole: float = np.floor(steps)
    rest = steps - whole
    value = rest * _CUBIC
    value += _SQUARE
    value *= rest
    value -= _LINEAR
    value *= rest
    value += 1.0
    entry: float = table[np.uint32(np.int32(whole))]  # unsigned: not looked up from the end
    return value * entry


@compile_loop
def _to_share(leads: Floats, table: Floats) -> None:
    """Turn the leads of the first of two classes into shares; see evidence.cumulative_shares."""
    for i in range(len(leads)):
        odds = _exp_negative(abs(leads[i]), table)
        share = _SHARE / (odds + 1.0)
        share *= 1.0 if leads[i] >= 0 else odds
        leads[i] = np.floor(share + 0.5)


@compile_loop
def _to_odds(logits: Floats, table: Floats) -> None:
    """Turn whole logits (k, rows) into odds against the likeliest; see exponential."""
    classes, rows = logits.shape
    top = logits[0].copy()
    for c in range(1, classes):
        for i in range(rows):
            top[i] = max(top[i], logits[c, i])
    for c in range(classes):
        for i in range(rows):
            logits[c, i] = _exp_negative(top[i] - logits[c, i], table)


@compile_loop
def _to_shares(logits: Floats, table: Floats) -> None:
    """Turn leads (k, rows), the last of any content, into shares; see evidence."""
    classes, rows = logits.shape
    logits[classes - 1] = 0.0
    _to_odds(logits, table)
    for c in range(1, classes):
        for i in range(rows):
            logits[c, i] += logits[c - 1, i]
    for i in range(rows):
        logits[classes - 1, i] = _SHARE / logits[classes - 1, i]
    for c in range(classes - 1):
        for i in range(rows):
            logits[c, i] = np.floor(logits[c, i] * logits[classes - 1, i] + 0.5)


@compile_loop
def _to_probabilities(logits: Floats, damping: float, table: Floats, out: Floats) -> None:
    """Turn leads, and voices in the last row, into probabilities; see evidence.probabilities."""
    classes, rows = logits.shape
    for i in range(rows):
        voices = logits[classes - 1, i]
        scale = 1 / (1 + damping * max(voices / _UNIT - 1, 0.0))
        logits[classes - 1, i] = 0.0
        for c in range(classes - 1):
            logits[c, i] = np.rint(logits[c, i] * scale)
    _to_odds(logits, table)
    for i in range(rows):
        total = logits[0, i]
        for c in range(1, classes):
            total += logits[c, i]
        for c in range(classes):
            out[i, c] = (1 - _EVEN) * (logits[c, i] / total) + _EVEN / classes


@compile_loop
def _foretell(
    others: Floats,
    heard: Floats,
    given: Floats,
    damping: float,
    table: Floats,
    logits: Floats,
    out: Floats,
) -> None:
    """Fill what evidence.foretell returns."""
    classes, votes = others.shape
    for i in range(votes):
        out[i] = 1 / (1 + damping * max(heard[i] / _UNIT - 1, 0.0))
    for c in range(classes):
        for i in range(votes):
            logits[c, i] = np.rint(others[c, i] * out[i])
    _to_odds(logits, table)
    for i in range(votes):
        out[i] = logits[0, i]
    for c in range(1, classes):
        for i in range(votes):
            out[i] += logits[c, i]
    for c in range(classes):
        for i in range(votes):
            logits[c, i] = logits[c, i] / out[i] * given[c, i]
    for i in range(votes):
        out[i] = logits[0, i]
    for c in range(1, classes):
        for i in range(votes):
            out[i] += logits[c, i]
