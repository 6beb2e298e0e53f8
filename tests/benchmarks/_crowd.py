"""Many devices in a script: what they send, and a coordinator that takes it in.

Exchanges, inbox and store are the real ones, on SQLite with `synchronous=FULL`; replies have the
sizes that a device with ten functions, six classes and an embedding of 64 numbers sends.
"""

import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))  # a script sees its own folder only
from coordinator.inbox import Inbox, Shapes
from coordinator.rounds.campaign import STREAM
from coordinator.rounds.clock import SteadyClock
from coordinator.rounds.events import Event, dump_event
from coordinator.rounds.exchange import Exchanges
from coordinator.rounds.machine import Phase, RoundState, advance
from coordinator.rounds.question import Question
from coordinator.store.campaign import Store, open_store
from coordinator.store.rows import Annotation, KnownDevice, StoredCandidate, StoredLabel
from coordinator.transport import Came
from fieldvote.codec import IntVector
from fieldvote.heads import HeadModel
from fieldvote.records import (
    ARM_CHOSEN,
    AnswersReply,
    AnswersRequest,
    DeviceId,
    Offer,
    SurveyReply,
    encode,
)
from fieldvote.rng import stream
from strategies.aggregation.summed_head import head_sums
from strategies.labeling import AnchorSummary, VoteSummary
from strategies.representation import Moments

_AT_ONCE = 50  # replies that one look brings
_ITEMS, _FUNCTIONS, _CLASSES, _WIDTH = 200, 10, 6, 64
_OFFERS, _ANSWERS, _SKETCH_BYTES, _ENVELOPE_BYTES = 16, 4, 8, 220
_ROUND = 1
_LIMIT = 1 << 60


@dataclass(slots=True)
class Crowd:
    """Devices that have their replies ready."""

    replies: Mapping[DeviceId, bytes]
    _waiting: dict[str, DeviceId] = field(default_factory=dict)

    def devices(self) -> tuple[DeviceId, ...]:
        """Return everybody."""
        return tuple(self.replies)

    def push(self, requests: Mapping[DeviceId, bytes], *, ttl_s: float) -> Mapping[str, DeviceId]:
        """Take requests."""
        tickets = {f"{device:08d}": device for device in requests}
        self._waiting |= tickets
        return tickets

    def pull(self, tickets: Collection[str], *, wait_s: float) -> Sequence[Came]:
        """Return the next few replies."""
        now = [ticket for ticket in tickets if ticket in self._waiting][:_AT_ONCE]
        devices = [self._waiting.pop(ticket) for ticket in now]
        return [
            Came(ticket=ticket, device=device, reply=self.replies[device])
            for ticket, device in zip(now, devices, strict=True)
        ]


class Taking:
    """A coordinator with one exchange to make."""

    def __init__(self, store: Store, crowd: Crowd, phase: Phase) -> None:
        self._store, self._version = store, 0
        self._state = RoundState(number=_ROUND, phase=phase)
        self._pending: list[Event] = []
        self._exchanges = Exchanges(
            store, crowd, SteadyClock(), self._record, window_s=600.0, limit_bytes=_LIMIT
        )

    def take(self, question: Question) -> float:
        """Ask, and take the replies in; return how long that took, in seconds."""
        began = time.perf_counter()
        while True:
            self._exchanges.step(self._state, question)
            for event in self._pending:
                self._state = advance(self._state, event)
            self._version += len(self._pending)
            self._pending.clear()
            exchange = self._state.exchange
            if exchange is not None and not exchange.open:
                assert len(exchange.came) == len(exchange.devices)
                return time.perf_counter() - began

    def _record(self, event: Event) -> None:
        version = self._version + len(self._pending)
        self._store.append(STREAM, version, *dump_event(event))
        self._pending.append(event)


def take_surveys(place: Path, devices: int) -> float:
    """Return the seconds from the first request to the last survey stored."""
    everybody = [DeviceId(number) for number in range(1, devices + 1)]
    rngs = {device: stream(1, "crowd", device) for device in everybody}
    crowd = Crowd({device: encode(_survey(rngs[device])) for device in everybody})
    with closing(open_store(place, now=lambda: datetime.now(UTC))) as store:
        _meet(store, everybody)
        inbox = Inbox(store, _shapes())
        seconds = Taking(store, crowd, Phase.PLANNED).take(
            Question(
                name="survey",
                requests=lambda: dict.fromkeys(everybody, bytes(400)),
                count=_counted(lambda replies: inbox.survey(_ROUND, replies)),
                keeps=True,
            )
        )
        assert len(store.offers(_ROUND)) == devices * _OFFERS
        assert not inbox.dropped
    return seconds


