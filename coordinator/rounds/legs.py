"""Legs whose replies are only summed: how a phase asks one, and goes on with what asks several.

Several are asked by a conversation, a function of the sums of its legs and nothing else. Those are
kept under digests which the round's events name, so a coordinator that dies begins the conversation
anew, tells it what is kept, and goes on at the leg it had reached.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from coordinator.rounds.events import Event, ExchangeName
from coordinator.rounds.exchange import Exchanges
from coordinator.rounds.judging import NOTHING, Judging, LegSums
from coordinator.rounds.machine import RoundState
from coordinator.rounds.parts import Parts
from coordinator.rounds.question import Question, Rest
from fieldvote.codec import IntVector
from fieldvote.conversation import Conversation
from fieldvote.records import DeviceId

Asked = TypeVar("Asked")
Result = TypeVar("Result")

Requests = Callable[[], Mapping[DeviceId, bytes]]
Read = Callable[[Mapping[DeviceId, bytes]], Mapping[DeviceId, IntVector]]
"""Returns the sums in replies that are of use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Legs:
    """What a phase of a round asks with.

    Attributes:
        parts: What rounds work with.
        exchanges: How devices are asked.
        judging: Adds replies up, and keeps what they come to.
        record: Appends an event inside the current transaction.
    """

    parts: Parts
    exchanges: Exchanges
    judging: Judging
    record: Callable[[Event], None]

    def ask(
        self,
        state: RoundState,
        name: ExchangeName,
        leg: int,
        requests: Requests,
        read: Read,
        *,
        least: int = 1,
        length: int | None = None,
    ) -> Rest | None:
        """Ask devices one leg; return what is waited for, None if something happened.

        Args:
            state: The round.
            name: Of the exchange.
            leg: Which of its legs.
            requests: Makes the requests.
            read: Reads the replies.
            least: How many must answer at least, if so many are asked.
            length: Of the sums, for a leg that no share of those asked has to answer: it is over
                when its window is, and then comes to so many zeros if nobody has.
        """

        def count(replies: Mapping[DeviceId, bytes]) -> list[DeviceId]:
            vectors = read(replies)
            for vector in vectors.values():
                self._add(state, name, leg, vector)
            return list(vectors)

        def close() -> str:
            if length is not None:
                self._add(state, name, leg, np.zeros(length, dtype=np.int64))
            return self.judging.keep(state, name, leg)

        share = self.parts.settings.pace.minimum_share if length is None else 0.0
        question = Question(
            name=name,
            leg=leg,
            requests=requests,
            count=count,
            share=share,
            least=least,
            close=close,
        )
        return self.exchanges.step(state, question)

    def sums(self, digest: str) -> IntVector:
        """Return what a leg has come to."""
        return self.judging.read(digest).held_out

    def _add(self, state: RoundState, name: str, leg: int, vector: IntVector) -> None:
        self.judging.add(state, name, leg, LegSums(held_out=vector, random_arm=NOTHING))


class Talk(Generic[Asked, Result]):
    """A conversation of the round that is under way, as far as this process holds it."""

    def __init__(self, legs: Legs) -> None:
        """Tell it what these legs have come to."""
        self._legs = legs
        self._held: tuple[int, Conversation[Asked, IntVector, Result]] | None = None  # of a round

    def caught_up(
        self,
        number: int,
        digests: Sequence[str],
        begin: Callable[[], Generator[Asked, IntVector, Result]],
    ) -> Conversation[Asked, IntVector, Result]:
        """Return a round's conversation with every closed leg in.

        Args:
            number: The round.
            digests: Of the closed legs from its first one on. Those after its last are not its own.
            begin: Begins it; called once in a process.
        """
        if self._held is None or self._held[0] != number:
            self._held = (number, Conversation.begin(begin()))
        talk = self._held[1]
        for digest in digests[talk.heard :]:
            if talk.over:
                break
            talk.tell(self._legs.sums(digest))
        return talk

    def forget(self) -> None:
        """Let go of it: it is over."""
        self._held = None
