"""Asking devices why a head said so of one input: an exchange of its own, beside the rounds'.

It changes nothing on a device and nothing in a campaign, so nothing of it is an event: a
coordinator that dies over it finds the wish where it was, and asks again.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np

from coordinator.models.asking import (
    INQUIRY,
    InputAnswer,
    InputQuestion,
    direction_of,
    keep_answer,
)
from coordinator.models.totals import Snapshot
from coordinator.rounds.campaign import CampaignState
from coordinator.rounds.events import Asked, Closed, Extended
from coordinator.rounds.exchange import Exchanges
from coordinator.rounds.influence import Lesson
from coordinator.rounds.machine import Exchange, RoundState
from coordinator.rounds.parts import Parts
from coordinator.rounds.question import Question
from coordinator.store.promises import Owed
from fieldvote.codec import IntVector
from fieldvote.errors import FencedError, FieldvoteError, InputError, StoreError
from fieldvote.records import DeviceId, encode
from fieldvote.traces import FUNCTIONS, TraceRequest
from strategies.governance.influence import INFLUENCE_FRACTION, Direction

_BESIDE = 1 << 24  # legs of rounds are below
_ASKED = "attempts at "  # and a wish
_ATTEMPTS = 3


@dataclass(slots=True, eq=False)
class _Inquiry:
    """One question that is on its way.

    Attributes:
        key: Of the wish.
        request: What devices are asked.
        scale: What one unit of the direction stands for.
        total: What the replies add up to so far.
        exchange: The exchange, open or closed.
    """

    key: str
    request: TraceRequest
    scale: float
    total: IntVector
    exchange: Exchange | None = None

    @property
    def number(self) -> int:
        """The round whose head is asked about."""
        return self.request.round


class Inquiries:
    """Answers one question after the other."""

    def __init__(
        self,
        parts: Parts,
        lesson: Lesson,
        *,
        limit_bytes: int,
    ) -> None:
        """Keep the parts.

        Args:
            parts: What the rounds of the campaign work with.
            lesson: Says what taught a head.
            limit_bytes: What the campaign may send and receive in all.
        """
        self._parts, self._store, self._lesson = parts, parts.store, lesson
        self._open: _Inquiry | None = None
        self._exchanges = Exchanges(
            parts.store,
            parts.transport,
            parts.clock,
            self._record,
            window_s=parts.settings.deadline_s,
            limit_bytes=limit_bytes,
        )

    def step(self, campaign: CampaignState) -> bool:
        """Take the oldest question a step further; return whether anything happened."""
        owed = [row for row in self._store.owed() if row.kind == INQUIRY]
        if self._open is not None and self._open.key not in [row.key for row in owed]:
            self._let_go(self._open)  # whoever asked has gone
        if not owed:
            return False
        try:
            if self._open is None or self._open.key != owed[0].key:
                self._open = self._begun(owed[0], campaign)
            return self._moved(self._open)
        except (StoreError, FencedError):
            self._open = None
            raise
        except FieldvoteError as err:
            self._settle(owed[0].key, InputAnswer(refusal=str(err)))
            return True

    def _begun(self, row: Owed, campaign: CampaignState) -> _Inquiry:
        """Return a question as devices are asked it.

        Raises:
            InputError: the head is not there any more, or functions changed since.
        """
        question = InputQuestion.from_json(row.body)
        state = campaign.rounds.get(question.round, RoundState())
        if not state.trace:
            raise InputError(f"the head of round {question.round} is too old to be asked about")
        then = Snapshot.from_bytes(self._store.artifact(state.inputs)).task
        if then != self._parts.task.digest:
            raise InputError("functions changed since that head was trained")
        shelf = self._parts.shelf
        model, base = shelf.get(state.model), shelf.get(state.base)
        way = direction_of(model, question)
        direction = Direction.of(way - way[:, -1:])  # as the last class is not sent
        request = TraceRequest(
            round=question.round,
            step=self._step_of(row.key, question.round),
            about=FUNCTIONS,
            lesson=self._lesson(state, campaign, model),
            behaviours=1,
            directions=direction.steps.weights[:, :-1].ravel(),
            before=base,
            change=np.zeros(len(base.weights), dtype=np.int64),
        )
        rows = len(self._parts.task.functions) + 1
        length = 1 + rows * (model.classes + 1)
        return _Inquiry(
            key=row.key,
            request=request,
            scale=direction.scale,
            total=np.zeros(length, dtype=np.int64),
        )

    def _step_of(self, key: str, number: int) -> int:
        """Return what this attempt is called; what an earlier one has set aside is free again."""
        name = f"{_ASKED}{key}"
        attempt = int(self._store.note(name) or "0")
        with self._store.transaction():
            if attempt:
                with suppress(InputError):  # it died before anything was set aside
                    self._store.settle_budget(_budget_of(number, _leg_of(key, attempt)), 0)
            self._store.keep_note(name, str(attempt + 1))
        return _leg_of(key, attempt + 1)

    def _moved(self, inquiry: _Inquiry) -> bool:
        """Go on with the exchange; keep the answer once it is over."""
        rest = self._exchanges.step(inquiry, self._question(inquiry))
        exchange = inquiry.exchange
        if exchange is not None and (not exchange.open or exchange.attempt > _ATTEMPTS):
            items, values = int(inquiry.total[0]), inquiry.total[1:].astype(np.float64)
            columns = inquiry.request.lesson.model.classes + 1
            ours = values.reshape(-1, columns)[:, -1] * 2.0**-INFLUENCE_FRACTION * inquiry.scale
            answer = InputAnswer(
                devices=len(exchange.came), items=items, values=tuple(ours.tolist())
            )
            self._settle(inquiry.key, answer)
            return True
        return rest is None

    def _question(self, inquiry: _Inquiry) -> Question:
        """Return the one leg there is."""
        step = inquiry.request.step

        def requests() -> dict[DeviceId, bytes]:
            known, blob = self._store.devices(), encode(inquiry.request)
            able = self._parts.may_teach
            return {d: blob for d in self._parts.reachable() if able(known[d])}

        def count(replies: Mapping[DeviceId, bytes]) -> list[DeviceId]:
            vectors = self._parts.inbox.traces(
                inquiry.number, step, replies, fits=lambda each: len(each) == len(inquiry.total)
            )
            for vector in vectors.values():
                inquiry.total = inquiry.total + vector
            return list(vectors)

        return Question(name="influence", leg=step, requests=requests, count=count, least=1)

    def _record(self, event: Asked | Extended | Closed) -> None:
        """Move the exchange on; it lives in this process alone."""
        inquiry = self._open
        if inquiry is None:
            return
        match event:
            case Asked():
                inquiry.exchange = Exchange.begun(event)
            case Extended() if inquiry.exchange:
                again = inquiry.exchange.attempt + 1
                inquiry.exchange = replace(inquiry.exchange, until=event.until, attempt=again)
            case Closed() if inquiry.exchange:
                inquiry.exchange = replace(inquiry.exchange, open=False, came=event.came)
            case _:
                pass

    def _let_go(self, inquiry: _Inquiry) -> None:
        """Wait for no replies any more, and set what was set aside for them free."""
        self._exchanges.forget(inquiry.number)
        self._open = None
        with suppress(InputError), self._store.transaction():
            self._store.settle_budget(_budget_of(inquiry.number, inquiry.request.step), 0)

    def _settle(self, key: str, answer: InputAnswer) -> None:
        """Keep an answer."""
        with self._store.transaction():
            keep_answer(self._store, key, answer)
        self._open = None


def _budget_of(number: int, leg: int) -> str:
    """Return what the budget calls an attempt; see the exchanges' own names."""
    return f"{number}/influence/{leg}"


def _leg_of(key: str, attempt: int) -> int:
    """Return the number of an attempt at a wish: beyond those of rounds' legs, and its own."""
    mark = blake2b(f"{key} {attempt}".encode(), digest_size=3).digest()
    return _BESIDE | int.from_bytes(mark, "big")
