"""Agents over pools in memory, and the desk that opens what they ship and answers it."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from coordinator.models.training import first_model
from coordinator.settings import InputSettings
from edge.agent import Agent, AgentParts
from edge.labeling import compile_functions
from edge.outbox import Outbox, Recipient
from edge.pool import Pool
from edge.redaction import redaction_of
from edge.scorer import Scorer
from edge.spending import limits_of, task_limits
from fieldvote.heads import (
    EvaluateReply,
    EvaluateRequest,
    GradientReply,
    GradientRequest,
    HeadModel,
)
from fieldvote.records import (
    Answer,
    AnswersReply,
    AnswersRequest,
    CollectReply,
    CollectRequest,
    MaskedItem,
    SealedItem,
    SurveyReply,
    SurveyRequest,
    decode,
    encode,
)
from fieldvote.rng import keyed_entropy, stream
from fieldvote.task import Task
from privacy.dp import Ledger
from privacy.sealing import SealingKey, SigningKey, open_envelope, seal
from privacy.sealing.context import Marks, Purpose, Scope
from privacy.sealing.rotation import DatedKey
from strategies.representation import Moments

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Who candidates are sealed to and answers signed by."""

    labeling: SealingKey = field(
        default_factory=lambda: SealingKey.generate(keyed_entropy(0, "labeling"))
    )
    signing: SigningKey = field(default_factory=lambda: SigningKey.generate(keyed_entropy(0, "s")))


DESK = Desk()


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device of a test, and everything a test may look into."""

    task: Task
    agent: Agent
    pool: Pool
    ledger: Ledger
    outbox: Outbox
    signing: SigningKey
    sealing: SealingKey
    sent: list[bytes] = field(default_factory=list)

    def ask(self, request: object) -> bytes:
        """Return the reply to a request, and keep a copy of what left."""
        reply = self.agent.handle(encode(request))
        self.sent.append(reply)
        return reply

    def survey(
        self,
        round_number: int = 1,
        *,
        random: int = 0,
        chosen: int = 0,
        first: bool = False,
        model: HeadModel | None = None,
        strategy: str = "fleet",
    ) -> SurveyReply:
        """Survey the device."""
        request = SurveyRequest(
            round=round_number,
            strategy=strategy,
            offers=chosen,
            random_offers=random,
            first=first,
            model=model,
        )
        return decode(self.ask(request), SurveyReply)

    def collect(self, items: Iterable[bytes], round_number: int = 1) -> CollectReply:
        """Ask for items."""
        return decode(
            self.ask(CollectRequest(round=round_number, grants=tuple(items))), CollectReply
        )

    def opened(self, sealed: SealedItem) -> MaskedItem:
        """Open an envelope as the desk does."""
        opened = open_envelope(
            sealed.envelope,
            keys=[DESK.labeling],
            scope=self.scope(Purpose.CANDIDATE, sealed.item),
            senders=[self.signing.public],
        )
        return decode(opened.plaintext, MaskedItem)

    def scope(self, purpose: Purpose, item: bytes = b"") -> Scope:
        """Return what this device's envelopes are bound to."""
        family, device = self.task.family, self.signing.public
        return Scope(purpose=purpose, family=family, device=device, item=item)

    def sealed_answer(
        self,
        item: bytes,
        label: int,
        *,
        signer: SigningKey = DESK.signing,
        recipient: bytes | None = None,
    ) -> bytes:
        """Return an answer as the desk seals it."""
        return seal(
            encode(Answer(item=item, label=label)),
            recipient=self.sealing.public if recipient is None else recipient,
            scope=self.scope(Purpose.ANSWER),
            marks=Marks(epoch=os.urandom(16), sequence=0),
            signer=signer,
        )

    def answers(
        self, envelopes: Sequence[bytes], model: HeadModel, round_number: int = 1
    ) -> AnswersReply:
        """Deliver answers."""
        request = AnswersRequest(round=round_number, answers=tuple(envelopes), representation=model)
        return decode(self.ask(request), AnswersReply)

    def gradient(self, model: HeadModel, *, vote_weight: float = 0.0) -> GradientReply:
        """Ask for a gradient."""
        return decode(self.ask(gradient_request(model, vote_weight=vote_weight)), GradientReply)

    def evaluate(self, model: HeadModel) -> EvaluateReply:
        """Ask for confusion counts."""
        return decode(self.ask(EvaluateRequest(round=1, model=model)), EvaluateReply)

    def state(self) -> tuple[object, ...]:
        """Return everything the pool holds, to be compared."""
        names = ("gold", "arm", "answer", "answered_in", "summed")
        columns = tuple(tuple(self.pool.column(name).tolist()) for name in names)
        notes = (self.pool.note("offers"), self.pool.note("voted sums"))
        return (tuple(self.pool.payloads()), columns, notes)


def gradient_request(
    model: HeadModel,
    *,
    vote_weight: float = 0.0,
    label_model: Sequence[float] = (),
    epochs: int = 0,
) -> GradientRequest:
    """Return a request for one exchange."""
    return GradientRequest(
        round=1,
        step=0,
        model=model,
        vote_weight=vote_weight,
        label_model=np.array(label_model, dtype=np.float64),
        epochs=epochs,
        l2_per_item=0.1,
    )


def build_device(
    task: Task,
    payloads: Sequence[bytes],
    *,
    number: int = 0,
    ids: Sequence[bytes] | None = None,
    gold: Sequence[int] | None = None,
    pool: Pool | None = None,
    entropy: Callable[[int], bytes] = os.urandom,
) -> Device:
    """Return a device with these items; gold makes it one that only evaluates."""
    naming = keyed_entropy(number, "ids")
    pool = Pool(None) if pool is None else pool
    if payloads:
        pool.add(
            [naming(16) for _ in payloads] if ids is None else list(ids), list(payloads), gold=gold
        )
    ledger = Ledger(pool, limits_of(task), lambda: NOON, tasks=task_limits(task))
    redactor, vocabulary = redaction_of(task)
    signing = SigningKey.generate(keyed_entropy(number, "signing"))
    sealing = SealingKey.generate(keyed_entropy(number, "sealing"))
    outbox = Outbox(
        task,
        ledger=ledger,
        redactor=redactor,
        vocabulary=vocabulary,
        signer=signing,
        recipient=Recipient(
            labeling_keys=(DatedKey(public=DESK.labeling.public),), now=lambda: NOON
        ),
        entropy=entropy,
    )
    names = (task.names.input, task.names.probabilities, task.names.embedding)
    agent = Agent(
        AgentParts(
            task=task,
            pool=pool,
            scorer=Scorer(task.model, names=names),
            functions=compile_functions(task.functions, task.input, task.classes),
            outbox=outbox,
            sealing_key=sealing,
            desk_keys=(DatedKey(public=DESK.signing.public),),
            sketch_seed=7,
            evaluates=gold is not None,
            rng=lambda purpose, round_number: stream(1, purpose, number, round_number),
            redactor=redactor,
        )
    )
    return Device(
        task=task,
        agent=agent,
        pool=pool,
        ledger=ledger,
        outbox=outbox,
        signing=signing,
        sealing=sealing,
    )


def model_from(moments: Moments, *, classes: int, recentre: float = 0.0) -> HeadModel:
    """Return the head a campaign starts from."""
    return first_model(moments, InputSettings(recentre=recentre), classes=classes, seed=1)
