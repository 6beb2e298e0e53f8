"""The one-shot fit: accuracies and weights of the functions from summed votes alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.labeling.dependencies import (
    GROUP_LEVELS,
    TOP_EXCESS,
    chance_corrected,
    edge_threshold,
    find_copy_groups,
    find_edges,
)
from strategies.labeling.rank_one import Matrix, Pairs, Regime, complete, to_accuracy
from strategies.labeling.summary import VoteSummary

EDGE_PASSES = 2  # the second sees accuracies that the first freed from the copies it found


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


def fit_one_shot(total: VoteSummary) -> OneShotFit:
    """Fit accuracies and find copies."""
    regime, pairs = Regime.of(total), Pairs.of(total)
    diagonal = np.eye(total.functions, dtype=np.bool_)
    weight = np.ones(diagonal.shape)
    b = complete(pairs, regime, masked=diagonal, weight=weight)
    kappa, hypothesis = None, None
    above, kappa_above = TOP_EXCESS, GROUP_LEVELS[0]
    if regime.every_class:
        kappa = chance_corrected(total, pairs)
        hypothesis = find_copy_groups(pairs, regime, kappa, b)
    if hypothesis is not None:
        b, above = hypothesis.b, min(above, hypothesis.level - 0.1)
        kappa_above = hypothesis.level
    for _ in range(EDGE_PASSES):
        if regime.every_class:
            found = edge_threshold(pairs, b, above)
            if found is not None:
                above, kappa_above = found, min(GROUP_LEVELS[0], found + 0.1)
        edges = find_edges(pairs, b, above=above, kappa=kappa, kappa_above=kappa_above)
        if hypothesis is not None:
            size = 1.0 + (edges > 0).sum(axis=1)
            weight = 1 / np.outer(size, size)
        b = complete(pairs, regime, masked=(edges > 0) | diagonal, weight=weight)
    edges = find_edges(pairs, b, above=above, kappa=kappa, kappa_above=kappa_above)
    return OneShotFit(
        regime=regime,
        accuracies=to_accuracy(b, total.classes),
        weights=1 / (1 + edges.sum(axis=1)),
        copies=edges > 0,
        collapsed=hypothesis is not None,
    )
