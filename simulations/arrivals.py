"""Items that come to their devices while a campaign runs, and how they change on the way.

Which item comes when is fixed by the scenario and the seed. A device takes in what is due when it
is first asked something in a round, so it is the same on every engine, and a device that is not
asked costs nothing.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.agent import Agent, AgentParts
from edge.keeper import Keeper
from edge.keeper_views import KeeperMeans
from fieldvote.errors import InputError
from fieldvote.heads import EvaluateRequest
from fieldvote.records import REQUESTS, SurveyRequest, decode
from fieldvote.rights import Rights
from fieldvote.rng import stream
from fieldvote.summed_fields import question_of
from simulations.dataset import Dataset

_SECOND = 2  # the first round is over what is there at the start


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalSettings:
    """How items come.

    Attributes:
        rounds: By which round all are there; 0: all are there at the start.
        initial: Share of each device's items that is.
        shift_from: What comes in this round or later is shifted; 0 for never.
        shift: By how much, in spreads of a feature, typically; each feature by an amount of its
            own, the same on every device.
        new_class: Number of the class that is not there at the start; none for -1.
        new_from: The round in which its first items come.
    """

    rounds: int = 0
    initial: float = 0.3
    shift_from: int = 0
    shift: float = 1.0
    new_class: int = -1
    new_from: int = 0

    def __post_init__(self) -> None:
        """Refuse what never comes."""
        if self.rounds < 0 or not 0.0 <= self.initial <= 1.0 or self.shift_from < 0:
            raise InputError("arrivals: expected rounds and shift_from of 0 or more, a share")
        if self.new_class >= 0 and not _SECOND <= self.new_from <= self.rounds:
            raise InputError(
                f"arrivals.new_from: expected {_SECOND} to {self.rounds}, got {self.new_from}"
            )


def arrival_rounds(dataset: Dataset, settings: ArrivalSettings, seed: int) -> NDArray[np.int64]:
    """Return the round in which each item comes to its device, 0 for the start. Shape (n,).

    Every device has an item at the start.
    """
    items = len(dataset.labels)
    if not settings.rounds:
        return np.zeros(items, dtype=np.int64)
    rng = stream(seed, "arrivals")
    comes = rng.integers(_SECOND, settings.rounds + 1, size=items)
    comes[rng.random(items) < settings.initial] = 0
    if settings.new_class >= 0:
        late = dataset.labels == settings.new_class
        comes[late] = rng.integers(settings.new_from, settings.rounds + 1, size=int(late.sum()))
    for number in range(dataset.devices):
        mine = np.flatnonzero(dataset.device == number)
        if comes[mine].min() > 0:
            comes[mine[comes[mine].argmin()]] = 0
    return np.asarray(comes, dtype=np.int64)


def shifted(
    dataset: Dataset, comes: NDArray[np.int64], settings: ArrivalSettings, seed: int
) -> Dataset:
    """Return the data with what comes late moved in its features; classes stay what they are.

    Raises:
        InputError: the items are texts.
    """
    if not settings.shift_from or not settings.rounds:
        return dataset
    if dataset.features is None:
        raise InputError("arrivals.shift_from: texts have no features to shift")
    late = comes >= settings.shift_from
    spread = dataset.features.std(axis=0)
    way = stream(seed, "shift").standard_normal(dataset.features.shape[1])
    moved = dataset.features + late[:, None] * (settings.shift * spread * way)
    return replace(dataset, features=moved)


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """What comes to one device, in the order in which it does.

    Attributes:
        ids: Of all its items.
        payloads: What they are.
        gold: Their classes, on a device that only evaluates; None elsewhere.
        rounds: In which round each comes, ascending.
    """

    ids: tuple[bytes, ...]
    payloads: tuple[bytes, ...]
    gold: tuple[int, ...] | None
    rounds: tuple[int, ...]

    def due(self, number: int) -> int:
        """Return how many items are there by a round."""
        return int(np.searchsorted(self.rounds, number, side="right"))


class ArrivingAgent(Agent):
    """An agent whose pool takes in what is due before it answers."""

    def __init__(self, parts: AgentParts, supply: Supply, means: KeeperMeans | None = None) -> None:
        """Begin with what is there at the start.

        Args:
            parts: What an agent is made of.
            supply: What comes.
            means: How a bounded pool decides what stays; None keeps everything.
        """
        self._supply, self._pool, self._means = supply, parts.pool, means
        self._here = 0
        self._receive(0)
        super().__init__(parts)

    def handle(self, request: bytes) -> bytes:
        """Return the reply to a request, after what came until its round is taken in.

        Raises:
            WireError: the bytes are no request.
            RefusalError: the policy or the ledger says no.
        """
        if self._here < len(self._supply.ids):
            asked = question_of(decode(request, *REQUESTS))
            if isinstance(asked, SurveyRequest | EvaluateRequest):
                self._receive(asked.round)
        return super().handle(request)

    def _receive(self, number: int) -> None:
        """Add the items that are due and not there yet."""
        here, due = self._here, self._supply.due(number)
        if due <= here:
            return
        self._here = due
        ids, payloads = self._supply.ids[here:due], self._supply.payloads[here:due]
        if self._means is not None:
            keeper = Keeper(self._pool, self._means)
            keeper.see(ids, payloads, [Rights.SHIP] * len(ids))
            keeper.settle()
            return
        gold = self._supply.gold
        self._pool.add(ids, payloads, gold=None if gold is None else gold[here:due])
