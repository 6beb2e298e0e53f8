"""Solving the head from sums: each exchange is one question to every teaching device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from coordinator.settings import InputSettings
from fieldvote.errors import UnavailableError
from fieldvote.records import HeadModel
from strategies.aggregation.averaging import WeightedHead, federated_averaging
from strategies.aggregation.fixed_point import TOTAL_WEIGHT_LIMIT
from strategies.aggregation.solver import TOLERANCE_NATS, SolverState, advance, start
from strategies.aggregation.summed_head import GradientSums, Head, HeadSums, gradient_length
from strategies.representation import Moments, Representation

Ask = Callable[[int, HeadModel], Sequence[NDArray[np.int64]]]
"""Step number and broadcast model to the devices' vectors."""


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
    ask: Ask,
    *,
    l2: float,
    exchanges: int,
    tolerance: float = TOLERANCE_NATS,
) -> Trained:
    """Solve the softmax head from summed gradients, starting at the model's weights.

    Args:
        model: Where to start.
        sums: Summed sketches of everything that teaches, made with the model's seed.
        ask: One exchange.
        l2: Strength of the penalty.
        exchanges: How many gradients may be asked for.
        tolerance: Smallest promised gain worth an exchange, in nats.

    Raises:
        UnavailableError: an exchange brought no reply at all.
    """
    state: SolverState = start(
        sums,
        head_of(model),
        l2=l2,
        seed=model.seed,
        exchanges=exchanges,
        tolerance=tolerance,
    )
    step = 0
    while not state.done:
        vectors = ask(step, with_head(model, state.point))
        if not vectors:
            raise UnavailableError("no device answered with a gradient; the round can be retried")
        total = sum(
            (GradientSums.from_vector(vector, classes=model.classes) for vector in vectors),
            start=GradientSums.empty(width=state.point.width, classes=model.classes),
        )
        state = advance(state, total)
        step += 1
    return Trained(model=with_head(model, state.head), exchanges=step)


def is_reply(model: HeadModel, vector: NDArray[np.int64], *, averaged: bool) -> bool:
    """Return whether a device's vector is a gradient, or a head, for a model of this shape.

    A gradient opens with loss and weight, a head with its weight; a weight that no device can have
    would spoil the sum of all.
    """
    if averaged:
        length, place = 1 + len(model.weights), 0
    else:
        width = len(model.weights) // model.classes
        length, place = gradient_length(width=width, classes=model.classes), 1
    return len(vector) == length and 0 <= vector[place] < TOTAL_WEIGHT_LIMIT


def average(model: HeadModel, ask: Ask, *, exchanges: int) -> Trained:
    """Average locally trained heads, exchange after exchange: what the sums are compared with.

    Source: McMahan et al. 2017, arXiv:1602.05629, algorithm 1, weights by the devices' lessons.

    Raises:
        UnavailableError: an exchange brought no reply at all.
    """
    combine = federated_averaging().combine
    head = head_of(model)
    for step in range(exchanges):
        vectors = ask(step, with_head(model, head))
        if not vectors:
            raise UnavailableError("no device answered with a head; the round can be retried")
        total = sum(
            (
                WeightedHead(weight=int(vector[0]), product=vector[1:].reshape(-1, model.classes))
                for vector in vectors
            ),
            start=WeightedHead.empty(width=head.width, classes=head.classes),
        )
        head = combine(head, total)
    return Trained(model=with_head(model, head), exchanges=exchanges)