def take_answers(place: Path, devices: int) -> float:
    """Return the seconds from the first request to the last device's sums stored."""
    everybody = [DeviceId(number) for number in range(1, devices + 1)]
    rngs = {device: stream(2, "crowd", device) for device in everybody}
    crowd = Crowd({device: encode(_answers(rngs[device])) for device in everybody})
    with closing(open_store(place, now=lambda: datetime.now(UTC))) as store:
        _meet(store, everybody)
        items = {device: [rngs[device].bytes(16) for _ in range(_ANSWERS)] for device in everybody}
        _answer(store, items)
        inbox = Inbox(store, _shapes())
        waiting = store.undelivered()
        assert len(waiting) == devices
        base = AnswersRequest(round=_ROUND, answers=(), representation=_head())

        def requests() -> dict[DeviceId, bytes]:
            return {
                device: encode(replace(base, answers=tuple(envelope for _, envelope in answers)))
                for device, answers in waiting.items()
            }

        seconds = Taking(store, crowd, Phase.FITTING).take(
            Question(
                name="answers",
                requests=requests,
                count=_counted(
                    lambda replies: inbox.answers(_ROUND, replies, store.sent(_ROUND), width=_WIDTH)
                ),
                keeps=True,
                carrying=[item for answers in waiting.values() for item, _ in answers],
            )
        )
        assert store.undelivered() == {}
        assert not inbox.dropped
    return seconds


def _counted(
    count: Callable[[Mapping[DeviceId, bytes]], object],
) -> Callable[[Mapping[DeviceId, bytes]], tuple[()]]:
    """Return what an exchange calls with replies whose requests are kept."""

    def counted(replies: Mapping[DeviceId, bytes]) -> tuple[()]:
        count(replies)
        return ()

    return counted


def _meet(store: Store, devices: Sequence[DeviceId]) -> None:
    with store.transaction():
        for device in devices:
            store.meet(
                KnownDevice(
                    id=device,
                    evaluates=False,
                    items=_ITEMS,
                    signing_key=bytes(32),
                    sealing_key=bytes(32),
                )
            )


def _answer(store: Store, items: Mapping[DeviceId, Sequence[bytes]]) -> None:
    """Let people have answered everything."""
    envelope = bytes(_ENVELOPE_BYTES)
    with store.transaction():
        for device, asked in items.items():
            for item in asked:
                store.keep_candidate(
                    _ROUND,
                    StoredCandidate(item=item, device=device, arm=ARM_CHOSEN, envelope=envelope),
                )
                store.keep_annotation(Annotation(item=item, annotator="ann", label=1, price=0.05))
                store.keep_label(StoredLabel(item=item, label=1, envelope=envelope))


def _votes(rng: np.random.Generator, items: int) -> NDArray[np.int8]:
    """Return votes of which half abstain."""
    votes = rng.integers(0, _CLASSES, size=(items, _FUNCTIONS))
    return np.where(rng.random(votes.shape) < 0.5, -1, votes).astype(np.int8)


def _survey(rng: np.random.Generator) -> SurveyReply:
    votes = _votes(rng, _ITEMS)
    return SurveyReply(
        round=_ROUND,
        items=_ITEMS,
        voted=int((votes >= 0).any(axis=1).sum()),
        votes=VoteSummary.from_votes(votes, classes=_CLASSES).to_vector(),
        moments=Moments.from_embeddings(rng.normal(size=(_ITEMS, _WIDTH))).to_vector(),
        offers=tuple(
            Offer(
                item=rng.bytes(16),
                arm=ARM_CHOSEN,
                score=int(rng.integers(1 << 16)),
                predicted=int(rng.integers(_CLASSES)),
                sketch=rng.bytes(_SKETCH_BYTES),
            )
            for _ in range(_OFFERS)
        ),
    )


def _answers(rng: np.random.Generator) -> AnswersReply:
    labels = rng.integers(0, _CLASSES, size=_ANSWERS)
    return AnswersReply(
        round=_ROUND,
        accepted=_ANSWERS,
        trained=_ANSWERS,
        anchors=AnchorSummary.from_votes(
            _votes(rng, _ANSWERS), labels, classes=_CLASSES
        ).to_vector(),
        labeled=_sums(rng, _ANSWERS),
        voted=_sums(rng, _ITEMS),
    )


def _sums(rng: np.random.Generator, items: int) -> IntVector:
    """Return the head sums of so many items."""
    inputs = np.rint(rng.normal(size=(items, _WIDTH)) * 512.0)
    return head_sums(inputs, np.ones(items), seed=1).to_vector()


def _head() -> HeadModel:
    """Return what devices are told of the head: how its inputs are made, and no weights."""
    return HeadModel(
        parent="",
        classes=_CLASSES,
        mean=np.zeros(_WIDTH),
        scale=np.ones(_WIDTH),
        gain=1.0,
        clip=6.0,
        recentre=0.0,
        fourier=0,
        bandwidth=1.0,
        amplitude=1.0,
        seed=1,
        weights=np.empty(0, dtype=np.int64),
    )


def _shapes() -> Shapes:
    rng = stream(3, "crowd")
    anchors = AnchorSummary.from_votes(_votes(rng, 1), np.array([0]), classes=_CLASSES)
    votes = VoteSummary.from_votes(_votes(rng, 1), classes=_CLASSES)
    return Shapes(votes=len(votes.to_vector()), anchors=len(anchors.to_vector()), classes=_CLASSES)
