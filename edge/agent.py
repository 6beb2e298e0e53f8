"""The agent: one device's part in a round, request by request.

It decides what a request is about and gathers the numbers; :mod:`edge.outbox` decides what leaves.
Rules it keeps:

- A pool item enters at most one released sum for each version of a function, and of each pair, so
  that two surveys, or two trials of a release, never subtract to one item.
- An item whose rights do not let it be shown is never offered.
- Only what was offered is shipped, only what was shipped can be answered, the first answer stays.
- A request that changes the pool is journaled with its reply: asked twice, it answers with the same
  bytes, charges nothing, and counts once.
- What is asked of another task than the one that is installed is refused; a survey or answers of a
  release before it are met as the installed one can, and the reply says which that is.
- Bad requests change nothing.
- Who the owner is, and what is news of that, is for :mod:`edge.trust` to say. While nothing good
  says that this task is the newest, only that news and a newer task are listened to.
"""

from collections.abc import Callable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from edge.agent_parts import AgentParts as AgentParts  # whoever makes an agent makes these
from edge.answering import open_answers
from edge.delta import anchor_delta, vote_delta
from edge.items import items_of, model_inputs
from edge.learning.learner import Learner, Lessons
from edge.selection import OfferWish, for_evaluation, make_offers, pack_offers
from edge.serving_head import keep_label_model, take_up
from edge.serving_head import served_by as served_by  # whoever asks an agent asks this
from edge.shadow import try_release
from edge.shipping import ship_granted
from edge.sums import earlier_tasks, enter, released
from fieldvote.delivery import BundleRequest
from fieldvote.errors import InputError, RefusalError, ShapeError, WireError
from fieldvote.heads import (
    EvaluateReply,
    EvaluateRequest,
    GradientReply,
    GradientRequest,
    ServeRequest,
    VotesReply,
    VotesRequest,
)
from fieldvote.records import (
    ARM_RANDOM,
    REQUESTS,
    AnswersReply,
    AnswersRequest,
    CollectRequest,
    HelloReply,
    HelloRequest,
    Reply,
    Request,
    SurveyReply,
    SurveyRequest,
    decode,
)
from fieldvote.releases import TrialRequest
from fieldvote.rights import Rights
from strategies.evaluation import confusion
from strategies.labeling import AnchorSummary, LabelModel, VoteQuestion
from strategies.representation import Moments

