"""Legs whose replies are only summed: kept under a digest, and how a head is counted by them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from coordinator.rounds.events import ExchangeName
from coordinator.rounds.exchange import Exchanges
from coordinator.rounds.machine import RoundState
from coordinator.rounds.parts import Parts
from coordinator.rounds.question import Question, Rest
from coordinator.store.rows import KnownDevice
from fieldvote.codec import IntVector, decode, encode
from fieldvote.heads import EvaluateRequest, HeadModel
from fieldvote.records import (
    DeviceId,
)
from fieldvote.records import encode as encode_message
from fieldvote.summed_fields import COHORT


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LegSums:
    """What replies to one leg of training or evaluation add up to.

    Of a head that is judged these are confusion counts, and then calibration sums.

    Attributes:
        held_out: Over held-out devices, or over all where that makes no difference.
        random_arm: Over the random arm of the others; empty where there is none.
    """

    held_out: IntVector
    random_arm: IntVector

    def __add__(self, other: "LegSums") -> "LegSums":
        return LegSums(
            held_out=self.held_out + other.held_out, random_arm=self.random_arm + other.random_arm
        )


NOTHING = np.empty(0, dtype=np.int64)
_MOST_BESIDE = 1 << 22  # weights of a network: two of them fit a message
_KINDS: dict[int, type] = {1: LegSums}


def dump_sums(sums: LegSums) -> bytes:
    """Return what a leg has come to as it is kept."""
    return encode(sums, _KINDS)


def read_sums(blob: bytes) -> LegSums:
    """Undo dump_sums."""
    return decode(blob, _KINDS, (LegSums,))


def by_arm(device: DeviceId, counts: IntVector, known: Mapping[DeviceId, KnownDevice]) -> LegSums:
    """Return what a device counted, on the side it is judged on; a cohort has both."""
    if device == COHORT:
        held, arm = np.split(counts, 2)
        return LegSums(held_out=held, random_arm=arm)
    nothing = np.zeros_like(counts)
    if known[device].evaluates:
        return LegSums(held_out=counts, random_arm=nothing)
    return LegSums(held_out=nothing, random_arm=counts)


class Judging:
    """Adds replies up, and asks devices how a head does."""

    def __init__(self, parts: Parts, exchanges: Exchanges) -> None:
        """Ask through these exchanges."""
        self._parts = parts
        self._exchanges = exchanges
        self._sums: dict[tuple[int, str, int], LegSums] = {}

    def step(
        self,
        state: RoundState,
        name: ExchangeName,
        leg: int,
        digest: str,
        devices: Sequence[DeviceId],
        *,
        least: bool = True,
        calibrates: bool = False,
    ) -> Rest | None:
        """Count how a head does on these devices, at least one if there must be.

        Args:
            state: The round.
            name: Of the exchange.
            leg: Which of its legs.
            digest: Of the head.
            devices: Who is asked.
            least: Whether one of them must answer.
            calibrates: Whether to ask too how sure it is, and the one before of the same items.
        """
        known = self._parts.store.devices()
        before = self._before(state) if calibrates else None

        def requests() -> dict[DeviceId, bytes]:
            request = EvaluateRequest(
                round=state.number,
                model=self._parts.shelf.get(digest),
                calibrates=calibrates,
                before=before,
            )
            return dict.fromkeys(devices, encode_message(request))

        def count(replies: Mapping[DeviceId, bytes]) -> list[DeviceId]:
            heads = calibrates + (before is not None)
            counted = self._parts.inbox.judged(state.number, replies, heads=heads)
            for device, counts in counted.items():
                self.add(state, name, leg, by_arm(device, counts, known))
            return list(counted)

        return self._exchanges.step(
            state,
            Question(
                name=name,
                leg=leg,
                requests=requests,
                count=count,
                share=self._parts.settings.pace.minimum_share,
                least=int(least),
                close=lambda: self.keep(state, name, leg),
            ),
        )

    def _before(self, state: RoundState) -> HeadModel | None:
        """Return the head before a round's; None for none, or one too large to be sent beside."""
        before = self._parts.shelf.get(state.parent) if state.parent else None
        return None if before is None or len(before.deep) > _MOST_BESIDE else before

    def add(self, state: RoundState, name: str, leg: int, sums: LegSums) -> None:
        """Add to what a leg has come to so far."""
        key = (state.number, name, leg)
        # one leg at a time: only one round has the model in hand
        self._sums = {key: self._sums[key] + sums if key in self._sums else sums}

    def keep(self, state: RoundState, name: str, leg: int) -> str:
        """Keep what a leg has come to; return its digest."""
        squared = len(self._parts.task.classes) ** 2
        nothing = np.zeros(squared, dtype=np.int64)
        empty = LegSums(held_out=nothing, random_arm=nothing)
        sums = self._sums.get((state.number, name, leg), empty)
        return self._parts.store.keep_artifact(dump_sums(sums))

    def read(self, digest: str) -> LegSums:
        """Return what a leg has come to."""
        return read_sums(self._parts.store.artifact(digest))
