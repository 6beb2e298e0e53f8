"""Buffered asynchronous averaging: nobody waits for the slowest device.

Each device trains from whatever it was last given and sends its move when it is done. The
coordinator keeps moves in a buffer; when so many have come, it makes the mean step and empties it.
A move that began some steps ago counts less, and one that began too long ago not at all.

Source: Nguyen et al. 2022, "Federated learning with buffered asynchronous aggregation",
    arXiv:2106.06639, algorithm 1; the weight 1/√(1 + s) of a move s steps old is its section 5's.
"""

from dataclasses import dataclass, replace

import numpy as np

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.adaptive import ServerRates, ServerState, advance
from strategies.aggregation.deep_update import DeepUpdate

# A whole number of 1/256: what a stale move counts for must not bring rounding into a sum.
_SHARES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """Moves that wait for the others of their step.

    Attributes:
        held: Their sum, each times 256 times its share.
        moves: How many.
        steps: Steps made so far.
    """

    held: DeepUpdate
    moves: int = 0
    steps: int = 0


def share_of(staleness: int) -> int:
    """Return what a move so many steps old counts for, of 256.

    >>> [share_of(staleness) for staleness in (0, 3, 15)]
    [256, 128, 64]
    """
    return round(_SHARES / float(np.sqrt(1.0 + staleness)))


def take_in(
    buffer: Buffer,
    state: ServerState,
    update: DeepUpdate,
    *,
    began: int,
    goal: int,
    server: str = "averaging",
    rates: ServerRates | None = None,
    most_stale: int = 50,
) -> tuple[Buffer, ServerState]:
    """Put a device's move into the buffer; make the step if it is full now.

    Args:
        buffer: What waits.
        state: Where the network stands.
        update: The move, from the point after `began` steps.
        began: That step.
        goal: How many moves make a step.
        server: What is made of their mean; a key of SERVERS.
        rates: Its settings.
        most_stale: A move that is older is dropped.

    Raises:
        InputError: the move began in the future, or goal is not positive.
        ShapeError: it is of another network.
    """
    staleness = buffer.steps - began
    if staleness < 0 or goal < 1:
        raise InputError(f"a move from step {began} of {buffer.steps}, {goal} of them to a step")
    if update.product.shape != state.point.shape:
        raise ShapeError("deep update", update.product.shape, state.point.shape)
    if staleness > most_stale:
        return buffer, state
    share = share_of(staleness)
    # A stale move is shorter, and its items count as ever: a buffer of stale moves steps less far.
    weighted = DeepUpdate(product=update.product * share, items=update.items * _SHARES)
    buffer = replace(buffer, held=buffer.held + weighted, moves=buffer.moves + 1)
    if buffer.moves < goal:
        return buffer, state
    state = advance(state, buffer.held, server=server, rates=rates or ServerRates())
    return Buffer(held=DeepUpdate.empty(len(state.point)), steps=buffer.steps + 1), state
