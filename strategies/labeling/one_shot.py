"""The one-shot fit: accuracies and weights of the functions from summed votes alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.labeling.anchors import AnchorSummary
from strategies.labeling.dependencies import (
    GROUP_LEVELS,
    TOP_EXCESS,
    CopyHypothesis,
    chance_corrected,
    edge_threshold,
    find_copy_groups,
    find_edges,
    suppose_copies,
)
from strategies.labeling.latent_groups import find_copies_of_one, split_rays
from strategies.labeling.rank_one import (
    TYPICAL_ACCURACY,
    Matrix,
    Pairs,
    Regime,
    complete,
    to_accuracy,
    to_signal,
)
from strategies.labeling.summary import VoteSummary

EDGE_PASSES = 2  # the second sees accuracies that the first freed from the copies it found
IN_FAVOUR = 2.0  # nats by which human answers must contradict what the votes alone suggest


@dataclass(frozen=True, slots=True, kw_only=True)
class OneShotFit:
    """What the summed votes say about the functions.

    Attributes:
        regime: What kind of functions these are.
        accuracies: Shape (m,).
        weights: 1 / (1 + excess agreement summed over its copies), in (0, 1]. Shape (m,).
        copies: Pairs taken to be copies. Shape (m, m), bool.
        collapsed: Whether groups of copies were given one vote each.
    """

    regime: Regime
    accuracies: Matrix
    weights: Matrix
    copies: NDArray[np.bool_]
    collapsed: bool


def fit_one_shot(
    total: VoteSummary, anchors: AnchorSummary | None = None, *, noise: float = 0.0
) -> OneShotFit:
    """Fit accuracies and find copies.

    Args:
        total: The sum of all devices' summaries.
        anchors: Human answers choose between stories of who copies whom, which votes alone cannot
            always tell apart.
        noise: Standard deviation of the noise on each number of total.
    """
    regime, pairs = Regime.of(total, noise=noise), Pairs.of(total, noise=noise)
    diagonal = np.eye(total.functions, dtype=np.bool_)
    independent = complete(pairs, regime, masked=diagonal, weight=np.ones(diagonal.shape))
    if not regime.every_class:
        return _settle(pairs, regime, independent, None, None)
    kappa = chance_corrected(total, pairs)
    group = find_copies_of_one(pairs)
    hypothesis = (
        find_copy_groups(pairs, regime, kappa, independent)
        if group is None
        else suppose_copies(pairs, regime, group)
    )
    fit = _settle(pairs, regime, independent, kappa, hypothesis)
    rays = None if anchors is None else split_rays(pairs)
    if anchors is None or rays is None:
        return fit
    stories = [fit] + [
        _settle(pairs, regime, independent, kappa, suppose_copies(pairs, regime, side))
        for side in (rays.second, ~rays.second)
    ]
    surprise = [_surprise(story, anchors) + IN_FAVOUR * (story is not fit) for story in stories]
    return stories[int(np.argmin(surprise))]


def _settle(
    pairs: Pairs,
    regime: Regime,
    independent: Matrix,
    kappa: Matrix | None,
    hypothesis: CopyHypothesis | None,
) -> OneShotFit:
    """Find edges under the hypothesis, if there is one, and refit without them."""
    diagonal = np.eye(len(independent), dtype=np.bool_)
    b, weight, together = independent, np.ones(diagonal.shape), None
    above, kappa_above = TOP_EXCESS, GROUP_LEVELS[0]
    if hypothesis is not None:
        b, kappa_above = hypothesis.b, hypothesis.level
        above = min(above, hypothesis.level - 0.1) if hypothesis.level else above
        together = None if hypothesis.level else hypothesis.same
    for _ in range(EDGE_PASSES):
        if regime.every_class:
            found = edge_threshold(pairs, b, above)
            if found is not None:
                above, kappa_above = found, min(GROUP_LEVELS[0], found + 0.1)
        edges = find_edges(
            pairs, b, above=above, kappa=kappa, kappa_above=kappa_above, together=together
        )
        if hypothesis is not None:
            size = 1.0 + (edges > 0).sum(axis=1)
            weight = 1 / np.outer(size, size)
        masked = (edges > 0) | diagonal if together is None else (edges > 0) | together
        b = complete(pairs, regime, masked=masked, weight=weight)
    edges = find_edges(
        pairs, b, above=above, kappa=kappa, kappa_above=kappa_above, together=together
    )
    # where noise drowned most pairs, the few that are left must not decide: towards equal voices
    typical = to_signal(TYPICAL_ACCURACY, pairs.classes)
    return OneShotFit(
        regime=regime,
        accuracies=to_accuracy(typical + pairs.heard * (b - typical), pairs.classes),
        weights=(1 / (1 + edges.sum(axis=1))) ** pairs.heard,
        copies=edges > 0,
        collapsed=hypothesis is not None,
    )


def _surprise(fit: OneShotFit, anchors: AnchorSummary) -> float:
    """Return how unlikely the accuracies make the answers, in nats; copies count once."""
    wrong = anchors.given - anchors.right
    log_right = np.log(np.clip(fit.accuracies, 1e-3, 1 - 1e-3))
    log_wrong = np.log(np.clip(1 - fit.accuracies, 1e-3, 1 - 1e-3))
    return -float(fit.weights @ (anchors.right * log_right + wrong * log_wrong))