_CHANGING = (SurveyRequest, CollectRequest, AnswersRequest, ServeRequest, TrialRequest)
_EVALUATING = (HelloRequest, EvaluateRequest, ServeRequest, BundleRequest)
_NOTHING = np.empty(0, dtype=np.int64)


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
        trust = self._parts.trust
        about_owner = isinstance(message, HelloRequest | BundleRequest)
        if trust and not about_owner and (reason := trust.staleness()):
            # who holds news back must not be able to keep this device at work
            raise RefusalError(f"no round without the owner's word: {reason}")
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
                if self._parts.trust:
                    self._parts.trust.refresh(message.news)
                return self._hello(message)
            case GradientRequest():
                return self._gradient(message)
            case EvaluateRequest():
                return self._evaluate(message)
            case VotesRequest():
                return self._tell_of_votes(message)
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
                return ship_granted(self._parts, self._position, message)
            case AnswersRequest():
                return self._answers(message)
            case ServeRequest():
                if self._parts.trust:
                    self._parts.trust.check_order(message, self._parts.task.family)
                return take_up(self._parts.pool, message)
            case TrialRequest():
                self._check_task(message.task)
                return try_release(self._parts, self._votes, message)
            case _:
                raise WireError(f"{type(message).__name__} is not answered here")

    def _check_task(self, asked: str, *, earlier: bool = True) -> None:
        """Refuse what is asked of another task than ours, or than a release before it."""
        own = self._parts.task.digest
        known = (own, *earlier_tasks(self._parts.pool)) if earlier else (own,)
        if asked and asked not in known:
            raise RefusalError(f"asked of task {asked[:12]}, this device runs {own[:12]}")

    def _hello(self, message: HelloRequest) -> HelloReply:
        task, show = self._parts.task.digest, self._parts.show
        certificate, proof = show(message, task) if show else (b"", b"")
        trust = self._parts.trust
        return HelloReply(
            task=task,
            evaluates=self._parts.evaluates,
            items=len(self._ids),
            signing_key=self._parts.outbox.signing_key,
            sealing_key=self._parts.sealing_key.public,
            certificate=certificate,
            proof=proof,
            version=(trust.newest or 0) if trust else 0,
        )

    def _survey(self, message: SurveyRequest) -> tuple[Reply, Callable[[], None]]:
        """Sum what was in no sum yet, and offer what is free."""
        self._check_task(message.task)
        pool, task = self._parts.pool, self._parts.task
        delta = vote_delta(released(pool), self._votes, task.versions, classes=self._classes)
        fresh, summed = delta.first, len(delta.places)
        shippable = pool.column("rights") >= Rights.SHIP.level
        free = np.flatnonzero((pool.column("arm") < 0) & (pool.column("answer") < 0) & shippable)
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
        moments = Moments.from_embeddings(embeddings[fresh]).to_vector() if len(fresh) else _NOTHING
        reply = SurveyReply(
            round=message.round,
            items=len(fresh),
            voted=int(self._voted[fresh].sum()),
            votes=delta.votes.to_vector() if summed else _NOTHING,
            moments=moments,
            offers=offers,
            task=task.digest,
            renewed=delta.renewed,
        )

        def change() -> None:
            enter(pool, delta.places, task.versions)
            pool.keep_note("offers", pack_offers(offers))

        return reply, change

    def _answers(self, message: AnswersRequest) -> tuple[Reply, Callable[[], None]]:
        """Take answers in, and return what they add to the sums."""
        self._check_task(message.task)
        pool, task = self._parts.pool, self._parts.task
        arms, known = pool.column("arm"), pool.column("answer")
        fresh: dict[int, int] = {}
        opened = open_answers(self._parts, message.answers, classes=self._classes)
        for answer in opened.answers:
            place = self._position.get(answer.item, -1)
            if place >= 0 and arms[place] >= 0 and known[place] < 0:
                fresh.setdefault(place, answer.label)
        places = np.array(list(fresh), dtype=np.int64)
        labels = np.array(list(fresh.values()), dtype=np.int64)
        held = self._held_out(arms)
        trains = ~held[places]
        first = pool.note("voted sums") is None
        voted = np.flatnonzero(self._voted & ~held) if first else _NOTHING
        groups = {s: at[known[at] >= 0] for s, at in released(pool, "anchored").items()}
        renewed, more = anchor_delta(
            groups, self._votes, known, task.versions, classes=self._classes
        )
        anchors = AnchorSummary.from_votes(self._votes[places], labels, classes=self._classes)
        reply = AnswersReply(
            round=message.round,
            accepted=len(places),
            trained=int(trains.sum()),
            anchors=(anchors + more).to_vector(),
            labeled=self._sums(message, places[trains]),
            voted=self._sums(message, voted),
            task=task.digest,
            renewed=len(renewed),
        )

        def change() -> None:
            opened.remember(pool)
            for place, label in fresh.items():
                pool.answer(place, label, message.round)
            enter(pool, np.concatenate([places, renewed]), task.versions, "anchored")
            pool.keep_note("voted sums", b"sent")

        return reply, change

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
        self._check_task(message.task, earlier=False)  # its label model weighs our votes
        lessons = self._lessons(message.vote_weight)
        label_model = (
            LabelModel.from_vector(message.label_model) if len(message.label_model) else None
        )
        keep_label_model(self._parts.pool, self._parts.task, message.label_model)
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

    def _tell_of_votes(self, message: VotesRequest) -> VotesReply:
        """Return what the votes say under a label model; answers count only if drawn by lot."""
        self._check_task(message.task, earlier=False)
        pool = self._parts.pool
        model = LabelModel.from_vector(message.label_model)
        question = VoteQuestion.unpacked(
            message.about, model, copies=message.copies, one_in=message.one_in
        )
        drawn = (pool.column("arm") == ARM_RANDOM) & (pool.column("answer") >= 0)
        sums = question.answer(
            self._votes, answered=np.flatnonzero(drawn), labels=pool.column("answer")[drawn]
        )
        return VotesReply(round=message.round, step=message.step, sums=sums)

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
