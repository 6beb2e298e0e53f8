"""What the coordinator makes of the mean move of its devices: a step, plain or with a memory.

The mean move Δ takes the place of a negative gradient::

    averaging   x + η Δ                                       FedAvg; η = 1 is the mean itself
    momentum    m ← β₁ m + Δ,               x + η m           FedAvgM
    adagrad     v ← v + Δ²                 )
    adam        v ← β₂ v + (1 - β₂) Δ²     )  m ← β₁ m + (1 - β₁) Δ,   x + η m / (√v + τ)
    yogi        v ← v - (1 - β₂) Δ² sign(v - Δ²) )

Everything is done entry by entry with operations that IEEE 754 rounds in one way, and the result is
whole steps again: the same sums give the same bits, so a round can be rebuilt from them.

Sources: Reddi et al. 2021, "Adaptive federated optimization", arXiv:2003.00295, algorithm 2, with
    v₀ = τ² as its theory has it. Hsu, Qi and Brown 2019, arXiv:1909.06335, for momentum. As in
    algorithm 2 there is no correction for a young mean.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError, nearest
from strategies.aggregation.deep_update import PARAMETER_FRACTION, DeepUpdate

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRates:
    """How far and with how much memory the coordinator steps.

    Attributes:
        rate: Learning rate η.
        beta1: Memory of the mean.
        beta2: Memory of the squares.
        tau: How adaptive: the least denominator, in parameter units.
    """

    rate: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.99
    tau: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse what never arrives."""
        if not 0 < self.rate < math.inf or not 0 < self.tau < math.inf:
            raise InputError("a server's rate and tau must be positive and finite")
        if not 0 <= self.beta1 < 1 or not 0 <= self.beta2 < 1:
            raise InputError("a server's beta1 and beta2 lie from 0 to below 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """Where the network stands, and what its server remembers.

    Attributes:
        point: Parameters in steps of 2^-20. Shape (p,), int64.
        mean: Of the moves so far. Shape (p,).
        square: Of their squares. Shape (p,).
    """

    point: NDArray[np.int64]
    mean: Floats
    square: Floats


Step: TypeAlias = Callable[[ServerState, Floats, ServerRates], tuple[Floats, ServerState]]
"""(state, mean move, rates) to the move that is made, and what is remembered."""


def begin(point: NDArray[np.int64], rates: ServerRates) -> ServerState:
    """Return the state before the first move."""
    return ServerState(
        point=point, mean=np.zeros(point.shape), square=np.full(point.shape, rates.tau**2)
    )


def advance(
    state: ServerState, total: DeepUpdate, *, server: str, rates: ServerRates
) -> ServerState:
    """Return the state after one exchange; as it was where nobody trained.

    Args:
        state: Before it.
        total: Sum over the devices.
        server: A key of SERVERS.
        rates: Its settings.

    Raises:
        InputError: there is no such server.
        ShapeError: the sum is of another network.

    >>> rates = ServerRates()
    >>> moves = DeepUpdate(product=np.array([6, -4]), items=2)
    >>> advance(begin(np.zeros(2, np.int64), rates), moves, server="averaging", rates=rates).point
    array([ 3, -2])
    """
    if server not in SERVERS:
        raise InputError(f"no server optimizer '{server}': {nearest(server, SERVERS)}")
    if total.product.shape != state.point.shape:
        raise ShapeError("deep update", total.product.shape, state.point.shape)
    if not total.items:
        return state
    move, after = SERVERS[server](state, total.mean, rates)
    steps = np.rint(move * 2.0**PARAMETER_FRACTION)
    return ServerState(
        point=state.point + steps.astype(np.int64), mean=after.mean, square=after.square
    )


def _averaging(state: ServerState, move: Floats, rates: ServerRates) -> tuple[Floats, ServerState]:
    """Make the mean move."""
    return rates.rate * move, state


def _momentum(state: ServerState, move: Floats, rates: ServerRates) -> tuple[Floats, ServerState]:
    """Go on in the direction of the moves before."""
    mean = rates.beta1 * state.mean + move
    return rates.rate * mean, ServerState(point=state.point, mean=mean, square=state.square)


def _adagrad(state: ServerState, move: Floats, rates: ServerRates) -> tuple[Floats, ServerState]:
    """Move less where much was moved before."""
    return _scaled(state, move, state.square + move * move, rates)


def _adam(state: ServerState, move: Floats, rates: ServerRates) -> tuple[Floats, ServerState]:
    """Move less where much was moved lately."""
    square = rates.beta2 * state.square + (1.0 - rates.beta2) * (move * move)
    return _scaled(state, move, square, rates)


def _yogi(state: ServerState, move: Floats, rates: ServerRates) -> tuple[Floats, ServerState]:
    """Adam whose squares grow as slowly as they shrink."""
    own = move * move
    square = state.square - (1.0 - rates.beta2) * own * np.sign(state.square - own)
    return _scaled(state, move, square, rates)


def _scaled(
    state: ServerState, move: Floats, square: Floats, rates: ServerRates
) -> tuple[Floats, ServerState]:
    """Return the mean of the moves over the root of their squares."""
    mean = rates.beta1 * state.mean + (1.0 - rates.beta1) * move
    made = rates.rate * (mean / (np.sqrt(square) + rates.tau))
    return made, ServerState(point=state.point, mean=mean, square=square)


SERVERS: Mapping[str, Step] = {
    "adagrad": _adagrad,
    "adam": _adam,
    "averaging": _averaging,
    "momentum": _momentum,
    "yogi": _yogi,
}
