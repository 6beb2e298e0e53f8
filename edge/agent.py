"""The agent: one device's part in a round, request by request.

It decides what a request is about and gathers the numbers; :mod:`edge.outbox` decides what leaves.
Rules it keeps:

- A pool item enters at most one released sum of votes, so two surveys never subtract to one item.
- Only what was offered is shipped, only what was shipped can be answered, the first answer stays.
- A request that changes the pool is journaled with its reply: asked twice, it answers with the same
  bytes, charges nothing, and counts once.
- Bad requests change nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from edge.items import items_of, model_inputs
from edge.labeling import CompiledFunctions
from edge.learning.learner import Learner, Lessons
from edge.outbox import Outbox
from edge.pool import Pool
from edge.scorer import Scorer
from edge.selection import OfferWish, for_evaluation, make_offers, pack_offers, unpack_offers
from edge.serving_head import served_by as served_by  # whoever asks an agent asks this
from edge.serving_head import take_up
from fieldvote.delivery import BundleReply, BundleRequest
from fieldvote.errors import InputError, RefusalError, ShapeError, WireError
from fieldvote.heads import (
    EvaluateReply,
    EvaluateRequest,
    GradientReply,
    GradientRequest,
    ServeRequest,
)
from fieldvote.records import (
    ANSWER_CONTEXT,
    ARM_RANDOM,
    REQUESTS,
    Answer,
    AnswersReply,
    AnswersRequest,
    CollectReply,
    CollectRequest,
    HelloReply,
    HelloRequest,
    Reply,
    Request,
    SealedItem,
    SurveyReply,
    SurveyRequest,
    decode,
)
from fieldvote.task import Task
from privacy.sealing import SealingKey, open_envelope
from strategies.evaluation import confusion
from strategies.labeling import AnchorSummary, LabelModel, VoteSummary
from strategies.representation import Moments

_CHANGING = (SurveyRequest, CollectRequest, AnswersRequest, ServeRequest)
_EVALUATING = (HelloRequest, EvaluateRequest, ServeRequest, BundleRequest)
_NOTHING = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentParts:
    """What an agent is made of.

    Attributes:
        task: The installed task.
        pool: The device's items.
        scorer: The task's model.
        functions: The task's labeling functions, compiled.
        outbox: The one door.
        sealing_key: Opens the answers.
        desk_key: Public key answers must be signed with.
        sketch_seed: The fleet's secret projection.
        evaluates: Whether this device only evaluates.
        rng: Makes the random stream of a purpose and a round.
        arrive: Takes a piece of a new task.
    """

    task: Task
    pool: Pool
    scorer: Scorer
    functions: CompiledFunctions
    outbox: Outbox
    sealing_key: SealingKey
    desk_key: bytes
    sketch_seed: int
    evaluates: bool
    rng: Callable[[str, int], np.random.Generator]
    arrive: Callable[[BundleRequest], BundleReply] | None = None


class Agent:
    """Answers requests; holds the pool's arrays in memory between them."""

    def __init__(self, parts: AgentParts) -> None:
        """Score and vote on the whole pool once."""
        self._parts = parts
        self._classes = len(parts.task.classes)
        payloads = parts.pool.payloads()
        if not payloads:
            raise InputError("the pool is empty: add items before the agent takes part")
        scores = parts.scorer.score(model_inputs(payloads, parts.task.input))
        if scores.probabilities.shape[1] != self._classes:
            raise ShapeError("probabilities", scores.probabilities.shape, ("n", self._classes))
        self._ids = parts.pool.ids()
        self._position = {item: place for place, item in enumerate(self._ids)}
        self._half = np.array([for_evaluation(item) for item in self._ids], dtype=np.bool_)
        self._learner = Learner(scores.embeddings, classes=self._classes)
        self._votes = parts.functions.vote(
            items_of(payloads, parts.task.input, scores.probabilities.astype(np.float64))
        )
        self._voted: NDArray[np.bool_] = np.asarray((self._votes >= 0).any(axis=1))

    @property
    def votes(self) -> NDArray[np.int8]:
        """The functions' votes on the pool; shape (n, m). They stay on the device."""
        return self._votes

    def handle(self, request: bytes) -> bytes:
        """Return the reply to a request.

        Raises:
            WireError: the bytes are no request.
            RefusalError: the policy or the ledger says no.
        """
        message = decode(request, *REQUESTS)
        if self._parts.evaluates and not isinstance(message, _EVALUATING):
            raise RefusalError("this device only evaluates: it is neither surveyed nor trained on")
        if not isinstance(message, _CHANGING):
            return self._parts.outbox.release(self._read(message))
        name = blake2b(request, digest_size=16).digest()
        known = self._parts.pool.recall(name)
        if known is not None:
            return known
        reply, change = self._work(message)
        blob = self._parts.outbox.release(reply)
        with self._parts.pool.changing():
            change()
            self._parts.pool.remember(name, blob)
        return blob

    def _read(self, message: Request) -> Reply:
        """Answer a request that leaves the pool as it is."""
        match message:
            case HelloRequest():
                return self._hello()
            case GradientRequest():
                return self._gradient(message)
            case EvaluateRequest():
                return self._evaluate(message)
            case BundleRequest() if self._parts.arrive:
                return self._parts.arrive(message)
            case _:
                raise WireError(f"{type(message).__name__} is not answered here")

    def _work(self, message: Request) -> tuple[Reply, Callable[[], None]]:
        """Answer a request, and say what it changes once the reply may leave."""
        match message:
            case SurveyRequest():
                return self._survey(message)
            case CollectRequest():
                return self._collect(message)
            case AnswersRequest():
                return self._answers(message)
            case ServeRequest():
                return take_up(self._parts.pool, message)
            case _:
                raise WireError(f"{type(message).__name__} is not answered here")

    def _hello(self) -> HelloReply:
        return HelloReply(
            task=self._parts.task.digest,
            evaluates=self._parts.evaluates,
            items=len(self._ids),
            signing_key=self._parts.outbox.signing_key,
            sealing_key=self._parts.sealing_key.public,
        )

    def _survey(self, message: SurveyRequest) -> tuple[Reply, Callable[[], None]]:
        """Sum what was in no sum yet, and offer what is free."""
        pool = self._parts.pool
        fresh = np.flatnonzero(pool.column("summed") == 0)
        free = np.flatnonzero((pool.column("arm") < 0) & (pool.column("answer") < 0))
        embeddings, head = self._learner.embeddings, message.model
        offers = make_offers(
            OfferWish(
                strategy=message.strategy,
                chosen=message.offers,
                random=message.random_offers,
                first=message.first,
            ),
            ids=self._ids,
            free=free,
            probabilities=None if head is None else self._learner.probabilities(head),
            features=embeddings if head is None else self._learner.features(head),
            sketch_seed=self._parts.sketch_seed,
            rng=self._parts.rng("offers", message.round),
        )
        reply = SurveyReply(
            round=message.round,
            items=len(fresh),
            voted=int(self._voted[fresh].sum()),
            votes=VoteSummary.from_votes(self._votes[fresh], classes=self._classes).to_vector()
            if len(fresh)
            else _NOTHING,
            moments=Moments.from_embeddings(embeddings[fresh]).to_vector()
            if len(fresh)
            else _NOTHING,
            offers=offers,
        )

        def change() -> None:
            pool.mark_summed(fresh)
            pool.keep_note("offers", pack_offers(offers))

        return reply, change

    def _collect(self, message: CollectRequest) -> tuple[Reply, Callable[[], None]]:
        """Ship what was granted, if it was offered."""
        pool = self._parts.pool
        offered = unpack_offers(pool.note("offers") or b"")
        sealed: list[SealedItem] = []
        shipped: list[tuple[int, int]] = []
        payloads, arms = pool.payloads() if message.grants else [], pool.column("arm")
        for item in dict.fromkeys(message.grants):
            place = self._position.get(item)
            if place is None or item not in offered:
                sealed.append(SealedItem(item=item, envelope=b"", refusal="NotOffered"))
                continue
            if arms[place] >= 0:
                # the first envelope is on its way; the same request again gets it from the journal
                sealed.append(SealedItem(item=item, envelope=b"", refusal="ShippedBefore"))
                continue
            candidate = self._parts.outbox.ship(item, payloads[place])
            sealed.append(candidate)
            if candidate.envelope:
                shipped.append((place, offered[item]))

        def change() -> None:
            for place, arm in shipped:
                pool.mark_shipped(place, arm)

        return CollectReply(round=message.round, sealed=tuple(sealed)), change

    def _answers(self, message: AnswersRequest) -> tuple[Reply, Callable[[], None]]:
        """Take answers in, and return what they add to the sums."""
        pool = self._parts.pool
        arms, known = pool.column("arm"), pool.column("answer")
        fresh: dict[int, int] = {}
        for envelope in message.answers:
            answer = self._open(envelope)
            place = self._position.get(answer.item, -1)
            if place >= 0 and arms[place] >= 0 and known[place] < 0:
                fresh.setdefault(place, answer.label)
        places = np.array(list(fresh), dtype=np.int64)
        labels = np.array(list(fresh.values()), dtype=np.int64)
        held = self._held_out(arms)
        trains = ~held[places]
        first = pool.note("voted sums") is None
        voted = np.flatnonzero(self._voted & ~held) if first else _NOTHING
        reply = AnswersReply(
            round=message.round,
            accepted=len(places),
            trained=int(trains.sum()),
            anchors=AnchorSummary.from_votes(
                self._votes[places], labels, classes=self._classes
            ).to_vector(),
            labeled=self._sums(message, places[trains]),
            voted=self._sums(message, voted),
        )

        def change() -> None:
            for place, label in fresh.items():
                pool.answer(place, label, message.round)
            pool.keep_note("voted sums", b"sent")

        return reply, change

    def _open(self, envelope: bytes) -> Answer:
        """Open one answer; it must be signed by the desk and name a class we have."""
        plain = open_envelope(
            envelope,
            key=self._parts.sealing_key,
            context=ANSWER_CONTEXT + self._parts.task.digest.encode(),
            sender=self._parts.desk_key,
        )
        answer = decode(plain, Answer)
        if not 0 <= answer.label < self._classes:
            raise WireError(f"an answer names class {answer.label} of {self._classes}")
        return answer

    def _sums(self, message: AnswersRequest, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the sketched Gram sums of these items, nothing for none."""
        if not len(places):
            return _NOTHING
        return self._learner.labeled_sums(message.representation, places).to_vector()

    def _held_out(self, arms: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which items are for evaluation only, answered or not. Shape (n,)."""
        return np.asarray((arms == ARM_RANDOM) & self._half)

    def _lessons(self, vote_weight: float) -> Lessons:
        """Return everything on this device that teaches."""
        answers, arms = self._parts.pool.column("answer"), self._parts.pool.column("arm")
        free = ~self._held_out(arms)
        teaching = np.flatnonzero((answers >= 0) & free)
        voted = np.flatnonzero(self._voted & (answers < 0) & free) if vote_weight > 0 else _NOTHING
        return Lessons(
            answered=teaching,
            labels=answers[teaching],
            voted=voted,
            votes=self._votes[voted],
            vote_weight=vote_weight,
        )

    def _gradient(self, message: GradientRequest) -> GradientReply:
        """Return the gradient at the sent weights, or weights after local epochs."""
        lessons = self._lessons(message.vote_weight)
        label_model = (
            LabelModel.from_vector(message.label_model) if len(message.label_model) else None
        )
        if message.epochs:
            trained = self._learner.train(
                message.model,
                lessons,
                label_model,
                epochs=message.epochs,
                l2_per_item=message.l2_per_item,
            )
            sums = np.concatenate([[trained.weight], trained.product.ravel()])
        else:
            sums = self._learner.gradient(message.model, lessons, label_model).to_vector()
        return GradientReply(round=message.round, step=message.step, sums=sums)

    def _evaluate(self, message: EvaluateRequest) -> EvaluateReply:
        """Return confusion counts over items that never train."""
        pool = self._parts.pool
        truth = pool.column("gold")
        if not self._parts.evaluates:
            truth = np.where(self._held_out(pool.column("arm")), pool.column("answer"), -1)
        places = np.flatnonzero(truth >= 0)
        predicted = self._learner.probabilities(message.model)[places].argmax(axis=1)
        counts = confusion(truth[places], predicted, self._classes)
        return EvaluateReply(round=message.round, confusion=counts.ravel())
