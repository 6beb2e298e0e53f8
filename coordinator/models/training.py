"""Solving the head from sums: each exchange is one question to every teaching device."""

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from coordinator.settings import InputSettings
from fieldvote.codec import IntVector
from fieldvote.heads import HeadModel
from strategies.aggregation.averaging import WeightedHead, federated_averaging
from strategies.aggregation.fixed_point import TOTAL_WEIGHT_LIMIT
from strategies.aggregation.solver import TOLERANCE_NATS, Hold, SolverState, advance, start
from strategies.aggregation.summed_head import GradientSums, Head, HeadSums, gradient_length
from strategies.representation import Moments, Representation

Solver: TypeAlias = Generator["Leg", IntVector, "Trained"]
"""Yields what to ask devices next, is sent what their replies add up to, returns the new head.

It is a function of what it is sent and nothing else. Sent the kept sums of an earlier run, it asks
and returns the same to the bit: so a solver that died is begun anew and caught up.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One exchange the solver needs.

    Attributes:
        step: Which one.
        model: The head to compute at.
    """

    step: int
    model: HeadModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A new head and what it took."""

    model: HeadModel
    exchanges: int


def first_model(moments: Moments, settings: InputSettings, *, classes: int, seed: int) -> HeadModel:
    """Return the model every campaign starts from: summed moments, and weights of zero.

    Args:
        moments: Sums over every surveyed pool.
        settings: How embeddings become inputs.
        classes: k.
        seed: Names the random projection.
    """
    made = Representation.from_moments(
        moments,
        whiten=settings.whiten,
        norm=settings.norm,
        recentre=settings.recentre,
        smooth=settings.smooth,
        fourier=settings.fourier,
        bandwidth_share=settings.bandwidth_share,
        seed=seed,
    )
    return HeadModel(
        parent="",
        classes=classes,
        mean=made.mean,
        scale=made.scale,
        gain=made.gain,
        clip=made.clip,
        recentre=made.recentre,
        fourier=made.fourier,
        bandwidth=made.bandwidth,
        amplitude=made.amplitude,
        seed=made.seed,
        smooth=made.smooth,
        weights=np.zeros(made.width * classes, dtype=np.int64),
    )


def with_head(model: HeadModel, head: Head) -> HeadModel:
    """Return the model with other weights."""
    return replace(model, weights=head.weights.ravel())


def head_of(model: HeadModel) -> Head:
    """Return the weights of a model."""
    return Head(weights=model.weights.reshape(-1, model.classes))


def solve(
    model: HeadModel,
    sums: HeadSums,
    *,
    l2: float,
    exchanges: int,
    tolerance: float = TOLERANCE_NATS,
    hold: Hold | None = None,
) -> Solver:
    """Solve the softmax head from summed gradients, starting at the model's weights.

    Args:
        model: Where to start.
        sums: Summed sketches of everything that teaches, made with the model's seed.
        l2: Strength of the penalty.
        exchanges: How many gradients may be asked for.
        tolerance: Smallest promised gain worth an exchange, in nats.
        hold: Weights that are held where they were; None holds none.
    """
    state: SolverState = start(
        sums,
        head_of(model),
        l2=l2,
        seed=model.seed,
        exchanges=exchanges,
        tolerance=tolerance,
        hold=hold,
    )
    step = 0
    while not state.done:
        total = yield Leg(step=step, model=with_head(model, state.point))
        state = advance(state, GradientSums.from_vector(total, classes=model.classes))
        step += 1
    return Trained(model=with_head(model, state.head), exchanges=step)


def average(model: HeadModel, *, exchanges: int) -> Solver:
    """Average locally trained heads, exchange after exchange: what the sums are compared with.

    Source: McMahan et al. 2017, arXiv:1602.05629, algorithm 1, weights by the devices' lessons.
    """
    combine = federated_averaging().combine
    head = head_of(model)
    for step in range(exchanges):
        total = yield Leg(step=step, model=with_head(model, head))
        product = total[1:].reshape(-1, model.classes)
        head = combine(head, WeightedHead(weight=int(total[0]), product=product))
    return Trained(model=with_head(model, head), exchanges=exchanges)


def reply_length(model: HeadModel, *, averaged: bool) -> int:
    """Return how many numbers a device's gradient has for this model, or its averaged head."""
    if averaged:
        return 1 + len(model.weights)
    width = len(model.weights) // model.classes
    return gradient_length(width=width, classes=model.classes)


def is_reply(model: HeadModel, vector: IntVector, *, averaged: bool) -> bool:
    """Return whether a device's vector is a gradient, or a head, for a model of this shape.

    A gradient opens with loss and weight, a head with its weight; a weight that no device can have
    would spoil the sum of all.
    """
    place = 0 if averaged else 1
    return (
        len(vector) == reply_length(model, averaged=averaged)
        and 0 <= vector[place] < TOTAL_WEIGHT_LIMIT
    )
